// Package tlsalpn01 has the options of the challenge by TLS.
package tlsalpn01

import (
	"time"

	"github.com/go-acme/lego/v5/acme"
)

// ACMETLS1Protocol is the name that an authority asks for: RFC 8737, section 3.
const ACMETLS1Protocol = "acme-tls/1"

// Option is named, not used.
type Option struct{}

// SetDelay gives no option.
func SetDelay(time.Duration) Option { return Option{} }

// ChallengeBlocks fails.
func ChallengeBlocks(string, string) ([]byte, []byte, error) { return nil, nil, acme.ErrAbsent }
