package firestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cloud.google.com/go/firestore"
	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/replifire/replifire/auth/members"
	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/protocol"
)

// memberAttempts is how often a change of members is tried: changes of one space's
// members meet rarely.
const memberAttempts = 5

// directory is the Store as a members.Directory. The documents of members lie below
// their space's, which need not exist; a creator's counts the spaces they have
// created.
type directory struct{ store *Store }

// Members is the directory of the spaces' members: spaces/{space}/members/{user}.
// Its errors beside those of package members are engine.ErrUnavailable, also for a
// change whose outcome is not known, and engine.ErrCorrupt.
func (s *Store) Members() members.Directory { return directory{s} }

func (d directory) member(space protocol.SpaceID, user string) *firestore.DocumentRef {
	return d.store.spaceRef(space).Collection(membersCollection).Doc(escapeID(user))
}

func (d directory) creator(user string) *firestore.DocumentRef {
	return d.store.client.Collection(creatorsCollection).Doc(escapeID(user))
}

func memberFields(m members.Member) map[string]any {
	return map[string]any{fieldUserID: m.UserID, fieldRole: string(m.Role)}
}

// decodeMember has role "" for a document that does not exist, or whose role is none
// that we know: who cannot be told to be a member is none.
func decodeMember(doc *firestore.DocumentSnapshot) (members.Member, error) {
	if !doc.Exists() {
		return members.Member{}, nil
	}
	f := readFields(doc)
	m := members.Member{
		UserID: field[string](f, fieldUserID),
		Role:   members.Role(field[string](f, fieldRole)),
	}
	f.is(fieldUserID, m.UserID)
	if !m.Role.Valid() || f.err != nil {
		m.Role = ""
	}
	return m, f.err
}

func (d directory) Role(
	ctx context.Context, space protocol.SpaceID, user string,
) (members.Role, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	docs, err := d.store.client.GetAll(ctx, []*firestore.DocumentRef{d.member(space, user)})
	if err != nil {
		return "", unavailable(ctx, "reading a member", err)
	}
	m, err := decodeMember(docs[0])
	return m.Role, err
}

// List orders by the field and not by the document's name, which is escaped.
func (d directory) List(
	ctx context.Context, space protocol.SpaceID, after string, limit int,
) ([]members.Member, error) {
	query := membersByUser.under(d.store.spaceRef(space), nil, bound{">", after})
	var list []members.Member
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	for m, err := range streamUpTo(ctx, query, min(limit, members.MaxListed), decodeMember) {
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

func (d directory) Put(
	ctx context.Context, by members.Actor, space protocol.SpaceID, m members.Member, limit int,
) error {
	return d.change(ctx, func(ctx context.Context, tx *firestore.Transaction) error {
		member, err := d.admit(tx, by, space, m)
		if err != nil {
			return err
		}
		if !member {
			err = d.makeRoom(ctx, tx, space, limit)
		}
		if err != nil {
			return err
		}
		return tx.Set(d.member(space, m.UserID), memberFields(m))
	})
}

func (d directory) Delete(
	ctx context.Context, by members.Actor, space protocol.SpaceID, user string,
) error {
	return d.change(ctx, func(_ context.Context, tx *firestore.Transaction) error {
		if _, err := d.admit(tx, by, space, members.Member{UserID: user}); err != nil {
			return err
		}
		return tx.Delete(d.member(space, user))
	})
}

// admit refuses a change of a membership that is not the actor's to make, or that would
// leave the space without an owner. member: the user has a membership already. All it
// goes by is locked until the commit, so what was true when it was read is true then.
func (d directory) admit(
	tx *firestore.Transaction, by members.Actor, space protocol.SpaceID, next members.Member,
) (member bool, err error) {
	refs := []*firestore.DocumentRef{d.store.spaceRef(space), d.member(space, next.UserID)}
	actor, asked := by.UserID()
	if asked {
		refs = append(refs, d.member(space, actor))
	}
	docs, err := tx.GetAll(refs)
	if err != nil {
		return false, err
	}
	erasedAt, err := d.erasedAt(docs[0], space)
	if err != nil {
		return false, err
	}
	var has members.Role
	if asked {
		has, err = currentRole(docs[2], erasedAt)
	}
	if err != nil {
		return false, err
	}
	if err := by.May(has, next.UserID, next.Role); err != nil {
		return false, err
	}
	if next.Role != members.Owner {
		err = d.keepOwner(tx, space, next.UserID, erasedAt)
	}
	return docs[1].Exists(), err
}

// erasedAt is when the space was last deleted, zero if it never was.
func (d directory) erasedAt(
	doc *firestore.DocumentSnapshot, space protocol.SpaceID,
) (time.Time, error) {
	head, err := decodeHead(doc, space)
	if err != nil || !head.Exists() {
		return time.Time{}, err
	}
	return decodeErasedAt(doc, head)
}

// currentRole is the member's role, "" of who was a member before the space was deleted
// only, whom a purge is going to remove.
func currentRole(doc *firestore.DocumentSnapshot, erasedAt time.Time) (members.Role, error) {
	m, err := decodeMember(doc)
	if !doc.UpdateTime.After(erasedAt) {
		m.Role = ""
	}
	return m.Role, err
}

// makeRoom refuses one more member where there are as many as may be. Counting them costs
// a read for a thousand, and is true whoever else writes and removes members.
func (d directory) makeRoom(
	ctx context.Context, tx *firestore.Transaction, space protocol.SpaceID, limit int,
) error {
	if limit == 0 {
		return nil
	}
	const all = "all"
	query := membersByUser.under(d.store.spaceRef(space), nil).Limit(limit)
	counts, err := query.NewAggregationQuery().WithCount(all).Transaction(tx).Get(ctx)
	if err != nil {
		return err
	}
	count, ok := counts[all].(*firestorepb.Value)
	if !ok {
		return fmt.Errorf("a count of members is %T", counts[all])
	}
	if count.GetIntegerValue() >= int64(limit) {
		return members.ErrTooManyMembers
	}
	return nil
}

// keepOwner refuses to take its role from the only owner. The query's result is
// locked until the commit, so two owners cannot remove each other.
func (d directory) keepOwner(
	tx *firestore.Transaction, space protocol.SpaceID, user string, erasedAt time.Time,
) error {
	query := membersByRole.under(d.store.spaceRef(space), nil, bound{"==", string(members.Owner)})
	if erasedAt.IsZero() {
		query = query.Limit(2)
	}
	owners, err := tx.Documents(query).GetAll()
	if err != nil {
		return err
	}
	owners = slices.DeleteFunc(owners, func(doc *firestore.DocumentSnapshot) bool {
		return !doc.UpdateTime.After(erasedAt) // of before a deletion: none any more
	})
	if len(owners) == 1 && owners[0].Ref.ID == escapeID(user) {
		return members.ErrLastOwner
	}
	return nil
}

func (d directory) Create(
	ctx context.Context, space protocol.SpaceID, owner string, limit int,
) error {
	return d.change(ctx, func(_ context.Context, tx *firestore.Transaction) error {
		found, err := d.look(tx, space, owner)
		switch {
		case err != nil:
			return err
		case found.role == members.Owner:
			return nil
		case limit > 0 && found.created >= int64(limit):
			return members.ErrTooManySpaces
		case !found.vacant:
			return members.ErrExists
		}
		count := map[string]any{fieldUserID: owner, fieldSpaces: found.created + 1}
		first := memberFields(members.Member{UserID: owner, Role: members.Owner})
		return errors.Join(
			tx.Set(d.creator(owner), count), tx.Create(d.member(space, owner), first),
		)
	})
}

// found is what the creation of a space depends on.
type found struct {
	role    members.Role // the creator's own, from an earlier try
	created int64        // how many spaces the creator has created
	vacant  bool         // the space has neither data nor members
}

// look costs the same whatever it finds.
func (d directory) look(
	tx *firestore.Transaction, space protocol.SpaceID, owner string,
) (found, error) {
	docs, err := tx.GetAll([]*firestore.DocumentRef{
		d.store.spaceRef(space), d.creator(owner), d.member(space, owner),
	})
	if err != nil {
		return found{}, err
	}
	anybody := membersByUser.under(d.store.spaceRef(space), nil).Limit(1)
	list, err := tx.Documents(anybody).GetAll()
	if err != nil {
		return found{}, err
	}
	erasedAt, err := d.erasedAt(docs[0], space)
	if err != nil {
		return found{}, err
	}
	own, err := currentRole(docs[2], erasedAt)
	f := found{role: own, vacant: !docs[0].Exists() && len(list) == 0}
	if err != nil || !docs[1].Exists() {
		return f, err
	}
	creator := readFields(docs[1])
	creator.is(fieldUserID, owner)
	f.created = field[int64](creator, fieldSpaces)
	return f, creator.err
}

// change runs a transaction. All of them may be repeated, so the SDK may; an outcome
// that stays unknown is unavailable to the caller, who repeats it too.
func (d directory) change(
	ctx context.Context, do func(context.Context, *firestore.Transaction) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	var refused error
	err := d.store.client.RunTransaction(ctx, func(ctx context.Context, tx *firestore.Transaction) error {
		refused = do(ctx, tx)
		return refused
	}, firestore.MaxAttempts(memberAttempts))
	for _, known := range []error{
		members.ErrExists, members.ErrLastOwner, members.ErrNotTheirs,
		members.ErrTooManySpaces, members.ErrTooManyMembers, engine.ErrCorrupt,
	} {
		if err != nil && errors.Is(refused, known) {
			return refused
		}
	}
	if err != nil {
		return unavailable(ctx, "changing members", fmt.Errorf("transaction: %w", err))
	}
	return nil
}
