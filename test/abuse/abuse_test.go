package abuse_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/replifire/replifire/internal/load"
)

var (
	full = flag.Bool("abuse.full", false, "attack in full size, for some minutes")
	only = flag.String("abuse.only", "", "only the attacks whose names match this regular expression")
)

const (
	// workers is how many requests an attack has under way at once.
	workers = 8
	// mostMemory bounds the resident memory of the process through all attacks:
	// docs/security.md says why.
	mostMemory = 512 << 20
	// goodRate is how many mutations a second all good clients make together.
	goodRate = 40
)

// size is how much an attack sends.
type size struct {
	lasts     time.Duration // how long good clients are measured
	body      int64         // bytes of a large body
	silent    int           // connections without a whole header
	slow      int           // connections with a slow body
	mutations int           // of a push
	spaces    int           // new ones, at least
	burst     int           // of them, for a user
	streams   int           // poke streams held at once
	entries   int           // of a space that is pulled
	clients   int           // of a group
	addresses int           // that pull
}

func sizes() size {
	if *full {
		return size{
			lasts: 8 * time.Second, body: 100_000_000, silent: 10_000, slow: 1000,
			mutations: 100_000, spaces: 10_000, burst: 100, streams: 100,
			entries: 70, clients: 30_000, addresses: 13,
		}
	}
	return size{
		lasts: 1500 * time.Millisecond, body: 30_000_000, silent: 1000, slow: 100,
		mutations: 100_000, spaces: 400, burst: 15, streams: 60,
		entries: 20, clients: 3000, addresses: 2,
	}
}

func settings() []string {
	if *full {
		return nil
	}
	return []string{
		"REPLIFIRE_HEADER_TIMEOUT=2s", "REPLIFIRE_RATE_PER_USER=20",
		"REPLIFIRE_BURST_PER_USER=150", "REPLIFIRE_BURST_NEW_SPACES=15",
	}
}

// TestAbuse attacks the program while good clients use it.
func TestAbuse(t *testing.T) {
	t.Parallel()
	s, n := start(t, settings()...), sizes()
	before := s.files(t)
	quiet := good(t, s, n.lasts, "warm-up")
	aByteTooMuch(t, s)
	for i, attack := range attacks() {
		if !regexp.MustCompile(*only).MatchString(attack.name) {
			continue
		}
		if i == 0 || *full {
			quiet = good(t, s, n.lasts, "quiet")
		}
		used := s.cpu(t)
		p99 := 0.
		answers, cost := attack.from(t, s, byte(i+1), func() { p99 = good(t, s, n.lasts, attack.name) })
		t.Logf("row: | %s | %s | %.0f | %.0f | %.1f | %.1f | %.1f | %d |", attack.name, answers,
			quiet, p99, p99/quiet, (s.cpu(t) - used).Seconds(), cost.Seconds(), s.memory(t, "VmRSS")>>20)
	}
	if peak := s.memory(t, "VmHWM"); peak > mostMemory {
		t.Errorf("the process had %d MiB, want %d at the most", peak>>20, mostMemory>>20)
	} else {
		t.Logf("memory: %d MiB at the most", peak>>20)
	}
	// Connections to the emulator, of gRPC, are opened when first needed.
	s.awaitFiles(t, before+10)
}

// aByteTooMuch sends one such body in chunks, by itself: its size is seen.
func aByteTooMuch(t *testing.T, s *service) {
	t.Helper()
	a := newAttacker(t, s.address, sizes(), "alone", 250)
	tooLargeOnce(t.Context(), a, 8<<20+1, -1)
	a.client.CloseIdleConnections()
	if got := a.answers[http.StatusRequestEntityTooLarge]; got != 1 {
		t.Errorf("a byte too much, in chunks and alone: %s, want 413", a.answers)
	}
}

// answers is how often each status was answered; 0: the connection was cut off.
type answers map[int]int

// String names them in their order.
func (a answers) String() string {
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(a)) {
		name := strconv.Itoa(status)
		if status == 0 {
			name = "cut off"
		}
		parts = append(parts, fmt.Sprintf("%s: %d", name, a[status]))
	}
	return strings.Join(parts, ", ")
}

// good has good clients push and pull, each as a user of its own, and returns the 99th
// percentile of the milliseconds until a mutation was confirmed.
func good(t *testing.T, s *service, lasts time.Duration, during string) float64 {
	t.Helper()
	report, err := load.Run(t.Context(), load.Config{
		URLs: []string{s.url()}, Clients: 4, Rate: goodRate, Duration: lasts, Settle: patience,
		Token: func(_ context.Context, id load.Identity) (string, error) {
			return unsigned("good-" + string(id.Client)), nil
		},
	})
	if err != nil {
		t.Fatalf("%s: %v", during, err)
	}
	m := report.Mutations
	if !report.Verdict.Converged || m.Issued == 0 || m.Confirmed != m.Issued || m.Shed != 0 {
		t.Errorf("%s: good clients: %+v\n%s", during, m, report.Verdict)
	}
	for _, r := range report.Requests {
		if r.Status != "200" {
			t.Errorf("%s: good clients: %d %s requests: %s", during, r.Count, r.Kind, r.Status)
		}
	}
	return report.Latencies.Confirm.P99
}
