package handlers

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientAddress is where a request comes from: the connection's other end, or, behind
// proxies, what the outermost of ours has seen. Each adds the address it sees at the
// end of X-Forwarded-For; what stands before was sent by the client and may be
// anything. The invalid Addr: the proxies are not what the setting says.
func clientAddress(r *http.Request, proxies int) netip.Addr {
	if proxies == 0 {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return netip.Addr{}
		}
		return peer.Addr()
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	if len(hops) < proxies {
		return netip.Addr{}
	}
	addr, err := netip.ParseAddr(strings.TrimSpace(hops[len(hops)-proxies]))
	if err != nil {
		return netip.Addr{}
	}
	return addr
}

// addressKey is what has one bucket: an IPv4 address, or a network of 64 bits, which
// is the least that a subscriber of IPv6 is given and can choose addresses from.
// What is invalid has one for all of it.
func addressKey(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a.String()
	}
	network, err := a.Prefix(64)
	if err != nil {
		return a.String() // cannot be: 64 bits of 128
	}
	return network.String()
}
