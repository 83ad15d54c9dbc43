package firestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc"

	"github.com/replifire/replifire/engine"
)

// Every RPC has a deadline: the SDK gives reads none at all, and a commit a
// minute (firestore.md §2.2). A caller's earlier deadline holds.
const (
	// snapshotTimeout is for one BatchGet: a few ms, or a retry after a broken
	// connection.
	snapshotTimeout = 15 * time.Second
	// commitTimeout is for a Begin and a Commit. Firestore itself gives up waiting
	// for a lock after about 20 s (firestore.md §3.1).
	commitTimeout = 25 * time.Second
	// queryTimeout is for one query. It waits for no reader, so only one that finds hundreds of
	// megabytes takes longer; it is resumed, and so is one that has gone silent.
	queryTimeout = time.Minute
	// streamTimeout is for all that is read of a moment by one call. That goes on no faster than
	// the client at the other end of a pull reads, and has to end before the hour for which
	// Firestore keeps the moment.
	streamTimeout = 55 * time.Minute
	// pingTimeout is short: who asks whether the store answers wants to know now.
	pingTimeout = 5 * time.Second
)

// How many connections a Store opens to production, those for pulls and for watches with the
// first of them. Google's front ends take 100 streams on one; beyond that calls do not fail
// but wait (firestore.md §2.2). A watch occupies a stream for as long as it lasts, and what a
// pull reads may be large: neither is to keep commits and heads waiting.
const (
	// DefaultConnections is for 400 calls at once.
	DefaultConnections = 4
	// DefaultPullConnections is for 200 pulls that read entries and clients at once.
	DefaultPullConnections = 4
	// DefaultWatchConnections is for 1,000 watched spaces: one for each request that an
	// instance of Cloud Run takes at once.
	DefaultWatchConnections = 10
)

// emulatorProject is the project where none is named and the emulator does not
// mind: a "demo-" project exists nowhere, to Firebase's tools.
const emulatorProject = "demo-replifire"

// Config says which database to use. The zero value is the default database of
// the project that the credentials belong to.
type Config struct {
	// ProjectID is the Google Cloud project; "" is the project of the credentials.
	ProjectID string
	// DatabaseID is the database; "" is the default one.
	DatabaseID string
	// EmulatorHost is the address of an emulator to use instead of production,
	// "host:port". The environment's FIRESTORE_EMULATOR_HOST is not read here; Open
	// refuses to guess when it is set and this is not.
	EmulatorHost string
	// Connections, PullConnections and WatchConnections are the numbers of connections to
	// production, for calls, for what pulls read and for watches; 0 are the defaults.
	Connections, PullConnections, WatchConnections int
	// Conn, if set, is a connection to an emulator to use instead of the other ways
	// to connect. Tests count or break the RPCs on it. The Store closes it.
	Conn *grpc.ClientConn
}

// Store keeps spaces in Cloud Firestore. Open makes one; one is enough for a
// process. Its methods are safe for concurrent use.
type Store struct {
	client *firestore.Client
	// pulls and watches have connections of their own, so that nothing else waits for them.
	pulls, watches lazyClient
	// emulated: the database is an emulator, which needs some care (emulator.go).
	emulated bool
	purges   purges
	prepared prepared
}

var (
	_ engine.Store    = (*Store)(nil)
	_ engine.Preparer = (*Store)(nil)
)

// Open prepares a Store and makes no RPC: the first method that needs a
// connection makes it. ctx is for finding the credentials, which may ask the
// machine's metadata server. Fails if there are none, or if Config is ambiguous.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Conn == nil && c.EmulatorHost == "" && os.Getenv(emulatorVariable) != "" {
		return nil, errors.New(emulatorVariable + " is set but Config.EmulatorHost is " +
			"not: the SDK would use the emulator where production was asked for")
	}
	client, err := c.connect(ctx, cmp.Or(c.Connections, DefaultConnections))
	if err != nil {
		return nil, err
	}
	s := &Store{client: client, emulated: c.emulated()}
	s.prepared.begin = s.begin
	s.pulls.connect = func(ctx context.Context) (*firestore.Client, error) {
		return c.connect(ctx, cmp.Or(c.PullConnections, DefaultPullConnections), smallWindows...)
	}
	s.watches.connect = func(ctx context.Context) (*firestore.Client, error) {
		return c.connect(ctx, cmp.Or(c.WatchConnections, DefaultWatchConnections))
	}
	if c.Conn != nil { // there is no other connection
		s.pulls.client, s.watches.client = client, client
	}
	return s, nil
}

func (c Config) connect(
	ctx context.Context, connections int, dial ...grpc.DialOption,
) (*firestore.Client, error) {
	options, err := clientOptions(c, connections, dial)
	if err != nil {
		return nil, fmt.Errorf("connecting to Firestore: %w", err)
	}
	database := cmp.Or(c.DatabaseID, firestore.DefaultDatabaseID)
	client, err := firestore.NewClientWithDatabase(ctx, c.project(), database, options...)
	if err != nil {
		return nil, fmt.Errorf("opening Firestore: %w", err)
	}
	return client, nil
}

func (c Config) project() string {
	switch {
	case c.ProjectID != "":
		return c.ProjectID
	case c.emulated():
		return emulatorProject
	default:
		return firestore.DetectProjectID
	}
}

func (c Config) emulated() bool { return c.EmulatorHost != "" || c.Conn != nil }

// Close closes the connections. Calls under way fail, watches end.
func (s *Store) Close() error {
	s.prepared.close()
	if err := errors.Join(s.pulls.close(s.client), s.watches.close(s.client), s.client.Close()); err != nil {
		return fmt.Errorf("closing Firestore: %w", err)
	}
	return nil
}

// Ping reads one document that does not exist, the cheapest thing that needs
// Firestore and the right to read it. Fails with engine.ErrUnavailable.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	nothing := s.client.Collection("replifire").Doc("ping")
	if _, err := s.client.GetAll(ctx, []*firestore.DocumentRef{nothing}); err != nil {
		return unavailable(ctx, "pinging Firestore", err)
	}
	return nil
}
