//go:build !linux

package file

import (
	"errors"
	"os"
)

// renameNew is not known here.
func renameNew(*os.Root, string, string) error { return errors.ErrUnsupported }
