package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/etcdha/etcdha/internal/etcdclient"
	"github.com/etcdha/etcdha/internal/fail"
)

// The keys of the registry. The id of a member is hexadecimal, as etcdctl writes it.
const (
	withdrawnPrefix = Prefix + "withdrawn/"
	reportPrefix    = Prefix + "apiserver/"
)

// ErrAlarmed says that an alarm forbids writes, so that nobody can be told anything.
var ErrAlarmed = errors.New("an alarm forbids writes")

// registryRequest bounds one request, so that an endpoint that does not answer
// leaves time for the next one.
const registryRequest = 2 * time.Second

// EtcdRegistry is the [Registry] of a real etcd. It may be used by several
// goroutines at the same time.
type EtcdRegistry struct {
	conn   func(endpoint string) (*grpc.ClientConn, error)
	prefix string // of Kubernetes; it ends in a slash

	mu        sync.Mutex
	endpoints []string // the one that answered last comes first
	cluster   uint64   // the id of the cluster that answered first; 0 before that
}

// NewRegistry makes a registry behind endpoints. conn gives the connection to
// one; it belongs to the caller, who closes it in the end. Members that come later
// are asked as well, should the others be gone. prefix is kube-apiserver's
// --etcd-prefix; "" is its default.
func NewRegistry(conn func(endpoint string) (*grpc.ClientConn, error), endpoints []string, prefix string) *EtcdRegistry {
	return &EtcdRegistry{conn: conn, endpoints: slices.Clone(endpoints), prefix: keysOf(prefix)}
}

// mark is the value of a withdrawal's key.
type mark struct {
	Name  string    `json:"name"`
	Who   string    `json:"who"`
	Since time.Time `json:"since"`
}

// Withdraw implements [Registry]. All marks have one revision.
func (r *EtcdRegistry) Withdraw(ctx context.Context, marks ...Withdrawal) error {
	if len(marks) == 0 {
		return nil
	}
	txn := &pb.TxnRequest{}
	for _, m := range marks {
		value, err := json.Marshal(mark{m.Name, m.Who, m.Since.UTC()})
		if err != nil {
			return fmt.Errorf("withdraw %s: %w", m.Name, err)
		}
		txn.Success = append(txn.Success, putOp(withdrawnPrefix+formatID(m.ID), value))
	}
	return r.txn(ctx, txn)
}

// Readmit implements [Registry].
func (r *EtcdRegistry) Readmit(ctx context.Context, ids ...uint64) error {
	if len(ids) == 0 {
		return nil
	}
	txn := &pb.TxnRequest{}
	for _, id := range ids {
		txn.Success = append(txn.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
			RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(withdrawnPrefix + formatID(id))}}})
	}
	return r.txn(ctx, txn)
}

// Withdrawals implements [Registry]. A value that cannot be read marks all the same.
func (r *EtcdRegistry) Withdrawals(ctx context.Context) ([]Withdrawal, int64, error) {
	var found *pb.RangeResponse
	if err := r.do(ctx, func(ctx context.Context, kv pb.KVClient) (err error) {
		found, err = kv.Range(ctx, below(withdrawnPrefix))
		return err
	}); err != nil {
		return nil, 0, err
	}
	var marks []Withdrawal
	for _, kv := range found.Kvs {
		id, err := strconv.ParseUint(strings.TrimPrefix(string(kv.Key), withdrawnPrefix), 16, 64)
		if err != nil {
			continue // no id, and so no mark
		}
		var m mark
		_ = json.Unmarshal(kv.Value, &m)
		marks = append(marks, Withdrawal{ID: id, Name: m.Name, Who: m.Who, Since: m.Since, Revision: kv.ModRevision})
	}
	return marks, found.Header.Revision, nil
}

// Report implements [Registry].
func (r *EtcdRegistry) Report(ctx context.Context, report Report) error {
	if report.Host == "" || strings.Contains(report.Host, "/") || !path.IsAbs(report.File) {
		return fail.Usagef("%q is no name of a host, or %q no file on it", report.Host, report.File)
	}
	report.At = report.At.UTC()
	value, err := json.Marshal(report)
	if err != nil {
		return fmt.Errorf("report of %s: %w", report.Host, err)
	}
	return r.txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{putOp(reportPrefix+report.Host+report.File, value)}})
}

// Forget implements [Registry].
func (r *EtcdRegistry) Forget(ctx context.Context, report Report) error {
	return r.txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestDeleteRange{
		RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(reportPrefix + report.Host + report.File)}}}}})
}

// Kubernetes implements [Registry].
func (r *EtcdRegistry) Kubernetes(ctx context.Context) (bool, error) {
	found := false
	err := r.do(ctx, func(ctx context.Context, kv pb.KVClient) error {
		keys := below(r.prefix)
		keys.Limit, keys.KeysOnly = 1, true
		answer, err := kv.Range(ctx, keys)
		found = len(answer.GetKvs()) > 0
		return err
	})
	return found, err
}

// Endpoints implements [Registry]. All is read at one revision.
func (r *EtcdRegistry) Endpoints(ctx context.Context) ([]Endpoint, error) {
	var found *pb.TxnResponse
	if err := r.do(ctx, func(ctx context.Context, kv pb.KVClient) (err error) {
		found, err = kv.Txn(ctx, &pb.TxnRequest{Success: []*pb.RequestOp{
			rangeOp(&pb.RangeRequest{Key: []byte(r.prefix + endpointsKey)}), rangeOp(below(r.prefix + leasesPrefix)), rangeOp(below(reportPrefix)),
		}})
		return err
	}); err != nil {
		return nil, err
	}
	var kvs [3][]*mvccpb.KeyValue
	for i := range kvs {
		kvs[i] = found.Responses[i].GetResponseRange().GetKvs()
	}
	named, err := namedEndpoints(kvs[0], kvs[1])
	if err != nil {
		return nil, err
	}
	reports, err := readReports(kvs[2])
	if err != nil {
		return nil, err
	}
	return withReports(named, reports, found.Header.ClusterId), nil
}

// txn writes. A write whose answer is lost is sent again, elsewhere: it says the same.
func (r *EtcdRegistry) txn(ctx context.Context, txn *pb.TxnRequest) error {
	return r.do(ctx, func(ctx context.Context, kv pb.KVClient) error {
		_, err := kv.Txn(ctx, txn)
		return err
	})
}

// do sends a request to one endpoint after the other, until one answers.
func (r *EtcdRegistry) do(ctx context.Context, request func(context.Context, pb.KVClient) error) error {
	r.mu.Lock()
	endpoints := slices.Clone(r.endpoints)
	r.mu.Unlock()
	var errs []error
	for tried := 0; tried < len(endpoints) && (tried == 0 || ctx.Err() == nil); tried++ {
		err := r.once(ctx, endpoints[tried], request)
		if err == nil {
			return nil
		}
		if errors.Is(err, ErrAlarmed) || fail.Hint(err) == registryRole {
			return err
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// once sends a request to one endpoint, if that is of the same cluster as the
// others: what leads to another one must not be told anything.
func (r *EtcdRegistry) once(ctx context.Context, endpoint string, request func(context.Context, pb.KVClient) error) error {
	conn, err := r.conn(endpoint)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, registryRequest)
	defer cancel()
	members, err := pb.NewClusterClient(conn).MemberList(ctx, &pb.MemberListRequest{})
	if err != nil {
		return etcdclient.Explain(endpoint, err)
	}
	if err := r.pin(endpoint, members.Header.ClusterId); err != nil {
		return err
	}
	if err := request(ctx, pb.NewKVClient(conn)); err != nil {
		return explain(endpoint, err)
	}
	r.learn(endpoint, members.Members)
	return nil
}

// pin keeps the registry to the cluster that it saw first.
func (r *EtcdRegistry) pin(endpoint string, cluster uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cluster == 0 {
		r.cluster = cluster
	}
	if r.cluster != cluster {
		return fmt.Errorf("%s: is of cluster %s, and not of %s", endpoint, formatID(cluster), formatID(r.cluster))
	}
	return nil
}

// learn remembers who has answered, and whom to ask should all others be gone.
func (r *EtcdRegistry) learn(answered string, members []*pb.Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range members {
		for _, endpoint := range m.ClientURLs {
			if !slices.Contains(r.endpoints, endpoint) {
				r.endpoints = append(r.endpoints, endpoint)
			}
		}
	}
	if i := slices.Index(r.endpoints, answered); i > 0 {
		r.endpoints = slices.Insert(slices.Delete(r.endpoints, i, i+1), 0, answered)
	}
}

// registryRole is what to do where authentication is on and the user may do too little.
const registryRole = `marks and reports are keys below etcdha/, and the apiservers are read from /registry/: ` +
	`etcdctl role grant-permission ROLE readwrite etcdha/ --prefix, and read /registry/services/endpoints/default/kubernetes, /registry/masterleases/ --prefix`

func explain(endpoint string, err error) error {
	switch said := rpctypes.Error(err); {
	case errors.Is(said, rpctypes.ErrNoSpace), errors.Is(said, rpctypes.ErrCorrupt):
		return fmt.Errorf("%s: %w", endpoint, ErrAlarmed)
	case errors.Is(said, rpctypes.ErrPermissionDenied):
		return fail.WithHint(fmt.Errorf("%s: the user may not do this", endpoint), "%s", registryRole)
	}
	return etcdclient.Explain(endpoint, err)
}

func putOp(key string, value []byte) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: value}}}
}

func rangeOp(r *pb.RangeRequest) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: r}}
}

// below asks for all keys with a prefix that ends in a slash.
func below(prefix string) *pb.RangeRequest {
	end := []byte(prefix)
	end[len(end)-1]++
	return &pb.RangeRequest{Key: []byte(prefix), RangeEnd: end}
}
