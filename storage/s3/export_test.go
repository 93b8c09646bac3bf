package s3

import "time"

// WithRetryWait is an opener whose stores wait that long between attempts at most.
func (o Opener) WithRetryWait(wait time.Duration) Opener {
	o.retryWait = wait
	return o
}
