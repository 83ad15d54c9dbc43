package poke

import "context"

// Subscription is one listener to one space. C and Next are for one goroutine;
// Close may be called from any, also together with everything else.
type Subscription struct {
	space    *space
	audience string
	// mailbox has room for one version. Only the holder of space.subsMu sends, so
	// that after it was emptied there is room.
	mailbox chan int64

	// Owned by space.subsMu.
	index int   // in space.subs, -1 after Close
	last  int64 // the version delivered last
	heard bool  // there is a last
	ended bool  // the mailbox is closed
}

// C delivers the latest version that was not received yet. It is closed when the
// hub closes, and not by Close.
func (s *Subscription) C() <-chan int64 { return s.mailbox }

// Next waits for a version. It fails with the context's error, or with ErrClosed
// when the hub closes.
func (s *Subscription) Next(ctx context.Context) (int64, error) {
	select {
	case version, ok := <-s.mailbox:
		if !ok {
			return 0, ErrClosed
		}
		return version, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Close ends the subscription. It may be called more than once.
func (s *Subscription) Close() {
	if s.space.remove(s) {
		s.space.hub.leave(s.space)
	}
}

// deliver puts a version into the mailbox, in the place of an older one. Called
// under space.subsMu.
func (s *Subscription) deliver(version int64) {
	if s.ended || (s.heard && s.last == version) {
		return
	}
	s.last, s.heard = version, true
	select {
	case s.mailbox <- version:
		return
	default:
	}
	select {
	case <-s.mailbox:
	default: // it was received just now
	}
	s.mailbox <- version
}
