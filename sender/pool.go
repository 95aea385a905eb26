package sender

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"

	"github.com/reputemail/repute/warmup"
)

// poolInfo is a Pool made ready.
type poolInfo struct {
	routes, overflow []*routeInfo
	weights          map[*routeInfo]int // nil: in order
}

func (p *poolInfo) has(r *routeInfo) bool {
	return slices.Contains(p.routes, r) || slices.Contains(p.overflow, r)
}

// stream is a Stream made ready.
type stream struct {
	Stream
	index  int
	pool   *poolInfo
	domain string // the budget of its signing domain, by Path.Route; empty if it has none
	// migrations are those that the stream takes part in, and all the routes of its pool and of these.
	migrations []*migrationInfo
	all        []*routeInfo
	direct     bool // some route of the pool sends directly, so destinations are resolved
	// of is the stream itself, where this is one whose mail was moved to another pool.
	of *stream
}

// signature is the header that signs one message, made once.
type signature struct {
	mu     sync.Mutex
	header []byte
}

// maxSignatures is how many signatures of messages to several recipients are kept.
const maxSignatures = 1024

// routeInfo is a Route made ready.
type routeInfo struct {
	Route
	local     netip.Addr
	relayHost string
	relayPort uint16
	outlet    outletInfo
	warming   bool
	total     warmup.Path // the budget over all providers; zero if there is none
}

func newRouteInfo(r Route) *routeInfo {
	info := &routeInfo{Route: r, warming: len(r.Warmup.Stages) > 0}
	if len(r.WarmupTotal.Stages) > 0 {
		info.total = warmup.Total(r.Name)
	}
	if r.LocalAddr != "" {
		info.local, _ = netip.ParseAddr(r.LocalAddr) // checked by Config
		info.local = info.local.Unmap()
	}
	if r.Relay != nil {
		host, port, _ := net.SplitHostPort(r.Relay.Addr)
		n, _ := strconv.Atoi(port)
		info.relayHost, info.relayPort = host, uint16(n)
	}
	return info
}
