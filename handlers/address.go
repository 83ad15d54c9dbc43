package handlers

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/replifire/replifire/limit"
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
func addressKey(a netip.Addr) string { return networkKey(a, 64) }

// siteKey is the network of 48 bits that an address of IPv6 is in, which is the most that
// a subscriber is mostly given: 65,536 networks of 64 bits. "" for any other address.
func siteKey(a netip.Addr) string {
	if !a.Unmap().Is6() {
		return ""
	}
	return networkKey(a, 48)
}

func networkKey(a netip.Addr, bits int) string {
	a = a.Unmap().WithZone("")
	if !a.Is6() {
		return a.String()
	}
	network, err := a.Prefix(bits)
	if err != nil {
		return a.String() // cannot be: there are 128
	}
	return network.String()
}

// siteAddresses is how many addresses' share all of a site have together.
const siteAddresses = 4

// networks are the buckets of addresses, and of the sites that these are in.
type networks struct{ addresses, sites *limit.Buckets }

func newNetworks(r limit.Rate) networks {
	site := limit.Rate{PerSecond: siteAddresses * r.PerSecond, Burst: siteAddresses * r.Burst}
	return networks{limit.NewBuckets(r, maxBuckets), limit.NewBuckets(site, maxBuckets)}
}

// take takes a token of the address, and then of its site, so that who goes on without
// one takes none of the neighbors'. Where there is none it says whose, and in how many
// seconds there will be one.
func (n networks) take(a netip.Addr) (seconds int, whose string, rate limit.Rate) {
	if seconds := n.addresses.Take(addressKey(a)); seconds > 0 {
		return seconds, "address", n.addresses.Rate()
	}
	if site := siteKey(a); site != "" {
		return n.sites.Take(site), "IPv6 network of 48 bits", n.sites.Rate()
	}
	return 0, "", limit.Rate{}
}
