package etcdservers

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// edit puts text in place of the bytes from..to of a source.
type edit struct {
	from, to int
	text     string
}

// apply makes edits, which may come in any order and must not overlap.
func apply(data []byte, edits []edit) ([]byte, error) {
	edits = slices.SortedFunc(slices.Values(edits), func(a, b edit) int { return cmp.Compare(a.from, b.from) })
	var out []byte
	at := 0
	for _, e := range edits {
		if e.from < at || e.to < e.from || e.to > len(data) {
			return nil, errors.New("the parts of the list overlap")
		}
		out = append(append(out, data[at:e.from]...), e.text...)
		at = e.to
	}
	return append(out, data[at:]...), nil
}

// source is a text in which views see their bytes: a file, or a text inside of
// one, such as the YAML in a block of YAML.
type source struct {
	path string
	data string
	in   view // where data stands; the zero view for a file
}

// style knows how a text is written where it stands.
type style interface {
	// replace puts text in place of the bytes from..to of src, quoted and escaped as
	// they are. It fails where that cannot be.
	replace(src *source, from, to int, text string) (edit, error)
}

// view is a text as its reader sees it, and where each of its bytes comes from.
// The text of a quoted scalar has no quotes; a variable is replaced, and its
// bytes come from where it is set.
type view struct {
	text string
	from []place // one for each byte of text
}

// place is where a byte of a view stands: one byte, or several if it is escaped.
type place struct {
	src      *source
	from, to int
	style    style
}

// verbatim is the view of src.data[from:to] as it stands.
func verbatim(src *source, from, to int, s style) view {
	v := view{text: src.data[from:to], from: make([]place, 0, to-from)}
	for i := from; i < to; i++ {
		v.from = append(v.from, place{src, i, i + 1, s})
	}
	return v
}

func (v view) slice(i, j int) view { return view{v.text[i:j], v.from[i:j]} }

// join puts views together.
func join(views ...view) view {
	var all text
	for _, v := range views {
		all.addView(v)
	}
	return all.view()
}

// replace returns the edit, of the file that the view stands in, that makes it
// text. An empty view stands nowhere, and one that is put together from several
// places, or has something between its bytes, cannot be replaced.
func (v view) replace(text string) (edit, error) {
	if len(v.from) == 0 {
		return edit{}, errors.New("it is empty")
	}
	first, last := v.from[0], v.from[len(v.from)-1]
	for i, p := range v.from {
		if p.src != first.src || p.style != first.style || i > 0 && p.from != v.from[i-1].from && !p.follows(v.from[i-1]) {
			return edit{}, fmt.Errorf("%q is put together from several places", v.text)
		}
	}
	e, err := first.style.replace(first.src, first.from, last.to, text)
	if err != nil {
		return edit{}, err
	}
	return first.src.outward(e)
}

// follows tells whether p comes right after another place. In units and
// environment files a line may be continued between the two, which stays nowhere
// in the value.
func (p place) follows(before place) bool {
	if _, ok := p.style.(bare); !ok || p.from <= before.to {
		return p.from == before.to
	}
	return strings.ReplaceAll(p.src.data[before.to:p.from], "\\\n", "") == ""
}

// outward turns an edit of the source into one of the file.
func (s *source) outward(e edit) (edit, error) {
	if len(s.in.from) == 0 {
		return e, nil
	}
	if e.from == e.to { // an insertion: the byte before it says where, and is kept
		if e.from == 0 {
			return edit{}, errors.New("nothing stands before it")
		}
		e.from--
		e.text = s.data[e.from:e.to] + e.text
	}
	return s.in.slice(e.from, e.to).replaceLines(e.text)
}

// replaceLines is replace for a view that may span lines, between whose bytes
// there is the indentation of what it stands in.
func (v view) replaceLines(text string) (edit, error) {
	first, last := v.from[0], v.from[len(v.from)-1]
	for i, p := range v.from[1:] {
		before := v.from[i]
		if p.src != first.src || p.style != first.style || p.from != before.from && !isIndentation(p.src.data, before.to, p.from) {
			return edit{}, errors.New("it is put together from several places")
		}
	}
	e, err := first.style.replace(first.src, first.from, last.to, text)
	if err != nil {
		return edit{}, err
	}
	return first.src.outward(e)
}

// isIndentation tells whether data[from:to] is nothing, or what stands before a
// line of a text in YAML: white space, or an escaped line break.
func isIndentation(data string, from, to int) bool {
	return from <= to && strings.Trim(data[from:to], " \t\r\n\\") == ""
}

// file returns the file that all bytes of the view stand in.
func (v view) file() (*source, error) {
	var file *source
	for _, p := range v.from {
		src := p.src
		for len(src.in.from) > 0 {
			src = src.in.from[0].src
		}
		if file != nil && src != file {
			return nil, errors.New("it stands in several files")
		}
		file = src
	}
	if file == nil {
		return nil, errors.New("it is empty")
	}
	return file, nil
}

// line is the line of the file, from 1, that the view begins in; 0 for an empty one.
func (v view) line() int {
	if len(v.from) == 0 {
		return 0
	}
	p := v.from[0]
	for len(p.src.in.from) > 0 {
		p = p.src.in.from[p.from]
	}
	line := 1
	for i := range p.from {
		if p.src.data[i] == '\n' {
			line++
		}
	}
	return line
}
