package membership

import (
	"context"

	"google.golang.org/grpc"
)

// ConnWithin is [EtcdClient.Conn] that is given up when ctx ends: with a password, a connection
// begins with a login. One that comes later is kept for the next request.
func (c *EtcdClient) ConnWithin(ctx context.Context, endpoint string) (*grpc.ClientConn, error) {
	if conn := c.cached(endpoint); conn != nil {
		return conn, nil
	}
	type result struct {
		conn *grpc.ClientConn
		err  error
	}
	dialled := make(chan result, 1)
	go func() {
		conn, err := c.conn(endpoint)
		dialled <- result{conn, err}
	}()
	select {
	case r := <-dialled:
		return r.conn, r.err
	case <-ctx.Done():
		return nil, c.explain(ctx, endpoint, ctx.Err(), "")
	}
}
