package s3_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/etcdha/etcdha/storage/s3/s3test"
)

// The proxy of the settings gets the store's connections, and no others: the
// credentials of a container are asked for without it.
func TestProxyOfTheSettings(t *testing.T) {
	server := startServer(t)
	credentials := newIssuer(t, server)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", credentials.URL+"/credentials")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1") // the setting goes before it
	proxy := newTunnel(t, server)
	s := open(t, byName(t, server, "proxy="+proxy.URL))
	put(t, s, "object", []byte("content"))
	holds(t, s, "object", []byte("content"))
	if want := []string{"CONNECT " + s3test.Name + ":443"}; !slices.Equal(proxy.asked(), want) {
		t.Errorf("the proxy is asked for %q, want %q", proxy.asked(), want)
	}
	if asked := credentials.asked(); !slices.Contains(asked, "GET /credentials") {
		t.Errorf("the issuer of credentials is asked for %q", asked)
	}
}

func TestProxyOfTheEnvironment(t *testing.T) {
	server := startServer(t)
	proxy := newTunnel(t, server)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	put(t, open(t, byName(t, server)), "object", []byte("content"))
	if want := []string{"CONNECT " + s3test.Name + ":443"}; !slices.Equal(proxy.asked(), want) {
		t.Errorf("the proxy is asked for %q, want %q", proxy.asked(), want)
	}
}

// What is on this host is reached without the proxy.
func TestWithoutTheProxy(t *testing.T) {
	server := startServer(t)
	proxy := newTunnel(t, server)
	put(t, open(t, server.URL(bucket, newPrefix(), "proxy="+proxy.URL)), "object", []byte("content"))
	if asked := proxy.asked(); len(asked) > 0 {
		t.Errorf("the proxy is asked for %q", asked)
	}
}

// byName is a store on the server under a name that only a proxy can find.
func byName(t *testing.T, server *s3test.Server, settings ...string) *url.URL {
	t.Helper()
	return server.URL(bucket, newPrefix(), append(settings, "endpoint=https://"+s3test.Name)...)
}

// recording is a server that remembers what it was asked for.
type recording struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string
}

func record(t *testing.T, answer http.HandlerFunc) *recording {
	t.Helper()
	r := &recording{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		line := request.Method + " " + request.RequestURI
		if !slices.Contains(r.requests, line) {
			r.requests = append(r.requests, line)
		}
		r.mu.Unlock()
		answer(w, request)
	}))
	t.Cleanup(r.Close)
	return r
}

// asked returns each different request once.
func (r *recording) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// newIssuer hands out the credentials of the server as a container's agent does.
func newIssuer(t *testing.T, server *s3test.Server) *recording {
	t.Helper()
	return record(t, func(w http.ResponseWriter, _ *http.Request) {
		err := json.NewEncoder(w).Encode(map[string]string{
			"AccessKeyId": server.AccessKey, "SecretAccessKey": server.SecretKey, "Token": "", "Expiration": "2100-01-01T00:00:00Z",
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// newTunnel is a proxy that leads to the server, whatever it is asked for.
func newTunnel(t *testing.T, server *s3test.Server) *recording {
	t.Helper()
	to, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return record(t, func(w http.ResponseWriter, r *http.Request) {
		if err := tunnel(w, r, to.Host); err != nil {
			t.Error(err)
		}
	})
}

// tunnel is what a proxy does for TLS.
func tunnel(w http.ResponseWriter, r *http.Request, to string) error {
	if r.Method != http.MethodConnect {
		return fmt.Errorf("the proxy is asked for %s %s", r.Method, r.URL)
	}
	server, err := net.Dial("tcp", to)
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		server.Close()
		return err
	}
	for _, ends := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() { // until one of them closes its end
			_, _ = io.Copy(ends[0], ends[1])
			ends[0].Close()
		}()
	}
	return nil
}
