// Package certcrypto names the kinds of keys that traefik's settings know.
package certcrypto

// KeyType is one of them.
type KeyType string

// What traefik's settings may ask for.
const (
	EC256   KeyType = "EC256"
	EC384   KeyType = "EC384"
	RSA2048 KeyType = "RSA2048"
	RSA4096 KeyType = "RSA4096"
	RSA8192 KeyType = "RSA8192"
)
