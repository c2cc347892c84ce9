// Package ext stands where traefik's dynamic configuration takes fields that its makers add elsewhere: there are none.
package ext

// HTTP is embedded in dynamic.HTTPConfiguration.
type HTTP struct{}

// Router is embedded in dynamic.Router.
type Router struct{}
