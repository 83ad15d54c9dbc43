package abuse_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// attack is one kind of abuse, the statuses that it must get, each at least once, however
// long it takes, and how often it may get 200, 0: any number.
type attack struct {
	name string
	run  func(ctx context.Context, a *attacker)
	want []int
	most int
}

func attacks() []attack {
	const (
		ok, large, often = http.StatusOK, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests
		header           = http.StatusRequestHeaderFieldsTooLarge
	)
	burst := sizes().burst
	held, slow := []int{often}, []int(nil)
	if *full { // so long until a body is given up
		held, slow = []int{http.StatusRequestTimeout, often}, []int{http.StatusRequestTimeout}
	}
	return []attack{
		{name: "a byte too much, announced", run: tooLarge(8<<20+1, true), want: []int{large}},
		// In chunks, the user's rate or the time for a body may end before the size is known:
		// aByteTooMuch sends one by itself.
		{name: "a byte too much, in chunks", run: tooLarge(8<<20+1, false)},
		{name: "huge body, announced", run: tooLarge(0, true), want: []int{large}},
		{name: "huge body, in chunks", run: tooLarge(0, false)},
		{name: "large bodies, held", run: heldBodies, want: held},
		{name: "gzip bomb", run: bomb, want: []int{http.StatusUnsupportedMediaType}},
		{name: "deep JSON", run: deep, want: []int{ok, http.StatusBadRequest}},
		{name: "many mutations", run: manyMutations, want: []int{often}},
		{name: "huge push", run: hugePush, want: []int{often}},
		{name: "large header", run: largeHeader, want: []int{header}},
		{name: "many headers", run: manyHeaders, want: []int{header}},
		// An hour's rate makes up for less than two more.
		{name: "new spaces of a user", run: spacesOfUser, want: []int{ok, often}, most: burst + 2},
		{name: "new spaces of many users", run: spacesOfUsers, want: []int{ok, often}, most: 3*burst + 20},
		{name: "new spaces of nobody", run: spacesOfNobody, want: []int{http.StatusUnauthorized}},
		{name: "poke streams, held and opened again", run: streams, want: []int{ok, often}},
		{name: "connections without a header", run: silent},
		{name: "bodies of a byte a second", run: slowBodies, want: slow},
	}
}

// tooLarge sends bodies of so many bytes, 0: the size's.
func tooLarge(bytes int64, announced bool) func(context.Context, *attacker) {
	return func(ctx context.Context, a *attacker) {
		n, length := bytes, int64(-1)
		if n == 0 {
			n = a.size.body
		}
		if announced {
			length = n
		}
		a.repeat(ctx, func(ctx context.Context) {
			tooLargeOnce(ctx, a, n, length)
		})
	}
}

func tooLargeOnce(ctx context.Context, a *attacker, bytes, length int64) {
	a.send(ctx, "pull?space=large", a.token, io.LimitReader(spaces{}, bytes), length, "", "")
}

// spaces reads as JSON's white space, without an end.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func bomb(ctx context.Context, a *attacker) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := io.Copy(w, io.LimitReader(spaces{}, a.size.body)); err != nil {
		a.t.Error(err)
	}
	if err := w.Close(); err != nil {
		a.t.Error(err)
	}
	a.repeat(ctx, func(ctx context.Context) {
		a.post(ctx, "space=bomb", a.token, bytes.NewReader(packed.Bytes()), int64(packed.Len()), "Content-Encoding", "gzip")
	})
}

// depth is how deep JSON may be: arguments as deep as that reject their mutation, and
// anything deeper is no request.
const depth = 10_000

func deep(ctx context.Context, a *attacker) {
	body := strings.Repeat("[", depth+1) + strings.Repeat("]", depth+1)
	// The arguments are in the mutation, in the list, in the push.
	args := body[4 : len(body)-4]
	var n atomic.Int64
	a.repeat(ctx, func(ctx context.Context) {
		id := fmt.Sprint("deep", n.Add(1))
		for _, body := range []string{body, push(id, args, 1)} {
			a.post(ctx, "space=deep", a.token, strings.NewReader(body), int64(len(body)), "", "")
		}
	})
}

// push is the body of a push by a new client, of so many mutations with the same arguments.
func push(client, args string, mutations int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"pushVersion":1,"clientGroupID":"g-%s","profileID":"p","schemaVersion":"","mutations":[`, client)
	for i := range mutations {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"clientID":%q,"id":%d,"name":"x","args":%s,"timestamp":0}`, client, i+1, args)
	}
	b.WriteString("]}")
	return b.String()
}

func manyMutations(ctx context.Context, a *attacker) {
	body := push("c", "0", a.size.mutations)
	a.repeat(ctx, func(ctx context.Context) {
		a.post(ctx, "space=many", a.token, strings.NewReader(body), int64(len(body)), "", "")
	})
}

// hugePush sends pushes that are longer than what is applied of them.
func hugePush(ctx context.Context, a *attacker) {
	whole := push("huge", `"`+strings.Repeat("x", 1000)+`"`, 10_000)
	before, list, _ := strings.Cut(whole, "[")
	list = strings.TrimSuffix(list, "]}")
	a.repeat(ctx, func(ctx context.Context) {
		parts := []io.Reader{strings.NewReader(before + "[" + list)}
		for n := int64(len(list)); n < a.size.body; n += int64(len(list)) {
			parts = append(parts, strings.NewReader(","+list))
		}
		parts = append(parts, strings.NewReader("]}"))
		a.post(ctx, "space=huge", a.token, io.MultiReader(parts...), -1, "", "")
	})
}

func largeHeader(ctx context.Context, a *attacker) {
	value := strings.Repeat("x", 1<<20)
	a.repeat(ctx, func(ctx context.Context) {
		a.post(ctx, "space=header", a.token, http.NoBody, 0, "X-Large", value)
	})
}

// spacesOfUser writes into a new space with every push.
func spacesOfUser(ctx context.Context, a *attacker) {
	newSpaces(ctx, a, func(string) string { return a.token })
}

// spacesOfUsers does so as a new user each time.
func spacesOfUsers(ctx context.Context, a *attacker) { newSpaces(ctx, a, bearer) }

func spacesOfNobody(ctx context.Context, a *attacker) {
	newSpaces(ctx, a, func(string) string { return "" })
}

func newSpaces(ctx context.Context, a *attacker, token func(space string) string) {
	var n atomic.Int64
	a.repeat(ctx, func(ctx context.Context) {
		for range a.size.spaces / workers {
			id := fmt.Sprint(*attackAddress, "new", n.Add(1))
			message := fmt.Sprintf(`{"id":%q,"from":"x","content":"x","order":1}`, id)
			body := strings.Replace(push(id, message, 1), `"name":"x"`, `"name":"createMessage"`, 1)
			a.post(ctx, "space="+id, token(id), strings.NewReader(body), int64(len(body)), "", "")
		}
	})
}

func streams(ctx context.Context, a *attacker) {
	a.hold(context.WithoutCancel(ctx), a.size.streams)
	a.repeat(ctx, func(ctx context.Context) { a.hold(ctx, 1) })
}

// hold opens so many poke streams, one after the other, and then closes them all.
func (a *attacker) hold(ctx context.Context, n int) {
	if n == 0 {
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url()+"/api/replicache/poke?space=streams", nil)
	if err != nil {
		a.t.Error(err)
		return
	}
	req.Header.Set("Authorization", a.token)
	resp, err := a.client.Do(req)
	if err != nil {
		a.count(0)
		return
	}
	defer resp.Body.Close()
	a.judge(resp)
	a.hold(ctx, n-1)
}
