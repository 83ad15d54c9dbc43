package mutate_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/replifire/replifire/mutate"
)

func TestRetry(t *testing.T) {
	t.Parallel()
	down := fmt.Errorf("dependency: %w", io.ErrUnexpectedEOF)
	err := mutate.Retry(down)
	if !mutate.IsRetry(err) || !mutate.IsRetry(fmt.Errorf("wrapped: %w", err)) {
		t.Error("what Retry made, and what wraps it, is not to be tried again")
	}
	if !mutate.IsRetry(errors.Join(io.EOF, err)) {
		t.Error("what joins it is not to be tried again")
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
	if !strings.Contains(err.Error(), down.Error()) {
		t.Errorf("got text %q, want it to hold %q", err, down)
	}
	if mutate.IsRetry(down) || mutate.IsRetry(nil) {
		t.Error("what Retry did not make is to be tried again")
	}
	if err := mutate.Retry(nil); err != nil {
		t.Errorf("Retry(nil) is %v, want nil", err)
	}
}

func TestProtect(t *testing.T) {
	t.Parallel()
	if err := mutate.Protect(func() error { return nil }); err != nil {
		t.Errorf("got error %v, want none", err)
	}
	if err := mutate.Protect(func() error { return io.EOF }); err != io.EOF { //nolint:errorlint // the very same
		t.Errorf("got error %v, want %v itself", err, io.EOF)
	}
}

func TestReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"error", io.EOF, "EOF"},
		{"wrapped", fmt.Errorf("read: %w", io.EOF), "read: EOF"},
		{"empty", errors.New(""), ""},
		{"panic", &mutate.PanicError{Value: "s3cret"}, "internal error in the mutator"},
		{"wrapped panic", fmt.Errorf("s3cret: %w", &mutate.PanicError{}), "internal error in the mutator"},
		{"longest", errors.New(strings.Repeat("x", 200)), strings.Repeat("x", 200)},
		{"too long", errors.New(strings.Repeat("x", 201)), strings.Repeat("x", 200)},
		{"too long in a rune", errors.New("x" + strings.Repeat("é", 200)), "x" + strings.Repeat("é", 99)},
		{"not UTF-8", errors.New("a\xffb"), "a\uFFFDb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := mutate.Reason(c.err); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func FuzzTruncate(f *testing.F) {
	f.Add("", 0)
	f.Add("a€🦄", 2)
	f.Add("\xff\xfe\xf0\x9f", 4)
	f.Add("🦄", 3)
	f.Fuzz(func(t *testing.T, s string, n int) {
		if n < 0 || n > 1<<20 {
			t.Skip("no length")
		}
		got := mutate.Truncate(s, n)
		if len(got) > n || !utf8.ValidString(got) {
			t.Fatalf("Truncate(%q, %d) = %q", s, n, got)
		}
		whole := strings.ToValidUTF8(s, "\uFFFD")
		if !strings.HasPrefix(whole, got) {
			t.Fatalf("Truncate(%q, %d) = %q, which is no beginning of it", s, n, got)
		}
		rest := whole[len(got):]
		if _, size := utf8.DecodeRuneInString(rest); rest != "" && len(got)+size <= n {
			t.Fatalf("Truncate(%q, %d) = %q: another rune has room", s, n, got)
		}
	})
}
