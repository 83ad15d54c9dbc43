package storetest

import (
	"errors"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

var faultCases = []testCase{
	{name: "LostReply", run: testLostReply, needs: []capability{loseReply}},
	{name: "LostReplyOfTheFirst", run: testLostCreation, needs: []capability{loseReply}},
	{name: "FailureBeforeCommit", run: testFailBefore, needs: []capability{failBefore}},
}

// told checks that what Commit said about a change of key a from head is true.
func (k *kit) told(space protocol.SpaceID, prev engine.Head, err error) {
	k.Helper()
	applied := k.head(space).Version != prev.Version
	switch {
	case err == nil && !applied:
		k.Error("Commit succeeded and nothing was applied")
	case applied && err != nil && !errors.Is(err, engine.ErrUnknownOutcome):
		k.Errorf("Commit was applied and failed with %v, want %v", err, engine.ErrUnknownOutcome)
	}
}

func testLostReply(k *kit) {
	head := k.commit("s", engine.Head{}, Put("a", `0`), Group("g", "u", "s"), Client("c", "g", 1))
	for n := int64(2); n < 5; n++ {
		k.LoseReply(1)
		c := Step(head, Put("a", `1`), Client("c", "g", n))
		k.lostReply("s", c)
		k.refused("s", c, engine.ErrConflict) // trying again does nothing
		head = k.commit("s", k.head("s"), Del("a"))
	}
	if head.Version != 7 {
		k.Errorf("version %d, want 7", head.Version)
	}
}

// lostReply makes a commit whose reply is lost and finds it applied, by its nonce.
func (k *kit) lostReply(space protocol.SpaceID, c engine.Commit) {
	k.Helper()
	k.touch(space)
	head, err := k.Store.Commit(k.ctx, space, c)
	if !errors.Is(err, engine.ErrUnknownOutcome) {
		k.Errorf("head %+v, error %v, want %v", head, err, engine.ErrUnknownOutcome)
	}
	got := k.view(space)
	k.same("head", got.Head, c.Next)
	for _, e := range c.Entries {
		docs := engine.Documents{Keys: []string{e.Key}}
		found, _ := k.snapshot(space, docs).Entry(e.Key)
		k.same("entry", found, e)
	}
}

func testLostCreation(k *kit) {
	k.LoseReply(1)
	c := Step(engine.Head{}, Put("a", `1`), Group("g", "u", "s"), Client("c", "g", 1))
	k.lostReply("s", c)
	k.refused("s", c, engine.ErrConflict)
	k.commit("s", k.head("s"), Client("c", "g", 2))
}

// testFailBefore does not say which error it must be: a store may try again when
// it knows that nothing was applied, or may be unable to know.
func testFailBefore(k *kit) {
	var head engine.Head
	k.touch("s")
	for range 5 {
		k.FailBefore(1)
		_, err := k.Store.Commit(k.ctx, "s", Step(head, Put("a", `1`)))
		if err != nil && !errors.Is(err, engine.ErrUnavailable) &&
			!errors.Is(err, engine.ErrUnknownOutcome) {
			k.Errorf("error %v, want a kind that says try again", err)
		}
		k.told("s", head, err)
		head = k.commit("s", k.head("s"), Put("a", `2`))
	}
}
