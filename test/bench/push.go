package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// sample is what one measurement of throughput found.
type sample struct {
	perSecond float64
	p50, p99  time.Duration
	slowest   int // mutations of the pusher that had the fewest
}

// pushers keeps n of them pushing for the window, each one push after the other. A push
// that fails is tried again and its time counts on.
func (b *bench) pushers(
	ctx context.Context, n int, op func(ctx context.Context, pusher int, id int64) error,
) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, b.window)
	defer cancel()
	latencies := make([][]time.Duration, n)
	var wg sync.WaitGroup
	began := time.Now()
	for p := range n {
		wg.Go(func() {
			started := time.Now()
			for id := int64(1); ctx.Err() == nil; {
				if op(ctx, p, id) != nil {
					continue
				}
				latencies[p] = append(latencies[p], time.Since(started))
				started = time.Now()
				id++
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	all := slices.Sorted(slices.Values(slices.Concat(latencies...)))
	if len(all) == 0 {
		return sample{}, nil
	}
	s := sample{
		perSecond: float64(len(all)) / took.Seconds(),
		p50:       all[len(all)/2], p99: all[len(all)*99/100], slowest: len(latencies[0]),
	}
	for _, l := range latencies {
		s.slowest = min(s.slowest, len(l))
	}
	return s, nil
}

// client is for many connections to few hosts.
func client() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2000, DisableCompression: true}}
}

// pushTo pushes createMessage: pusher p to instance p modulo their number, and to space
// p modulo spaces.
func pushTo(c *http.Client, to []*instance, spaces int) func(context.Context, int, int64) error {
	return func(ctx context.Context, pusher int, id int64) error {
		url := fmt.Sprintf("%s/api/replicache/push?space=s%d", to[pusher%len(to)].url, pusher%spaces)
		return post(ctx, c, url, pushBody(pusher, id, 1), nil)
	}
}

// pushBody is a push of n createMessage.
func pushBody(pusher int, first, n int64) []byte {
	var ms []any
	for id := first; id < first+n; id++ {
		ms = append(ms, map[string]any{
			"clientID": fmt.Sprint("c", pusher), "id": id, "name": "createMessage", "timestamp": 1,
			"args": message(pusher, id),
		})
	}
	body, err := json.Marshal(map[string]any{
		"pushVersion": 1, "profileID": "p", "clientGroupID": fmt.Sprint("g", pusher), "schemaVersion": "",
		"mutations": ms,
	})
	if err != nil {
		panic(err)
	}
	return body
}

func message(pusher int, id int64) map[string]any {
	return map[string]any{
		"id": fmt.Sprintf("%d-%d", pusher, id), "from": fmt.Sprint("user ", pusher),
		"content": strings.Repeat("lorem ipsum ", 8), "order": id,
	}
}

// post sends a body and copies the answer to w, if there is one.
func post(ctx context.Context, c *http.Client, url string, body []byte, w io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if w == nil {
		w = io.Discard
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", url, resp.StatusCode)
	}
	return nil
}
