package throwaway

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Ports below those that systems give to outgoing connections (Linux from
// 32768, others higher): one of these would otherwise be taken now and then
// between the choice of a port and its use.
const (
	firstPort = 10_000
	lastPort  = 32_767
)

// given are the ports that this process has chosen already: a cluster may not
// listen on its own yet while the ports of another one are chosen.
var given sync.Map

// FreePorts finds ports on loopback that nothing listens on, never the same
// twice. All are held until all are found.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for tries := 0; len(ports) < n; tries++ {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			if tries > 100*n {
				return nil, fmt.Errorf("find a free port: %w", err)
			}
			continue
		}
		defer l.Close()
		if _, twice := given.LoadOrStore(port, true); !twice {
			ports = append(ports, port)
		}
	}
	return ports, nil
}
