package contention_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gcfirestore "cloud.google.com/go/firestore"
	"google.golang.org/api/option"

	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/rpccount"
	"github.com/replifire/replifire/protocol"
	"github.com/replifire/replifire/server"
	"github.com/replifire/replifire/storetest"
)

// pushers is how many clients wait for an answer at any time.
const pushers = 64

func TestMain(m *testing.M) { emulatortest.Main(m) }

// BenchmarkOneSpace is about one space: an operation is one createMessage,
// acknowledged.
func BenchmarkOneSpace(b *testing.B) {
	warmUp(b)
	for _, instances := range []int{1, 2} {
		b.Run(fmt.Sprintf("replifire/instances=%d", instances), func(b *testing.B) {
			urls, project := serve(b, instances)
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: pushers}}
			defer client.CloseIdleConnections()
			run(b, func(ctx context.Context, pusher int, id int64) error {
				return push(ctx, client, urls[pusher%instances], pusher, id)
			})
			check(b, project)
		})
	}
	b.Run("plain", func(b *testing.B) {
		conn, _, err := rpccount.Dial(emulatortest.Host(b))
		if err != nil {
			b.Fatal(err)
		}
		client, err := gcfirestore.NewClient(b.Context(), emulatortest.Project(b), option.WithGRPCConn(conn))
		if err != nil {
			b.Fatal(err)
		}
		defer client.Close()
		run(b, func(ctx context.Context, pusher int, id int64) error {
			return plain(ctx, client, pusher, id)
		})
	})
}

// window is how long each benchmark runs: the plain pattern's operations may take
// longer than a benchmark's b.N of them can wait.
const window = 10 * time.Second

// warmUp lets the emulator, which is a Java program, compile what it will run.
func warmUp(b *testing.B) {
	b.Helper()
	urls, _ := serve(b, 1)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: pushers}}
	defer client.CloseIdleConnections()
	run(b, func(ctx context.Context, pusher int, id int64) error {
		return push(ctx, client, urls[0], pusher, id)
	})
}

// run keeps the pushers pushing for the window, each one push after the other,
// and reports throughput and latency of what was acknowledged. A push that fails
// is tried again and its time counts on.
func run(b *testing.B, op func(ctx context.Context, pusher int, id int64) error) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), window)
	defer cancel()
	latencies := make([][]time.Duration, pushers)
	var failed atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for p := range pushers {
		wg.Go(func() {
			started := time.Now()
			for id := int64(1); ctx.Err() == nil; {
				if err := op(ctx, p, id); err != nil {
					failed.Add(1)
					continue
				}
				latencies[p] = append(latencies[p], time.Since(started))
				started = time.Now()
				id++
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Sorted(slices.Values(slices.Concat(latencies...)))
	b.ReportMetric(float64(len(all))/window.Seconds(), "mutations/s")
	if len(all) > 0 {
		b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	}
	b.ReportMetric(float64(failed.Load()), "failed")
	b.ReportMetric(0, "ns/op")
}

// serve starts instances of the service on one project of the emulator.
func serve(b *testing.B, instances int) (urls []string, project string) {
	b.Helper()
	project = emulatortest.Project(b)
	for range instances {
		s, err := server.New(b.Context(), settings(b, project), chat.Mutators(),
			server.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			b.Fatal(err)
		}
		ts := httptest.NewServer(s.Handler())
		b.Cleanup(func() {
			if err := s.Close(context.Background()); err != nil {
				b.Errorf("close: %v", err)
			}
			ts.Close()
		})
		urls = append(urls, ts.URL+"/api/replicache/push")
	}
	return urls, project
}

func settings(b *testing.B, project string) server.Settings {
	b.Helper()
	s, err := server.ParseSettings([]string{"--store=memory"}, func(string) string { return "" })
	if err != nil {
		b.Fatal(err)
	}
	s.Store, s.Dev = server.StoreFirestore, true
	s.ProjectID, s.EmulatorHost = project, emulatortest.Host(b)
	return s
}

// check ends a benchmark with a look at what it has stored.
func check(b *testing.B, project string) {
	b.Helper()
	s := settings(b, project)
	store, err := s.Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	storetest.MustFsck(b, store, protocol.SpaceID("default"))
}

// push is one createMessage over HTTP.
func push(ctx context.Context, client *http.Client, url string, pusher int, id int64) error {
	body, err := json.Marshal(map[string]any{
		"pushVersion": 1, "profileID": "p", "clientGroupID": fmt.Sprint("g", pusher), "schemaVersion": "",
		"mutations": []any{map[string]any{
			"clientID": fmt.Sprint("c", pusher), "id": id, "name": "createMessage", "timestamp": 1,
			"args": message(pusher, id),
		}},
	})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s: %w", resp.StatusCode, answer, err)
	}
	return nil
}

func message(pusher int, id int64) map[string]any {
	return map[string]any{
		"id": fmt.Sprintf("%d-%d", pusher, id), "from": fmt.Sprint("user ", pusher),
		"content": strings.Repeat("lorem ipsum ", 8), "order": id,
	}
}

// plain is what a server without a queue does: one transaction that reads the
// version, the client and the message, and writes all three. The SDK's own five
// attempts are followed by the caller's.
func plain(ctx context.Context, client *gcfirestore.Client, pusher int, id int64) error {
	space := client.Doc("spaces/default")
	one := space.Collection("clients").Doc(fmt.Sprint("c", pusher))
	entry := space.Collection("entries").Doc(fmt.Sprintf("message-%d-%d", pusher, id))
	return client.RunTransaction(ctx, func(_ context.Context, tx *gcfirestore.Transaction) error {
		docs, err := tx.GetAll([]*gcfirestore.DocumentRef{space, one, entry})
		if err != nil {
			return err
		}
		version := int64(0)
		if docs[0].Exists() {
			version = docs[0].Data()["version"].(int64)
		}
		if docs[1].Exists() && docs[1].Data()["lastMutationID"].(int64) >= id {
			return nil
		}
		version++
		return errorsOf(
			tx.Set(space, map[string]any{"version": version}),
			tx.Set(one, map[string]any{"lastMutationID": id, "version": version}),
			tx.Set(entry, map[string]any{"value": message(pusher, id), "version": version, "deleted": false}),
		)
	})
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
