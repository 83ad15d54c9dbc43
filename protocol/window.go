package protocol

import "slices"

const (
	// MaxPushClients bounds the clients of one push, each of which is a document to read. A
	// real client group has a few, the tabs of a browser.
	MaxPushClients = 1000
	// MaxPushClientBytes bounds their ids, which are asked for in one request. Real ones have
	// 20 or 36 bytes.
	MaxPushClientBytes = 64 << 10
	// maxKnown bounds the clients of whom is remembered what is applied.
	maxKnown = 10 * MaxPushClients
)

// PushBounds are about how much of a push is kept while it is read.
type PushBounds struct {
	// MaxBytes bounds the mutations that are kept, and MUST be positive; MaxMutations bounds
	// their number, 0: it does not. Arguments of one mutation that are longer than MaxBytes
	// are left out, and the mutation is marked (Mutation.Invalid). The clients are bounded by
	// MaxPushClients and MaxPushClientBytes.
	MaxBytes, MaxMutations int
	// Length is how long the body is; 0 or less: that is not known.
	Length int64
	// Hold is called before memory is taken, with how many bytes it will be in all. Its error
	// ends the reading.
	Hold func(bytes int64) error
	// Applied reads the lastMutationIDs of clients, as far as they exist and belong to the
	// group. It is called when a bound is reached: mutations that are applied are then left
	// out, and do not count. Its error ends the reading.
	Applied func(group ClientGroupID, clients []ClientID) (map[ClientID]int64, error)
}

// window are the mutations of a push that are kept.
type window struct {
	bounds    PushBounds
	mutations []Mutation
	bytes     int // about, of the mutations
	saved     int // so many of them have arguments that are not in a buffer which is replaced

	// last is the client of the last mutation, clients are all if there are several, and
	// clientBytes are those of their ids.
	last        ClientID
	clients     map[ClientID]bool
	clientBytes int

	// known are the clients of whom was asked what is applied, as clients of owner; in the
	// way of version 0, where mutations do not say whose they are, if byOwner.
	known   map[ClientID]*progress
	owner   ClientGroupID
	byOwner bool
	// more: there was no room for a mutation, and nothing behind it was looked at.
	more bool
}

// progress is how far a client's mutations are applied.
type progress struct {
	last    int64 // 0: none is
	skipped bool  // some were left out
}

// mutationBytes is what stands around a mutation's values in the usual form.
const mutationBytes = len(`{"clientID":"","id":1,"name":"","args":,"timestamp":1},`)

// size is about how many bytes of the body a mutation is, and no more.
func (m *Mutation) size() int { return mutationBytes + len(m.ClientID) + len(m.Name) + len(m.Args) }

// take keeps a mutation, unless it is applied, or there is no room.
func (d *pushDecoder) take(m Mutation) {
	for !d.skips(&m) {
		if d.fits(&m) {
			d.add(m)
			return
		}
		if !d.drop() {
			d.more = true
			return
		}
	}
}

// skips reports whether a mutation is known to be applied.
func (w *window) skips(m *Mutation) bool {
	p, ok := w.known[w.sender(m)]
	if !ok || m.ID > p.last {
		return false
	}
	p.skipped = true
	return true
}

// sender is whose mutation it is, once anything is known of anybody.
func (w *window) sender(m *Mutation) ClientID {
	if w.byOwner {
		return ClientID(w.owner)
	}
	return m.ClientID
}

// fits reports whether there is room for a mutation. For the first one there always is, and
// for all where there are no bounds.
func (w *window) fits(m *Mutation) bool {
	b := &w.bounds
	switch {
	case len(w.mutations) == 0 || b.MaxBytes == 0:
		return true
	case w.bytes+m.size() > b.MaxBytes, b.MaxMutations > 0 && len(w.mutations) >= b.MaxMutations:
		return false
	}
	return w.has(m.ClientID) || len(w.clients) < MaxPushClients && w.clientBytes+len(m.ClientID) <= MaxPushClientBytes
}

// has reports whether there are mutations of a client.
func (w *window) has(id ClientID) bool { return len(w.mutations) > 0 && id == w.last || w.clients[id] }

func (w *window) add(m Mutation) {
	if !w.has(m.ClientID) {
		if len(w.mutations) > 0 && w.clients == nil {
			w.clients = map[ClientID]bool{w.last: true}
		}
		if w.clients != nil {
			w.clients[m.ClientID] = true
		}
		w.clientBytes += len(m.ClientID)
	}
	w.last = m.ClientID
	w.mutations = append(w.mutations, m)
	w.bytes += m.size()
}

// drop asks what is applied of the mutations, and leaves that out. It reports false when
// there is nobody to be asked about.
func (d *pushDecoder) drop() bool {
	clients := d.unknown()
	if len(clients) == 0 {
		return false
	}
	applied, err := d.bounds.Applied(d.owner, clients)
	if err != nil {
		d.body.stop(err)
		return false
	}
	if d.known == nil || len(d.known)+len(clients) > maxKnown {
		d.known = map[ClientID]*progress{}
	}
	for _, id := range clients {
		d.known[id] = &progress{last: applied[id]}
	}
	kept := slices.DeleteFunc(d.mutations, func(m Mutation) bool { return d.skips(&m) })
	w := window{bounds: d.bounds, mutations: kept[:0], known: d.known, owner: d.owner, byOwner: d.byOwner}
	for _, m := range kept {
		w.add(m)
	}
	d.window = w
	return true
}

// unknown are the clients of the mutations of whom is not known what is applied. Where the
// body has not said yet who its sender is, there are none.
func (d *pushDecoder) unknown() []ClientID {
	if d.owner == "" {
		at, from := path{topLevel, "clientGroupID"}, d.clientGroupID
		d.byOwner = d.only1.problem != nil
		if d.byOwner {
			at, from = path{topLevel, "clientID"}, d.clientID
		}
		var f fields
		if d.owner = ClientGroupID(f.id(at, from)); f.problem != nil {
			d.owner = ""
			return nil
		}
	}
	seen := map[ClientID]bool{}
	var clients []ClientID
	for i := range d.mutations {
		id := d.sender(&d.mutations[i])
		if d.known[id] == nil && !seen[id] {
			seen[id] = true
			clients = append(clients, id)
		}
	}
	return clients
}

// skipped are the clients with mutations left out before those that are kept.
func (w *window) skipped() map[ClientID]bool {
	var skipped map[ClientID]bool
	for i := range w.mutations {
		id := w.sender(&w.mutations[i])
		if p := w.known[id]; p != nil && p.skipped && !skipped[id] {
			if skipped == nil {
				skipped = map[ClientID]bool{}
			}
			skipped[id] = true
		}
	}
	return skipped
}

// makeRoom is called before a buffer of a size replaces the one that there is.
func (d *pushDecoder) makeRoom(size int) error {
	if err := d.bounds.Hold(int64(d.bytes + size)); err != nil {
		return err
	}
	d.save()
	return nil
}

// trim copies the arguments out of the last buffer if that is much larger: it would be kept
// as long as they are, by a push that waits, and be counted by nobody.
func (d *pushDecoder) trim() {
	n := 0
	for _, m := range d.mutations[d.saved:] {
		n += len(m.Args)
	}
	if cap(d.body.in.buf) > 2*n {
		d.save()
	}
}

// save copies the arguments that are slices of a buffer, all into one piece.
func (w *window) save() {
	fresh := w.mutations[w.saved:]
	n := 0
	for i := range fresh {
		n += len(fresh[i].Args)
	}
	text := make([]byte, 0, n)
	for i := range fresh {
		start := len(text)
		text = append(text, fresh[i].Args...)
		fresh[i].Args = text[start:len(text):len(text)]
	}
	w.saved = len(w.mutations)
}
