package etcdclient_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/internal/fail"
)

const rootPassword = "hunter2"

// With authentication on, what a user may not do is told from who the user is.
func TestWhyAUserIsRefused(t *testing.T) {
	endpoint := startEtcd(t, nil)
	enableAuth(t, endpoint)
	as := func(user, password string) etcdclient.Config {
		return etcdclient.Config{User: user, Password: password, DialTimeout: 20 * time.Second}
	}
	get := func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.Get(ctx, "key")
		return err
	}
	snapshot := func(ctx context.Context, c *clientv3.Client) error {
		stream, err := pb.NewMaintenanceClient(c.ActiveConnection()).Snapshot(ctx, &pb.SnapshotRequest{})
		if err != nil {
			return err
		}
		_, err = stream.Recv()
		return err
	}
	oldLogin := func(ctx context.Context, c *clientv3.Client) error {
		return get(metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, "expired.7"), c)
	}
	for _, c := range []struct {
		name         string
		config       etcdclient.Config
		do           func(context.Context, *clientv3.Client) error
		reason, hint string
	}{
		{"root may do all", as("root", rootPassword), snapshot, "", ""},
		{"wrong password", as("root", "guess"), get, "wrong user name or password", "check --user and --password"},
		{"no such user", as("nobody", "guess"), get, "wrong user name or password", "check --user and --password"},
		{"no user", etcdclient.Config{}, get, "authentication is on and no user was given", "give --user and --password"},
		{"no right to read", as("reader", "reader"), get, "the user may not do this", "need the role root"},
		{"no right to a snapshot", as("reader", "reader"), snapshot, "the user may not do this", "need the role root"},
		{"a login of before", etcdclient.Config{}, oldLogin, "the login is no longer valid", "try again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			client, err := c.config.Dial(endpoint)
			if err == nil {
				defer client.Close()
				err = etcdclient.Explain(endpoint, c.do(ctx, client))
			}
			if reason, hint := reasonOf(err, endpoint), fail.Hint(err); reason != c.reason || !strings.Contains(hint, c.hint) {
				t.Errorf("%v (hint: %s); want %s (hint: %s)", err, hint, c.reason, c.hint)
			}
		})
	}
}

// enableAuth makes the users root, who may do all, and reader, who may nothing.
func enableAuth(t *testing.T, endpoint string) {
	t.Helper()
	client, err := etcdclient.Config{}.Dial(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, step := range []func() error{
		func() error { _, err := client.UserAdd(t.Context(), "root", rootPassword); return err },
		func() error { _, err := client.UserGrantRole(t.Context(), "root", "root"); return err },
		func() error { _, err := client.UserAdd(t.Context(), "reader", "reader"); return err },
		func() error { _, err := client.AuthEnable(t.Context()); return err },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

// A password is sent when dialing, so that this can fail as a request can.
func TestPasswordIsNotInTheError(t *testing.T) {
	endpoint := "http://" + refusing(t)
	config := etcdclient.Config{User: "root", Password: rootPassword, DialTimeout: 20 * time.Second}
	client, err := config.Dial(endpoint)
	if client != nil || reasonOf(err, endpoint) != "connection refused" {
		t.Fatalf("dial: %v; want connection refused", err)
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if strings.Contains(e.Error(), rootPassword) {
			t.Errorf("the error tells the password: %v", e)
		}
	}
}

// What is not known keeps etcd's own words; and whatever is said, the cause
// can be asked for.
func TestExplainKeepsTheCause(t *testing.T) {
	if err := etcdclient.Explain("here", nil); err != nil {
		t.Errorf("no error is explained by %v", err)
	}
	noHost := &net.DNSError{Err: "no such host", Name: "etcd.invalid", IsNotFound: true}
	noSpace := status.Error(codes.ResourceExhausted, "etcdserver: mvcc: database space exceeded")
	for _, c := range []struct {
		cause   error
		message string
		hint    string
	}{
		{noSpace, "here: etcdserver: mvcc: database space exceeded", ""},
		{io.ErrUnexpectedEOF, "here: unexpected EOF", ""},
		{noHost, "here: no such host", "check the host name in --endpoints"},
		{context.Canceled, "here: context canceled", ""},
		{context.DeadlineExceeded, "here: no answer in time", "--command-timeout allows more time"},
	} {
		err := etcdclient.Explain("here", c.cause)
		if err.Error() != c.message || !strings.Contains(fail.Hint(err), c.hint) || (c.hint == "") != (fail.Hint(err) == "") {
			t.Errorf("%v is explained by %q (hint: %q); want %q (hint: %q)", c.cause, err, fail.Hint(err), c.message, c.hint)
		}
		if !errors.Is(err, c.cause) {
			t.Errorf("%v has lost its cause %v", err, c.cause)
		}
	}
	if code := status.Code(etcdclient.Explain("here", noSpace)); code != codes.ResourceExhausted {
		t.Errorf("the code is now %v", code)
	}
}
