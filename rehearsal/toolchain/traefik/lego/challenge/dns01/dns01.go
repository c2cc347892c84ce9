// Package dns01 has the options of the challenge by DNS, and the one function of lego that all of traefik needs.
package dns01

import (
	"strings"
	"time"
)

// Option, Options and Client are named, not used.
type (
	Option  struct{}
	Options struct{ RecursiveNameservers []string }
	Client  struct{}
)

// NewClient gives one that does nothing.
func NewClient(*Options) *Client { return nil }

// SetDefaultClient forgets it.
func SetDefaultClient(*Client) {}

// CondOptions gives no option; so do the others.
func CondOptions(bool, ...Option) Option { return Option{} }

// DisableAuthoritativeNssPropagationRequirement gives no option.
func DisableAuthoritativeNssPropagationRequirement() Option { return Option{} }

// DisableRecursiveNSsPropagationRequirement gives no option.
func DisableRecursiveNSsPropagationRequirement() Option { return Option{} }

// PropagationWait gives no option.
func PropagationWait(time.Duration, bool) Option { return Option{} }

// UnFqdn is the name without the dot at its end: traefik's TLS stores find certificates by it.
func UnFqdn(name string) string { return strings.TrimSuffix(name, ".") }
