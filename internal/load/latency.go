package load

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// maxLatency is the longest time that a histogram tells apart; longer counts as it.
	maxLatency = 10 * time.Minute
	// digits are the significant ones of a histogram's figures.
	digits = 3
)

// Latency is the distribution of times of one kind, in milliseconds, each figure
// within 0.1 % of the truth. Times above ten minutes count as ten minutes. All
// figures are 0 where Count is.
type Latency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50Milliseconds"`
	P95   float64 `json:"p95Milliseconds"`
	P99   float64 `json:"p99Milliseconds"`
	Max   float64 `json:"maxMilliseconds"`
}

// histogram takes times of one kind, in bounded memory. It is safe for concurrent use.
type histogram struct {
	mu  sync.Mutex
	all *hdrhistogram.Histogram // of the measured part of the run
	// recent is of the time since the last takeRecent; nil if nobody will look.
	recent *hdrhistogram.Histogram
}

func newHistogram(live bool) *histogram {
	h := &histogram{all: newHdr()}
	if live {
		h.recent = newHdr()
	}
	return h
}

func newHdr() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, maxLatency.Microseconds(), digits)
}

// record takes a time; counted says whether it is of the measured part of the run.
func (h *histogram) record(d time.Duration, counted bool) {
	v := min(max(d, 0), maxLatency).Microseconds()
	h.mu.Lock()
	defer h.mu.Unlock()
	// RecordValue fails beyond the histogram's range only.
	if counted {
		_ = h.all.RecordValue(v)
	}
	if h.recent != nil {
		_ = h.recent.RecordValue(v)
	}
}

// latency is the distribution of what was counted.
func (h *histogram) latency() Latency {
	h.mu.Lock()
	defer h.mu.Unlock()
	return latencyOf(h.all)
}

// takeRecent is the distribution since the last call.
func (h *histogram) takeRecent() Latency {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := latencyOf(h.recent)
	h.recent.Reset()
	return l
}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	if h.TotalCount() == 0 {
		return Latency{}
	}
	milliseconds := func(micros int64) float64 { return float64(micros) / 1000 }
	return Latency{
		Count: h.TotalCount(),
		P50:   milliseconds(h.ValueAtQuantile(50)),
		P95:   milliseconds(h.ValueAtQuantile(95)),
		P99:   milliseconds(h.ValueAtQuantile(99)),
		Max:   milliseconds(h.Max()),
	}
}
