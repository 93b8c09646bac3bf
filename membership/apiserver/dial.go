package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/membership/apiserver/etcdservers"
)

// NewDialer returns a dialer that asks as the apiserver of the file does: with its
// certificate and CA, for a key of its own. A server has the timeout to answer.
// Certificates are read anew each time.
func NewDialer(f *etcdservers.File, timeout time.Duration) Dialer {
	prefix, _ := f.Value("--etcd-prefix")
	return &dialer{file: f, timeout: timeout, key: keysOf(prefix) + "health"}
}

type dialer struct {
	file    *etcdservers.File
	timeout time.Duration
	key     string // that the apiserver's own check of etcd reads
}

// Ask implements [Dialer].
func (d *dialer) Ask(ctx context.Context, server string) (Server, error) {
	config, err := d.config()
	if err != nil {
		return Server{}, fmt.Errorf("%s: %w", server, err)
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	client, err := config.Dial(server)
	if err != nil {
		return Server{}, inFlags(err)
	}
	defer client.Close()
	answer, err := d.ask(ctx, client)
	return answer, inFlags(config.Diagnose(ctx, server, err))
}

func (d *dialer) ask(ctx context.Context, client *clientv3.Client) (Server, error) {
	conn := client.ActiveConnection()
	status, err := pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return Server{}, err
	}
	answer := Server{
		ClusterID: status.Header.GetClusterId(), MemberID: status.Header.GetMemberId(),
		Learner: status.IsLearner, Leader: status.Leader != 0,
	}
	if answer.Learner || !answer.Leader {
		return answer, nil // it cannot read, and the answer says so better
	}
	_, err = pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte(d.key), CountOnly: true})
	return answer, err
}

// config is how the apiserver connects to etcd.
func (d *dialer) config() (etcdclient.Config, error) {
	ca, cert, key := Certificates(d.file)
	for _, file := range []struct{ flag, name string }{{"--etcd-cafile", ca}, {"--etcd-certfile", cert}, {"--etcd-keyfile", key}} {
		if file.name == "" {
			continue
		}
		if _, err := os.Stat(file.name); err != nil {
			return etcdclient.Config{}, fmt.Errorf("read %s of the apiserver: %w", file.flag, err)
		}
	}
	if (cert == "") != (key == "") {
		return etcdclient.Config{}, errors.New("the apiserver has only one of --etcd-certfile and --etcd-keyfile")
	}
	return etcdclient.Config{CACert: ca, Cert: cert, Key: key, DialTimeout: d.timeout, CommandTimeout: d.timeout}, nil
}

// toFlags turns the names of etcdctl's flags into those of kube-apiserver.
var toFlags = strings.NewReplacer("--cacert", "--etcd-cafile", "--cert", "--etcd-certfile", "--key", "--etcd-keyfile",
	"--endpoints", "the list", "--command-timeout", "--timeout")

// inFlags says what is wrong in terms of the apiserver's flags. The kind of the
// error is dropped: it is the file that is wrong, not the command line.
func inFlags(err error) error {
	if err == nil {
		return nil
	}
	said := errors.New(toFlags.Replace(err.Error()))
	if hint := fail.Hint(err); hint != "" {
		return fail.WithHint(said, "%s", toFlags.Replace(hint))
	}
	return said
}
