package engine

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/replifire/replifire/protocol"
)

const (
	// maxPrivate bounds the commits in a row whose audience a head tells (Head.Private).
	maxPrivate = 16
	// maxAudiences bounds the users whom one of them concerns: of more, everybody is told.
	maxAudiences = 16
	// judges is how many rights are read at once.
	judges = 16
)

// errReadOnly rejects the mutations of a caller who may not write.
var errReadOnly = errors.New("you may read this space, and not change it")

// judge reads the rights of a readers' batch again, in the try whose commit records the
// rejections: who was made a writer a moment ago, by any instance, loses nothing.
func (b *pushBatch) judge() {
	ctx, cancel := b.space.storeContext()
	defer cancel()
	var group errgroup.Group
	group.SetLimit(judges)
	for _, j := range b.jobs {
		group.Go(func() error {
			j.judge(ctx, b.base.head)
			return nil
		})
	}
	_ = group.Wait() // each job has its own outcome
	b.jobs = slices.DeleteFunc(b.jobs, func(j *batchJob) bool { return j.reader == nil })
	b.steps = slices.DeleteFunc(b.steps, func(st step) bool { return st.job.reader == nil })
}

// judge stops a reader's push that cannot be rejected, and makes it a writer's if the caller
// may write by now: it then goes back into the queue.
func (j *batchJob) judge(ctx context.Context, head Head) {
	if j.stop != nil {
		return
	}
	j.stop = ErrUnavailable // where the policy ends this goroutine
	mayWrite, err := j.reader.MayWrite(ctx)
	j.stop = nil
	switch {
	case err != nil:
		j.stop = err
	case mayWrite:
		j.reader = nil
	case !head.Exists():
		j.stop = ErrForbidden // a space is created by those who may write to it
	}
}

// takeRejection counts the mutation at a position of the push, once, if it is to be rejected
// because of who its caller is.
func (j *job) takeRejection(pos int) error {
	if j.reader == nil || pos < j.taken {
		return nil
	}
	if err := j.reader.Take(); err != nil {
		return err
	}
	j.taken = pos + 1
	return nil
}

// audiences is Head.Private after the batch: it concerns those alone whose mutations are
// acknowledged. It is empty where those are too many to name.
func (b *pushBatch) audiences() string {
	var names []string
	for _, j := range b.jobs {
		if j.end > j.decided {
			names = append(names, AudienceOf(b.space.id, j.caller.UserID))
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > maxAudiences {
		return ""
	}
	private := append(b.base.head.private(), strings.Join(names, ""))
	return strings.Join(private[max(0, len(private)-maxPrivate):], ",")
}

// private is Private in its parts.
func (h Head) private() []string {
	if h.Private == "" {
		return nil
	}
	return strings.Split(h.Private, ",")
}

// AudienceOf is how Head.Private names a user of a space: 40 bits of a hash in 8 letters, since
// all members may read the head, and are not to learn ids from it. Two users with the same name
// only hear of each other's commits.
func AudienceOf(space protocol.SpaceID, user string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %s", len(space), space, user))
	return base32.StdEncoding.EncodeToString(sum[:5])
}

// Concerns reports whether a listener is to hear of a head when a version before it was heard
// of: not if all commits in between concern others alone. The listener is named by AudienceOf.
type Concerns = func(audience string, heard int64) bool

// Concerns says which listeners are to hear of the head; nil: all.
func (h Head) Concerns() Concerns {
	private := h.private()
	if private == nil {
		return nil
	}
	return func(audience string, heard int64) bool {
		since := h.Version - heard
		if since <= 0 || since > int64(len(private)) {
			return true
		}
		return slices.ContainsFunc(private[len(private)-int(since):], func(names string) bool {
			return strings.Contains(names, audience)
		})
	}
}
