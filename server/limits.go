package server

import (
	"cmp"
	"fmt"
	"time"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/limit"
	"github.com/replifire/replifire/mutate"
	"github.com/replifire/replifire/protocol"
)

// LimitSettings say how much callers may ask for. They are part of Settings.
type LimitSettings struct {
	MaxBodyBytes     int64 `env:"REPLIFIRE_MAX_BODY_BYTES" group:"limits" default:"8388608"`
	MaxBodiesBytes   int64 `env:"REPLIFIRE_MAX_BODIES_BYTES" group:"limits" default:"134217728"`
	MaxMutations     int   `env:"REPLIFIRE_MAX_MUTATIONS" group:"limits" default:"50000"`
	MaxKeyBytes      int   `env:"REPLIFIRE_MAX_KEY_BYTES" group:"limits" default:"1024"`
	MaxValueBytes    int   `env:"REPLIFIRE_MAX_VALUE_BYTES" group:"limits" default:"1000000"`
	MaxDepth         int   `env:"REPLIFIRE_MAX_DEPTH" group:"limits" default:"100"`
	MaxQueuePushes   int   `env:"REPLIFIRE_MAX_QUEUE_PUSHES" group:"limits" default:"10000"`
	MaxQueueBytes    int   `env:"REPLIFIRE_MAX_QUEUE_BYTES" group:"limits" default:"67108864"`
	MaxResponseBytes int64 `env:"REPLIFIRE_MAX_RESPONSE_BYTES" group:"limits" default:"268435456"`

	RatePerUser     float64 `env:"REPLIFIRE_RATE_PER_USER" group:"limits" default:"100"`
	BurstPerUser    int     `env:"REPLIFIRE_BURST_PER_USER" group:"limits" default:"1000"`
	RatePerAddress  float64 `env:"REPLIFIRE_RATE_PER_ADDRESS" group:"limits" default:"1000"`
	BurstPerAddress int     `env:"REPLIFIRE_BURST_PER_ADDRESS" group:"limits" default:"5000"`
	RateNewSpaces   float64 `env:"REPLIFIRE_RATE_NEW_SPACES" group:"limits" default:"60"`
	BurstNewSpaces  int     `env:"REPLIFIRE_BURST_NEW_SPACES" group:"limits" default:"100"`
	RateBodyBytes   float64 `env:"REPLIFIRE_RATE_BODY_BYTES" group:"limits" default:"4194304"`
	Proxies         int     `env:"REPLIFIRE_PROXIES" group:"limits" default:"-1"`

	MaxBodiesPerUser  int `env:"REPLIFIRE_MAX_BODIES_PER_USER" group:"limits" default:"2"`
	MaxStreams        int `env:"REPLIFIRE_MAX_STREAMS" group:"limits" default:"20000"`
	MaxStreamsPerUser int `env:"REPLIFIRE_MAX_STREAMS_PER_USER" group:"limits" default:"50"`

	MaxHeaderBytes int           `env:"REPLIFIRE_MAX_HEADER_BYTES" group:"limits" default:"16384"`
	HeaderTimeout  time.Duration `env:"REPLIFIRE_HEADER_TIMEOUT" group:"limits" default:"5s"`
	IdleTimeout    time.Duration `env:"REPLIFIRE_IDLE_TIMEOUT" group:"limits" default:"2m"`
}

// positive wants more than 0.
func positive(name string, n int64) error {
	if n <= 0 {
		return fmt.Errorf("%s must be more than 0", name)
	}
	return nil
}

// notNegative wants 0, which is no limit, or more.
func notNegative[N int | int64 | float64](name string, n N) error {
	if n >= 0 { // which NaN is not
		return nil
	}
	return fmt.Errorf("%s must not be less than 0, which is no limit", name)
}

// rate wants a limit in the long run, 0 for none, and where there is one what may come at
// once.
func rate(name string, perSecond float64, burstName string, burst int) error {
	if perSecond != 0 && burst <= 0 {
		return fmt.Errorf("%s must be more than 0; %s=0 turns the limit off", burstName, name)
	}
	return notNegative(name, perSecond)
}

// within wants what a store can hold, or less.
func within(name string, n, most int) error {
	if n <= 0 || n > most {
		return fmt.Errorf("%s must be between 1 and %d", name, most)
	}
	return nil
}

// check reports limits that nothing can work with.
func (l *LimitSettings) check() error {
	if least := handlers.LeastBodiesBytes(l.MaxBodyBytes); l.MaxBodiesBytes != 0 && l.MaxBodiesBytes < least {
		return fmt.Errorf("REPLIFIRE_MAX_BODIES_BYTES must not be less than %d,"+
			" which one push takes where REPLIFIRE_MAX_BODY_BYTES is %d", least, l.MaxBodyBytes)
	}
	if l.Proxies < -1 {
		return fmt.Errorf("REPLIFIRE_PROXIES is %d: it must be -1 or more", l.Proxies)
	}
	return cmp.Or(
		positive("REPLIFIRE_MAX_BODY_BYTES", l.MaxBodyBytes),
		within("REPLIFIRE_MAX_KEY_BYTES", l.MaxKeyBytes, mutate.MaxKeyBytes),
		within("REPLIFIRE_MAX_VALUE_BYTES", l.MaxValueBytes, mutate.MaxValueBytes),
		within("REPLIFIRE_MAX_DEPTH", l.MaxDepth, protocol.MaxDepth),
		positive("REPLIFIRE_MAX_QUEUE_PUSHES", int64(l.MaxQueuePushes)),
		positive("REPLIFIRE_MAX_QUEUE_BYTES", int64(l.MaxQueueBytes)),
		positive("REPLIFIRE_MAX_STREAMS", int64(l.MaxStreams)),
		positive("REPLIFIRE_MAX_HEADER_BYTES", int64(l.MaxHeaderBytes)),
		positive("REPLIFIRE_HEADER_TIMEOUT", int64(l.HeaderTimeout)),
		positive("REPLIFIRE_IDLE_TIMEOUT", int64(l.IdleTimeout)),
		l.checkOptional(),
	)
}

// checkOptional is about the limits that 0 turns off.
func (l *LimitSettings) checkOptional() error {
	return cmp.Or(
		notNegative("REPLIFIRE_MAX_BODIES_BYTES", l.MaxBodiesBytes),
		notNegative("REPLIFIRE_MAX_MUTATIONS", l.MaxMutations),
		notNegative("REPLIFIRE_MAX_RESPONSE_BYTES", l.MaxResponseBytes),
		rate("REPLIFIRE_RATE_PER_USER", l.RatePerUser, "REPLIFIRE_BURST_PER_USER", l.BurstPerUser),
		rate("REPLIFIRE_RATE_PER_ADDRESS", l.RatePerAddress, "REPLIFIRE_BURST_PER_ADDRESS", l.BurstPerAddress),
		rate("REPLIFIRE_RATE_NEW_SPACES", l.RateNewSpaces, "REPLIFIRE_BURST_NEW_SPACES", l.BurstNewSpaces),
		notNegative("REPLIFIRE_RATE_BODY_BYTES", l.RateBodyBytes),
		notNegative("REPLIFIRE_MAX_BODIES_PER_USER", l.MaxBodiesPerUser),
		notNegative("REPLIFIRE_MAX_STREAMS_PER_USER", l.MaxStreamsPerUser),
	)
}

// What an address may do, in users: so many may do at the same time all that one of them
// may, be it a household or those of an office who begin just then.
const (
	addressRate   = 10 // of new spaces in the long run
	addressBursts = 3  // of new spaces at once
	addressBodies = 4  // of bytes, and of large bodies
)

func perHour(n float64, burst int) limit.Rate { return limit.Rate{PerSecond: n / 3600, Burst: burst} }

// httpLimits are those that hold before the engine. In development mode everybody
// comes from one address, and nobody is kept out.
func (s *Settings) httpLimits() handlers.Limits {
	l := handlers.Limits{
		MaxBodyBytes:     s.MaxBodyBytes,
		MaxBodiesBytes:   s.MaxBodiesBytes,
		MaxMutations:     s.MaxMutations,
		MaxResponseBytes: s.MaxResponseBytes,
		MaxUserStreams:   s.MaxStreamsPerUser,
		Proxies:          s.proxies(),
	}
	if !s.Dev {
		l.UserRate = limit.Rate{PerSecond: s.RatePerUser, Burst: s.BurstPerUser}
		l.AddressRate = limit.Rate{PerSecond: s.RatePerAddress, Burst: s.BurstPerAddress}
		l.UserSpaces = perHour(s.RateNewSpaces, s.BurstNewSpaces)
		l.MaxUserBodies, l.MaxAddressBodies = s.MaxBodiesPerUser, addressBodies*s.MaxBodiesPerUser
		l.UserBytes = limit.Rate{PerSecond: s.RateBodyBytes, Burst: int(s.MaxBodyBytes)}
		l.AddressBytes = limit.Rate{PerSecond: addressBodies * s.RateBodyBytes, Burst: 2 * int(s.MaxBodyBytes)}
		l.UserRejections = limit.Rate{PerSecond: 1, Burst: 60}
		l.SpaceRejections = limit.Rate{PerSecond: 10, Burst: 600}
		l.NewClients = perHour(100, 1000)
		l.AddressSpaces = perHour(addressRate*s.RateNewSpaces, addressBursts*s.BurstNewSpaces)
	}
	return l
}

// proxies: Cloud Run's front end adds the address it sees; elsewhere nobody is
// believed who was not named.
func (s *Settings) proxies() int {
	switch {
	case s.Proxies >= 0:
		return s.Proxies
	case s.Service != "":
		return 1
	default:
		return 0
	}
}

// engineLimits adds those of the engine.
func (l *LimitSettings) engineLimits(o engine.Options) engine.Options {
	o.MaxQueuePushes, o.MaxQueueBytes = l.MaxQueuePushes, l.MaxQueueBytes
	o.MaxKeyBytes, o.MaxValueBytes, o.MaxDepth = l.MaxKeyBytes, l.MaxValueBytes, l.MaxDepth
	return o
}
