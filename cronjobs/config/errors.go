package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/etcdha/etcdha/internal/fail"
)

// Errors are all errors of a file, in the order of their lines. They are [fail.ErrUsage].
type Errors []*Error

// Error is what is wrong in one line of a file.
type Error struct {
	File string
	Line int // 0: the file as a whole
	What string
	Fix  string
}

// maxErrors is how many of the errors are written out. More do not fit on a screen.
const maxErrors = 20

// Error is one line: file, line, what, and how to mend it.
func (e *Error) Error() string {
	where := e.File
	if e.Line > 0 {
		where = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	return where + ": " + e.What + "; " + e.Fix
}

// Error is a line for each, and after twenty how many more there are.
func (e Errors) Error() string {
	var lines []string
	for i, one := range e {
		if i == maxErrors {
			lines = append(lines, fmt.Sprintf("and %d more", len(e)-i))
			break
		}
		lines = append(lines, one.Error())
	}
	return strings.Join(lines, "\n")
}

// Is tells that what a file says wrong is wrong usage.
func (e Errors) Is(target error) bool { return target == fail.ErrUsage }

// inOrder sorts by line. What is wrong with the defaults is found once for each cluster
// and told once.
func (e Errors) inOrder() Errors {
	slices.SortStableFunc(e, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
	seen := make(map[Error]bool, len(e))
	return slices.DeleteFunc(e, func(one *Error) bool {
		known := seen[*one]
		seen[*one] = true
		return known
	})
}
