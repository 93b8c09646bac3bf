package apiserver

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"path"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/etcdha/etcdha/internal/fail"
)

// DefaultEtcdPrefix is the --etcd-prefix of a kube-apiserver that is not told another one.
const DefaultEtcdPrefix = "/registry"

// Where kube-apiserver keeps what is read here, below its prefix.
const (
	endpointsKey = "services/endpoints/default/kubernetes"
	// leasesPrefix has a key for each apiserver, named by its address, that lives as
	// long as the apiserver renews it.
	leasesPrefix = "masterleases/"
)

// keysOf is what the keys of Kubernetes begin with, as k8s.io/apiserver,
// storage/etcd3, has it.
func keysOf(prefix string) string {
	return strings.TrimSuffix(path.Join("/", cmp.Or(prefix, DefaultEtcdPrefix)), "/") + "/"
}

// namedEndpoints are the apiservers that Kubernetes knows: those of
// default/kubernetes, and those that hold a lease, which come there a moment later.
// The keys of the leases tell, too, where default/kubernetes cannot be read.
func namedEndpoints(endpoints, leases []*mvccpb.KeyValue) ([]Endpoint, error) {
	var named []Endpoint
	port := 0
	for _, kv := range endpoints {
		found, err := decodeEndpoints(kv.Value)
		if err != nil && len(leases) == 0 {
			return nil, fail.Unsafef("read which apiservers there are, from %s: %w", kv.Key, err)
		}
		for _, e := range found {
			port = e.Port
			if !slices.ContainsFunc(named, func(n Endpoint) bool { return n.Called(e.Address) && n.Port == e.Port }) {
				named = append(named, e)
			}
		}
	}
	for _, kv := range leases {
		address := path.Base(string(kv.Key))
		if !slices.ContainsFunc(named, func(n Endpoint) bool { return n.Called(address) }) {
			named = append(named, Endpoint{Address: address, Port: port})
		}
	}
	return named, nil
}

// How kube-apiserver marks what it stores: k8s.io/apimachinery,
// runtime/serializer/protobuf, and k8s.io/apiserver, storage/value/encrypt.
var (
	protobufMagic = []byte("k8s\x00")
	encryptMagic  = []byte("k8s:enc:")
)

// decodeEndpoints reads a v1.Endpoints as kube-apiserver stores it, in protobuf or JSON.
func decodeEndpoints(value []byte) ([]Endpoint, error) {
	switch {
	case bytes.HasPrefix(value, encryptMagic):
		return nil, errors.New("it is encrypted at rest")
	case bytes.HasPrefix(value, protobufMagic):
		return decodeProtobuf(value[len(protobufMagic):])
	case bytes.HasPrefix(value, []byte("{")):
		return decodeJSON(value)
	}
	return nil, errors.New("it is neither protobuf nor JSON")
}

func decodeJSON(value []byte) ([]Endpoint, error) {
	type address struct{ IP string }
	var object struct {
		Subsets []struct {
			Addresses, NotReadyAddresses []address
			Ports                        []struct{ Port int }
		}
	}
	if err := json.Unmarshal(value, &object); err != nil {
		return nil, err
	}
	var out []Endpoint
	for _, s := range object.Subsets {
		port := 0
		if len(s.Ports) > 0 {
			port = s.Ports[0].Port
		}
		for _, a := range append(s.Addresses, s.NotReadyAddresses...) {
			out = append(out, Endpoint{Address: a.IP, Port: port})
		}
	}
	return out, nil
}

// Numbers of fields: k8s.io/apimachinery, runtime/generated.proto (Unknown), and
// k8s.io/api, core/v1/generated.proto.
const (
	unknownRaw              = 2 // Unknown.raw: the object
	endpointsSubsets        = 2 // Endpoints.subsets
	subsetAddresses         = 1 // EndpointSubset.addresses
	subsetNotReady          = 2 // EndpointSubset.notReadyAddresses
	subsetPorts             = 3 // EndpointSubset.ports
	addressIP               = 1 // EndpointAddress.ip
	portPort                = 2 // EndpointPort.port
	maxPort          uint64 = 1<<16 - 1
)

func decodeProtobuf(value []byte) ([]Endpoint, error) {
	object, err := messages(value, unknownRaw)
	if err != nil || len(object) != 1 {
		return nil, errors.Join(errors.New("it is no object of Kubernetes"), err)
	}
	subsets, err := messages(object[0], endpointsSubsets)
	if err != nil {
		return nil, err
	}
	var out []Endpoint
	for _, subset := range subsets {
		found, err := decodeSubset(subset)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

func decodeSubset(subset []byte) ([]Endpoint, error) {
	var out []Endpoint
	port := 0
	ports, err := messages(subset, subsetPorts)
	if err != nil {
		return nil, err
	}
	if len(ports) > 0 {
		if port, err = decodePort(ports[0]); err != nil {
			return nil, err
		}
	}
	for _, field := range []protowire.Number{subsetAddresses, subsetNotReady} {
		addresses, err := messages(subset, field)
		if err != nil {
			return nil, err
		}
		for _, address := range addresses {
			ips, err := messages(address, addressIP)
			if err != nil {
				return nil, err
			}
			for _, ip := range ips {
				out = append(out, Endpoint{Address: string(ip), Port: port})
			}
		}
	}
	return out, nil
}

func decodePort(port []byte) (number int, err error) {
	err = eachField(port, func(n protowire.Number, t protowire.Type, value []byte) {
		if v, _ := protowire.ConsumeVarint(value); n == portPort && t == protowire.VarintType && v <= maxPort {
			number = int(v)
		}
	})
	return number, err
}

// messages returns the values of a field that holds messages, strings or bytes.
func messages(message []byte, field protowire.Number) ([][]byte, error) {
	var out [][]byte
	err := eachField(message, func(n protowire.Number, t protowire.Type, value []byte) {
		if n == field && t == protowire.BytesType {
			content, _ := protowire.ConsumeBytes(value)
			out = append(out, content)
		}
	})
	return out, err
}

// eachField calls f with each field of a message and its value, which is whole.
func eachField(message []byte, f func(protowire.Number, protowire.Type, []byte)) error {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		n = protowire.ConsumeFieldValue(number, kind, message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		f(number, kind, message[:n])
		message = message[n:]
	}
	return nil
}
