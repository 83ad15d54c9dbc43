package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/replifire/replifire/internal/rpccount"
)

// rawLimit is the limit of what can be had: per space one commit after the other,
// without transactions, HTTP or JSON, each with the documents that createMessage
// writes: an entry and a client per mutation, and the head with its precondition.
func (b *bench) rawLimit(ctx context.Context, spaces, batch int) (float64, error) {
	conn, _, err := rpccount.Dial(b.host)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	project := b.project()
	ctx, cancel := context.WithTimeout(ctx, b.window)
	defer cancel()
	var done atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for space := range spaces {
		r := newRaw(firestorepb.NewFirestoreClient(conn), project, fmt.Sprint("s", space))
		wg.Go(func() {
			for ctx.Err() == nil {
				if r.commit(ctx, batch) == nil {
					done.Add(int64(batch))
				}
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(began).Seconds(), nil
}

// raw commits to one space.
type raw struct {
	client  firestorepb.FirestoreClient
	base    string
	space   string
	version int64
	updated *timestamppb.Timestamp
	next    int64
}

func newRaw(client firestorepb.FirestoreClient, project, space string) *raw {
	database := "projects/" + project + "/databases/(default)"
	return &raw{client: client, base: database + "/documents/", space: "spaces/" + space}
}

func (r *raw) commit(ctx context.Context, batch int) error {
	r.version++
	var writes []*firestorepb.Write
	for pusher := range batch {
		r.next++
		client := fmt.Sprint("c", pusher)
		writes = append(writes,
			r.write(r.space+"/clients/"+client, map[string]*firestorepb.Value{
				"clientID": text(client), "clientGroupID": text(client), "version": number(r.version),
				"lastMutationID": number(r.next),
				"rejections":     {ValueType: &firestorepb.Value_ArrayValue{ArrayValue: &firestorepb.ArrayValue{}}},
				"lastSeen":       {ValueType: &firestorepb.Value_TimestampValue{TimestampValue: timestamppb.Now()}},
			}),
			r.write(fmt.Sprintf("%s/entries/message%%2F%d", r.space, r.next), map[string]*firestorepb.Value{
				"key": text(fmt.Sprintf("message/%d", r.next)), "version": number(r.version),
				"deleted": {ValueType: &firestorepb.Value_BooleanValue{}},
				"value": {ValueType: &firestorepb.Value_MapValue{MapValue: &firestorepb.MapValue{
					Fields: messageFields(pusher, r.next),
				}}},
			}))
	}
	head := r.write(r.space, map[string]*firestorepb.Value{
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
