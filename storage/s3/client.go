package s3

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"github.com/etcdha/etcdha/internal/fail"
)

// maxRetryWait bounds the wait between two attempts, which doubles from one to
// the next.
const maxRetryWait = 20 * time.Second

// anyRegion is what servers take that have no regions: requests are signed for one.
const anyRegion = "us-east-1"

// newClient takes credentials that were not given, and what the settings do not
// say, from where every AWS tool does: environment, shared files, web identity,
// instance.
func (o Opener) newClient(ctx context.Context, s Settings) (*s3.Client, error) {
	transport, err := newTransport(s)
	if err != nil {
		return nil, err
	}
	wait := cmp.Or(o.retryWait, maxRetryWait)
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithCredentialsProvider(o.credentials()),
		config.WithRegion(s.Region),
		config.WithSharedConfigProfile(s.Profile),
		config.WithHTTPClient(transport),
		config.WithLogger(logging.Nop{}), // what matters comes back as an error
		config.WithRetryer(func() aws.Retryer { return newRetryer(s.Retries, wait) }))
	if err != nil {
		return nil, failed(ctx, fmt.Errorf("read the AWS configuration: %w", err))
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		if s.Endpoint != "" {
			o.BaseEndpoint = &s.Endpoint
		}
		if o.Region == "" && o.BaseEndpoint != nil {
			o.Region = anyRegion
		}
		o.UsePathStyle = s.PathStyle
		o.RetryMaxAttempts = s.Retries
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
	if client.Options().Region == "" {
		return nil, fail.WithHint(fail.Usagef("the region of bucket %s is not known", s.Bucket), "set region, AWS_REGION, or a region in the profile")
	}
	return client, nil
}

// credentials are those that were given; nil if there are none.
func (o Opener) credentials() aws.CredentialsProvider {
	if o.AccessKey == "" {
		return nil
	}
	return credentials.NewStaticCredentialsProvider(o.AccessKey, o.SecretKey, o.SessionToken)
}

// newTransport stays the SDK's own kind, which alone takes AWS_CA_BUNDLE.
func newTransport(s Settings) (*awshttp.BuildableClient, error) {
	var roots *x509.CertPool
	if s.CAFile != "" {
		var err error
		if roots, err = readRoots(s.CAFile); err != nil {
			return nil, err
		}
	}
	client := awshttp.NewBuildableClient()
	dialer := client.GetDialer()
	dialer.Timeout = min(dialer.Timeout, s.Timeout)
	return client.WithTransportOptions(func(t *http.Transport) {
		t.DialContext = watched(dialer, s.Timeout)
		// A stall is noticed by connection, so that each request has one.
		t.ForceAttemptHTTP2 = false
		t.TLSClientConfig = cloneTLS(t.TLSClientConfig)
		t.TLSClientConfig.RootCAs = roots
		t.Proxy = proxyFor(s.Proxy)
	}), nil
}

func cloneTLS(c *tls.Config) *tls.Config {
	if c == nil {
		return &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return c.Clone()
}

// readRoots adds the CAs of a file to those of the system: the same client asks
// the token service of AWS for credentials.
func readRoots(name string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(name)
	if err != nil {
		return nil, fail.As(fail.ErrUsage, fmt.Errorf("S3 setting ca-file: %w", err))
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fail.Usagef("S3 setting ca-file: no certificate in %s", name)
	}
	return roots, nil
}

// newRetryer is the standard one, that knows some more errors.
func newRetryer(attempts int, wait time.Duration) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attempts
		o.MaxBackoff = wait
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(retryable)}, o.Retryables...)
	})
}

func retryable(err error) aws.Ternary {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return aws.FalseTernary // it will be the same certificate
	}
	if errors.Is(err, io.ErrUnexpectedEOF) { // an answer that was cut off
		return aws.TrueTernary
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok && e.ErrorCode() == codeConflict {
		return aws.TrueTernary // another create of the same key was under way
	}
	return aws.UnknownTernary
}
