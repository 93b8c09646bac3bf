package s3

import (
	"context"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"golang.org/x/time/rate"
)

// maxBurst is how much may pass a rate limit at once.
const maxBurst = 1 << 20

// burst is a tenth of a second's bytes.
func burst(perSecond int64) int { return int(min(max(perSecond/10, 1), maxBurst)) }

// stream is what a Put reads, counted and summed. It ends with its context.
type stream struct {
	ctx   context.Context
	r     io.Reader
	limit *rate.Limiter // nil for none

	size int64
	crc  hash.Hash32
	err  error // why it has failed
}

func newStream(ctx context.Context, r io.Reader, limit *rate.Limiter) *stream {
	return &stream{ctx: ctx, r: r, limit: limit, crc: crc32.NewIEEE()}
}

func (s *stream) Read(p []byte) (int, error) {
	if s.err == nil {
		s.err = s.ctx.Err()
	}
	if s.err != nil {
		return 0, s.err
	}
	if s.limit != nil {
		p = p[:min(len(p), s.limit.Burst())]
	}
	n, err := s.r.Read(p)
	s.size += int64(n)
	_, _ = s.crc.Write(p[:n]) // a hash has no error
	if err != nil && err != io.EOF {
		s.err = err
		return n, err
	}
	if s.limit != nil {
		if waitErr := s.limit.WaitN(s.ctx, n); waitErr != nil {
			// Either the context is done, or would be before these bytes may pass.
			s.err = fmt.Errorf("%w: %w", context.DeadlineExceeded, waitErr)
			if s.ctx.Err() != nil {
				s.err = s.ctx.Err()
			}
			return n, s.err
		}
	}
	return n, err
}
