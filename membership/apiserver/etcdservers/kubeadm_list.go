package etcdservers

import (
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// list is a list of strings of YAML.
type list struct {
	src   *source
	items []listItem
	flow  bool
	lead  string // in brackets: what stands between the bracket and the first item
	tight bool   // in brackets: no space after a colon or comma
}

// listItem is a string of the list. Its line is that of the item alone: without
// brackets each has one.
type listItem struct {
	scalar
	before   int // the end of the line before, without its line break
	line     int // the beginning of the line
	after    int // the end of the line, without its line break
	original string
}

// readList reads a list, each item of which must be on one line.
func (d *document) readList(n *yaml.Node) (*list, error) {
	if n == nil || n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return nil, errors.New("is no list, or an empty one")
	}
	l := &list{src: d.src, flow: d.flow[n]}
	for _, node := range n.Content {
		s, err := d.scalar(node)
		if err != nil {
			return nil, err
		}
		if len(s.from) == 0 || strings.Contains(d.src.data[s.start:s.end], "\n") {
			return nil, errors.New("has an item that is empty or of several lines")
		}
		l.items = append(l.items, listItem{scalar: s, original: d.src.data[s.start:s.end]})
	}
	if l.flow {
		return l, l.readBrackets(d, n)
	}
	return l, l.readLines()
}

// readLines finds the lines of the items.
func (l *list) readLines() error {
	data := l.src.data
	for i := range l.items {
		item := &l.items[i]
		item.line = strings.LastIndexByte(data[:item.start], '\n') + 1
		item.before = item.line - len(lineEnding(data, max(0, strings.LastIndexByte(data[:max(0, item.line-1)], '\n')+1)))
		item.after = len(data)
		if n := strings.IndexByte(data[item.end:], '\n'); n >= 0 {
			item.after = item.end + n
		}
		if item.after > item.end && data[item.after-1] == '\r' {
			item.after--
		}
		rest := strings.TrimLeft(data[item.end:item.after], " \t")
		if strings.Trim(data[item.line:item.start], " \t") != "-" || item.before < 0 || rest != "" && rest[0] != '#' {
			return errors.New("has an item that shares its line")
		}
	}
	return nil
}

// readBrackets sees to it that nothing but commas stands between the items.
func (l *list) readBrackets(d *document, n *yaml.Node) error {
	open, err := d.offset(n)
	if err != nil {
		return err
	}
	data := l.src.data
	if open >= len(data) || data[open] != '[' {
		return errors.New("does not begin where it should")
	}
	l.lead = data[open+1 : l.items[0].start]
	l.tight = open > 0 && data[open-1] == ':'
	if strings.Trim(l.lead, " \t\r\n") != "" {
		return errors.New("has a comment in its brackets")
	}
	for i, item := range l.items[1:] {
		if gap := data[l.items[i].end:item.start]; strings.Trim(gap, " \t\r\n") != "," {
			return errors.New("has a comment in its brackets")
		}
	}
	return nil
}

func (l *list) servers() []string {
	var all []string
	for _, item := range l.items {
		all = append(all, item.text)
	}
	return all
}

func (l *list) line() int { return l.items[0].view.line() }

// rewrite makes the list another one. Items that stay keep their bytes and their
// comments, and what takes the place of another one gets its quotes and comment.
// Only with a line that goes for good goes its comment.
func (l *list) rewrite(servers []string) ([]edit, error) {
	var edits []edit
	for _, h := range hunks(l.servers(), servers) {
		e, err := l.edits(h, servers)
		if err != nil {
			return nil, err
		}
		for _, e := range e {
			outer, err := l.src.outward(e)
			if err != nil {
				return nil, err
			}
			edits = append(edits, outer)
		}
	}
	return edits, nil
}

// edits are those of one hunk: items are replaced as long as there are some, and
// what is left of either is taken out or put in.
func (l *list) edits(h hunk, servers []string) ([]edit, error) {
	var edits []edit
	first := h.from == 0 && len(h.added) == 0
	for i := h.from; i < h.to; i++ {
		if len(h.added) == 0 {
			edits = append(edits, l.remove(i, first))
			continue
		}
		n := 1
		if i == h.to-1 {
			n = len(h.added) // the last one takes all that are left
		}
		e, err := l.put(i, h.added[:n], servers)
		if err != nil {
			return nil, err
		}
		edits = append(edits, e)
		h.added = h.added[n:]
	}
	if len(h.added) == 0 {
		return edits, nil
	}
	e, err := l.insert(h.from, h.added)
	return append(edits, e), err
}

// put puts servers in the place of item i, which goes. The first one keeps the
// comment of the line, unless one of the two moves: a comment goes where its
// server goes.
func (l *list) put(i int, added, servers []string) (edit, error) {
	item := l.items[i]
	text, err := l.render(i, added[:1])
	if err != nil {
		return edit{}, err
	}
	e := edit{item.start, l.end(i), text}
	if !slices.Contains(l.servers(), added[0]) && !slices.Contains(servers, item.text) {
		e.to = item.end
	}
	if len(added) == 1 {
		return e, nil
	}
	more, err := l.render(i, added[1:])
	if err != nil {
		return edit{}, err
	}
	e.text += l.src.data[e.to:l.end(i)] + l.separator(i) + more
	e.to = l.end(i)
	return e, nil
}

// end is where an item ends, with the comment of its line.
func (l *list) end(i int) int {
	if l.flow {
		return l.items[i].end
	}
	return l.items[i].after
}

// remove takes an item out, with its line or with a comma: the one before it, or
// the one after it where no item before it stays.
func (l *list) remove(i int, first bool) edit {
	item := l.items[i]
	switch {
	case !l.flow:
		return edit{item.before, item.after, ""}
	case first:
		return edit{item.start, l.items[i+1].start, ""}
	}
	return edit{l.items[i-1].end, item.end, ""}
}

// insert puts servers before item i, or at the end.
func (l *list) insert(i int, servers []string) (edit, error) {
	if i > 0 {
		text, err := l.render(i-1, servers)
		at := l.end(i - 1)
		return edit{at, at, l.separator(i-1) + text}, err
	}
	text, err := l.render(0, servers)
	if l.flow {
		at := l.items[0].start
		return edit{at, at, text + l.separator(0)}, err
	}
	at := l.items[0].before
	return edit{at, at, l.separator(0) + text}, err
}

// separator is what stands between items; without brackets, up to the text of the next one.
func (l *list) separator(i int) string {
	data := l.src.data
	switch {
	case !l.flow:
		return lineEnding(data, l.items[0].before) + data[l.items[i].line:l.items[i].start]
	case len(l.items) > 1:
		return data[l.items[0].end:l.items[1].start]
	case strings.Contains(l.lead, "\n"):
		return "," + l.lead
	case l.tight:
		return ","
	}
	return ", "
}

// render writes servers as item i is written. One that was in the list already
// is written as it was.
func (l *list) render(i int, servers []string) (string, error) {
	var texts []string
	for _, server := range servers {
		old := slices.IndexFunc(l.items, func(item listItem) bool { return item.text == server })
		if old >= 0 {
			texts = append(texts, l.src.data[l.items[old].start:l.end(old)])
			continue
		}
		item := l.items[i]
		first, last := item.from[0], item.from[len(item.from)-1]
		e, err := first.style.replace(l.src, first.from, last.to, server)
		if err != nil {
			return "", err
		}
		texts = append(texts, l.src.data[item.start:e.from]+e.text+l.src.data[e.to:item.end])
	}
	return strings.Join(texts, l.separator(i)), nil
}

// hunk says that items from..to of a list make way for others.
type hunk struct {
	from, to int
	added    []string
}

// hunks are the differences of two lists, as few as can be: by the longest common
// subsequence.
func hunks(before, after []string) []hunk {
	longest := make([][]int, len(before)+1)
	for i := range longest {
		longest[i] = make([]int, len(after)+1)
	}
	for i := len(before) - 1; i >= 0; i-- {
		for j := len(after) - 1; j >= 0; j-- {
			if before[i] == after[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	var all []hunk
	i, j := 0, 0
	for i < len(before) || j < len(after) {
		h := hunk{from: i}
		for i < len(before) || j < len(after) {
			if i < len(before) && j < len(after) && before[i] == after[j] {
				break
			}
			if j == len(after) || i < len(before) && longest[i+1][j] >= longest[i][j+1] {
				i++
			} else {
				h.added = append(h.added, after[j])
				j++
			}
		}
		h.to = i
		if h.to > h.from || len(h.added) > 0 {
			all = append(all, h)
		}
		i, j = i+1, j+1
	}
	return all
}
