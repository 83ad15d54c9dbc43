package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

const (
	// A stream that broke is opened again after a pause that doubles up to a bound.
	minReconnect = 100 * time.Millisecond
	maxReconnect = 10 * time.Second
	// streamBuffer is small: there is one for each of thousands of streams, and an
	// event has less than a hundred bytes.
	streamBuffer = 512
)

// stream listens to the pokes of a space, for one client or for a group's.
type stream struct {
	*service
	observer observer
	// wake is called for every poke.
	wake func()
}

// listen keeps the stream open until ctx ends.
func (s *stream) listen(ctx context.Context) {
	pause := minReconnect
	for first := true; ctx.Err() == nil; first = false {
		if !first {
			s.run.meter.reconnects.Add(1)
		}
		poked, retry := s.once(ctx)
		if poked {
			pause = max(minReconnect, retry)
		}
		// Half of it is jitter: thousands of streams break at the same moment.
		wait(ctx, pause/2+rand.N(pause/2), nil) //nolint:gosec // no secret
		pause = min(2*pause, max(maxReconnect, retry))
	}
}

// once opens the stream and reads it to its end. It reports whether there was a
// poke, and the pause that the server asked for.
func (s *stream) once(ctx context.Context) (poked bool, retry time.Duration) {
	sent := time.Now()
	body, status := s.open(ctx)
	if ctx.Err() != nil && body == nil {
		return false, 0
	}
	s.run.meter.answered(kindStream, status, sent, time.Now())
	if body == nil {
		return false, 0
	}
	defer body.Close()
	return s.read(body)
}

// open returns nil and why if there is no stream.
func (s *stream) open(ctx context.Context) (io.ReadCloser, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address("poke"), http.NoBody)
	if err != nil {
		return nil, statusNetwork
	}
	req.Header.Set("Accept", "text/event-stream")
	if err := s.authorize(req); err != nil {
		return nil, statusToken
	}
	resp, err := s.run.transport.RoundTrip(req)
	if err != nil {
		return nil, statusNetwork
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, strconv.Itoa(resp.StatusCode)
	}
	return resp.Body, statusOK
}

// read takes the events of a stream: those whose data is an object are pokes, with
// a version where the server tells it; the farewell of event "bye" is none.
func (s *stream) read(body io.Reader) (poked bool, retry time.Duration) {
	lines := bufio.NewReaderSize(body, streamBuffer)
	event := "message"
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return poked, retry
		}
		name, value, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			event = string(value)
		case "retry":
			if n, err := strconv.Atoi(string(value)); err == nil && n >= 0 {
				retry = min(time.Duration(n)*time.Millisecond, time.Minute)
			}
		case "data":
			if event != "bye" {
				poked = true
				s.poked(value)
			}
			event = "message"
		}
	}
}

func (s *stream) poked(data []byte) {
	now := time.Now()
	s.run.meter.pokes.Add(1)
	var p struct{ Version int64 }
	if json.Unmarshal(data, &p) == nil && p.Version > 0 {
		s.observer.poked(p.Version, now)
	}
	s.wake()
}
