// Package diskspace tells before work starts whether its result would fit.
package diskspace

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/etcdha/etcdha/internal/fail"
)

// Check refuses what will not fit: need bytes in dir. The hint says what else
// to name. It cannot know what others write meanwhile, so that writers still
// have to expect an error.
func Check(dir string, need int64, hint string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fail.WithHint(fmt.Errorf("room in %s: %w", dir, err), "%s", hint)
	}
	have := int64(st.Bavail) * int64(st.Bsize)
	if have < need {
		return fail.WithHint(fmt.Errorf("no room in %s: %d MiB are free, %d MiB are needed", dir, have>>20, need>>20+1), "%s", hint)
	}
	return nil
}
