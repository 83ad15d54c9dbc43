package protocol_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/replifire/replifire/protocol"
)

// pushOf is a push of n mutations like those of the chat, by two clients.
func pushOf(n int) []byte {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"clientID":"client-%d","id":%d,"name":"createMessage","args":{"id":"V1StGXR8_Z5jdHi6B-%d",`+
			`"from":"Jane","content":"Hey, what's for lunch?","order":%d},"timestamp":%d.5}`, i%2, i/2+1, i, i, i)
	}
	return []byte(strings.Replace(validPush, validMutation, strings.Join(list, ","), 1))
}

func BenchmarkDecodePushRequest(b *testing.B) {
	for _, n := range []int{1, 1000} {
		body := pushOf(n)
		b.Run(fmt.Sprintf("mutations=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, err := protocol.DecodePushRequest(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadPushRequest(b *testing.B) {
	for _, n := range []int{1, 1000} {
		body := pushOf(n)
		bounds := protocol.PushBounds{MaxBytes: 8 << 20, MaxMutations: 50_000, Length: int64(len(body)), Hold: anyAmount}
		b.Run(fmt.Sprintf("mutations=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, err := protocol.ReadPushRequest(bytes.NewReader(body), bounds); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodePullRequest(b *testing.B) {
	body := []byte(validPull)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := protocol.DecodePullRequest(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCookieNext(b *testing.B) {
	c, err := protocol.ParseCookie(json.RawMessage(`{"order":900,"version":700,"epoch":"V1StGXR8_Z5jdHi6"}`))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Next(701, c.Epoch); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckValue(b *testing.B) {
	value := json.RawMessage(`{"from":"Jane","content":"Hey, what's for lunch?","order":17}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(value)))
	for b.Loop() {
		if err := protocol.CheckValue(value); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{0, 1000} {
		operations := make([]protocol.PatchOperation, n)
		for i := range operations {
			operations[i] = put(fmt.Sprintf("message/%d", i), `{"from":"Jane","content":"Hey","order":17}`)
		}
		r := protocol.PullResponse{Version: 1, Cookie: json.RawMessage("1"), Patch: patch(nil, operations...)}
		b.Run(fmt.Sprintf("operations=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Encode(io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCanonical(b *testing.B) {
	for name, value := range map[string]json.RawMessage{
		"already":      json.RawMessage(`{"content":"Hey, what's for lunch?","from":"Jane","order":17}`),
		"out of order": json.RawMessage(`{"from":"Jane","content":"Hey, what's for lunch?","order":17}`),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(value)))
			for b.Loop() {
				if _, err := protocol.Canonical(value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
