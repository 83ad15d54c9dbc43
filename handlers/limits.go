package handlers

import (
	"fmt"
	"math"
	"net/http"
	"strconv"

	"github.com/replifire/replifire/limit"
	"github.com/replifire/replifire/protocol"
)

// DefaultMaxBodyBytes holds the backlog of a long time offline: 3,000 mutations were
// 340 KB (protocol.md §1.2).
const DefaultMaxBodyBytes = 8 << 20

// maxBuckets bounds the users, and the addresses, whose rates are remembered: some 20
// MB for each of the two.
const maxBuckets = 100_000

// Limits are how much callers may ask for. A limit of 0 is none, but for
// MaxBodyBytes, which has a default. Whoever goes beyond one is refused in words that
// say what it is, and nothing is changed.
type Limits struct {
	// MaxBodyBytes bounds the body of a request, beyond it 413. Of a push, whose body may
	// have any length, it bounds the mutations that are applied at once, and the arguments
	// of one.
	MaxBodyBytes int64
	// MaxBodiesBytes bounds what of the bodies of all requests under way is in memory, beyond
	// it 429. A quarter of it is for bodies of no more than 256 KiB, as far as the largest
	// body leaves it. It MUST NOT be less than LeastBodiesBytes of MaxBodyBytes.
	MaxBodiesBytes int64
	// UserBytes bounds the bytes a second, of bodies, of each user who is signed in, and
	// AddressBytes those of each address. Beyond it they are read no faster than that, and
	// where that would take seconds, 429. The Burst of neither MUST be less than
	// MaxBodyBytes.
	UserBytes, AddressBytes limit.Rate
	// MaxUserBodies bounds the bodies of more than 256 KiB that each user who is signed in
	// sends at once, MaxAddressBodies those of each address, beyond it 429.
	MaxUserBodies, MaxAddressBodies int
	// MaxMutations bounds the mutations of a push that are applied at once.
	MaxMutations int
	// MaxResponseBytes bounds the patch of a pull's answer before it is compressed, and by
	// itself what the answer says of the asking group's clients. The answer that turns out to
	// be larger is cut off; later ones with the same patch are refused with 413.
	MaxResponseBytes int64
	// MaxUserStreams bounds the poke streams of a user who is signed in, beyond it 429.
	MaxUserStreams int
	// UserRate bounds the requests of each user who is signed in, AddressRate those of
	// each address (of each /64 in IPv6, and four times as many of each /48), beyond it 429.
	UserRate, AddressRate limit.Rate
	// UserSpaces bounds the spaces that each user who is signed in makes their own, and
	// those that they create by pushing to them, AddressSpaces those of each address, beyond
	// it 429.
	UserSpaces, AddressSpaces limit.Rate
	// UserRejections bounds the mutations that are acknowledged as rejected because a user who
	// is signed in, or an address of users who are not, may only read, and SpaceRejections those
	// of a space: each is a commit that the space's writers wait for. Beyond it 429; what came
	// before in the push is acknowledged.
	UserRejections, SpaceRejections limit.Rate
	// NewClients bounds the clients that a client group, and a user who is signed in, makes
	// known: each is a document for ever. Beyond it 429; what came before in the push is
	// applied.
	NewClients limit.Rate
	// Proxies is how many proxies in front of the service add the address they see to
	// X-Forwarded-For. Nothing else in that header is believed.
	Proxies int
}

// LeastBodiesBytes is the least value of Limits.MaxBodiesBytes with which a push of any
// length can be read, if it is the only one: the mutations that are kept of it, and one that
// is being read and may be as long.
func LeastBodiesBytes(maxBodyBytes int64) int64 { return 2*maxBodyBytes + heldBody }

func (l *Limits) negative() bool {
	return l.MaxBodyBytes < 0 || l.MaxBodiesBytes < 0 || l.MaxMutations < 0 || l.MaxResponseBytes < 0 ||
		l.MaxUserStreams < 0 ||
		l.UserRate.PerSecond < 0 || l.AddressRate.PerSecond < 0 ||
		l.UserBytes.PerSecond < 0 || l.AddressBytes.PerSecond < 0 || l.MaxUserBodies < 0 || l.MaxAddressBodies < 0 ||
		l.UserRejections.PerSecond < 0 || l.SpaceRejections.PerSecond < 0 || l.NewClients.PerSecond < 0 ||
		l.UserSpaces.PerSecond < 0 || l.AddressSpaces.PerSecond < 0 || l.Proxies < 0
}

// limits are the Limits at work.
type limits struct {
	users, userSpaces               *limit.Buckets
	addresses, addressSpaces        networks
	userRejections, spaceRejections *limit.Buckets
	userClients, groupClients       *limit.Buckets
	streams                         *limit.Slots
	bodies                          bodies
	places                          places
}

func newLimits(l Limits) limits {
	return limits{
		users:           limit.NewBuckets(l.UserRate, maxBuckets),
		addresses:       newNetworks(l.AddressRate),
		userSpaces:      limit.NewBuckets(l.UserSpaces, maxBuckets),
		addressSpaces:   newNetworks(l.AddressSpaces),
		userRejections:  limit.NewBuckets(l.UserRejections, maxBuckets),
		spaceRejections: limit.NewBuckets(l.SpaceRejections, maxBuckets),
		userClients:     limit.NewBuckets(l.NewClients, maxBuckets),
		groupClients:    limit.NewBuckets(l.NewClients, maxBuckets),
		streams:         limit.NewSlots(l.MaxUserStreams),
		bodies:          newBodies(l),
		places:          newPlaces(),
	}
}

// throttleAddress refuses an address that asks too often, before anything is done
// for it.
func (x *exchange) throttleAddress() error {
	n := x.h.limits.addresses
	if n.addresses == nil {
		return nil
	}
	seconds, whose, rate := n.take(clientAddress(x.r, x.h.config.Proxies))
	return tooOften(seconds, whose, rate)
}

// throttleUser refuses a user who asks too often. Who is not signed in has an address
// only.
func (x *exchange) throttleUser() error {
	if x.principal.UserID == "" {
		return nil
	}
	b := x.h.limits.users
	return tooOften(b.Take(x.principal.UserID), "user", b.Rate())
}

// tooOften refuses a request for which there is a token only in so many seconds.
func tooOften(seconds int, whose string, rate limit.Rate) error {
	if seconds == 0 {
		return nil
	}
	return throttled(seconds, "One %s may send %s requests a second, and %d at once.",
		whose, number(rate.PerSecond), rate.Burst)
}

// throttled refuses who has asked too often, and says when to come again.
func throttled(seconds int, format string, args ...any) error {
	return later{refusal{http.StatusTooManyRequests, "rate_limited", fmt.Sprintf(format, args...)}, seconds}
}

// number writes a rate without needless digits.
func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// address is where the caller is counted.
func (x *exchange) address() string { return addressKey(clientAddress(x.r, x.h.config.Proxies)) }

// takeSpace counts a space that the caller creates: by making themself its owner, or by the
// first push to it, for which the engine calls it.
func (x *exchange) takeSpace() error {
	l := &x.h.limits
	if user := x.principal.UserID; user != "" {
		if err := tooManySpaces(l.userSpaces.Take(user), "user", l.userSpaces.Rate()); err != nil {
			return err
		}
	}
	if l.addressSpaces.addresses == nil {
		return nil
	}
	seconds, whose, rate := l.addressSpaces.take(clientAddress(x.r, x.h.config.Proxies))
	return tooManySpaces(seconds, whose, rate)
}

func tooManySpaces(seconds int, whose string, rate limit.Rate) error {
	if seconds == 0 {
		return nil
	}
	return throttled(seconds, "One %s may create %s spaces an hour, and %d at once.",
		whose, number(math.Round(rate.PerSecond*3600*1000)/1000), rate.Burst)
}

// takeRejection counts a mutation of a reader. The engine calls it.
func (x *exchange) takeRejection() error {
	l := &x.h.limits
	key, whose := x.principal.UserID, "user"
	if key == "" && l.userRejections != nil {
		key, whose = x.address(), "address"
	}
	if err := takeRejection(l.userRejections, key, whose); err != nil {
		return err
	}
	return takeRejection(l.spaceRejections, string(x.caller.Space), "space")
}

func takeRejection(b *limit.Buckets, key, whose string) error {
	seconds := b.Take(key)
	if seconds == 0 {
		return nil
	}
	return throttled(seconds, "Of one %s, %s mutations a minute by users who may only read are rejected.",
		whose, number(math.Round(b.Rate().PerSecond*60)))
}

// newClients counts the clients that a push of the group makes known. The engine calls it.
func (x *exchange) newClients(group protocol.ClientGroupID) func() error {
	return func() error {
		l := &x.h.limits
		if user := x.principal.UserID; user != "" {
			if err := takeClient(l.userClients, user, "user"); err != nil {
				return err
			}
		}
		return takeClient(l.groupClients, string(group), "client group")
	}
}

func takeClient(b *limit.Buckets, key, whose string) error {
	seconds := b.Take(key)
	if seconds == 0 {
		return nil
	}
	rate := b.Rate()
	return throttled(seconds, "One %s may begin %s new clients an hour, and %d at once.",
		whose, number(math.Round(rate.PerSecond*3600)), rate.Burst)
}

// takeStream takes one of the user's poke streams; the caller gives it back.
func (x *exchange) takeStream() (release func(), err error) {
	if x.principal.UserID == "" {
		return func() {}, nil
	}
	release, ok := x.h.limits.streams.Take(x.principal.UserID)
	if !ok {
		return nil, refusal{http.StatusTooManyRequests, "too_many_streams", fmt.Sprintf(
			"One user may have %d poke streams at once.", x.h.config.MaxUserStreams,
		)}
	}
	return release, nil
}
