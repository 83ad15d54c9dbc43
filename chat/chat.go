package chat

import (
	"context"
	"errors"

	"github.com/replifire/replifire/mutate"
)

// Message is what an entry of the chat holds. Clients sort by Order, which need
// not be unique.
type Message struct {
	From    string  `json:"from"`
	Content string  `json:"content"`
	Order   float64 `json:"order"`
}

// messages are the entries message/<id>.
var messages = mutate.Collection[Message]{Prefix: "message/"}

// Mutators are the chat's.
func Mutators() *mutate.Registry {
	r := mutate.NewRegistry()
	mutate.Register(r, "createMessage", createMessage)
	mutate.Register(r, "updateMessage", updateMessage)
	mutate.Register(r, "deleteMessage", deleteMessage)
	return r
}

// What a client is told of a message that is refused.
var (
	errExists  = errors.New("a message with this id exists")
	errAbsent  = errors.New("no such message")
	errForeign = errors.New("the message is somebody else's")
)

// newMessage is the argument of createMessage. Pointers tell what is missing from
// what is empty, which is allowed.
type newMessage struct {
	ID      *string  `json:"id"`
	From    *string  `json:"from"`
	Content *string  `json:"content"`
	Order   *float64 `json:"order"`
}

// Validate refuses a message that lacks a field.
func (m newMessage) Validate() error {
	if m.ID == nil || m.From == nil || m.Content == nil || m.Order == nil {
		return errors.New("id, from, content and order are needed")
	}
	return nil
}

// createMessage inserts a message if there is none with its id.
func createMessage(_ context.Context, tx mutate.WriteTransaction, m newMessage) error {
	exists, err := messages.Has(tx, *m.ID)
	if err != nil {
		return err
	}
	if exists {
		return errExists
	}
	from := *m.From
	if user := tx.UserID(); user != "" {
		from = user
	}
	return messages.Set(tx, *m.ID, Message{From: from, Content: *m.Content, Order: *m.Order})
}

// newContent is the argument of updateMessage.
type newContent struct {
	ID      *string `json:"id"`
	Content *string `json:"content"`
}

// Validate refuses a change that lacks a field.
func (c newContent) Validate() error {
	if c.ID == nil || c.Content == nil {
		return errors.New("id and content are needed")
	}
	return nil
}

// updateMessage gives a message another content.
func updateMessage(_ context.Context, tx mutate.WriteTransaction, c newContent) error {
	m, exists, err := messages.Get(tx, *c.ID)
	if err != nil {
		return err
	}
	if !exists {
		return errAbsent
	}
	if !mayChange(tx, m) {
		return errForeign
	}
	m.Content = *c.Content
	return messages.Set(tx, *c.ID, m)
}

// whichMessage is the argument of deleteMessage.
type whichMessage struct {
	ID *string `json:"id"`
}

// Validate refuses a deletion of nothing.
func (w whichMessage) Validate() error {
	if w.ID == nil {
		return errors.New("id is needed")
	}
	return nil
}

// deleteMessage deletes a message; that there is none is fine.
func deleteMessage(_ context.Context, tx mutate.WriteTransaction, w whichMessage) error {
	m, exists, err := messages.Get(tx, *w.ID)
	if err != nil || !exists {
		return err
	}
	if !mayChange(tx, m) {
		return errForeign
	}
	_, err = messages.Del(tx, *w.ID)
	return err
}

// mayChange reports whether the transaction's user wrote the message. Without
// signed-in users, everybody may change everything.
func mayChange(tx mutate.ReadTransaction, m Message) bool {
	return tx.UserID() == "" || tx.UserID() == m.From
}
