package limit

import (
	"context"
	"sync"
)

// Places are what each key may hold a few of at once, while others who want one for it wait.
// Make them with NewPlaces. They remember no more keys than somebody holds a place of or
// waits for. Safe for concurrent use.
type Places struct {
	most int

	mu   sync.Mutex
	keys map[string]*queue // guarded by mu
}

// queue is the turns of a key, and how many have one or wait.
type queue struct {
	turns *Turns
	there int
}

// NewPlaces makes so many places for each key, 1 at least.
func NewPlaces(most int) *Places { return &Places{most: most, keys: map[string]*queue{}} }

// Wait waits for a place of the key, behind those who wait already, or until ctx ends, whose
// cause is the error. Whoever has got a place gives it back with done, once.
func (p *Places) Wait(ctx context.Context, key string) (done func(), err error) {
	q := p.enter(key)
	end, err := q.turns.Wait(ctx)
	if err != nil {
		p.leave(key)
		return nil, err
	}
	return func() {
		end()
		p.leave(key)
	}, nil
}

func (p *Places) enter(key string) *queue {
	p.mu.Lock()
	defer p.mu.Unlock()
	q, ok := p.keys[key]
	if !ok {
		q = &queue{turns: NewTurns(p.most)}
		p.keys[key] = q
	}
	q.there++
	return q
}

func (p *Places) leave(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.keys[key]
	if q.there--; q.there == 0 {
		delete(p.keys, key)
	}
}
