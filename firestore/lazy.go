package firestore

import (
	"context"
	"errors"
	"sync"

	"cloud.google.com/go/firestore"
)

// lazyClient is a client with connections of its own, which are made when it is first needed.
// Safe for concurrent use.
type lazyClient struct {
	connect func(context.Context) (*firestore.Client, error)

	mu     sync.Mutex
	client *firestore.Client // guarded by mu
	closed bool              // guarded by mu
}

// open makes the client, which outlives ctx, unless there is one.
func (l *lazyClient) open(ctx context.Context) (*firestore.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errors.New("the store is closed")
	}
	if l.client != nil {
		return l.client, nil
	}
	client, err := l.connect(context.WithoutCancel(ctx))
	l.client = client
	return client, err
}

// close ends what the client does, unless it is others' too.
func (l *lazyClient) close(shared *firestore.Client) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.client == nil || l.client == shared {
		return nil
	}
	return l.client.Close()
}
