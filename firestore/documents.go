package firestore

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// Where the documents are, and what their fields are called: doc.go says what
// each means. The data in production depends on these words.
const (
	spacesCollection  = "spaces"
	entriesCollection = "entries"
	clientsCollection = "clients"
	groupsCollection  = "clientGroups"

	membersCollection  = "members"
	creatorsCollection = "creators"

	fieldVersion = "version" // of a space, an entry, a client

	fieldSpace      = "space"
	fieldEpoch      = "epoch"
	fieldFloor      = "floor"
	fieldBase       = "base"
	fieldNonce      = "nonce"
	fieldHistory    = "history"
	fieldRestoredAt = "restoredAt"
	fieldCreatedAt  = "createdAt"
	fieldUpdatedAt  = "updatedAt"

	fieldImporting = "importing"
	fieldImported  = "imported"
	fieldPrivate   = "private"

	fieldDeletedAt      = "deletedAt" // of a space, a tombstone
	fieldDeletedVersion = "deletedVersion"
	fieldErasedAt       = "erasedAt"

	fieldKey     = "key"
	fieldValue   = "value"
	fieldJSON    = "json"
	fieldDeleted = "deleted"

	fieldClientID       = "clientID"
	fieldGroupID        = "clientGroupID"
	fieldUserID         = "userID"
	fieldLastMutationID = "lastMutationID"
	fieldRejections     = "rejections"
	fieldLastSeen       = "lastSeen"

	fieldRole   = "role"
	fieldSpaces = "spaces"

	fieldMutationID = "id"
	fieldName       = "name"
	fieldReason     = "reason"
)

func (s *Store) spaceRef(id protocol.SpaceID) *firestore.DocumentRef { return headRef(s.client, id) }

// headRef is the space's document for one of the store's clients, to which a reference belongs.
func headRef(client *firestore.Client, id protocol.SpaceID) *firestore.DocumentRef {
	return client.Collection(spacesCollection).Doc(escapeID(string(id)))
}

func (s *Store) groupRef(id protocol.ClientGroupID) *firestore.DocumentRef {
	return s.client.Collection(groupsCollection).Doc(escapeID(string(id)))
}

func entryRef(space *firestore.DocumentRef, key string) *firestore.DocumentRef {
	return space.Collection(entriesCollection).Doc(escapeID(key))
}

func clientRef(space *firestore.DocumentRef, id protocol.ClientID) *firestore.DocumentRef {
	return space.Collection(clientsCollection).Doc(escapeID(string(id)))
}

// stored is t as Firestore keeps it.
func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// storedHead is h as a reader will find it.
func storedHead(h engine.Head) engine.Head {
	h.CreatedAt, h.UpdatedAt = stored(h.CreatedAt), stored(h.UpdatedAt)
	if !h.RestoredAt.IsZero() {
		h.RestoredAt = stored(h.RestoredAt)
	}
	if !h.DeletedAt.IsZero() {
		h.DeletedAt = stored(h.DeletedAt)
	}
	return h
}

func headFields(space protocol.SpaceID, h engine.Head) map[string]any {
	fields := map[string]any{
		fieldSpace:     string(space),
		fieldVersion:   h.Version,
		fieldEpoch:     h.Epoch,
		fieldFloor:     h.Floor,
		fieldBase:      h.Base,
		fieldNonce:     h.Nonce,
		fieldCreatedAt: h.CreatedAt,
		fieldUpdatedAt: h.UpdatedAt,
	}
	if h.History != "" {
		fields[fieldHistory] = string(h.History)
	}
	if !h.RestoredAt.IsZero() {
		fields[fieldRestoredAt] = h.RestoredAt
	}
	if h.Private != "" {
		fields[fieldPrivate] = versioned(h.Version, h.Private)
	}
	if h.Importing != "" {
		fields[fieldImporting], fields[fieldImported] = h.Importing, h.Imported
	}
	if !h.DeletedAt.IsZero() {
		fields[fieldDeletedAt], fields[fieldDeletedVersion] = h.DeletedAt, h.DeletedVersion
	}
	return fields
}

// versioned is a text that is good for one version of the head: an older release of this
// program leaves the fields that it does not know as they are when it writes the head.
func versioned(version int64, text string) string {
	return strconv.FormatInt(version, 10) + ":" + text
}

// ofVersion is the text of a field that versioned made, "" if it is not of that version.
func ofVersion(version int64, stored string) string {
	text, ok := strings.CutPrefix(stored, versioned(version, ""))
	if !ok {
		return ""
	}
	return text
}

// decodeHead is the zero Head for a document that does not exist.
func decodeHead(doc *firestore.DocumentSnapshot, space protocol.SpaceID) (engine.Head, error) {
	if !doc.Exists() {
		return engine.Head{}, nil
	}
	f := readFields(doc)
	h := engine.Head{
		Version:   field[int64](f, fieldVersion),
		Epoch:     field[string](f, fieldEpoch),
		Floor:     field[int64](f, fieldFloor),
		Base:      field[int64](f, fieldBase),
		Nonce:     field[string](f, fieldNonce),
		CreatedAt: field[time.Time](f, fieldCreatedAt),
		UpdatedAt: field[time.Time](f, fieldUpdatedAt),
		Revision:  revision(doc.UpdateTime),
	}
	h.History = engine.History(optional[string](f, fieldHistory))
	h.RestoredAt = optional[time.Time](f, fieldRestoredAt)
	h.DeletedAt = optional[time.Time](f, fieldDeletedAt)
	h.DeletedVersion = optional[int64](f, fieldDeletedVersion)
	h.Importing = optional[string](f, fieldImporting)
	h.Imported = optional[int64](f, fieldImported)
	h.Private = ofVersion(h.Version, optional[string](f, fieldPrivate))
	if h.Version < 1 {
		f.fail(fmt.Errorf("version %d of a space that exists", h.Version))
	}
	f.is(fieldSpace, string(space))
	return h, f.err
}

// decodeErasedAt is when the space was last deleted by Firestore's clock, which orders
// it among the writes of all documents, as no clock of an instance does: the time of
// the head's own write or, once there is another, what that has kept of it. It is zero
// if the space was never deleted.
func decodeErasedAt(doc *firestore.DocumentSnapshot, h engine.Head) (time.Time, error) {
	if h.Deleted() {
		return doc.UpdateTime, nil
	}
	f := readFields(doc)
	erased := optional[time.Time](f, fieldErasedAt)
	return erased, f.err
}

func entryFields(e engine.Entry) map[string]any {
	fields := map[string]any{
		fieldKey:     e.Key,
		fieldVersion: e.Version,
		fieldDeleted: e.Deleted,
	}
	if !e.Deleted {
		name, content := encodeValue(e.Value)
		fields[name] = content
	} else if !e.DeletedAt.IsZero() {
		fields[fieldDeletedAt] = stored(e.DeletedAt)
	}
	return fields
}

func decodeEntry(doc *firestore.DocumentSnapshot) (engine.Entry, error) {
	f := readFields(doc)
	e := engine.Entry{
		Key:     field[string](f, fieldKey),
		Version: field[int64](f, fieldVersion),
		Deleted: field[bool](f, fieldDeleted),

		DeletedAt: optional[time.Time](f, fieldDeletedAt),
	}
	f.is(fieldKey, e.Key)
	if f.err != nil || e.Deleted {
		return e, f.err
	}
	value, err := decodeValue(f.values)
	if err != nil {
		f.fail(err)
	}
	e.Value = value
	return e, f.err
}

func clientFields(c engine.Client) map[string]any {
	rejections := make([]any, len(c.Rejections))
	for i, r := range c.Rejections {
		rejections[i] = map[string]any{
			fieldMutationID: r.MutationID,
			// A mutator's error may hold any bytes; Firestore takes UTF-8 only.
			fieldName:    strings.ToValidUTF8(r.Name, "\uFFFD"),
			fieldReason:  strings.ToValidUTF8(r.Reason, "\uFFFD"),
			fieldVersion: r.Version,
		}
	}
	return map[string]any{
		fieldClientID:       string(c.ID),
		fieldGroupID:        string(c.GroupID),
		fieldLastMutationID: c.LastMutationID,
		fieldVersion:        c.Version,
		fieldRejections:     rejections,
		fieldLastSeen:       stored(c.LastSeen),
	}
}

func decodeClient(doc *firestore.DocumentSnapshot) (engine.Client, error) {
	f := readFields(doc)
	c := engine.Client{
		ID:             protocol.ClientID(field[string](f, fieldClientID)),
		GroupID:        protocol.ClientGroupID(field[string](f, fieldGroupID)),
		LastMutationID: field[int64](f, fieldLastMutationID),
		Version:        field[int64](f, fieldVersion),
		LastSeen:       field[time.Time](f, fieldLastSeen),
	}
	f.is(fieldClientID, string(c.ID))
	for _, r := range field[[]any](f, fieldRejections) {
		values, _ := r.(map[string]any) // Of anything else the fields are missing.
		rf := &fields{path: f.path, values: values, err: f.err}
		c.Rejections = append(c.Rejections, engine.Rejection{
			MutationID: field[int64](rf, fieldMutationID),
			Name:       field[string](rf, fieldName),
			Reason:     field[string](rf, fieldReason),
			Version:    field[int64](rf, fieldVersion),
		})
		f.err = rf.err
	}
	return c, f.err
}

func groupFields(g engine.ClientGroup) map[string]any {
	return map[string]any{
		fieldGroupID:   string(g.ID),
		fieldUserID:    g.UserID,
		fieldSpace:     string(g.Space),
		fieldCreatedAt: stored(g.CreatedAt),
	}
}

func decodeGroup(doc *firestore.DocumentSnapshot) (engine.ClientGroup, error) {
	f := readFields(doc)
	g := engine.ClientGroup{
		ID:        protocol.ClientGroupID(field[string](f, fieldGroupID)),
		UserID:    field[string](f, fieldUserID),
		Space:     protocol.SpaceID(field[string](f, fieldSpace)),
		CreatedAt: field[time.Time](f, fieldCreatedAt),
	}
	f.is(fieldGroupID, string(g.ID))
	return g, f.err
}

// fields are a document's, with the first thing found wrong with them.
type fields struct {
	path   string
	id     string
	values map[string]any
	err    error
}

func readFields(doc *firestore.DocumentSnapshot) *fields {
	f := &fields{path: doc.Ref.Path, id: doc.Ref.ID}
	// Data() would panic where this fails.
	if err := doc.DataTo(&f.values); err != nil {
		f.fail(err)
	}
	return f
}

func (f *fields) fail(reason error) {
	if f.err == nil {
		f.err = &corruptError{f.path, reason}
	}
}

// is verifies that id is in the named field and that the document is named after
// it.
func (f *fields) is(name, id string) {
	if got, _ := f.values[name].(string); got != id || f.id != escapeID(id) {
		f.fail(errors.New("field " + name + " is not what the document is named after"))
	}
}

// field is a field's value, which has to be there and to be a T.
func field[T any](f *fields, name string) T {
	value, ok := f.values[name].(T)
	if !ok {
		f.fail(fmt.Errorf("field %s is %T, not %T", name, f.values[name], value))
	}
	return value
}

// optional is the value of a field that is left out where it says nothing.
func optional[T any](f *fields, name string) T {
	if _, ok := f.values[name]; !ok {
		var none T
		return none
	}
	return field[T](f, name)
}
