package etcdservers

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// file finds the list in the command line of the service. src is what was asked for.
func (s *service) file(src *source) (*File, error) {
	all, err := s.commands()
	if err != nil {
		return nil, err
	}
	vars, err := s.variables()
	if err != nil {
		return nil, err
	}
	var found *File
	for _, c := range all {
		f, err := s.inCommand(c, vars)
		if err != nil {
			return nil, err
		}
		if f != nil && found != nil {
			return nil, src.refuse(0, "several commands of "+s.name+" have "+FlagName, "edit the file by hand")
		}
		if f != nil {
			found = f
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%s: %w", src.path, ErrNotFound)
	}
	return found, nil
}

// inCommand finds the list in one command; nil if there is none.
func (s *service) inCommand(c command, vars *variables) (*File, error) {
	src, err := c.program.file() // the unit or drop-in of this ExecStart=
	if err != nil {
		return nil, err
	}
	line := c.program.line()
	all, err := c.expand(vars.lookup(c.program.from[0]))
	if err != nil {
		return nil, src.refuse(line, err.Error(), "edit the file by hand")
	}
	if script, _, ok := shellScript(all); ok && mentionsFlag(script.text) {
		if all, err = readCommandLine(script, vars.shell()); err != nil {
			return nil, src.refuse(line, err.Error(), "write the flags into ExecStart= without a shell, or edit the file by hand")
		}
	}
	value, ok, err := flagValue(all)
	if err != nil {
		return nil, src.refuse(line, err.Error(), "repair the command line first")
	}
	if !ok {
		return nil, s.refuseHidden(src, c, all)
	}
	if _, _, runs := unwrap(texts(all)); !runs && !runsAPIServer([]string{c.program.text}) {
		return nil, src.refuse(line, "runs "+c.program.text+" with "+FlagName+", and no kube-apiserver is seen in the command",
			"change the list where kube-apiserver is started, by hand")
	}
	return s.inValue(src, line, value, all, vars)
}

// inValue is the file for the value of the flag. The command is at a line of src,
// and the value may stand elsewhere.
func (s *service) inValue(src *source, line int, value view, all []view, vars *variables) (*File, error) {
	if len(Split(value.text)) == 0 {
		reason := "the list is empty"
		if len(vars.empty) > 0 {
			reason += "; not set is " + strings.Join(vars.empty, ", ")
		}
		return nil, src.refuse(line, reason, "set it where the unit takes it from")
	}
	holder, err := value.file()
	if err != nil {
		return nil, src.refuse(line, "the list: "+err.Error(), "edit the files by hand")
	}
	if err := foreign(holder); err != nil {
		return nil, err
	}
	if err := checkList(holder, value); err != nil {
		return nil, err
	}
	return s.found(holder, value, all, vars), nil
}

// found is the file for a list that stands in holder.
func (s *service) found(holder *source, value view, all []view, vars *variables) *File {
	servers := Split(value.text)
	f := &File{
		Path: holder.path, Form: SystemdUnit, Flag: FlagName, Servers: servers, Unit: s.name,
		data: []byte(holder.data), rewrite: rewriteFlag(value),
	}
	if strings.HasSuffix(s.name, "@.service") {
		f.Unit = "" // which instance runs is not known
	}
	where := vars.nameOf(value.from[0])
	f.recheck = func(before, after []byte, to []string) error { return onlyOption(before, after, servers, to) }
	switch {
	case slices.Contains(vars.files, holder):
		f.Form = EnvironmentFile
		f.recheck = func(before, after []byte, to []string) error {
			return onlyList(string(before), string(after), servers, to)
		}
	case where == "":
		where = "ExecStart="
	default:
		where = "Environment=" + where
	}
	f.Where = fmt.Sprintf("line %d, %s", value.line(), where)
	wrapper, args, _ := unwrap(texts(all))
	f.Args, f.mounts = args, containerMounts(wrapper)
	return f
}

// unwrap takes from a command line what only starts kube-apiserver: a container
// engine, chroot, nice. ok is false if kube-apiserver is not seen in it.
func unwrap(all []string) (wrapper, args []string, ok bool) {
	flag := slices.IndexFunc(all, hasFlag)
	for i := flag; i >= 0; i-- {
		hyperkube := i > 0 && strings.HasPrefix(path.Base(all[i-1]), "hyperkube")
		switch {
		case strings.HasPrefix(all[i], "-") || !runsAPIServer(all[i:]) || i > 0 && all[i] == "apiserver" && !hyperkube:
			continue
		case hyperkube:
			i--
		}
		return all[:i], all[i:], true
	}
	return nil, all, false
}

// containerMounts are the volumes of docker run, podman run and nerdctl run.
func containerMounts(wrapper []string) []mount {
	var all []mount
	for i, word := range wrapper {
		volume, ok := strings.CutPrefix(word, "--volume=")
		if !ok && i > 0 && (wrapper[i-1] == "-v" || wrapper[i-1] == "--volume") {
			volume, ok = word, true
		}
		if parts := strings.Split(volume, ":"); ok && len(parts) > 1 && path.IsAbs(parts[0]) && path.IsAbs(parts[1]) {
			all = append(all, mount{container: path.Clean(parts[1]), host: path.Clean(parts[0])})
		}
	}
	return all
}

// refuseHidden refuses a command that may have the flag where it is not seen: in
// a script, or in a variable that is not known. It is nil for any other.
func (s *service) refuseHidden(src *source, c command, all []view) error {
	if script := s.where.root + c.program.text; path.IsAbs(script) {
		if isScript(s.where.fsys, script) {
			return src.refuse(c.program.line(), "runs "+c.program.text+", which is a script",
				"change the list in that script or where it takes it from, by hand")
		}
	}
	for _, word := range all {
		if why := word.unknowable(); why != "" && !strings.HasPrefix(word.text, "-") && runsAPIServer(texts(all)) {
			return src.refuse(c.program.line(), FlagName+" is not seen: "+why, "edit the file by hand")
		}
	}
	return nil
}

// isScript tells whether a program begins as scripts do.
func isScript(fsys fs.FS, name string) bool {
	info, err := fs.Stat(listing(fsys), inside(name))
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	program, err := listing(fsys).Open(inside(name))
	if err != nil {
		return false
	}
	defer program.Close()
	var magic [2]byte
	_, err = io.ReadFull(program, magic[:])
	return err == nil && string(magic[:]) == "#!"
}
