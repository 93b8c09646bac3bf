// Package etcdservers finds the list of etcd servers of a kube-apiserver in the
// files that carry it, and changes that list and no other byte.
//
// What always holds: With returns the whole new content of the file, in which
// everything but the list stands as it stood - comments, order, quotes,
// indentation, line endings - and which was read again, by the reader that has
// found the list and by an independent parser, before it is returned. What
// cannot be changed that safely is a [*Refusal], which names the right way.
//
// The package reads files and writes none.
package etcdservers

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/etcdha/etcdha/internal/fail"
)

// Form is the kind of file that carries the list.
type Form string

// The forms. A unit's drop-ins are units, too.
const (
	StaticPod       Form = "static-pod"       // a manifest of kubelet, YAML or JSON
	SystemdUnit     Form = "systemd-unit"     // systemd.service(5)
	EnvironmentFile Form = "environment-file" // systemd.exec(5), EnvironmentFile=
	KubeadmConfig   Form = "kubeadm-config"   // kubeadm's ClusterConfiguration, alone or in its ConfigMap
)

// What the list is called where it stands.
const (
	// FlagName is the flag of kube-apiserver. It takes URLs with commas between.
	FlagName = "--etcd-servers"
	// ExternalEndpoints is the field of kubeadm's ClusterConfiguration.
	ExternalEndpoints = "etcd.external.endpoints"
)

// File is a file that carries the list.
type File struct {
	// Path is the file that holds the list, absolute. Asked for a unit, it may be
	// one of the unit's drop-ins or environment files.
	Path    string
	Form    Form   // of that file
	Flag    string // FlagName or ExternalEndpoints
	Where   string // for people: "line 17, container kube-apiserver"
	Servers []string
	// Args is the command line of kube-apiserver, its own name first, as the process
	// gets it. Variables are replaced. None in a KubeadmConfig, nor in an
	// environment file that was read for itself.
	Args []string
	// Unit is the systemd unit to restart, such as "kube-apiserver.service"; "" if
	// systemd does not run it, or if that is not known.
	Unit string

	data    []byte
	mounts  []mount
	rewrite func(servers []string) ([]edit, error)
	again   func(fs.FS) (*File, error) // reads the same again
	recheck func(before, after []byte, servers []string) error
}

// mount is where a directory of the container comes from.
type mount struct{ container, host string }

// Refusal is why a file cannot be changed safely. It is [fail.ErrUnsafe].
type Refusal struct {
	Path   string
	Line   int    // 0 if no line is to blame
	Reason string // "is a shell script"
	// Instead is the right way to change the list there.
	Instead string

	stacked bool // there is no list to change, and need not be
}

func (r *Refusal) Error() string {
	if r.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", r.Path, r.Line, r.Reason)
	}
	return fmt.Sprintf("%s: %s", r.Path, r.Reason)
}

// Is makes a refusal a [fail.ErrUnsafe], and that of kubeadm's configuration of a
// stacked etcd an [ErrNotFound].
func (r *Refusal) Is(target error) bool {
	return target == fail.ErrUnsafe || r.stacked && target == ErrNotFound
}

// ErrNotFound says that a file is sound, and carries no list.
var ErrNotFound = errors.New("there is no --etcd-servers in it")

// Data is the content that was read.
func (f *File) Data() []byte { return slices.Clone(f.data) }

// With returns the content of the file with another list. The same URLs in
// another order are another list; the caller decides whether that is worth a
// restart. It is a [*Refusal] if not exactly the list would change.
func (f *File) With(servers []string) ([]byte, error) {
	if err := CheckServers(servers); err != nil {
		return nil, err
	}
	edits, err := f.rewrite(servers)
	if err != nil {
		return nil, f.doubt(err)
	}
	after, err := apply(f.data, edits)
	if err != nil {
		return nil, f.doubt(err)
	}
	if err := f.check(after, servers); err != nil {
		return nil, f.doubt(err)
	}
	return after, nil
}

// check reads the changed content as the old one was read, and by another parser.
func (f *File) check(after []byte, servers []string) error {
	again, err := f.again(overlay{path: f.Path, data: after})
	if err != nil {
		return err
	}
	if again.Path != f.Path || again.Form != f.Form || !slices.Equal(again.Servers, servers) {
		return fmt.Errorf("the list would read %q in %s", again.Servers, again.Path)
	}
	if !slices.Equal(withoutServers(again.Args), withoutServers(f.Args)) {
		return errors.New("another part of the command line would change")
	}
	return f.recheck(f.data, after, servers)
}

// doubt is the refusal of a change that cannot be made, or did not come out as it
// should.
func (f *File) doubt(err error) error {
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return refusal
	}
	return &Refusal{
		Path: f.Path, Reason: "the list cannot be changed without risk to the rest: " + err.Error(),
		Instead: "edit the file by hand",
	}
}
