// Package firestore is the engine's Store on Cloud Firestore in Native mode, and
// the only package that imports the Firestore SDK. It keeps what the engine
// computed and decides nothing: conflicts, retries and caches are the
// engine's. The same code runs against production and against the emulator;
// where these differ, the difference is named here.
//
// # Documents
//
//	spaces/{space}                 the head of a space
//	  space                        its id
//	  version                      counts commits: the lock of the space
//	  epoch, floor, base, nonce    see engine.Head
//	  history                      the names of its last commits, see engine.History
//	  createdAt, updatedAt         times
//	  restoredAt                   time of a restore, if there was one
//	  deletedAt, deletedVersion    of the space's last deletion, if there was one
//	  importing, imported          the backup being put in, and how much of it is
//	spaces/{space}/entries/{key}   an entry or a tombstone
//	  key                          the key
//	  value | json                 its value: native, or as JSON text
//	  version                      of the commit that wrote it
//	  deleted                      true in a tombstone, which has no value
//	  deletedAt                    time of a tombstone
//	spaces/{space}/clients/{id}    a client
//	  clientID, clientGroupID      its id and its group's
//	  lastMutationID, version      what is acknowledged, and by which commit
//	  rejections                   the last few: id, name, reason, version
//	  lastSeen                     time
//	clientGroups/{id}              a client group, never changed
//	  clientGroupID, userID, space its id, its owner, its only space
//	  createdAt                    time
//	spaces/{space}/members/{user}  who may use a space; the space need not exist
//	  userID, role                 whose role, and which: see package members
//	creators/{user}                how many spaces a user has created
//	  userID, spaces               whose count, and the count
//
// Document ids are the ids and keys themselves, escaped where Firestore
// needs it (keys.go), so the field with the same content is the one to believe: a
// document whose id and field disagree is engine.ErrCorrupt.
//
// A value is a native Firestore value in the field value, so that the console,
// exports and other services can read its fields. A value that Firestore would
// refuse or give back changed is kept as its JSON text in the field json
// (value.go). Others may read all this, but nobody else may write it: a write
// that does not move the version is seen by no client.
//
// # Indexes
//
// queries.go has all queries. They need version, key and deletedAt of entries (which
// only tombstones have, so that it costs the others nothing), version of clients,
// clientGroupID with version of clients, and userID and role of members. firestore.indexes.json
// declares these and exempts everything else, since each index of a field
// costs a write. Production refuses a query without its index, the emulator
// does not; a test compares the file with the queries.
//
// # Limits
//
// A document holds 1 MiB: a value of engine.MaxValueBytes fits with its key. A
// commit is one request, of at most 10 MiB in production and 4 MiB in the
// emulator, which does not answer to a larger one. Commit refuses, as
// engine.ErrImpossible, what comes near these limits. There is no limit on the number of
// writes in a commit. Times are kept to the microsecond. A snapshot can be read
// for an hour.
//
// # The life of a commit
//
//  1. All fields are encoded; what cannot be stored is refused.
//  2. BeginTransaction. An error here is engine.ErrUnavailable: nothing was sent.
//  3. Commit, with no reads before it, so no locks are held between the two calls:
//     groups on the condition that they do not exist, entries and clients without a
//     condition, and the head on the condition that it was last updated when the
//     engine read it, or does not exist. The condition on the head is enough for them,
//     because whoever writes anything to a space writes its head.
//  4. The reply. Its time is the head's update time, and so the new Revision. Without a reply
//     the outcome is engine.ErrUnknownOutcome: Firestore may apply the commit
//     now or in a moment (errors.go).
//
// # Reading
//
// A Snapshot is one BatchGetDocuments; its read time is the moment, and the
// queries that follow ask for that moment. They take no locks. A long query that
// breaks off is resumed where it stopped, at the same moment. The emulator shows
// commits by halves and moments that change, and is read with more care
// (emulator.go).
//
// # Members
//
// A change of members is a transaction that reads what it depends on, with
// Firestore's locks (members.go): it is rare, and never part of a commit. It moves no
// version.
//
// # Security rules
//
// firestore.rules let nobody read or write anything. This package does not
// come under them: it is let in by its service account's role
// roles/datastore.user, and by the emulator as its owner.
package firestore
