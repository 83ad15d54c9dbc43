package contention_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/replifire/replifire/internal/emulator/emulatortest"
	"github.com/replifire/replifire/internal/rpccount"
)

// rawBatches are the sizes of the raw limit's commits. With 64 pushers that wait for
// their answer, half of them are in a commit while the other half piles up; a commit
// of all 64 is the best there could be.
var rawBatches = []int{1, 32, 64}

// BenchmarkRaw is the limit of what can be had: one commit after the other, without
// transactions, HTTP or JSON, each with the documents that createMessage writes: an
// entry and a client per mutation, and the head with its precondition.
func BenchmarkRaw(b *testing.B) {
	for _, batch := range rawBatches {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			conn, _, err := rpccount.Dial(emulatortest.Host(b))
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			r := newRaw(firestorepb.NewFirestoreClient(conn), emulatortest.Project(b))
			ctx, cancel := context.WithTimeout(b.Context(), window)
			defer cancel()
			b.ResetTimer()
			started, done := time.Now(), 0
			for ctx.Err() == nil {
				if err := r.commit(ctx, batch); err != nil {
					if ctx.Err() != nil || status.Code(err) == codes.DeadlineExceeded {
						break
					}
					b.Fatal(err)
				}
				done += batch
			}
			b.ReportMetric(float64(done)/time.Since(started).Seconds(), "mutations/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// raw commits to one space.
type raw struct {
	client  firestorepb.FirestoreClient
	base    string
	version int64
	updated *timestamppb.Timestamp
	next    int64
}

func newRaw(client firestorepb.FirestoreClient, project string) *raw {
	database := "projects/" + project + "/databases/(default)"
	return &raw{client: client, base: database + "/documents/"}
}

func (r *raw) commit(ctx context.Context, batch int) error {
	r.version++
	var writes []*firestorepb.Write
	for pusher := range batch {
		r.next++
		client := fmt.Sprint("c", pusher)
		writes = append(writes,
			r.write("spaces/default/clients/"+client, map[string]*firestorepb.Value{
				"clientID": text(client), "clientGroupID": text(client), "version": number(r.version),
				"lastMutationID": number(r.next),
				"rejections":     {ValueType: &firestorepb.Value_ArrayValue{ArrayValue: &firestorepb.ArrayValue{}}},
				"lastSeen":       {ValueType: &firestorepb.Value_TimestampValue{TimestampValue: timestamppb.Now()}},
			}),
			r.write(fmt.Sprintf("spaces/default/entries/message%%2F%d", r.next), map[string]*firestorepb.Value{
				"key": text(fmt.Sprintf("message/%d", r.next)), "version": number(r.version),
				"deleted": {ValueType: &firestorepb.Value_BooleanValue{}},
				"value": {ValueType: &firestorepb.Value_MapValue{MapValue: &firestorepb.MapValue{
					Fields: messageFields(pusher, r.next),
				}}},
			}))
	}
	head := r.write("spaces/default", map[string]*firestorepb.Value{
		"space": text("default"), "version": number(r.version), "epoch": text("EPOCH"),
		"floor": number(0), "base": number(0), "nonce": text("NONCE"),
		"createdAt": {ValueType: &firestorepb.Value_TimestampValue{TimestampValue: timestamppb.Now()}},
		"updatedAt": {ValueType: &firestorepb.Value_TimestampValue{TimestampValue: timestamppb.Now()}},
	})
	head.CurrentDocument = &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_Exists{}}
	if r.updated != nil {
		head.CurrentDocument.ConditionType = &firestorepb.Precondition_UpdateTime{UpdateTime: r.updated}
	}
	writes = append(writes, head)
	resp, err := r.client.Commit(ctx, &firestorepb.CommitRequest{
		Database: r.base[:len(r.base)-len("/documents/")], Writes: writes,
	})
	if err != nil {
		return err
	}
	r.updated = resp.WriteResults[len(resp.WriteResults)-1].UpdateTime
	return nil
}

func (r *raw) write(name string, fields map[string]*firestorepb.Value) *firestorepb.Write {
	return &firestorepb.Write{Operation: &firestorepb.Write_Update{
		Update: &firestorepb.Document{Name: r.base + name, Fields: fields},
	}}
}

func messageFields(pusher int, id int64) map[string]*firestorepb.Value {
	fields := map[string]*firestorepb.Value{}
	for name, v := range message(pusher, id) {
		switch v := v.(type) {
		case string:
			fields[name] = text(v)
		case int64:
			fields[name] = number(v)
		}
	}
	return fields
}

func text(s string) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_StringValue{StringValue: s}}
}

func number(n int64) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_IntegerValue{IntegerValue: n}}
}
