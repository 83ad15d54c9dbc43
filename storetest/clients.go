package storetest

import (
	"fmt"
	"math"
	"slices"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

var clientCases = []testCase{
	{name: "ClientsByGroupAndVersion", run: testClients},
	{name: "RejectionsRoundTrip", run: testRejections},
}

func testClients(k *kit) {
	head := k.commit("s", engine.Head{}, Group("g", "u", "s"), Group("h", "u", "s"),
		Client("g1", "g", 1), Client("g2", "g", 1), Client("h1", "h", 1))
	head = k.commit("s", head, Client("g1", "g", 2), Client("h2", "h", 1))
	head = k.commit("s", head, Put("k", `1`), Client("g3", "g", 1))
	k.commit("s", head, Client("h1", "h", 7))
	snap := k.snapshot("s", engine.Documents{})
	for _, c := range []struct {
		group protocol.ClientGroupID
		after int64
		want  []string
	}{
		{"g", math.MinInt64, []string{"g1=2@2", "g2=1@1", "g3=1@3"}},
		{"g", 0, []string{"g1=2@2", "g2=1@1", "g3=1@3"}},
		{"g", 1, []string{"g1=2@2", "g3=1@3"}},
		{"g", 2, []string{"g3=1@3"}},
		{"g", 3, nil},
		{"g", math.MaxInt64, nil},
		{"h", 1, []string{"h1=7@4", "h2=1@2"}},
		{"h", 2, []string{"h1=7@4"}},
		{"gh", 0, nil},
		{"", 0, []string{"g1=2@2", "g2=1@1", "g3=1@3", "h1=7@4", "h2=1@2"}},
		{"", 2, []string{"g3=1@3", "h1=7@4"}},
		{"", 4, nil},
	} {
		var got []string
		for _, client := range collect(k, snap.Clients(k.ctx, c.group, c.after)) {
			if c.group != "" && client.GroupID != c.group {
				k.Errorf("client %+v of another group than %q", client, c.group)
			}
			got = append(got, fmt.Sprintf("%s=%d@%d",
				client.ID, client.LastMutationID, client.Version))
		}
		slices.Sort(got)
		k.same(fmt.Sprintf("clients of %q above %d", c.group, c.after), got, c.want)
	}
}

func testRejections(k *kit) {
	many := rejections(engine.MaxRejections, 1)
	many[0].Name, many[0].Reason = "", ""
	many[1].Reason = "\"quotes\" <b> \x7f 😀 `ticks` a/b __x__"
	many[engine.MaxRejections-1].MutationID = protocol.MaxMutationID
	head := k.commit("s", engine.Head{}, Group("g", "u", "s"),
		Client("none", "g", 1),
		Client("one", "g", 5, rejections(1, 1)...),
		Client("many", "g", protocol.MaxMutationID, many...))
	c := Step(head, Client("one", "g", 9, rejections(3, 1)...))
	k.apply("s", c)

	snap := k.snapshot("s", engine.Documents{
		Clients: []protocol.ClientID{"none", "one", "many"},
	})
	for id, want := range map[protocol.ClientID][]engine.Rejection{
		"none": nil, "one": rejections(3, 1), "many": many,
	} {
		client, _ := snap.Client(id)
		k.same("rejections by id", client.Rejections, want)
		all := collect(k, snap.Clients(k.ctx, "g", 0))
		i := slices.IndexFunc(all, func(c engine.Client) bool { return c.ID == id })
		k.same("rejections by group", all[max(i, 0)].Rejections, want)
	}
	k.commit("s", k.head("s"), Client("one", "g", 20))
	snap = k.snapshot("s", engine.Documents{Clients: []protocol.ClientID{"one"}})
	client, _ := snap.Client("one")
	k.same("rejections after they were dropped", client.Rejections, []engine.Rejection(nil))
}
