package engine

import (
	"cmp"
	"fmt"
	"strings"
)

// HistoryLength is how many commits of a space its head names, its own among them.
const HistoryLength = 256

// nameLength is how much of a nonce names a commit: 40 bits of one that an engine has made.
const nameLength = 8

// History names the last commits of a space, for its head: the one that made the head first,
// then the one before, and so on without a gap, with a space between two. Each has a word, which
// begins with the name; what follows the name is kept, and says nothing to this version.
//
// The head that it belongs to is the one with the first name (Head.Name). A version of this
// program that knows no history may leave one behind that is older than the head: then
// it is as if there were none.
type History string

// Name is the short name of the commit that made the head: the beginning of its nonce. It is ""
// for the zero Head, and for a nonce that no engine makes.
func (h Head) Name() string { return nameOf(h.Nonce) }

// nameOf is the name in a nonce, or in a word of a history.
func nameOf(word string) string {
	name := word[:min(len(word), nameLength)]
	for _, c := range []byte(name) {
		if c <= ' ' || c > '~' {
			return ""
		}
	}
	return name
}

// NameOf is the name of the commit that made a version; "" if the head does not know it any more,
// or does not know it yet.
func (h Head) NameOf(version int64) string {
	if version == h.Version {
		return h.Name()
	}
	back, words := h.Version-version, h.words()
	for ; back > 0 && words != ""; back-- {
		_, words, _ = strings.Cut(words, " ")
	}
	if back != 0 {
		return ""
	}
	word, _, _ := strings.Cut(words, " ")
	return nameOf(word)
}

// Names is how many commits the head names.
func (h Head) Names() int {
	if words := h.words(); words != "" {
		return strings.Count(words, " ") + 1
	}
	return min(1, len(h.Name()))
}

// Check says what is wrong with the form of a history.
func (h History) Check() error {
	if h == "" {
		return nil
	}
	n := 0
	for word := range strings.SplitSeq(string(h), " ") {
		if nameOf(word) == "" {
			return fmt.Errorf("name %d is %.20q", n, word)
		}
		n++
	}
	if n > HistoryLength {
		return fmt.Errorf("%d commits are named", n)
	}
	return nil
}

// words is the history, "" if it is another head's.
func (h Head) words() string {
	first, _, _ := strings.Cut(string(h.History), " ")
	if name := h.Name(); name == "" || nameOf(first) != name {
		return ""
	}
	return string(h.History)
}

// continues reports whether it is certain that h is of the history of a head before it, or is
// the same.
func (h Head) continues(earlier Head) bool {
	name := earlier.Name()
	return h.Epoch == earlier.Epoch && name != "" && h.NameOf(earlier.Version) == name
}

// contradicts reports whether it is certain that a version with that name, "" if it is not known,
// is of another history than h.
func (h Head) contradicts(version int64, name string) bool {
	if version > h.Version {
		return true
	}
	known := h.NameOf(version)
	return known != "" && name != "" && known != name
}

// Named returns c with the history of its Next head. That of a deleted space is short: nobody
// of before is ever asked for anything but to start afresh.
func (c Commit) Named() Commit {
	words := c.Next.Name()
	if before := c.namesBefore(); before != "" {
		words += " " + before
	}
	c.Next.History = History(words)
	return c
}

// IsNamed reports whether the history of the Next head is the one that Named gives it.
func (c Commit) IsNamed() bool {
	rest, ok := strings.CutPrefix(string(c.Next.History), c.Next.Name())
	before, more := strings.CutPrefix(rest, " ")
	return ok && before == c.namesBefore() && more == (before != "")
}

// namesBefore are the words behind the first one.
func (c Commit) namesBefore() string {
	if c.Next.Deleted() || c.Next.Name() == "" {
		return ""
	}
	return firstWords(cmp.Or(c.Prev.words(), c.Prev.Name()), HistoryLength-1)
}

// firstWords are at most n of the words.
func firstWords(words string, n int) string {
	end := 0
	for ; n > 0; n-- {
		next := strings.IndexByte(words[end:], ' ')
		if next < 0 {
			return words
		}
		end += next + 1
	}
	return words[:max(0, end-1)]
}
