package tokentest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Case is a token that must be refused.
type Case struct {
	// Name says what is wrong with it.
	Name string
	// Token is the Authorization header's value.
	Token string
}

// Bad are tokens of a user that are each valid but for one thing. All of them are
// refused with ErrUnauthenticated while the key server works. They must be made
// again after a rotation. The one that is called "huge" has more than 16 KiB, which
// is more than some HTTP servers accept for a header.
func (s *Server) Bad(user string, now time.Time) []Case {
	good := s.Token(user, now)
	list := []Case{
		{"no token", ""},
		{"scheme only", "Bearer "},
		{"other scheme", "Basic " + good},
		{"two tokens", good + " " + good},
		{"garbage", "garbage"},
		{"garbage in three parts", "a.b.c"},
		{"two parts", good[:strings.LastIndex(good, ".")]},
		{"four parts", good + ".e30"},
		{"huge", s.Mint(nil, With(Claims(user, now), "x", strings.Repeat("a", 16<<10)))},
	}
	list = append(list, s.badSignatures(good, user, now)...)
	list = append(list, s.badHeaders(user, now)...)
	return append(list, s.badClaims(user, now)...)
}

func (s *Server) badSignatures(good, user string, now time.Time) []Case {
	claims := Claims(user, now)
	parts := strings.Split(good, ".")
	admin := segment(encode(Claims("admin", now)))
	public := key(s.current()).Public()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err) // cannot be
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return []Case{
		{"bad signature", s.MintByStranger(nil, claims)},
		{"signature of other claims", parts[0] + "." + admin + "." + parts[2]},
		{"empty signature", parts[0] + "." + parts[1] + "."},
		{"alg none", Unsigned(claims)},
		{"alg none with a signature", Unsigned(claims) + parts[2]},
		{"alg None", segment([]byte(`{"alg":"None","kid":"`+KeyID(s.current())+`"}`)) + "." + parts[1] + "."},
		{"alg missing", s.Mint(map[string]any{"alg": nil}, claims)},
		{"HS256 with the PEM of the RSA key", s.hs256(block, claims)},
		{"HS256 with the DER of the RSA key", s.hs256(der, claims)},
		{"HS256 with the modulus of the RSA key", s.hs256(key(s.current()).N.Bytes(), claims)},
		{"RS256 signature as RS512", s.Mint(map[string]any{"alg": "RS512"}, claims)},
		{"ES256", s.es256(claims)},
	}
}

// badHeaders are signed by a stranger whose key their headers offer, or have a bad
// key id.
func (s *Server) badHeaders(user string, now time.Time) []Case {
	claims := Claims(user, now)
	foreign := jose.JSONWebKey{Key: key(stranger).Public(), KeyID: KeyID(s.current()), Algorithm: "RS256"}
	jwk, err := json.Marshal(foreign)
	if err != nil {
		panic(err) // cannot be
	}
	return []Case{
		{"kid missing", s.Mint(map[string]any{"kid": nil}, claims)},
		{"kid empty", s.Mint(map[string]any{"kid": ""}, claims)},
		{"kid of another type", s.Mint(map[string]any{"kid": 1}, claims)},
		{"kid unknown", s.Mint(map[string]any{"kid": "unknown"}, claims)},
		{"kid twice", s.MintRaw(`{"alg":"RS256","kid":"x","kid":"`+KeyID(s.current())+`"}`, string(encode(claims)))},
		{"jku", s.MintByStranger(map[string]any{"jku": s.url + "?jku"}, claims)},
		{"jwk", s.MintByStranger(map[string]any{"jwk": json.RawMessage(jwk)}, claims)},
		{"x5u", s.MintByStranger(map[string]any{"x5u": s.url + "?x5u"}, claims)},
		{"x5c", s.MintByStranger(map[string]any{"x5c": []string{certificate()}}, claims)},
		{"typ of a logout token", s.Mint(map[string]any{"typ": "logout+jwt"}, claims)},
		{"crit", s.Mint(map[string]any{"crit": []string{"exp"}, "exp": 1}, claims)},
	}
}

func (s *Server) badClaims(user string, now time.Time) []Case {
	claims := Claims(user, now)
	// So far ahead that a slow machine does not get there before a test is done.
	soon, before := now.Add(30*time.Minute).Unix(), now.Add(-2*time.Minute).Unix()
	payload := string(encode(claims))
	twice := func(member string) string {
		return s.MintRaw(string(encode(s.Header())), payload[:len(payload)-1]+","+member+"}")
	}
	list := []Case{
		{"payload is no object", s.MintRaw(string(encode(s.Header())), `["a"]`)},
		{"payload is null", s.MintRaw(string(encode(s.Header())), `null`)},
		{"payload with more behind it", s.MintRaw(string(encode(s.Header())), payload+"{}")},
		{"sub twice", twice(`"sub":"admin"`)},
		{"sub twice, spelt with an escape", twice(`"s\u0075b":"admin"`)},
		{"SUB beside sub", twice(`"SUB":"admin"`)},
		{"member twice, further down", twice(`"deep":{"a":[{"b":1,"b":2}]}`)},
		{"payload is no UTF-8", twice("\"x\":\"\xff\"")},
		{"sub with half a surrogate pair", s.MintRaw(string(encode(s.Header())),
			strings.Replace(payload, `"sub":"`+user, `"sub":"`+user+`\ud800`, 1))},
	}
	for _, c := range []struct {
		name, claim string
		value       any
	}{
		{"wrong aud", "aud", "another-project"},
		{"aud among others", "aud", []string{Project, "another-project"}},
		{"aud missing", "aud", nil},
		{"wrong iss", "iss", "https://securetoken.google.com/another-project"},
		{"iss of session cookies", "iss", "https://session.firebase.google.com/" + Project},
		{"iss missing", "iss", nil},
		{"sub empty", "sub", ""},
		{"sub of 129 characters", "sub", strings.Repeat("ü", 129)},
		{"sub not a string", "sub", 7},
		{"sub missing", "sub", nil},
		{"sub with what is no character", "sub", user + "\ufffd"},
		{"sub with a control character", "sub", user + "\x00"},
		{"of a tenant", "firebase", map[string]any{"tenant": "tenant-a"}},
		{"expired", "exp", before},
		{"exp missing", "exp", nil},
		{"exp not a number", "exp", "tomorrow"},
		{"future iat", "iat", soon},
		{"iat missing", "iat", nil},
		{"future nbf", "nbf", soon},
		{"future auth_time", "auth_time", soon},
		{"auth_time missing", "auth_time", nil},
		{"auth_time not a number", "auth_time", "now"},
	} {
		list = append(list, Case{c.name, s.Mint(nil, With(claims, c.claim, c.value))})
	}
	return list
}

func (s *Server) current() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.key
}

func (s *Server) hs256(secret []byte, claims map[string]any) string {
	input := segment(encode(With(s.Header(), "alg", "HS256"))) + "." + segment(encode(claims))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + segment(mac.Sum(nil))
}

func (s *Server) es256(claims map[string]any) string {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // cannot be
	}
	input := segment(encode(With(s.Header(), "alg", "ES256"))) + "." + segment(encode(claims))
	sum := sha256.Sum256([]byte(input))
	r, q, err := ecdsa.Sign(rand.Reader, k, sum[:])
	if err != nil {
		panic(err) // cannot be
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	q.FillBytes(signature[32:])
	return input + "." + segment(signature)
}

// certificate is one of the stranger's key, signed by itself, as x5c has it.
func certificate() string {
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key(stranger).Public(), key(stranger))
	if err != nil {
		panic(err) // cannot be
	}
	return base64.StdEncoding.EncodeToString(der)
}
