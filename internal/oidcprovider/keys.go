package oidcprovider

import (
	"context"
	"crypto/rand"
	"crypto/rsa"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// signingKey is a key as the provider's storage has it.
type signingKey struct {
	id      string
	private *rsa.PrivateKey
}

var _ op.SigningKey = signingKey{}

// ID is op.SigningKey's.
func (k signingKey) ID() string { return k.id }

// Key is op.SigningKey's.
func (k signingKey) Key() any { return k.private }

// SignatureAlgorithm is op.SigningKey's.
func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.RS256 }

// publicKey is what the provider publishes of a signingKey.
type publicKey struct{ signingKey }

var _ op.Key = publicKey{}

// Key is op.Key's.
func (k publicKey) Key() any { return k.private.Public() }

// Algorithm is op.Key's.
func (k publicKey) Algorithm() jose.SignatureAlgorithm { return jose.RS256 }

// Use is op.Key's.
func (k publicKey) Use() string { return "sig" }

// SigningKey is op.Storage's.
func (p *Provider) SigningKey(context.Context) (op.SigningKey, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys[len(p.keys)-1], nil
}

// KeySet is op.Storage's.
func (p *Provider) KeySet(context.Context) ([]op.Key, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var set []op.Key
	for _, k := range p.keys {
		set = append(set, publicKey{k})
	}
	return set, nil
}

// Sign makes a token of any claims, signed with the present key: for claims that no
// login of the one user leads to.
func (p *Provider) Sign(claims any) (string, error) {
	p.mu.Lock()
	k := p.keys[len(p.keys)-1]
	p.mu.Unlock()
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: k.SignatureAlgorithm(), Key: jose.JSONWebKey{Key: k.private, KeyID: k.id},
	}, nil)
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

// Rotate makes a new key sign, under an id. Those before it stay published if keep
// is set. It fails only where there is no randomness.
func (p *Provider) Rotate(id string, keep bool) error {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !keep {
		p.keys = nil
	}
	p.keys = append(p.keys, signingKey{id, private})
	return nil
}
