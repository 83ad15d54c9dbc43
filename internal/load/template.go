package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"time"
)

// PlaceholderHelp describes the language of templates, for a help text.
const PlaceholderHelp = `A template is a mutation as JSON, with placeholders, such as

  {"name": "createMessage", "expect": "message/{{uuid}}", "args":
    {"id": "{{uuid}}", "from": "{{client}}", "content": "{{text 40}}", "order": {{seq}}}}


  {{uuid}}        a random UUID, the same one throughout a mutation
  {{client}}      the client's id; {{group}} its client group's, {{space}} its space's
  {{seq}}         how many mutations the client has issued, this one included
  {{text N}}      N random lower-case letters and spaces
  {{int A B}}     a random integer from A to B
  {{pick X Y Z}}  one of the words
  {{period D}}    how many times D, such as 10s, have passed since the run began

Within a JSON string a placeholder is part of the text; elsewhere it is a value of its
own, such as {{seq}} for a number. "name" and "args" are the mutation's. "weight" says how
often it is chosen among several, which stand in a JSON array; 1 if left out. "expect" is
a key that must be in the view at the end if the mutation was confirmed: only for
mutations that are never refused and whose entry nothing deletes.`

// defaultTemplate is the chat sample's.
const defaultTemplate = `{
	"name": "createMessage",
	"args": {"id": "{{uuid}}", "from": "{{client}}", "content": "{{text 40}}", "order": {{seq}}},
	"expect": "message/{{uuid}}"
}`

// Templates are the mutations that clients choose from. They are not changed once
// made, and may be used by several runs at a time.
type Templates struct {
	list []template
	// sums are the weights so far: template i is chosen by the numbers below sums[i].
	sums []int
}

// template is one kind of mutation.
type template struct {
	name         string
	args, expect []part
}

// part is literal text or, if render is set, a placeholder.
type part struct {
	literal string
	render  func(*values) string
	// inText: it is part of a JSON string.
	inText bool
}

// values are what placeholders stand for in one mutation.
type values struct {
	identity Identity
	seq      int64
	uuid     string
	random   *rand.Rand
	elapsed  time.Duration // since the run began
	// word, if not nil, is the word that every pick takes, for checking.
	word *int
}

// DefaultTemplates is createMessage of the chat sample.
func DefaultTemplates() *Templates {
	t, err := ParseTemplates([]byte(defaultTemplate))
	if err != nil {
		panic(err) // it is a constant
	}
	return t
}

// ParseTemplates reads one template or an array of them (see PlaceholderHelp). The
// error says which one is wrong and why; one that would ever give invalid JSON is.
func ParseTemplates(text []byte) (*Templates, error) {
	d := json.NewDecoder(bytes.NewReader(quoteBare(text)))
	d.DisallowUnknownFields()
	list := make([]source, 1)
	var into any = &list[0]
	if bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("[")) {
		into = &list
	}
	if err := d.Decode(into); err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	if d.More() || len(list) == 0 {
		return nil, errors.New("templates: want one object, or an array of them")
	}
	return compile(list)
}

// source is a template as it is written, its bare placeholders quoted.
type source struct {
	Name   string          `json:"name"`
	Args   json.RawMessage `json:"args"`
	Expect string          `json:"expect"`
	Weight *int            `json:"weight"`
}

func compile(list []source) (*Templates, error) {
	ts := &Templates{}
	sum := 0
	for i, s := range list {
		t, err := s.compile()
		if err != nil {
			return nil, fmt.Errorf("template %d: %w", i+1, err)
		}
		weight := 1
		if s.Weight != nil {
			weight = *s.Weight
		}
		if weight < 1 || weight > 1e6 {
			return nil, fmt.Errorf("template %d: the weight is not from 1 to 1,000,000", i+1)
		}
		sum += weight
		ts.list, ts.sums = append(ts.list, t), append(ts.sums, sum)
	}
	return ts, nil
}

func (s source) compile() (template, error) {
	if s.Name == "" {
		return template{}, errors.New("has no name")
	}
	if s.Args == nil {
		s.Args = json.RawMessage("null")
	}
	args, err := parts(string(s.Args))
	if err != nil {
		return template{}, err
	}
	expect, err := parts(s.Expect)
	if err != nil {
		return template{}, err
	}
	t := template{name: s.Name, args: args, expect: expect}
	err = t.check()
	return t, err
}

// bareMark begins the string that a placeholder outside of strings becomes, so that
// a template can be decoded as JSON. No other text in a template has this character.
const bareMark = "\ue000"

var (
	placeholder = regexp.MustCompile(`"` + bareMark + `\{\{([^{}]*)\}\}"|\{\{([^{}]*)\}\}`)
	bare        = regexp.MustCompile(`^\{\{[^{}"\\]*\}\}`)
)

// quoteBare makes strings of the placeholders that are not in one.
func quoteBare(text []byte) []byte {
	var out []byte
	inText := false
	for i := 0; i < len(text); i++ {
		if m := bare.Find(text[i:]); m != nil && !inText {
			out = slices.Concat(out, []byte(`"`+bareMark), m, []byte(`"`))
			i += len(m) - 1
			continue
		}
		out = append(out, text[i])
		switch {
		case inText && text[i] == '\\' && i+1 < len(text):
			i++
			out = append(out, text[i])
		case text[i] == '"':
			inText = !inText
		}
	}
	return out
}

// parts splits text at its placeholders.
func parts(text string) ([]part, error) {
	var list []part
	end := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		inText := m[2] < 0
		from, to := m[2], m[3]
		if inText {
			from, to = m[4], m[5]
		}
		render, err := parsePlaceholder(strings.Fields(text[from:to]))
		if err != nil {
			return nil, fmt.Errorf("placeholder {{%s}}: %w", text[from:to], err)
		}
		list = append(list, part{literal: text[end:m[0]]}, part{render: render, inText: inText})
		end = m[1]
	}
	return append(list, part{literal: text[end:]}), nil
}

// check renders the arguments with every word that a pick could take.
func (t *template) check() error {
	for word := range maxWords {
		v := values{seq: 1, random: rand.New(rand.NewPCG(1, 1)), word: &word} //nolint:gosec // no secret
		if args := t.renderArgs(&v); !json.Valid(args) {
			return fmt.Errorf("its arguments would not be JSON: %s", args)
		}
	}
	return nil
}

// choose picks a template by weight.
func (ts *Templates) choose(r *rand.Rand) *template {
	n := r.IntN(ts.sums[len(ts.sums)-1])
	i, _ := slices.BinarySearch(ts.sums, n+1)
	return &ts.list[i]
}

// renderArgs makes the arguments of a mutation.
func (t *template) renderArgs(v *values) json.RawMessage {
	var out []byte
	for _, p := range t.args {
		switch {
		case p.render == nil:
			out = append(out, p.literal...)
		case p.inText:
			out = append(out, escape(p.render(v))...)
		default:
			out = append(out, p.render(v)...)
		}
	}
	return out
}

// renderExpect makes the key that must be there in the end, "" for none.
func (t *template) renderExpect(v *values) string {
	var out strings.Builder
	for _, p := range t.expect {
		out.WriteString(p.literal)
		if p.render != nil {
			out.WriteString(p.render(v))
		}
	}
	return out.String()
}

// escape makes text fit for the inside of a JSON string.
func escape(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string is always JSON
	}
	return string(quoted[1 : len(quoted)-1])
}
