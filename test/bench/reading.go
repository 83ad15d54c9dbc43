package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gcfirestore "cloud.google.com/go/firestore"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"github.com/replifire/replifire/internal/rpccount"
)

// unlimited lets one address do what many clients would.
var unlimited = []string{
	"REPLIFIRE_MAX_STREAMS=20000",
}

const pullURL = "/api/replicache/pull?space=s0"

// pull asks for what is new since a cookie, and returns the next one.
func pull(ctx context.Context, c *http.Client, i *instance, cookie json.RawMessage) (json.RawMessage, error) {
	body, err := json.Marshal(map[string]any{
		"pullVersion": 1, "profileID": "p", "clientGroupID": "g0", "schemaVersion": "", "cookie": cookie,
	})
	if err != nil {
		return nil, err
	}
	var answer strings.Builder
	if err := post(ctx, c, i.url+pullURL, body, &answer); err != nil {
		return nil, err
	}
	var found struct{ Cookie json.RawMessage }
	return found.Cookie, json.Unmarshal([]byte(answer.String()), &found)
}

// listen opens a poke stream and calls told with each event, until ctx ends.
func listen(ctx context.Context, c *http.Client, i *instance, told func()) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.url+"/api/replicache/poke?space=s0", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("poke: status %d", resp.StatusCode)
	}
	lines := bufio.NewReaderSize(resp.Body, 128)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil
		}
		if strings.HasPrefix(line, "data:") {
			told()
		}
	}
}

// audience is n listeners of one space.
type audience struct {
	told   atomic.Int64
	failed atomic.Int64
	end    context.CancelFunc
	wg     sync.WaitGroup
}

// gather connects n listeners, a few hundred at a time, and waits until each was told
// the version there is.
func gather(ctx context.Context, i *instance, n int, onPoke func(listener int)) (*audience, error) {
	ctx, cancel := context.WithCancel(ctx)
	a := &audience{end: cancel}
	c := &http.Client{Transport: &http.Transport{DisableCompression: true, ReadBufferSize: 512, WriteBufferSize: 512}}
	for l := range n {
		a.wg.Go(func() {
			if err := listen(ctx, c, i, func() {
				a.told.Add(1)
				onPoke(l)
			}); err != nil && ctx.Err() == nil {
				a.failed.Add(1)
			}
		})
		if l%200 == 199 {
			time.Sleep(20 * time.Millisecond)
		}
	}
	err := a.wait(n)
	return a, err
}

// wait is until n events have come.
func (a *audience) wait(n int) error {
	for limit := time.Now().Add(time.Minute); a.told.Load() < int64(n); time.Sleep(time.Millisecond) {
		if a.failed.Load() > 0 || time.Now().After(limit) {
			return fmt.Errorf("%d of %d listeners were told, %d failed", a.told.Load(), n, a.failed.Load())
		}
	}
	return nil
}

func (a *audience) close() {
	a.end()
	a.wg.Wait()
}

// pokes is one commit to a space with 1,000 clients, each of which pulls it.
func (b *bench) pokes(ctx context.Context) error {
	const n = 1000
	var took []float64
	for range b.runs {
		list, err := b.serveAll(ctx, 1, unlimited...)
		if err != nil {
			return err
		}
		c := client()
		if err := pushTo(c, list, 1)(ctx, 0, 1); err != nil {
			return err
		}
		cookie, err := pull(ctx, c, list[0], json.RawMessage("null"))
		if err != nil {
			return err
		}
		var pulled, wrong atomic.Int64
		var live atomic.Bool
		a, err := gather(ctx, list[0], n, func(int) {
			if !live.Load() {
				return
			}
			next, err := pull(ctx, c, list[0], cookie)
			if err != nil || string(next) == string(cookie) {
				wrong.Add(1)
			}
			pulled.Add(1)
		})
		if err != nil {
			return err
		}
		live.Store(true)
		began := time.Now()
		if err := pushTo(c, list, 1)(ctx, 0, 2); err != nil {
			return err
		}
		for pulled.Load() < n && time.Since(began) < time.Minute {
			time.Sleep(time.Millisecond)
		}
		took = append(took, time.Since(began).Seconds())
		a.close()
		stopAll(list)
		if wrong.Load() > 0 || pulled.Load() < n {
			return fmt.Errorf("%d pulled, %d of them without the change", pulled.Load(), wrong.Load())
		}
	}
	b.tables = append(b.tables, table{
		title:  "1,000 clients of one space, one commit",
		header: []string{"from the push to the last client's pull answered"},
		rows:   [][]string{{ms(median(took))}},
	})
	return nil
}

// streams is 10,000 listeners of one space.
func (b *bench) streams(ctx context.Context) error {
	t := table{title: "Poke streams", header: []string{"streams", "resident", "one commit: all told after"}}
	p := plot{file: "streams.svg", title: "Resident memory of an instance", x: "poke streams", y: "MiB"}
	line := series{name: "resident"}
	for _, n := range []int{1, 1000, 5000, 10000} {
		list, err := b.serveAll(ctx, 1, unlimited...)
		if err != nil {
			return err
		}
		c := client()
		if err := pushTo(c, list, 1)(ctx, 0, 1); err != nil {
			return err
		}
		a, err := gather(ctx, list[0], n, func(int) {})
		if err != nil {
			return err
		}
		time.Sleep(time.Second)
		now, _ := list[0].memory()
		began := time.Now()
		if err := pushTo(c, list, 1)(ctx, 0, 2); err != nil {
			return err
		}
		if err := a.wait(2 * n); err != nil {
			return err
		}
		told := time.Since(began)
		b.say("%d streams: %.0f MiB, told within %v", n, now, told)
		t.rows = append(t.rows, []string{strconv.Itoa(n), fmt.Sprintf("%.0f MiB", now), ms(told.Seconds())})
		line.points = append(line.points, point{float64(n), now})
		a.close()
		stopAll(list)
	}
	p.lines = []series{line}
	b.tables, b.plots = append(b.tables, t), append(b.plots, p)
	return nil
}

// firstPull is everything there is, for a client that has nothing.
func (b *bench) firstPull(ctx context.Context) error {
	t := table{
		title: "First pull",
		header: []string{
			"entries", "raw query", "its first document", "raw query for one", "pull", "of raw", "first byte", "gzip",
			"memory before", "at its peak",
		},
		note: "\"Raw query\" is the SDK reading all documents of the collection; a query for one shows what the " +
			"emulator does before it answers any. Memory is what the process has resident; its peak is that since " +
			"it started.",
	}
	p := plot{file: "firstpull.svg", title: "First pull: resident memory of the instance", x: "entries", y: "MiB"}
	before, after := series{name: "before"}, series{name: "peak"}
	for _, n := range []int64{1_000, 10_000, 100_000} {
		row, now, peak, err := b.firstPullOf(ctx, n)
		if err != nil {
			return err
		}
		t.rows = append(t.rows, row)
		before.points = append(before.points, point{float64(n), now})
		after.points = append(after.points, point{float64(n), peak})
	}
	p.lines = []series{before, after}
	b.tables, b.plots = append(b.tables, t), append(b.plots, p)
	return nil
}

func (b *bench) firstPullOf(ctx context.Context, n int64) (row []string, now, peak float64, err error) {
	project := b.project()
	c := client()
	if err := b.fill(ctx, c, project, n); err != nil {
		return nil, 0, 0, err
	}
	i, err := b.serve(ctx, project)
	if err != nil {
		return nil, 0, 0, err
	}
	defer i.stop()
	now, _ = i.memory()
	var raw, rawFirst, rawOne, whole, first, zipped []float64
	for range b.runs {
		f, d, one, err := b.rawQuery(ctx, project)
		if err != nil {
			return nil, 0, 0, err
		}
		raw, rawFirst, rawOne = append(raw, d.Seconds()), append(rawFirst, f.Seconds()), append(rawOne, one.Seconds())
		for _, encoding := range []string{"identity", "gzip"} {
			f, d, err := download(ctx, c, i, encoding)
			if err != nil {
				return nil, 0, 0, err
			}
			if encoding == "gzip" {
				zipped = append(zipped, d.Seconds())
				continue
			}
			first, whole = append(first, f.Seconds()), append(whole, d.Seconds())
		}
	}
	_, peak = i.memory()
	b.say("%d entries: raw %.2f s, pull %.2f s, %.0f to %.0f MiB", n, median(raw), median(whole), now, peak)
	return []string{
		strconv.FormatInt(n, 10), ms(median(raw)), ms(median(rawFirst)), ms(median(rawOne)), ms(median(whole)),
		fmt.Sprintf("%.2f ×", median(whole)/median(raw)),
		ms(median(first)), ms(median(zipped)), fmt.Sprintf("%.0f MiB", now), fmt.Sprintf("%.0f MiB", peak),
	}, now, peak, nil
}

// fill creates n messages through an instance of its own.
func (b *bench) fill(ctx context.Context, c *http.Client, project string, n int64) error {
	i, err := b.serve(ctx, project)
	if err != nil {
		return err
	}
	defer i.stop()
	for id := int64(1); id <= n; id += 1000 {
		if err := post(ctx, c, i.url+"/api/replicache/push?space=s0", pushBody(0, id, min(1000, n)), nil); err != nil {
			return err
		}
	}
	return nil
}

// rawQuery reads all entries with the SDK alone, then asks for one of them.
func (b *bench) rawQuery(ctx context.Context, project string) (first, whole, one time.Duration, err error) {
	conn, _, err := rpccount.Dial(b.host)
	if err != nil {
		return 0, 0, 0, err
	}
	c, err := gcfirestore.NewClient(ctx, project, option.WithGRPCConn(conn))
	if err != nil {
		return 0, 0, 0, err
	}
	defer c.Close()
	entries := c.Collection("spaces/s0/entries")
	if first, whole, err = readAll(entries.Documents(ctx)); err != nil {
		return 0, 0, 0, err
	}
	_, one, err = readAll(entries.Limit(1).Documents(ctx))
	return first, whole, one, err
}

// readAll takes the time until the first document and until the last one.
func readAll(docs *gcfirestore.DocumentIterator) (first, whole time.Duration, err error) {
	defer docs.Stop()
	began := time.Now()
	for {
		_, err := docs.Next()
		if errors.Is(err, iterator.Done) {
			return first, time.Since(began), nil
		}
		if err != nil {
			return 0, 0, err
		}
		if first == 0 {
			first = time.Since(began)
		}
	}
}

// download is a first pull, thrown away as it comes.
func download(
	ctx context.Context, c *http.Client, i *instance, encoding string,
) (first, whole time.Duration, err error) {
	body := strings.NewReader(
		`{"pullVersion":1,"profileID":"p","clientGroupID":"g0","schemaVersion":"","cookie":null}`)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.url+pullURL, body)
	if err != nil {
		return 0, 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept-Encoding", encoding)
	began := time.Now()
	resp, err := c.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, 1); err != nil {
		return 0, 0, err
	}
	first = time.Since(began)
	_, err = io.Copy(io.Discard, resp.Body)
	return first, time.Since(began), err
}

// start is from the fork of the process to its first answer.
func (b *bench) start(ctx context.Context) error {
	var took, resident []float64
	for range 2*b.runs + 1 {
		list, err := b.serveAll(ctx, 1)
		if err != nil {
			return err
		}
		took = append(took, list[0].started.Seconds())
		time.Sleep(500 * time.Millisecond)
		now, _ := list[0].memory()
		resident = append(resident, now)
		stopAll(list)
	}
	b.tables = append(b.tables, table{
		title:  "Start",
		header: []string{"from the start of the process to `/health` answered", "resident, idle"},
		rows:   [][]string{{ms(median(took)), fmt.Sprintf("%.0f MiB", median(resident))}},
	})
	return nil
}
