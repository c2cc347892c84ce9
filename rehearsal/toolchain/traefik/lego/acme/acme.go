// Package acme has the types that traefik keeps of an account with an authority.
//
// This module stands where traefik imports lego, the ACME client: lego's 180 DNS providers with their SDKs would be
// most of the build, some of them cannot be had, and the rehearsal has no authority. It declares what traefik names, and
// every call fails.
package acme

import "errors"

// ErrAbsent is what every call gives.
var ErrAbsent = errors.New("no ACME client is built into the rehearsal's traefik; give certificates by Secrets")

// Account is one with an authority.
type Account struct{}

// ExtendedAccount is an account and where it is.
type ExtendedAccount struct {
	Account
	Location string
}
