//go:build linux

package controlplane

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// kubelet stands in for the real one, as far as static pods go. Like it,
//   - it runs every file of the manifests directory whose name does not start
//     with a dot, and two apiservers if it finds two manifests of one;
//   - when a file has changed, it ends the old pod, and starts the new one when the
//     old one is gone. A preStop hook comes first: until it is over, the old
//     process serves and is ready. Then there is SIGTERM, and when the grace
//     period is over, SIGKILL;
//   - it starts a container that has ended again, later each time;
//   - a container that is to have no capabilities has none.
//
// A container is a process with the binaries, paths and addresses of the host.
type kubelet struct {
	dir   string
	logs  string
	every time.Duration // between two looks at the directory

	mu      sync.Mutex
	workers map[string]*worker // by file
	runs    []*Run
}

func newKubelet(dir, logs string, every time.Duration) *kubelet {
	return &kubelet{dir: dir, logs: logs, every: every, workers: make(map[string]*worker)}
}

// run looks at the directory for ever.
func (k *kubelet) run() {
	for {
		k.look()
		time.Sleep(k.every)
	}
}

// look tells the worker of each file what the file says now.
func (k *kubelet) look() {
	found := make(map[string]string)
	entries, err := os.ReadDir(k.dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || e.IsDir() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(k.dir, e.Name()))
		if err != nil {
			continue // it has gone this very moment
		}
		found[e.Name()] = string(data)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, data := range found {
		if k.workers[name] == nil {
			k.workers[name] = &worker{kubelet: k, file: name, changed: make(chan struct{}, 1)}
			go k.workers[name].work()
		}
		k.workers[name].set(data)
	}
	for name, w := range k.workers {
		if _, ok := found[name]; !ok {
			w.set("")
		}
	}
}

// all returns a copy of all runs.
func (k *kubelet) all() []Run {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]Run, len(k.runs))
	for i, r := range k.runs {
		all[i] = *r
	}
	return all
}

// worker runs the pod of one file.
type worker struct {
	kubelet *kubelet
	file    string
	changed chan struct{}
	mu      sync.Mutex
	want    string // the manifest; "" for no pod
}

func (w *worker) set(want string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.want == want {
		return
	}
	w.want = want
	w.notify()
}

func (w *worker) notify() {
	select {
	case w.changed <- struct{}{}:
	default: // it has been told, and has not looked yet
	}
}

// work runs what the file says, one version after the other.
func (w *worker) work() {
	for range w.changed {
		w.mu.Lock()
		want := w.want
		w.mu.Unlock()
		p, err := parsePod(want)
		if err != nil {
			fmt.Fprintf(os.Stderr, "kubelet: %s: %v\n", w.file, err) // kubelet logs it, and runs nothing
			continue
		}
		w.runPod(p)
	}
}

// runPod runs the containers of a pod until the file changes.
func (w *worker) runPod(p *pod) {
	stop := make(chan struct{})
	var all sync.WaitGroup
	for _, c := range p.Spec.Containers {
		all.Go(func() { w.keepRunning(p, c, stop) })
	}
	if len(p.Spec.Containers) > 0 {
		<-w.changed
		w.notify() // work looks again
	}
	close(stop)
	all.Wait()
}

const (
	firstBackoff = 500 * time.Millisecond // 10 s in life
	longBackoff  = 5 * time.Second        // 5 minutes in life
)

// keepRunning runs a container, and starts it again when it has ended.
func (w *worker) keepRunning(p *pod, c container, stop <-chan struct{}) {
	for backoff := firstBackoff; ; backoff = min(2*backoff, longBackoff) {
		w.runOnce(p, c, stop)
		select {
		case <-stop:
			return
		case <-time.After(backoff):
		}
	}
}

// runOnce runs a container until it ends or has to.
func (w *worker) runOnce(p *pod, c container, stop <-chan struct{}) {
	cmd, log, err := w.prepare(c)
	if err == nil {
		defer log.Close()
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "kubelet: start %s of %s: %v\n", c.Name, w.file, err)
		return
	}
	r := &Run{File: w.file, Container: c.Name, PID: cmd.Process.Pid, Args: cmd.Args, Started: time.Now()}
	w.kubelet.record(func() { w.kubelet.runs = append(w.kubelet.runs, r) })
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		w.kubelet.record(func() { r.Ended = time.Now() })
		close(ended)
	}()
	select {
	case <-ended:
		return
	case <-stop:
	}
	if !terminate(cmd.Process, p.grace(), c.preStop(), ended) {
		w.kubelet.record(func() { r.Killed = true })
	}
}

func (k *kubelet) record(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

// terminate ends a container as its pod wants it, and tells whether it ended by itself.
func terminate(process *os.Process, grace, preStop time.Duration, ended <-chan struct{}) bool {
	killed := time.After(grace)
	select {
	case <-ended:
		return true
	case <-killed:
	case <-time.After(preStop):
		_ = process.Signal(unix.SIGTERM)
		select {
		case <-ended:
			return true
		case <-killed:
		}
	}
	_ = process.Kill()
	<-ended
	return false
}

// prepare makes the command of a container. Its output goes to a file.
func (w *worker) prepare(c container) (*exec.Cmd, *os.File, error) {
	env := map[string]string{"PATH": strings.Join([]string{tool("kubernetes"), tool("etcd37"), bin, os.Getenv("PATH")}, ":")}
	for _, e := range c.Env {
		env[e.Name] = expand(e.Value, env)
	}
	var args []string
	for _, word := range slices.Concat(c.Command, c.Args) {
		args = append(args, expand(word, env))
	}
	if len(args) == 0 {
		return nil, nil, fmt.Errorf("%s has no command, and there are no images here", c.Name)
	}
	name := fmt.Sprintf("%s.%s.%d.log", w.file, c.Name, len(w.kubelet.all()))
	log, err := os.OpenFile(filepath.Join(w.kubelet.logs, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	cmd := &exec.Cmd{Path: program(args[0]), Args: args, Stdout: log, Stderr: log}
	if slices.Contains(c.SecurityContext.Capabilities.Drop, "ALL") {
		drop := []string{"setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--", program(args[0])}
		cmd.Path, cmd.Args = program(drop[0]), append(drop, args[1:]...)
	}
	for key, value := range env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	return cmd, log, nil
}

// program finds what an image would have.
func program(name string) string {
	for _, dir := range []string{"kubernetes", "etcd37", "."} {
		if path := filepath.Join(bin, dir, name); !filepath.IsAbs(name) && exists(path) {
			return path
		}
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return name
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
