//go:build !linux

package apiserver

import "os"

// keepExtended does nothing: control planes run on Linux.
func keepExtended(*os.File, string) error { return nil }
