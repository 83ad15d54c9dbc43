package engine

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/tidwall/btree"
)

// value is what a key has: JSON, or nothing.
type value struct {
	json json.RawMessage
	live bool
	// dead: it has nothing, and yet a document is stored for it: a tombstone, or what a reset
	// has left.
	dead bool
}

// layer buffers writes over what lies below it. A mutation runs on a layer of
// its own, which is merged when the mutation succeeds and dropped when it is
// rejected, so that a rejected one leaves no trace.
type layer struct {
	below  *layer // nil: the base is next
	writes btree.Map[string, value]
	bytes  int
}

func (l *layer) set(key string, v value) {
	old, had := l.writes.Set(key, v)
	if had {
		l.bytes -= entryBytes(key, old)
	}
	l.bytes += entryBytes(key, v)
}

// entryBytes is about what an entry costs in a commit: its key stands in the
// document's name and in a field, and around it are names and versions.
func entryBytes(key string, v value) int { return 2*len(key) + len(v.json) + 200 }

// merge moves the writes of top into l.
func (l *layer) merge(top *layer) {
	top.writes.Scan(func(key string, v value) bool {
		l.set(key, v)
		return true
	})
}

// find looks a key up in the layers; false: none of them wrote it.
func (l *layer) find(key string) (value, bool) {
	for ; l != nil; l = l.below {
		if v, ok := l.writes.Get(key); ok {
			return v, true
		}
	}
	return value{}, false
}

// first is the least key ≥ from that a layer wrote, the topmost write of it.
func (l *layer) first(from string) (key string, v value, ok bool) {
	for ; l != nil; l = l.below {
		l.writes.Ascend(from, func(k string, w value) bool {
			if !ok || k < key {
				key, v, ok = k, w, true
			}
			return false
		})
	}
	return key, v, ok
}

// base is the part of a space's committed state that a batch has read, and a
// list of what its mutators asked for in vain.
type base struct {
	head   Head
	known  *memo // as of head; not written to
	values btree.Map[string, value]
	whole  []span // parts of the key space that are read whole, in order, disjoint
	reads  int    // entries
	// readBytes is about what they take in memory.
	readBytes int

	used          map[string]bool // keys that were asked for
	expected      map[string]bool // those that were not read, and must not be stored
	missingKeys   map[string]bool
	missingRanges []Range
}

// span is the keys from ≤ key < to; to "" is the end of the key space.
type span struct{ from, to string }

func (s span) contains(key string) bool { return s.from <= key && (s.to == "" || key < s.to) }

func newBase(head Head, known *memo) *base {
	return &base{
		head: head, known: known,
		used: map[string]bool{}, expected: map[string]bool{}, missingKeys: map[string]bool{},
	}
}

// fork is a copy that can learn more by itself.
func (b *base) fork() *base {
	c := newBase(b.head, b.known)
	c.values, c.whole, c.reads, c.readBytes = *b.values.Copy(), b.whole, b.reads, b.readBytes
	return c
}

// find looks a key up in what was read and in what is remembered.
func (b *base) find(key string) (value, bool) {
	if v, ok := b.values.Get(key); ok {
		return v, true
	}
	if slices.ContainsFunc(b.whole, func(s span) bool { return s.contains(key) }) {
		return value{}, true
	}
	return b.known.get(key)
}

// visible turns a stored entry, or its absence, into what a mutator sees.
func (b *base) visible(e Entry, stored bool) value {
	if !stored || e.Deleted || e.Version <= b.head.Base {
		return value{dead: stored}
	}
	return value{json: e.Value, live: true}
}

// get finds a key; known is false when it has not been read, which is noted.
func (b *base) get(key string) (v value, known bool) {
	b.used[key] = true
	if v, ok := b.find(key); ok {
		return v, true
	}
	b.missingKeys[key] = true
	return value{}, false
}

// has reports whether a key is known to have no value, without asking for it.
func (b *base) absent(key string) bool {
	v, ok := b.find(key)
	return ok && !v.live
}

// first is the least key with a value in from ≤ key < to. Where the part is not
// read whole up to that key, known is false and what is missing is noted, limit
// entries of it, or more where so far there were none but deleted ones.
func (b *base) first(from, to string, limit int) (key string, v value, ok, known bool) {
	for hidden := 0; ; {
		i := slices.IndexFunc(b.whole, func(s span) bool { return s.contains(from) })
		if i < 0 {
			limit = max(limit, min(2*hidden, scanPage))
			b.missingRanges = append(b.missingRanges, Range{From: from, To: to, Limit: limit})
			return "", value{}, false, false
		}
		end := b.whole[i].to
		b.values.Ascend(from, func(k string, w value) bool {
			if (end != "" && k >= end) || (to != "" && k >= to) {
				return false
			}
			if !w.live {
				hidden++
				return true
			}
			key, v, ok = k, w, true
			return false
		})
		if ok || end == "" || (to != "" && end >= to) {
			return key, v, ok, true
		}
		from = end
	}
}

// expect notes keys that the commit is to find not stored.
func (b *base) expect(keys []string) {
	for _, key := range keys {
		b.used[key], b.expected[key] = true, true
	}
}

func (b *base) addEntry(key string, v value) {
	b.values.Set(key, v)
	b.reads++
	b.readBytes += memoBytes(key, v)
}

// addRange notes the entries that a store returned for r.
func (b *base) addRange(r Range, entries []Entry) {
	for _, e := range entries {
		b.addEntry(e.Key, b.visible(e, true))
	}
	s := span{from: r.From, to: r.To}
	if r.Limit > 0 && len(entries) >= r.Limit {
		s.to = entries[len(entries)-1].Key + "\x00"
	}
	b.addSpan(s)
}

// addSpan joins s with the spans it touches.
func (b *base) addSpan(s span) {
	var apart []span
	for _, t := range b.whole {
		if (t.to != "" && t.to < s.from) || (s.to != "" && s.to < t.from) {
			apart = append(apart, t)
			continue
		}
		s.from = min(s.from, t.from)
		if s.to == "" || t.to == "" {
			s.to = ""
			continue
		}
		s.to = max(s.to, t.to)
	}
	apart = append(apart, s)
	slices.SortFunc(apart, func(x, y span) int { return strings.Compare(x.from, y.from) })
	b.whole = apart
}

// missing takes the list of what is to be read: of ranges the first ones, since who was
// interrupted first has asked first.
func (b *base) missing() (keys []string, ranges []Range) {
	for key := range b.missingKeys {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, r := range b.missingRanges {
		if len(ranges) < maxRanges && !slices.Contains(ranges, r) {
			ranges = append(ranges, r)
		}
	}
	clear(b.missingKeys)
	b.missingRanges = nil
	return keys, ranges
}
