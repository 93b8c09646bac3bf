package etcdservers

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// bare is the style of a text that is replaced as it stands, by bytes that mean
// themselves within quotes and without them, in units and environment files.
type bare struct{}

func (bare) replace(_ *source, from, to int, text string) (edit, error) {
	if strings.Trim(text, plain+",") != "" {
		return edit{}, fmt.Errorf("%q may have a meaning there", text)
	}
	return edit{from, to, text}, nil
}

// unknown is the style of what is known only on the running host.
type unknown struct{ why string }

func (u unknown) replace(*source, int, int, string) (edit, error) {
	return edit{}, errors.New(u.why)
}

// unknowable returns why a part of the text is known only on the running host, or "".
func (v view) unknowable() string {
	for _, p := range v.from {
		if u, ok := p.style.(unknown); ok {
			return u.why
		}
	}
	return ""
}

// listVariable is the name of a variable whose whole value is the list. That of
// etcd's own and flannel's variables is another one.
var listVariable = regexp.MustCompile(`(?i)(^|_)ETCD_?SERVERS$`)

// validName is the name of a variable that systemd takes from a file. One with
// "export" before it is none, and so is ignored.
var validName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// readEnvironmentFile reads an environment file of which no unit is known: the
// one variable that carries the flag, or is the list.
func readEnvironmentFile(_ fs.FS, src *source) (*File, error) {
	all, err := environmentOf(src)
	if err != nil {
		return nil, err
	}
	var found []*File
	for _, name := range slices.Sorted(maps.Keys(all)) {
		f, err := inVariable(src, name, all[name])
		if err != nil {
			return nil, err
		}
		if f != nil {
			found = append(found, f)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%s: %w", src.path, ErrNotFound)
	case 1:
		if err := refuseOther(src); err != nil {
			return nil, err
		}
		return found[0], nil
	}
	return nil, &Refusal{
		Path: src.path, Reason: "several variables carry the list",
		Instead: "name the unit that reads the file, so that it is known which one counts",
	}
}

// otherLanguage are files in which a line NAME=VALUE is not what it is to systemd.
var otherLanguage = regexp.MustCompile(`\.(sh|tf|tfvars|toml|ini|hcl|py)$`)

// refuseOther refuses what systemd would not complain about and is no environment
// file all the same: where no unit says that it is one, every line has to.
func refuseOther(src *source) error {
	other := func(line int) error {
		return src.refuse(line, "is no environment file as systemd reads it", "name the unit that reads it, if one does, or edit it by hand")
	}
	if otherLanguage.MatchString(src.path) {
		return other(0)
	}
	all, stray := assignments(src)
	if stray >= 0 {
		return other(verbatim(src, stray, stray+1, bare{}).line())
	}
	for _, a := range all {
		if name, _ := exported(a.name); !validName.MatchString(name) {
			return other(a.value.line())
		}
	}
	return nil
}

// exported is the name of a variable without the "export" of a shell.
func exported(name string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(name, "export")
	if trimmed := strings.Trim(rest, blank); ok && trimmed != rest {
		return trimmed, true
	}
	return name, false
}

// environmentOf returns the variables that systemd takes from a file.
func environmentOf(src *source) (map[string]assignment, error) {
	if strings.IndexByte(src.data, 0) >= 0 || !utf8.ValidString(src.data) {
		return nil, &Refusal{Path: src.path, Reason: "is no text that systemd reads", Instead: "name the file that carries " + FlagName}
	}
	set := map[string]assignment{}
	assigned, _ := assignments(src)
	for _, a := range assigned {
		if name, ok := exported(a.name); ok && validName.MatchString(name) && isList(name, a.value) {
			return nil, &Refusal{
				Path: src.path, Line: a.value.line(), Reason: `has "export", so that a shell reads it, and systemd does not`,
				Instead: "edit it by hand",
			}
		}
		if validName.MatchString(a.name) {
			set[a.name] = a
		}
	}
	return set, nil
}

// isList tells whether a variable carries the flag, or is the list.
func isList(name string, value view) bool {
	if words, err := words(value, variableWords); err == nil && slices.ContainsFunc(texts(words), hasFlag) {
		return true
	}
	return listVariable.MatchString(strings.Trim(name, blank)) && len(Split(value.text)) > 0
}

// inVariable reads the list in a variable; nil if there is none.
func inVariable(src *source, name string, a assignment) (*File, error) {
	if !isList(name, a.value) {
		return nil, nil
	}
	words, err := words(a.value, variableWords)
	if err != nil {
		return nil, err
	}
	value, isFlag, err := flagValue(words)
	if !isFlag && err == nil {
		value = a.value
	}
	if err == nil && a.doubt != "" {
		err = errors.New(a.doubt)
	}
	if err == nil && isFlag && a.value.asksShell() {
		err = errors.New("it has a variable in it, which a shell replaces, and systemd does not")
	}
	if err != nil {
		return nil, src.refuse(a.value.line(), name+": "+err.Error(), "edit the file by hand")
	}
	if err := checkList(src, value); err != nil {
		return nil, err
	}
	servers := Split(value.text)
	return &File{
		Path: src.path, Form: EnvironmentFile, Flag: FlagName,
		Where:   fmt.Sprintf("line %d, %s", value.line(), name),
		Servers: servers,
		data:    []byte(src.data), rewrite: rewriteFlag(value),
		recheck: func(before, after []byte, to []string) error {
			return onlyList(string(before), string(after), servers, to)
		},
	}, nil
}

// asksShell tells whether a shell would put something else in place of a part of
// the value. A dollar sign behind a backslash stands for itself.
func (v view) asksShell() bool {
	for _, at := range shellVariable.FindAllStringIndex(v.text, -1) {
		if p := v.from[at[0]]; p.to == p.from+1 {
			return true
		}
	}
	return false
}

var shellVariable = regexp.MustCompile(`\$[A-Za-z_{(]`)

// checkList refuses a list that is not known as it stands in src.
func checkList(src *source, value view) error {
	servers := Split(value.text)
	if why := value.unknowable(); why != "" {
		return src.refuse(value.line(), "the list is not known before the service runs: "+why, "edit the file by hand")
	}
	if strings.Contains(value.text, "$") && !strings.Contains(value.text, "@") {
		return src.refuse(value.line(), fmt.Sprintf("the list has %q: systemd replaces ${NAME} within a word of ExecStart= and $NAME as a word of its own, and nothing else", value.text),
			"write the list itself, by hand")
	}
	if err := src.checkServers(value.line(), servers); err != nil {
		return err
	}
	if len(servers) == 0 {
		return src.refuse(value.line(), "the list is empty", "edit the file by hand")
	}
	if _, err := value.replace(servers[0]); err != nil {
		return src.refuse(value.line(), "the list cannot be replaced: "+err.Error(), "write it in one piece, by hand")
	}
	return nil
}

// onlyList checks, by nothing but the bytes, that after is before with one list
// in place of the other. It does not know any form, so that it cannot share a
// mistake with the reader of one.
func onlyList(before, after string, from, to []string) error {
	list := strings.Join(to, ",")
	for at := 0; ; at++ {
		i := strings.Index(after[at:], list)
		if i < 0 {
			return errors.New("the new list does not stand where the old one stood")
		}
		at += i
		head, tail := after[:at], after[at+len(list):]
		if len(head)+len(tail) > len(before) || !strings.HasPrefix(before, head) || !strings.HasSuffix(before, tail) {
			continue
		}
		old := strings.NewReplacer("\\\r\n", "", "\\\n", "").Replace(before[len(head) : len(before)-len(tail)])
		if slices.Equal(Split(old), from) {
			return nil
		}
	}
}
