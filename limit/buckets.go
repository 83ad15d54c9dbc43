package limit

import (
	"math"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// Rate is how often something may happen: Burst times at once, and PerSecond
// times a second in the long run. With PerSecond 0 there is no limit.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Buckets are token buckets, one for each key. Make them with NewBuckets. Safe for
// concurrent use.
type Buckets struct {
	rate Rate

	mu   sync.Mutex
	keys *simplelru.LRU[string, *rate.Limiter] // guarded by mu
}

// NewBuckets makes buckets for so many keys at the most, some 200 bytes each and the
// key: the one not asked for the longest is forgotten for a new one, which is as if
// it had been refilled. Nil if r is no limit. r and keys MUST NOT be negative; a
// Burst below 1 counts as 1.
func NewBuckets(r Rate, keys int) *Buckets {
	if r.PerSecond == 0 {
		return nil
	}
	r.Burst = max(r.Burst, 1)
	lru, err := simplelru.NewLRU[string, *rate.Limiter](keys, nil)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &Buckets{rate: r, keys: lru}
}

// Rate is what the buckets were made with.
func (b *Buckets) Rate() Rate {
	if b == nil {
		return Rate{}
	}
	return b.rate
}

// Take takes a token from the key's bucket. When there is none it says in how many
// seconds there will be one, 1 at least, and otherwise 0.
func (b *Buckets) Take(key string) (seconds int) {
	if b == nil {
		return 0
	}
	now := time.Now()
	r := b.bucket(key).ReserveN(now, 1)
	delay := r.DelayFrom(now)
	if delay == 0 {
		return 0
	}
	r.CancelAt(now)
	return int(math.Ceil(delay.Seconds()))
}

// Spend takes n tokens from the key's bucket, at once, and says how long to wait until
// they have come in: 0 if there were as many. Where that is longer than most it takes
// nothing and ok is false. n MUST NOT be more than the burst.
func (b *Buckets) Spend(key string, n int, most time.Duration) (wait time.Duration, ok bool) {
	if b == nil {
		return 0, true
	}
	now := time.Now()
	r := b.bucket(key).ReserveN(now, n)
	wait = r.DelayFrom(now)
	if wait <= most {
		return wait, true
	}
	r.CancelAt(now)
	return wait, false
}

func (b *Buckets) bucket(key string) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l, ok := b.keys.Get(key); ok {
		return l
	}
	l := rate.NewLimiter(rate.Limit(b.rate.PerSecond), b.rate.Burst)
	b.keys.Add(key, l)
	return l
}
