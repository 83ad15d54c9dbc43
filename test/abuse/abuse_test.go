package abuse_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/replifire/replifire/internal/load"
)

var full = flag.Bool("abuse.full", false, "attack in full size, for some minutes")

const (
	// workers is how many requests an attack has under way at once.
	workers = 8
	// mostMemory bounds the resident memory of the process through all attacks:
	// docs/security.md says why.
	mostMemory = 512 << 20
)

// size is how much an attack sends.
type size struct {
	lasts     time.Duration // how long good clients are measured
	body      int64         // bytes of a large body
	silent    int           // connections without a whole header
	slow      int           // connections with a slow body
	mutations int           // of a push
	spaces    int           // new ones, at least
	streams   int           // poke streams held at once
}

func sizes() size {
	if *full {
		return size{
			lasts: 4 * time.Second, body: 100_000_000, silent: 10_000, slow: 1000,
			mutations: 100_000, spaces: 10_000, streams: 100,
		}
	}
	return size{
		lasts: 1500 * time.Millisecond, body: 30_000_000, silent: 1000, slow: 100,
		mutations: 100_000, spaces: 400, streams: 60,
	}
}

func settings() []string {
	if *full {
		return []string{"REPLIFIRE_BODY_TIMEOUT=8s"}
	}
	return []string{
		"REPLIFIRE_HEADER_TIMEOUT=2s", "REPLIFIRE_BODY_TIMEOUT=2s",
		"REPLIFIRE_RATE_PER_USER=20", "REPLIFIRE_BURST_PER_USER=150",
	}
}

// attack is one kind of abuse, and the statuses that it must get, each at least once.
type attack struct {
	name string
	run  func(ctx context.Context, a *attacker)
	want []int
}

func TestAbuse(t *testing.T) {
	t.Parallel()
	s, n := start(t, settings()...), sizes()
	before := s.files(t)
	quiet := good(t, s, n.lasts, "warm-up")
	for i, attack := range attacks() {
		if i == 0 || *full {
			quiet = good(t, s, n.lasts, "quiet")
		}
		a := newAttacker(t, s, n, fmt.Sprint("attacker", i), byte(i+1))
		used := s.cpu(t)
		ctx, cancel := context.WithTimeout(t.Context(), n.lasts)
		done := make(chan struct{})
		go func() {
			defer close(done)
			attack.run(ctx, a)
		}()
		p99 := good(t, s, n.lasts, attack.name)
		<-done
		cancel()
		a.client.CloseIdleConnections()
		for _, status := range attack.want {
			if a.answers[status] == 0 {
				t.Errorf("%s: no answer has status %d: %s", attack.name, status, a)
			}
		}
		t.Logf("row: | %s | %s | %.0f | %.0f | %.1f | %.1f | %d |",
			attack.name, a, quiet, p99, p99/quiet, (s.cpu(t) - used).Seconds(), s.memory(t, "VmRSS")>>20)
	}
	if peak := s.memory(t, "VmHWM"); peak > mostMemory {
		t.Errorf("the process had %d MiB, want %d at the most", peak>>20, mostMemory>>20)
	} else {
		t.Logf("memory: %d MiB at the most", peak>>20)
	}
	// Connections to the emulator, of gRPC, are opened when first needed.
	s.awaitFiles(t, before+10)
}

// String is how often each status was answered.
func (a *attacker) String() string {
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(a.answers)) {
		name := strconv.Itoa(status)
		if status == 0 {
			name = "cut off"
		}
		parts = append(parts, fmt.Sprintf("%s: %d", name, a.answers[status]))
	}
	return strings.Join(parts, ", ")
}

// good has good clients push and pull, each as a user of its own, and returns the 99th
// percentile of the milliseconds until a mutation was confirmed.
func good(t *testing.T, s *service, lasts time.Duration, during string) float64 {
	t.Helper()
	report, err := load.Run(t.Context(), load.Config{
		URLs: []string{s.url()}, Clients: 4, Rate: 20, Duration: lasts,
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
