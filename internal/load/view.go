package load

import (
	"encoding/json"
	"hash/fnv"
	"hash/maphash"
	"strconv"
	"sync/atomic"
)

// pullAnswer is what a pull's answer has, as far as it is rewritten.
type pullAnswer struct {
	Cookie  json.RawMessage `json:"cookie,omitempty"`
	Changes json.RawMessage `json:"lastMutationIDChanges,omitempty"`
	Patch   []operation     `json:"patch"`
	Error   json.RawMessage `json:"error,omitempty"`
}

// operation is one of a patch. What is absent stays so, for the client to object.
type operation struct {
	Op    json.RawMessage `json:"op,omitempty"`
	Key   json.RawMessage `json:"key,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
}

// anyPatch stands for a patch that is not looked at, but is not empty.
var anyPatch = []operation{{Op: json.RawMessage(`"clear"`)}}

// rewrite makes of a pull's answer one that leaves in a client what kind says: short
// strings in place of values, or no patch. What is no proper answer stays as it is.
func rewrite(answer []byte, kind View, hashes *hashes) []byte {
	if kind == Full {
		return answer
	}
	var a pullAnswer
	if json.Unmarshal(answer, &a) != nil || a.Patch == nil {
		return answer
	}
	if kind == None && len(a.Patch) > 0 {
		a.Patch = anyPatch
	}
	for i, op := range a.Patch {
		if op.Value != nil {
			a.Patch[i].Value = hashes.of(op.Value)
		}
	}
	short, err := json.Marshal(a)
	if err != nil {
		return answer
	}
	return short
}

// hashes remembers the hashes of values lately seen: every client of a space gets the
// same ones, and to normalise JSON is dear. It is safe for concurrent use.
type hashes struct {
	seed  maphash.Seed
	slots [1 << 12]atomic.Pointer[hashed]
}

// hashed is a value, known by a fast hash of its text, and what stands for it.
type hashed struct {
	text  uint64
	value json.RawMessage
}

func newHashes() *hashes { return &hashes{seed: maphash.MakeSeed()} }

// of returns a JSON string that is the same for the same value, however it is written.
func (h *hashes) of(value json.RawMessage) json.RawMessage {
	text := maphash.Bytes(h.seed, value)
	slot := &h.slots[text%uint64(len(h.slots))]
	if known := slot.Load(); known != nil && known.text == text {
		return known.value
	}
	made := &hashed{text: text, value: []byte(strconv.Quote(strconv.FormatUint(digestOf(value), 16)))}
	slot.Store(made)
	return made.value
}

// digestOf is 64 bits of hash of a JSON value, the same for objects whose members are
// in another order and for numbers that are equal.
func digestOf(value json.RawMessage) uint64 {
	var v any
	if json.Unmarshal(value, &v) == nil {
		if normal, err := json.Marshal(v); err == nil {
			value = normal
		}
	}
	return sum64(value)
}

func sum64(parts ...[]byte) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		_, _ = h.Write(p) // never fails
	}
	return h.Sum64()
}

// summary is a view in few bytes.
type summary struct {
	entries int
	digest  uint64
}

// summarize adds up a hash of each entry, so that the order does not matter.
func summarize(view map[string]json.RawMessage) summary {
	s := summary{entries: len(view)}
	for key, value := range view {
		digest := strconv.AppendUint(nil, digestOf(value), 16)
		s.digest += sum64([]byte(key), []byte{0}, digest)
	}
	return s
}
