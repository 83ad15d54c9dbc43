package main

import (
	"context"
	"errors"
	"fmt"

	gcfirestore "cloud.google.com/go/firestore"
)

// plain is what a server without a queue does: one transaction that reads the
// version, the client and the message, and writes all three. The SDK's own five
// attempts are followed by the caller's.
func plain(ctx context.Context, client *gcfirestore.Client, pusher int, id int64) error {
	space := client.Doc("spaces/default")
	one := space.Collection("clients").Doc(fmt.Sprint("c", pusher))
	entry := space.Collection("entries").Doc(fmt.Sprintf("message-%d-%d", pusher, id))
	return client.RunTransaction(ctx, func(_ context.Context, tx *gcfirestore.Transaction) error {
		docs, err := tx.GetAll([]*gcfirestore.DocumentRef{space, one, entry})
		if err != nil {
			return err
		}
		version := int64(0)
		if docs[0].Exists() {
			version, _ = docs[0].Data()["version"].(int64)
		}
		if docs[1].Exists() && docs[1].Data()["lastMutationID"] == id {
			return nil
		}
		version++
		return errors.Join(
			tx.Set(space, map[string]any{"version": version}),
			tx.Set(one, map[string]any{"lastMutationID": id, "version": version}),
			tx.Set(entry, map[string]any{"value": message(pusher, id), "version": version, "deleted": false}),
		)
	})
}

// plainPull is a pull of the same server: the version, what is above the cookie, and the
// client of the group.
func plainPull(ctx context.Context, client *gcfirestore.Client, pusher int, cookie *int64) error {
	space := client.Doc("spaces/default")
	docs, err := client.GetAll(ctx, []*gcfirestore.DocumentRef{
		space, space.Collection("clients").Doc(fmt.Sprint("c", pusher)),
	})
	if err != nil {
		return err
	}
	above := space.Collection("entries").Where("version", ">", *cookie)
	if _, err := above.Documents(ctx).GetAll(); err != nil {
		return err
	}
	version, ok := docs[0].Data()["version"].(int64)
	if !ok {
		return errors.New("the space has no version")
	}
	*cookie = version
	return nil
}
