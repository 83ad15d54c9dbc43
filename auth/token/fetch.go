package token

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

const (
	// maxBody bounds an answer of a key server, in bytes. Google's has 2 KiB.
	maxBody = 1 << 20
	// defaultLife is how long keys live when their server does not say.
	defaultLife = 15 * time.Minute
	// minLife and maxLife bound what it says: a server's mistake must neither make
	// every request wait for it nor keep a withdrawn key for weeks.
	minLife = time.Minute
	maxLife = 24 * time.Hour
	// minRSABits: RFC 7518, section 3.3.
	minRSABits = 2048
)

// fetched is a key server's answer.
type fetched struct {
	byID map[string][]jose.JSONWebKey
	life time.Duration
}

// fetchKeys gets a JWK set. Keys that cannot verify anything are left out.
func fetchKeys(ctx context.Context, client *http.Client, address string) (fetched, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return fetched{}, fmt.Errorf("fetching keys: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fetched{}, fmt.Errorf("fetching keys: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fetched{}, fmt.Errorf("reading keys: %w", err)
	}
	keys, err := parseKeys(body)
	if err != nil {
		return fetched{}, err
	}
	return fetched{keys, life(resp.Header)}, nil
}

// parseKeys are the keys of a JWK set, by id. One that is of an unknown kind is
// skipped, as RFC 7517, section 5, asks.
func parseKeys(body []byte) (map[string][]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("the key server's answer is no JWK set: %w", err)
	}
	byID := map[string][]jose.JSONWebKey{}
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) == nil && usable(key) {
			byID[key.KeyID] = append(byID[key.KeyID], key)
		}
	}
	if len(byID) == 0 {
		return nil, errors.New("the key server's answer has no usable key")
	}
	return byID, nil
}

// usable reports whether a key is a public one for signatures, with an id.
func usable(key jose.JSONWebKey) bool {
	if key.KeyID == "" || (key.Use != "" && key.Use != "sig") || !key.Valid() || !key.IsPublic() {
		return false
	}
	public, ok := key.Key.(*rsa.PublicKey)
	return !ok || public.N.BitLen() >= minRSABits
}

// life is how long an answer may be kept: RFC 9111, section 4.2, in bounds.
func life(h http.Header) time.Duration {
	d := defaultLife
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "max-age":
			if s, err := strconv.ParseUint(value, 10, 31); err == nil {
				d = time.Duration(s)*time.Second - age(h)
			}
		case "no-cache", "no-store":
			return minLife
		}
	}
	return min(max(d, minLife), maxLife)
}

// age is how long an answer was in caches on its way.
func age(h http.Header) time.Duration {
	s, err := strconv.ParseUint(h.Get("Age"), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(s) * time.Second
}

// checkURL accepts addresses whose answers nobody on the way can change.
func checkURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return errors.New("it is not an absolute address without a password")
	}
	if u.Scheme == "https" || (u.Scheme == "http" && loopback(u.Hostname())) {
		return nil
	}
	return errors.New("it must be https, except on this machine")
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// keyClient is a client whose answers are bounded and come from where it asked.
func keyClient(base *http.Client) *http.Client {
	next := http.DefaultTransport
	if base != nil && base.Transport != nil {
		next = base.Transport
	}
	return &http.Client{Transport: guard{next}}
}

// guard fails for answers that are not 200, redirects among them, and for bodies
// that are too large.
type guard struct{ next http.RoundTripper }

// RoundTrip is http.RoundTripper's.
func (g guard) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := g.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close() // what it says is not read
		return nil, fmt.Errorf("the answer's status is %d", resp.StatusCode)
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxBody)
	return resp, nil
}
