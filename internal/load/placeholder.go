package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

const (
	// maxText bounds {{text N}}: a Firestore document has at most 1 MiB.
	maxText = 1 << 20
	// maxWords bounds {{pick …}}.
	maxWords = 64
	// maxInt bounds {{int A B}} to what JavaScript counts by one.
	maxInt = 1<<53 - 1
)

// parsePlaceholder makes a function of a placeholder's name and arguments.
func parsePlaceholder(words []string) (func(*values) string, error) {
	if len(words) == 0 {
		return nil, errors.New("is empty")
	}
	name, args := words[0], words[1:]
	if simple, ok := simplePlaceholders[name]; ok {
		if len(args) > 0 {
			return nil, errors.New("takes no arguments")
		}
		return simple, nil
	}
	switch name {
	case "text":
		return textPlaceholder(args)
	case "int":
		return intPlaceholder(args)
	case "pick":
		return pickPlaceholder(args)
	case "period":
		return periodPlaceholder(args)
	}
	return nil, errors.New("is not known")
}

var simplePlaceholders = map[string]func(*values) string{
	"uuid":   func(v *values) string { return v.uuid },
	"client": func(v *values) string { return string(v.identity.Client) },
	"group":  func(v *values) string { return string(v.identity.Group) },
	"space":  func(v *values) string { return string(v.identity.Space) },
	"seq":    func(v *values) string { return strconv.FormatInt(v.seq, 10) },
}

func textPlaceholder(args []string) (func(*values) string, error) {
	n, err := integers(args, 1, 0, maxText)
	if err != nil {
		return nil, err
	}
	return func(v *values) string { return randomText(v.random, int(n[0])) }, nil
}

func intPlaceholder(args []string) (func(*values) string, error) {
	n, err := integers(args, 2, -maxInt, maxInt)
	if err != nil {
		return nil, err
	}
	if n[0] > n[1] {
		return nil, errors.New("its bounds are the wrong way round")
	}
	return func(v *values) string {
		return strconv.FormatInt(n[0]+v.random.Int64N(n[1]-n[0]+1), 10)
	}, nil
}

func pickPlaceholder(words []string) (func(*values) string, error) {
	if len(words) == 0 || len(words) > maxWords {
		return nil, fmt.Errorf("takes 1 to %d words", maxWords)
	}
	return func(v *values) string {
		if v.word != nil {
			return words[*v.word%len(words)]
		}
		return words[v.random.IntN(len(words))]
	}, nil
}

func periodPlaceholder(args []string) (func(*values) string, error) {
	if len(args) != 1 {
		return nil, fmt.Errorf("has %d arguments, want 1", len(args))
	}
	length, err := time.ParseDuration(args[0])
	if err != nil || length < time.Millisecond {
		return nil, fmt.Errorf("%q is not a time such as 10s", args[0])
	}
	return func(v *values) string { return strconv.FormatInt(int64(v.elapsed/length), 10) }, nil
}

// integers reads exactly count of them.
func integers(args []string, count int, least, most int64) ([]int64, error) {
	if len(args) != count {
		return nil, fmt.Errorf("has %d arguments, want %d", len(args), count)
	}
	list := make([]int64, count)
	for i, a := range args {
		n, err := strconv.ParseInt(a, 10, 64)
		if err != nil || n < least || n > most {
			return nil, fmt.Errorf("%q is not an integer from %d to %d", a, least, most)
		}
		list[i] = n
	}
	return list, nil
}

// letters has a space for one letter in eight or so: text that compresses like text.
const letters = "abcdefghijklmnopqrstuvwxyz    "

func randomText(r *rand.Rand, n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = letters[r.IntN(len(letters))]
	}
	return string(out)
}
