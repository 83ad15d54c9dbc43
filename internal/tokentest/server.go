package tokentest

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Project is the Firebase project that Claims and Bad are about.
const Project = "replifire-test"

// Issuer is the issuer of Project's tokens.
const Issuer = "https://securetoken.google.com/" + Project

// Server publishes the keys that its tokens are signed with. Its methods are safe
// for concurrent use.
type Server struct {
	url    string
	client *http.Client
	done   chan struct{} // closed when the server stops

	mu       sync.Mutex // guards what follows
	key      int        // index of the key that signs
	first    int        // index of the oldest key that is published
	maxAge   time.Duration
	down     bool
	hold     chan struct{} // nil, or closed when held answers may go
	override http.HandlerFunc
	fetches  int
}

// Start starts a key server that lives as long as the test.
func Start(t testing.TB) *Server {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	s := &Server{
		url:    "http://" + listener.Addr().String() + "/keys",
		client: &http.Client{Transport: transport},
		done:   make(chan struct{}),
		maxAge: time.Hour,
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		close(s.done)
		_ = server.Close()
		serving.Wait()
	})
	return s
}

// URL is the address of the keys.
func (s *Server) URL() string { return s.url }

// Client is a client that keeps no connections open.
func (s *Server) Client() *http.Client { return s.client }

// Fetches is how often the keys were asked for, with whatever answer.
func (s *Server) Fetches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

// Rotate makes a new key sign. The one before it stays published if keep is set, and
// no other does.
func (s *Server) Rotate(keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first = s.key
	s.key++
	if !keep {
		s.first = s.key
	}
}

// SetMaxAge sets the answers' max-age in Cache-Control; it is an hour at first.
func (s *Server) SetMaxAge(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxAge = d
}

// SetDown makes the server answer 503, or work again.
func (s *Server) SetDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// Hold makes the server keep its answers until the function it returns is called,
// which may be more than once, or the client or the test gives up.
func (s *Server) Hold() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hold := make(chan struct{})
	s.hold = hold
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hold = nil
		close(hold)
	})
}

// Answer makes the server answer by a function; nil is the usual answer.
func (s *Server) Answer(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.override = h
}

// ServeHTTP answers with the keys.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.fetches++
	hold, down, override := s.hold, s.down, s.override
	maxAge, first, last := s.maxAge, s.first, s.key
	s.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return
		case <-s.done:
			return
		}
	}
	switch {
	case override != nil:
		override(w, r)
	case down:
		http.Error(w, "down", http.StatusServiceUnavailable)
	default:
		w.Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(int(maxAge.Seconds())))
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(keySet(first, last))
	}
}

// keySet is the JWK set of some of the keys.
func keySet(first, last int) []byte {
	set := jose.JSONWebKeySet{}
	for i := first; i <= last; i++ {
		set.Keys = append(set.Keys, jose.JSONWebKey{
			Key: key(i).Public(), KeyID: KeyID(i), Use: "sig", Algorithm: "RS256",
		})
	}
	body, err := json.Marshal(set)
	if err != nil {
		panic(err) // cannot be: these are public keys
	}
	return body
}

// KeyID is the id of the i-th key, which signs after i rotations.
func KeyID(i int) string { return fmt.Sprintf("key-%d", i) }

// all are the keys of the process: making one takes long.
var all struct {
	sync.Mutex

	keys map[int]*rsa.PrivateKey
}

// stranger is the index of a key that no server publishes.
const stranger = -1

// key is the i-th key.
func key(i int) *rsa.PrivateKey {
	all.Lock()
	defer all.Unlock()
	if k, ok := all.keys[i]; ok {
		return k
	}
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // cannot be
	}
	if all.keys == nil {
		all.keys = map[int]*rsa.PrivateKey{}
	}
	all.keys[i] = k
	return k
}
