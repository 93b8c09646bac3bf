package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/etcdha/etcdha/internal/fail"
	"github.com/etcdha/etcdha/storage"
)

// Error codes of S3 that decide what happens next.
const (
	codeNotFound     = "NotFound" // of an answer without a body, to a HEAD
	codeNoSuchKey    = "NoSuchKey"
	codeNoSuchUpload = "NoSuchUpload"
	codeExists       = "PreconditionFailed"
	codeConflict     = "ConditionalRequestConflict"
)

// code is the server's name for an error, "" for what no server has said.
func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

// failed is what an error of the SDK means under the contract.
func failed(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	switch code(err) {
	case codeNotFound, codeNoSuchKey:
		return storage.ErrNotExist
	}
	err, advice := fmt.Errorf("%w: %w", storage.ErrUnavailable, &answer{err}), hint(err)
	if advice != "" {
		err = fail.WithHint(err, "%s", advice)
	}
	return err
}

// answer is an error of the SDK in fewer words. They are what the server, the
// system or the certificate check have said, who have seen no secret.
type answer struct{ err error }

func (a *answer) Unwrap() error { return a.err }

func (a *answer) Error() string {
	status := 0
	if e, ok := errors.AsType[*awshttp.ResponseError](a.err); ok {
		status = e.HTTPStatusCode()
	}
	if e, ok := errors.AsType[smithy.APIError](a.err); ok {
		return fmt.Sprintf("%s: %s (HTTP status %d)", e.ErrorCode(), e.ErrorMessage(), status)
	}
	if e, ok := errors.AsType[*url.Error](a.err); ok {
		text := e.Err.Error()                                 // without the URL, which says no more than the store's
		if strings.HasPrefix(text, "invalid proxy address") { // and goes on with it, password and all
			return "the URL of the proxy in the environment is malformed"
		}
		return text
	}
	if e, ok := errors.AsType[*smithy.OperationError](a.err); ok {
		return e.Err.Error()
	}
	return a.err.Error()
}

// hints say what to do about what S3 and its likes answer.
var hints = map[string]string{
	"NoSuchBucket":                 "a bucket is never made: make it, or check its name, region and endpoint",
	"AccessDenied":                 "these credentials lack a right to this bucket or prefix",
	"Forbidden":                    "these credentials are wrong, or lack a right to this bucket or prefix",
	"AllAccessDisabled":            "the owner has closed this bucket",
	"InvalidAccessKeyId":           wrongCredentials,
	"SignatureDoesNotMatch":        wrongCredentials,
	"InvalidToken":                 wrongCredentials,
	"ExpiredToken":                 "the session of these credentials is over: get new ones",
	"RequestTimeTooSkewed":         "the clocks of this host and of the server differ: set them right",
	"PermanentRedirect":            wrongRegion,
	"AuthorizationHeaderMalformed": wrongRegion,
	"InvalidObjectState":           "the object is in an archive: restore it there first",
	"NotImplemented":               "this server lacks something that is asked of it; for one without checksums there is checksum=none",
	"SlowDown":                     "the server wants fewer requests: try again later, or set rate-limit",
}

const (
	wrongCredentials = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile or role that they come from"
	wrongRegion      = "the bucket is in another region: set region, and endpoint if there is one"
)

func hint(err error) string {
	if text, ok := hints[code(err)]; ok {
		return text
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		if _, wrongName := errors.AsType[x509.HostnameError](e); wrongName {
			return "the server's certificate is for another name: check the endpoint"
		}
		return "the server's certificate is not trusted: set ca-file or AWS_CA_BUNDLE to the CA that has signed it"
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return "the name of the server is not known: check the endpoint, or set path-style if the server knows no bucket names in host names"
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return "the server does not speak TLS: is the endpoint http:// ?"
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return "check the endpoint and the network"
	}
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok && e.HTTPStatusCode() == http.StatusMovedPermanently {
		return wrongRegion
	}
	if strings.Contains(err.Error(), "get credentials:") { // an error of no type
		return wrongCredentials
	}
	return ""
}
