package handlers

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/replifire/replifire/protocol"
)

const (
	// sizeLife is how long a pull is refused whose answer was too large.
	sizeLife = time.Minute
	// maxSizes bounds the pulls that are remembered for that.
	maxSizes = 1000
)

// sizes remembers the pulls whose patches went beyond MaxResponseBytes. How large a
// patch is shows only while it is written, and then it can only be cut off; but the
// next one can be refused in words, and without reading it again. What an answer says of the
// asking group's clients is not remembered: it is nobody else's.
type sizes struct {
	mu   sync.Mutex
	seen *simplelru.LRU[pulled, time.Time] // until when; guarded by mu
}

// pulled is what a patch begins from, by epoch and version of a cookie; both are zero in
// one that is not ours, which is answered from the beginning. Who asks makes no difference:
// all see all of the space.
type pulled struct {
	space   protocol.SpaceID
	epoch   string
	version int64
}

func newSizes() *sizes {
	seen, err := simplelru.NewLRU[pulled, time.Time](maxSizes, nil)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &sizes{seen: seen}
}

func (s *sizes) note(p pulled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.Add(p, time.Now().Add(sizeLife))
}

func (s *sizes) tooLarge(p pulled) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, ok := s.seen.Get(p)
	return ok && time.Now().Before(until)
}

// answerTooLarge refuses a pull by what its answer would be.
func answerTooLarge(limit int64) refusal {
	return refusal{http.StatusRequestEntityTooLarge, kindAnswerTooLarge, fmt.Sprintf(
		"The answer is larger than %d bytes. Parts of the space should be spaces of their own.", limit,
	)}
}

// clientsTooLarge refuses a pull by what its answer would say of the group's clients.
func clientsTooLarge(limit int64) refusal {
	return refusal{http.StatusRequestEntityTooLarge, kindAnswerTooLarge, fmt.Sprintf(
		"What the answer says of the clients of this client group is larger than %d bytes.", limit,
	)}
}

// kindAnswerTooLarge is something for the operator, who sees it as a warning.
const kindAnswerTooLarge = "response_too_large"
