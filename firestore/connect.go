package firestore

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// emulatorVariable makes the SDK dial an emulator by itself, and then ignore
// dial options (reliability.md F7). A connection of ours still takes precedence,
// but the SDK's own one stays open, idle, until the process ends.
const emulatorVariable = "FIRESTORE_EMULATOR_HOST"

const (
	// maxCommitBytes is what is sent in a commit to production, which takes 10 MiB
	// (firestore.md §3.1), counted with more than we can see of it.
	maxCommitBytes = 9 << 20
	// maxEmulatorCommitBytes is what is sent to the emulator. It refuses messages
	// above 4 MiB in a way that makes the SDK try again until the deadline.
	maxEmulatorCommitBytes = 4<<20 - 16<<10
)

// keepaliveTimeout is how long the other end has to answer a ping.
const keepaliveTimeout = 20 * time.Second

// A watch is a stream on which nothing may happen for hours. Without pings a
// connection that was cut silently would be noticed by nobody.
var (
	production = keepalive.ClientParameters{Time: 2 * time.Minute, Timeout: keepaliveTimeout}
	// The emulator closes a connection that is pinged often ("too_many_pings"), as
	// Java servers do by default: more often than every 5 minutes.
	emulated = keepalive.ClientParameters{Time: 6 * time.Minute, Timeout: keepaliveTimeout}
)

// smallWindows bound what gRPC holds of a query that is read more slowly than it comes. By
// itself it lets a stream have up to 16 MiB, which many at once would make too much. So it is
// also what is sent in vain when a query is ended.
var smallWindows = []grpc.DialOption{
	grpc.WithStaticStreamWindowSize(128 << 10),
	grpc.WithStaticConnWindowSize(4 << 20),
}

func clientOptions(c Config, connections int, dial []grpc.DialOption) ([]option.ClientOption, error) {
	if c.Conn != nil {
		return []option.ClientOption{option.WithGRPCConn(c.Conn)}, nil
	}
	if c.EmulatorHost != "" {
		conn, err := dialEmulator(c.EmulatorHost, dial)
		if err != nil {
			return nil, err
		}
		return []option.ClientOption{option.WithGRPCConn(conn)}, nil
	}
	options := []option.ClientOption{
		option.WithGRPCConnectionPool(connections),
		option.WithGRPCDialOption(grpc.WithKeepaliveParams(production)),
		option.WithGRPCDialOption(grpc.WithChainUnaryInterceptor(guardCommits(maxCommitBytes))),
	}
	for _, d := range dial {
		options = append(options, option.WithGRPCDialOption(d))
	}
	return options, nil
}

func dialEmulator(host string, dial []grpc.DialOption) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///"+host, append(slices.Clone(dial),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(emulatorOwner{}),
		grpc.WithKeepaliveParams(emulated),
		grpc.WithDefaultCallOptions(
			// As the SDK sets them: a document alone may have 1 MiB.
			grpc.MaxCallRecvMsgSize(math.MaxInt32),
			grpc.MaxCallSendMsgSize(math.MaxInt32),
		),
		grpc.WithChainUnaryInterceptor(guardCommits(maxEmulatorCommitBytes)),
	)...)
	if err != nil {
		return nil, fmt.Errorf("dialing the emulator at %s: %w", host, err)
	}
	return conn, nil
}

// emulatorOwner is whom the emulator lets pass by the security rules.
type emulatorOwner struct{}

func (emulatorOwner) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}

func (emulatorOwner) RequireTransportSecurity() bool { return false }

// guardCommits refuses a commit that is too large before it is sent: only here
// is its size known exactly. And it takes a lock that was not got for what it
// is, a lost race: from ABORTED the SDK would conclude that it may try again, and
// sleep up to a second before it finds that it may not (MaxAttempts).
func guardCommits(limit int) grpc.UnaryClientInterceptor {
	return func(
		ctx context.Context, method string, req, reply any, conn *grpc.ClientConn,
		invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
	) error {
		commit, ok := req.(*firestorepb.CommitRequest)
		if !ok {
			return invoke(ctx, method, req, reply, conn, opts...)
		}
		if size := proto.Size(commit); size > limit {
			return status.Errorf(codes.InvalidArgument,
				"commit has %d bytes, more than the %d that may be sent", size, limit)
		}
		err := invoke(ctx, method, req, reply, conn, opts...)
		if status.Code(err) == codes.Aborted {
			return status.Error(codes.FailedPrecondition, err.Error())
		}
		return err
	}
}
