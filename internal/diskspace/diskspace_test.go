package diskspace_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/etcdha/etcdha/internal/diskspace"
	"github.com/etcdha/etcdha/internal/fail"
)

func TestRoomIsCheckedBefore(t *testing.T) {
	dir := t.TempDir()
	if err := diskspace.Check(dir, 1, "elsewhere"); err != nil {
		t.Errorf("a byte: %v", err)
	}
	err := diskspace.Check(dir, 1<<60, "elsewhere")
	if err == nil || !strings.Contains(err.Error(), "no room in "+dir+": ") || !strings.Contains(err.Error(), fmt.Sprintf("%d MiB are needed", 1<<40+1)) {
		t.Errorf("an exabyte: %v", err)
	}
	if hint := fail.Hint(err); hint != "elsewhere" {
		t.Errorf("hint %q", hint)
	}
	if err := diskspace.Check(dir+"/missing", 1, "elsewhere"); err == nil {
		t.Error("there is room in a directory that is not there")
	}
}
