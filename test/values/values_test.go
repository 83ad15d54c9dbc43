package values_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/internal/anyjson"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/protocol"
)

func TestMain(m *testing.M) { emulatortest.Main(m) }

// seeds are values in many texts, of each kind that a store may keep in a way of its own.
var seeds = []string{
	`{"from":"Jane","content":"What is for lunch?","order":1}`,
	` { "b" : [ 1.0 , 1e3 , -0 , 1E21, 0.0000001, 0.5 ] , "a" : { "z" : null , "y" : true } } `,
	`"\u0041\/\u2028<&>\ud83d\ude00\b\f\u0008\u007f"`,
	`[[{"b":1,"a":"\u0041"}],[1.0]]`,
	`{"__b__":{"d":1,"c":2.50},"__a__":1e2}`,
	`{"a":1,"b":2,"\u0061":3}`,
	"{\"\U00010000\":1,\"\uffff\":2,\"\":3}",
	`[9007199254740993,12345678901234567890,1e400,1e-400,0.10000000000000000001]`,
	`9007199254740993`,
	strings.Repeat(`{"b":0,"a":`, 20) + `{"d":1,"c":2}` + strings.Repeat(`}`, 20),
	`[` + strings.Repeat(`{ },`, 32_000) + `1.0]`, // too large natively
}

// TestOneText holds those to it.
func TestOneText(t *testing.T) {
	t.Parallel()
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkOneText(t.Context(), t, open(t), seeds)
		})
	}
}

// TestAnyValueHasOneText is the property.
func TestAnyValueHasOneText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		texts := rapid.SliceOfN(anyjson.Texts(4), 1, 20).Draw(rt, "values")
		checkOneText(t.Context(), rt, stores["memory"](t), texts)
	})
}

// TestAnyValueHasOneTextInFirestore is the same for many values at once: a commit takes
// the emulator longer than all else.
func TestAnyValueHasOneTextInFirestore(t *testing.T) {
	t.Parallel()
	seed := rand.IntN(1 << 30)
	t.Logf("values from %d on", seed)
	var texts []string
	for i := range 150 {
		texts = append(texts, anyjson.Texts(4).Example(seed+i))
	}
	checkOneText(t.Context(), t, stores["firestore"](t), texts)
}

// FuzzOneText has the texts that no generator thinks of.
func FuzzOneText(f *testing.F) {
	for _, value := range seeds {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		text, err := protocol.Canonical(json.RawMessage(value))
		if err == nil && len(text) <= engine.MaxValueBytes {
			checkOneText(t.Context(), t, stores["memory"](t), []string{value})
		}
	})
}
