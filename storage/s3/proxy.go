package s3

import (
	"net/http"
	"net/netip"
	"net/url"

	"golang.org/x/net/http/httpproxy"
)

// proxyFor sends requests through the proxy of the settings, or else through
// those of the environment. Whichever it is, NO_PROXY and addresses of this host
// are left out, and so are those that hand out credentials: a proxy would have
// them too, or answer with its own.
func proxyFor(setting string) func(*http.Request) (*url.URL, error) {
	config := httpproxy.FromEnvironment()
	if setting != "" {
		config.HTTPProxy, config.HTTPSProxy = setting, setting
	}
	choose := config.ProxyFunc()
	return func(r *http.Request) (*url.URL, error) {
		if isNearby(r.URL.Hostname()) {
			return nil, nil
		}
		return choose(r.URL)
	}
}

// metadataIPv6 is where AWS has its metadata (fd00:ec2::254) and the credentials
// of pods (fd00:ec2::23) over IPv6. Over IPv4 both are link-local.
var metadataIPv6 = netip.MustParsePrefix("fd00:ec2::/32")

// isNearby tells addresses that only this host can mean.
func isNearby(host string) bool {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host == "localhost"
	}
	ip = ip.Unmap().WithZone("")
	return ip.IsLoopback() || ip.IsLinkLocalUnicast() || metadataIPv6.Contains(ip)
}
