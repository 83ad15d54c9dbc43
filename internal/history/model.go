package history

import (
	"encoding/json"
	"strings"

	"github.com/replifire/replifire/protocol"
)

const (
	prefix         = "message/"
	registerPrefix = prefix + "reg-"
)

// args are those of all three mutators.
type args struct {
	ID      string `json:"id"`
	Content string `json:"content"`
}

// call is a mutation, read.
type call struct {
	name string
	key  string
	args
}

func read(m Mutation) call {
	var a args
	_ = json.Unmarshal(m.Args, &a) // what is no such JSON has no key, and no effect here
	return call{name: m.Name, key: prefix + a.ID, args: a}
}

// owner is the client that alone writes a key, "" for one that everybody may write.
func owner(key string) protocol.ClientID {
	if strings.HasPrefix(key, registerPrefix) {
		return ""
	}
	id, ok := strings.CutPrefix(key, prefix)
	run, rest, ok2 := strings.Cut(id, "-")
	client, _, ok3 := strings.Cut(rest, "-")
	if !ok || !ok2 || !ok3 {
		return ""
	}
	return protocol.ClientID(run + "-" + client)
}

// model is what one client's mutations leave of its own keys, and which of them are
// refused. It is the chat's mutators once more, in the plainest form.
type model struct {
	applied int64
	content map[string]string
	refused []rejection     // by id, without reasons
	touched map[string]bool // since the last comparison
}

func newModel() *model {
	return &model{content: map[string]string{}, touched: map[string]bool{}}
}

// advance runs the client's mutations up to one.
func (m *model) advance(calls []call, to int64) {
	for ; m.applied < to && m.applied < int64(len(calls)); m.applied++ {
		c := calls[m.applied]
		if strings.HasPrefix(c.key, registerPrefix) {
			continue
		}
		m.touched[c.key] = true
		m.run(m.applied+1, c)
	}
}

func (m *model) run(id int64, c call) {
	_, exists := m.content[c.key]
	switch {
	case c.name == "createMessage" && !exists, c.name == "updateMessage" && exists:
		m.content[c.key] = c.Content
	case c.name == "deleteMessage":
		delete(m.content, c.key)
	default:
		m.refused = append(m.refused, rejection{ID: id, Name: c.name})
	}
}
