// Package http01 has the options of the challenge by HTTP.
package http01

import "time"

// PathPrefix is where an authority asks: RFC 8555, section 8.3.
const PathPrefix = "/.well-known/acme-challenge/"

// Option is named, not used.
type Option struct{}

// SetDelay gives no option.
func SetDelay(time.Duration) Option { return Option{} }
