package access_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/replifire/replifire/auth"
	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/chat"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/handlers"
	"github.com/replifire/replifire/memory"
	"github.com/replifire/replifire/poke"
	"github.com/replifire/replifire/protocol"
)

// The spaces. Ann asks. Hers is hers alone, but for bob who writes in it; shared is
// olga's, and ann reads it; foreign is olga's alone; absent is nobody's.
const (
	hers    = "hers"
	shared  = "shared"
	foreign = "foreign"
	absent  = "absent"
)

var spaces = []string{hers, shared, foreign, absent}

// stranger is who has a client group in the space, besides ann.
var stranger = map[string]string{hers: "bob", shared: "olga", foreign: "olga", absent: "olga"}

// mark stands in every value of a space.
func mark(space string) string { return "MARK-" + space }

var quiet = slog.New(slog.DiscardHandler)

// world is a service with the spaces above.
type world struct {
	*handlers.Handler
	store  *memory.Store
	engine *engine.Engine
	hub    *poke.Hub
}

func newWorld(t *testing.T, a auth.Authenticator) *world {
	t.Helper()
	w := &world{store: memory.New()}
	policy := members.New(w.store.Members(), members.Options{})
	for _, m := range []struct {
		space protocol.SpaceID
		members.Member
	}{
		{hers, members.Member{UserID: "ann", Role: members.Owner}},
		{hers, members.Member{UserID: "bob", Role: members.Writer}},
		{shared, members.Member{UserID: "olga", Role: members.Owner}},
		{shared, members.Member{UserID: "ann", Role: members.Reader}},
		{foreign, members.Member{UserID: "olga", Role: members.Owner}},
	} {
		if err := w.store.Members().Put(t.Context(), members.Operator, m.space, m.Member, 0); err != nil {
			t.Fatal(err)
		}
	}
	w.engine = engine.New(w.store, chat.Mutators(), engine.Options{Logger: quiet})
	for user, space := range map[string]string{"ann": hers, "bob": hers, "olga": foreign} {
		w.write(t, user, space)
	}
	w.write(t, "olga", shared)
	w.hub = poke.NewHub(poke.Options{
		Watch: w.engine.WatchNews, Head: w.engine.News, Logger: quiet,
	})
	h, err := handlers.New(handlers.Config{
		Engine: w.engine, Hub: w.hub, Authenticator: a, Policy: policy, Members: policy, Logger: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Handler = h
	return w
}

func (w *world) close(t *testing.T) {
	t.Helper()
	w.hub.Close()
	if err := w.engine.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// group and client are those of a user in a space.
func group(user, space string) string  { return "g-" + user + "-" + space }
func client(user, space string) string { return "c-" + user + "-" + space }

// write has a user's client write a message with the space's mark.
func (w *world) write(t *testing.T, user, space string) {
	t.Helper()
	args := fmt.Sprintf(`{"id":"m-%s","from":"x","content":%q,"order":1}`, user, mark(space))
	err := w.engine.Push(t.Context(), engine.Caller{Space: protocol.SpaceID(space), UserID: user}, &protocol.PushRequest{
		Version: 1, ClientGroupID: protocol.ClientGroupID(group(user, space)),
		Mutations: []protocol.Mutation{{
			ClientID: protocol.ClientID(client(user, space)), ID: 1, Name: "createMessage", Args: json.RawMessage(args),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// state is everything that is stored, as text.
func (w *world) state(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, space := range spaces {
		id := protocol.SpaceID(space)
		var docs engine.Documents
		docs.Head = true
		for _, user := range []string{"ann", "bob", "olga"} {
			for _, s := range spaces {
				docs.Groups = append(docs.Groups, protocol.ClientGroupID(group(user, s)))
			}
		}
		snap, err := w.store.Snapshot(t.Context(), id, docs)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s %+v\n", space, snap.Head())
		for _, g := range docs.Groups {
			owner, ok := snap.Group(g)
			fmt.Fprintln(&all, g, ok, owner)
		}
		for e, err := range snap.Entries(t.Context(), 0) {
			fmt.Fprintln(&all, e, err)
		}
		for c, err := range snap.Clients(t.Context(), "", 0) {
			fmt.Fprintln(&all, c, err)
		}
		list, err := w.store.Members().List(t.Context(), id, "", 100)
		fmt.Fprintln(&all, list, err)
	}
	return all.String()
}

// whose says which client group and which client a request names.
type whose string

const (
	own           whose = "own"
	foreignGroup  whose = "group"
	foreignClient whose = "client"
)

// ids are the client group and the client of a request in a space.
func (o whose) ids(space string) (groupID, clientID string) {
	from := space
	if space == absent {
		from = foreign // nobody has a group there, so one of elsewhere
	}
	groupID, clientID = group("ann", space), client("ann", space)
	switch o {
	case own:
	case foreignGroup:
		groupID, clientID = group(stranger[space], from), client(stranger[space], from)
	case foreignClient:
		clientID = client(stranger[space], from)
	}
	return groupID, clientID
}

// route is something to ask for.
type route struct {
	name string
	// of are the ids that its requests can name.
	of      []whose
	request func(space string, o whose) *http.Request
	// changes: a request of status 200 changes something.
	changes bool
}

func post(path, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

func with(method string, r *http.Request) *http.Request {
	r.Method = method
	return r
}

func memberPath(space, user string) string {
	return "/api/spaces/" + url.PathEscape(space) + "/members/" + user
}

// push is one with the mutation that is the client's next.
func push(space string, o whose) *http.Request {
	g, c := o.ids(space)
	id := 1
	if space == hers || o != own && space != absent {
		id = 2
	}
	return post("/api/replicache/push?space="+space, fmt.Sprintf(`{"pushVersion":1,"profileID":"p","schemaVersion":"",`+
		`"clientGroupID":%q,"mutations":[{"clientID":%q,"id":%d,"name":"createMessage","timestamp":1,`+
		`"args":{"id":"new","from":"x","content":"new","order":1}}]}`, g, c, id))
}

var nobody = []whose{own} // the request names no group

var routes = []route{
	{name: "push", of: []whose{own, foreignGroup, foreignClient}, changes: true, request: push},
	{name: "pull", of: []whose{own, foreignGroup}, request: func(space string, o whose) *http.Request {
		g, _ := o.ids(space)
		return post("/api/replicache/pull?space="+space, fmt.Sprintf(
			`{"pullVersion":1,"profileID":"p","schemaVersion":"","clientGroupID":%q,"cookie":null}`, g))
	}},
	{name: "poke", of: nobody, request: func(space string, _ whose) *http.Request {
		return with(http.MethodHead, post("/api/replicache/poke?space="+space, ""))
	}},
	{name: "ticket", of: nobody, request: func(space string, _ whose) *http.Request {
		return post("/api/replicache/poke-ticket?space="+space, "{}")
	}},
	{name: "init", of: nobody, changes: true, request: func(space string, _ whose) *http.Request {
		return post("/api/init?space="+space, "")
	}},
	{name: "members list", of: nobody, request: func(space string, _ whose) *http.Request {
		return with(http.MethodGet, post("/api/spaces/"+space+"/members", ""))
	}},
	{name: "members put", of: nobody, changes: true, request: func(space string, _ whose) *http.Request {
		return with(http.MethodPut, post(memberPath(space, "mallory"), `{"role":"owner"}`))
	}},
	{name: "members delete", of: nobody, changes: true, request: func(space string, _ whose) *http.Request {
		return with(http.MethodDelete, post(memberPath(space, stranger[space]), ""))
	}},
}

// answer is what the test looks at.
type answer struct {
	status int
	text   string // headers and body, without what differs between any two
}

// ask has the world answer.
func (w *world) ask(r *http.Request, authorization string) answer {
	r.Header.Set("Authorization", authorization)
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	id := rec.Header().Get("X-Request-Id")
	var text strings.Builder
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range rec.Header() {
			if !yield(name) {
				return
			}
		}
	})
	for _, name := range names {
		fmt.Fprintln(&text, name, rec.Header()[name])
	}
	text.WriteString(rec.Body.String())
	return answer{rec.Code, strings.ReplaceAll(text.String(), id, "ID")}
}
