// Package main is CoreDNS with only the plugins that a cluster's DNS needs: the full build pulls in
// the SDKs of four clouds, which would triple the toolchain's download.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/ready"
)

func main() {
	// Order of the plugin chain, as in CoreDNS's own plugin.cfg.
	dnsserver.Directives = []string{"errors", "health", "ready", "loop", "cache", "loadbalance", "kubernetes"}
	coremain.Run()
}
