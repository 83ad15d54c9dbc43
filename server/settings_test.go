package server_test

import (
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/replifire/replifire/server"
)

// environment is a getenv that knows nothing else.
func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for _, p := range pairs {
			if value, ok := strings.CutPrefix(p, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	got, err := server.ParseSettings(nil, environment("GOOGLE_CLOUD_PROJECT=p"))
	if err != nil {
		t.Fatal(err)
	}
	want := server.Settings{
		Port:              8080,
		Store:             "firestore",
		FirestoreSettings: server.FirestoreSettings{ProjectID: "p", Database: "(default)"},
		Auth:              "none",
		Policy:            "open",
		OIDCAlgorithms:    []string{"RS256"},
		OIDCUserClaim:     "sub",
		MaxSpacesPerUser:  100,
		LimitSettings: server.LimitSettings{
			MaxBodyBytes: 8 << 20, MaxBodiesBytes: 128 << 20, MaxMutations: 50_000,
			MaxKeyBytes: 1024, MaxValueBytes: 1_000_000, MaxDepth: 100,
			MaxQueuePushes: 10_000, MaxQueueBytes: 64 << 20, MaxResponseBytes: 256 << 20,
			RatePerUser: 100, BurstPerUser: 1000, RatePerAddress: 1000, BurstPerAddress: 5000,
			RateNewSpaces: 60, BurstNewSpaces: 100, RateBodyBytes: 4194304, MaxBodiesPerUser: 2,
			Proxies: -1, MaxStreams: 20_000, MaxStreamsPerUser: 50,
			MaxHeaderBytes: 16 << 10, HeaderTimeout: 5 * time.Second,
			IdleTimeout: 2 * time.Minute,
		},
		GCSettings: server.GCSettings{
			GCIssuer: "https://accounts.google.com", GCRetention: 720 * time.Hour, GCTimeout: 150 * time.Second,
		},
		PushTimeout:  30 * time.Second,
		Heartbeat:    20 * time.Second,
		StreamLife:   50 * time.Minute,
		DrainTimeout: 8 * time.Second,
		LogLevel:     slog.LevelInfo,
		LogFormat:    "auto",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestEverySettingIsAFlagAndAVariable(t *testing.T) {
	t.Parallel()
	env := environment(
		"REPLIFIRE_HOST=::1", "PORT=1", "REPLIFIRE_STORE=memory", "GOOGLE_CLOUD_PROJECT=p",
		"FIRESTORE_DATABASE=d", "FIRESTORE_EMULATOR_HOST=h:1", "REPLIFIRE_AUTH=firebase",
		"REPLIFIRE_POLICY=authenticated", "REPLIFIRE_ORIGINS=https://a.example,https://b.example",
		"REPLIFIRE_DEV=true", "REPLIFIRE_ALLOW_UNSAFE=true", "REPLIFIRE_SCHEMA_VERSIONS=1,2",
		"REPLIFIRE_MAX_BODY_BYTES=3", "REPLIFIRE_PUSH_TIMEOUT=4s", "REPLIFIRE_HEARTBEAT=5s",
		"REPLIFIRE_STREAM_LIFE=6m", "REPLIFIRE_DRAIN_TIMEOUT=7s", "REPLIFIRE_LOG_LEVEL=debug",
		"REPLIFIRE_LOG_FORMAT=json", "REPLIFIRE_PULL_MAX_AGE=8s",
		"REPLIFIRE_FIREBASE_PROJECT=f", "REPLIFIRE_FIREBASE_TENANT=t", "FIREBASE_AUTH_EMULATOR_HOST=h:2",
		"REPLIFIRE_OIDC_ISSUER=https://i.example", "REPLIFIRE_OIDC_AUDIENCE=a",
		"REPLIFIRE_OIDC_ALGORITHMS=ES256,RS256", "REPLIFIRE_OIDC_USER_CLAIM=uid",
		"REPLIFIRE_TICKET_KEYS=k", "REPLIFIRE_TICKET_KEYS_FILE=/keys",
		"REPLIFIRE_MAX_BODIES_BYTES=2000000", "REPLIFIRE_MAX_MUTATIONS=5",
		"REPLIFIRE_MAX_KEY_BYTES=6", "REPLIFIRE_MAX_VALUE_BYTES=7", "REPLIFIRE_MAX_DEPTH=8",
		"REPLIFIRE_MAX_QUEUE_PUSHES=9", "REPLIFIRE_MAX_QUEUE_BYTES=10", "REPLIFIRE_MAX_RESPONSE_BYTES=11",
		"REPLIFIRE_RATE_PER_USER=0.5", "REPLIFIRE_BURST_PER_USER=12", "REPLIFIRE_RATE_PER_ADDRESS=1.5",
		"REPLIFIRE_BURST_PER_ADDRESS=13", "REPLIFIRE_RATE_NEW_SPACES=2.5", "REPLIFIRE_BURST_NEW_SPACES=17",
		"REPLIFIRE_RATE_BODY_BYTES=18.5", "REPLIFIRE_MAX_BODIES_PER_USER=19",
		"REPLIFIRE_PROXIES=2", "REPLIFIRE_MAX_STREAMS=14",
		"REPLIFIRE_MAX_STREAMS_PER_USER=15", "REPLIFIRE_MAX_HEADER_BYTES=16", "REPLIFIRE_HEADER_TIMEOUT=17s",
		"REPLIFIRE_IDLE_TIMEOUT=19s",
		"REPLIFIRE_MAX_SPACES_PER_USER=9",
		"REPLIFIRE_GC_INVOKER=gc@p.example", "REPLIFIRE_GC_AUDIENCE=https://s.example",
		"REPLIFIRE_GC_ISSUER=https://g.example", "REPLIFIRE_GC_RETENTION=20h", "REPLIFIRE_GC_TIMEOUT=21s",
	)
	flags := []string{
		"--host=::1", "--port=1", "--store=memory", "--project=p", "--database=d",
		"--emulator-host=h:1", "--auth=firebase", "--policy=authenticated",
		"--origins=https://a.example,https://b.example", "--dev", "--allow-unsafe",
		"--schema-versions=1,2", "--max-body-bytes=3", "--push-timeout=4s", "--heartbeat=5s",
		"--stream-life=6m", "--drain-timeout=7s", "--log-level=debug", "--log-format=json",
		"--pull-max-age=8s", "--firebase-project=f", "--firebase-tenant=t", "--auth-emulator-host=h:2",
		"--oidc-issuer=https://i.example", "--oidc-audience=a", "--oidc-algorithms=ES256,RS256",
		"--oidc-user-claim=uid", "--ticket-keys-file=/keys",
		"--max-bodies-bytes=2000000", "--max-mutations=5",
		"--max-key-bytes=6", "--max-value-bytes=7", "--max-depth=8",
		"--max-queue-pushes=9", "--max-queue-bytes=10", "--max-response-bytes=11",
		"--rate-per-user=0.5", "--burst-per-user=12", "--rate-per-address=1.5",
		"--burst-per-address=13", "--rate-new-spaces=2.5", "--burst-new-spaces=17",
		"--rate-body-bytes=18.5", "--max-bodies-per-user=19",
		"--proxies=2", "--max-streams=14",
		"--max-streams-per-user=15", "--max-header-bytes=16", "--header-timeout=17s",
		"--idle-timeout=19s",
		"--max-spaces-per-user=9",
		"--gc-invoker=gc@p.example", "--gc-audience=https://s.example", "--gc-issuer=https://g.example",
		"--gc-retention=20h", "--gc-timeout=21s",
	}
	want := server.Settings{
		Host: "::1", Port: 1, Store: "memory",
		FirestoreSettings: server.FirestoreSettings{ProjectID: "p", Database: "d", EmulatorHost: "h:1"},
		Auth:              "firebase", Policy: "authenticated",
		FirebaseProject: "f", FirebaseTenant: "t", AuthEmulatorHost: "h:2",
		OIDCIssuer: "https://i.example", OIDCAudience: "a", OIDCAlgorithms: []string{"ES256", "RS256"},
		OIDCUserClaim: "uid", TicketKeys: "k", TicketKeysFile: "/keys",
		MaxSpacesPerUser: 9,
		Origins:          []string{"https://a.example", "https://b.example"},
		Dev:              true, AllowUnsafe: true,
		SchemaVersions: []string{"1", "2"},
		LimitSettings: server.LimitSettings{
			MaxBodyBytes: 3, MaxBodiesBytes: 2_000_000, MaxMutations: 5, MaxKeyBytes: 6,
			MaxValueBytes: 7, MaxDepth: 8, MaxQueuePushes: 9, MaxQueueBytes: 10,
			MaxResponseBytes: 11, RatePerUser: 0.5, BurstPerUser: 12, RatePerAddress: 1.5,
			BurstPerAddress: 13, RateNewSpaces: 2.5, BurstNewSpaces: 17,
			RateBodyBytes: 18.5, MaxBodiesPerUser: 19, Proxies: 2, MaxStreams: 14, MaxStreamsPerUser: 15,
			MaxHeaderBytes: 16, HeaderTimeout: 17 * time.Second, IdleTimeout: 19 * time.Second,
		},
		GCSettings: server.GCSettings{
			GCInvoker: "gc@p.example", GCAudience: "https://s.example", GCIssuer: "https://g.example",
			GCRetention: 20 * time.Hour, GCTimeout: 21 * time.Second,
		},
		PushTimeout: 4 * time.Second, Heartbeat: 5 * time.Second,
		StreamLife: 6 * time.Minute, DrainTimeout: 7 * time.Second,
		LogLevel: slog.LevelDebug, LogFormat: "json", PullMaxAge: 8 * time.Second,
	}
	fromEnv, err := server.ParseSettings(nil, env)
	if err != nil {
		t.Fatal(err)
	}
	fromFlags, err := server.ParseSettings(flags, environment("REPLIFIRE_TICKET_KEYS=k")) // which is no flag
	if err != nil {
		t.Fatal(err)
	}
	for from, got := range map[string]server.Settings{"environment": fromEnv, "flags": fromFlags} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("settings from %s (-want +got):\n%s", from, diff)
		}
	}
	// So that nobody adds a setting that the lists above do not have.
	v := reflect.ValueOf(want)
	for _, f := range reflect.VisibleFields(v.Type()) {
		if v.FieldByIndex(f.Index).IsZero() && f.Name != "Service" {
			t.Errorf("setting %s is missing in this test", f.Name)
		}
	}
}

// TestKeysAreNoFlag: arguments can be read by others.
func TestKeysAreNoFlag(t *testing.T) {
	t.Parallel()
	env := environment("GOOGLE_CLOUD_PROJECT=p")
	if _, err := server.ParseSettings([]string{"--ticket-keys=k"}, env); err == nil {
		t.Error("keys are taken from a flag")
	}
}

func TestFlagsCountMoreThanTheEnvironment(t *testing.T) {
	t.Parallel()
	s, err := server.ParseSettings([]string{"--port=2"}, environment("PORT=1", "GOOGLE_CLOUD_PROJECT=p"))
	if err != nil || s.Port != 2 {
		t.Errorf("port is %d (%v), want 2", s.Port, err)
	}
}

func TestEmptyVariableIsNotSet(t *testing.T) {
	t.Parallel()
	s, err := server.ParseSettings(nil, environment("PORT=", "REPLIFIRE_ORIGINS=", "GOOGLE_CLOUD_PROJECT=p"))
	if err != nil || s.Port != 8080 || len(s.Origins) != 0 {
		t.Errorf("got port %d, origins %q (%v), want the defaults", s.Port, s.Origins, err)
	}
}

// The process's environment must not count where another is given.
func TestProcessEnvironmentIsLeftAlone(t *testing.T) {
	t.Setenv("PORT", "1")
	t.Setenv("REPLIFIRE_STORE", "nonsense")
	s, err := server.ParseSettings(nil, environment("GOOGLE_CLOUD_PROJECT=p"))
	if err != nil || s.Port != 8080 {
		t.Errorf("port is %d (%v), want 8080", s.Port, err)
	}
	t.Setenv("REPLIFIRE_STORE", "memory")
	s, err = server.SettingsFromEnv()
	if err != nil || s.Port != 1 || s.Store != "memory" {
		t.Errorf("SettingsFromEnv has port %d, store %s (%v), want 1, memory", s.Port, s.Store, err)
	}
}

func TestWrongSettings(t *testing.T) {
	t.Parallel()
	project := "GOOGLE_CLOUD_PROJECT=p"
	for name, test := range map[string]struct {
		env  []string
		want []string // parts of the error
	}{
		"no project":        {nil, []string{"GOOGLE_CLOUD_PROJECT", "--project"}},
		"port is no number": {[]string{project, "PORT=x"}, []string{"--port", `"x"`}},
		"port too large":    {[]string{project, "PORT=65536"}, []string{"PORT is 65536"}},
		"port negative":     {[]string{project, "PORT=-1"}, []string{"PORT is -1"}},
		"unknown store": {
			[]string{project, "REPLIFIRE_STORE=disk"},
			[]string{"--store", "firestore", "memory", "disk"},
		},
		"gc without audience": {
			[]string{project, "REPLIFIRE_GC_INVOKER=gc@p.example"}, []string{"REPLIFIRE_GC_AUDIENCE"},
		},
		"gc without invoker": {
			[]string{project, "REPLIFIRE_GC_AUDIENCE=https://s.example"}, []string{"REPLIFIRE_GC_INVOKER"},
		},
		"gc issuer": {
			[]string{
				project, "REPLIFIRE_GC_INVOKER=1", "REPLIFIRE_GC_AUDIENCE=a", "REPLIFIRE_GC_ISSUER=accounts.google.com",
			},
			[]string{"REPLIFIRE_GC_ISSUER"},
		},
		"gc retention": {[]string{project, "REPLIFIRE_GC_RETENTION=-1h"}, []string{"REPLIFIRE_GC_RETENTION"}},
		"gc timeout":   {[]string{project, "REPLIFIRE_GC_TIMEOUT=0s"}, []string{"REPLIFIRE_GC_TIMEOUT"}},
		"firebase without project": {
			[]string{"REPLIFIRE_STORE=memory", "REPLIFIRE_AUTH=firebase"},
			[]string{"REPLIFIRE_FIREBASE_PROJECT", "GOOGLE_CLOUD_PROJECT"},
		},
		"oidc without issuer": {
			[]string{project, "REPLIFIRE_AUTH=oidc", "REPLIFIRE_OIDC_AUDIENCE=a"},
			[]string{"REPLIFIRE_OIDC_ISSUER"},
		},
		"oidc issuer is no URL": {
			[]string{project, "REPLIFIRE_AUTH=oidc", "REPLIFIRE_OIDC_AUDIENCE=a", "REPLIFIRE_OIDC_ISSUER=login"},
			[]string{"REPLIFIRE_OIDC_ISSUER", "https://"},
		},
		"nobody could come in": {
			[]string{project, "REPLIFIRE_POLICY=authenticated"},
			[]string{"REPLIFIRE_POLICY=authenticated", "REPLIFIRE_AUTH is none"},
		},
		"nobody could be a member": {
			[]string{project, "REPLIFIRE_POLICY=members"},
			[]string{"REPLIFIRE_POLICY=members", "REPLIFIRE_AUTH is none"},
		},
		"unknown auth": {
			[]string{project, "REPLIFIRE_AUTH=basic"},
			[]string{`REPLIFIRE_AUTH is "basic"`, `must be one of none, firebase, oidc`},
		},
		"unknown policy": {
			[]string{project, "REPLIFIRE_POLICY=mine"},
			[]string{"REPLIFIRE_POLICY", `must be one of open, authenticated, members`},
		},
		"log level":       {[]string{project, "REPLIFIRE_LOG_LEVEL=loud"}, []string{"log-level"}},
		"log format":      {[]string{project, "REPLIFIRE_LOG_FORMAT=xml"}, []string{"--log-format"}},
		"dev is no truth": {[]string{project, "REPLIFIRE_DEV=perhaps"}, []string{"--dev"}},
		"no body":         {[]string{project, "REPLIFIRE_MAX_BODY_BYTES=0"}, []string{"REPLIFIRE_MAX_BODY_BYTES"}},
		"bodies below a body": {
			[]string{project, "REPLIFIRE_MAX_BODIES_BYTES=1000"},
			[]string{"REPLIFIRE_MAX_BODIES_BYTES", "REPLIFIRE_MAX_BODY_BYTES", "8388608"},
		},
		"long key":          {[]string{project, "REPLIFIRE_MAX_KEY_BYTES=1025"}, []string{"REPLIFIRE_MAX_KEY_BYTES", "1024"}},
		"no depth":          {[]string{project, "REPLIFIRE_MAX_DEPTH=0"}, []string{"REPLIFIRE_MAX_DEPTH", "100"}},
		"no streams":        {[]string{project, "REPLIFIRE_MAX_STREAMS=0"}, []string{"REPLIFIRE_MAX_STREAMS"}},
		"negative rate":     {[]string{project, "REPLIFIRE_RATE_PER_USER=-0.1"}, []string{"REPLIFIRE_RATE_PER_USER"}},
		"rate of no number": {[]string{project, "REPLIFIRE_RATE_PER_USER=NaN"}, []string{"REPLIFIRE_RATE_PER_USER"}},
		"rate without a burst": {
			[]string{project, "REPLIFIRE_BURST_PER_ADDRESS=0"},
			[]string{"REPLIFIRE_BURST_PER_ADDRESS must be more than 0", "REPLIFIRE_RATE_PER_ADDRESS=0 turns the limit off"},
		},
		"space in a list": {
			[]string{project, "REPLIFIRE_SCHEMA_VERSIONS=1, 2"}, []string{"REPLIFIRE_SCHEMA_VERSIONS", `" 2"`, "without spaces"},
		},
		"origin with a path": {
			[]string{project, "REPLIFIRE_ORIGINS=https://a.example/x"}, []string{"REPLIFIRE_ORIGINS", "https://app.example.com"},
		},
		"negative spaces": {
			[]string{project, "REPLIFIRE_RATE_NEW_SPACES=-0.1"}, []string{"REPLIFIRE_RATE_NEW_SPACES"},
		},
		"proxies":      {[]string{project, "REPLIFIRE_PROXIES=-2"}, []string{"REPLIFIRE_PROXIES"}},
		"pull age":     {[]string{project, "REPLIFIRE_PULL_MAX_AGE=-1s"}, []string{"REPLIFIRE_PULL_MAX_AGE"}},
		"no push":      {[]string{project, "REPLIFIRE_PUSH_TIMEOUT=0s"}, []string{"REPLIFIRE_PUSH_TIMEOUT"}},
		"no heartbeat": {[]string{project, "REPLIFIRE_HEARTBEAT=-1s"}, []string{"REPLIFIRE_HEARTBEAT"}},
		"no stream":    {[]string{project, "REPLIFIRE_STREAM_LIFE=0s"}, []string{"REPLIFIRE_STREAM_LIFE"}},
		"no drain":     {[]string{project, "REPLIFIRE_DRAIN_TIMEOUT=0s"}, []string{"REPLIFIRE_DRAIN_TIMEOUT"}},
		"spaces per user": {
			[]string{project, "REPLIFIRE_MAX_SPACES_PER_USER=-1"},
			[]string{"REPLIFIRE_MAX_SPACES_PER_USER"},
		},
		"all at once": {
			[]string{"PORT=-1", "REPLIFIRE_AUTH=x", "REPLIFIRE_POLICY=y"},
			[]string{"PORT", "GOOGLE_CLOUD_PROJECT", "REPLIFIRE_AUTH", "REPLIFIRE_POLICY"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := server.ParseSettings(nil, environment(test.env...))
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error is %q, want %q in it", err, part)
				}
			}
		})
	}
}

func TestCloudRunRefusesWhatIsUnsafe(t *testing.T) {
	t.Parallel()
	const allow = "REPLIFIRE_ALLOW_UNSAFE=true"
	run := []string{"K_SERVICE=replifire", "GOOGLE_CLOUD_PROJECT=p"}
	for name, test := range map[string]struct {
		env  []string
		want []string // parts of the error; empty: no error
		not  []string // not in the error
	}{
		"as it is": {
			want: []string{"K_SERVICE", "REPLIFIRE_AUTH", "REPLIFIRE_POLICY", allow, "--allow-unsafe"},
			not:  []string{"REPLIFIRE_DEV", "REPLIFIRE_STORE"},
		},
		"development mode": {env: []string{"REPLIFIRE_DEV=true"}, want: []string{"REPLIFIRE_DEV", allow}},
		"memory store": {
			env:  []string{"REPLIFIRE_STORE=memory"},
			want: []string{"REPLIFIRE_STORE", allow},
		},
		"said explicitly": {env: []string{allow}},
		"with sign-in":    {env: []string{"REPLIFIRE_AUTH=firebase", "REPLIFIRE_POLICY=authenticated"}},
		"with members":    {env: []string{"REPLIFIRE_AUTH=firebase", "REPLIFIRE_POLICY=members"}},
		"unsigned tokens": {
			env: []string{
				"REPLIFIRE_AUTH=firebase", "REPLIFIRE_POLICY=authenticated", "FIREBASE_AUTH_EMULATOR_HOST=h:1", allow,
			},
			want: []string{"FIREBASE_AUTH_EMULATOR_HOST", "unset"},
		},
		"all of it, said explicitly": {env: []string{allow, "REPLIFIRE_DEV=true", "REPLIFIRE_STORE=memory"}},
		"emulator": {
			env:  []string{"FIRESTORE_EMULATOR_HOST=h:1"},
			want: []string{"FIRESTORE_EMULATOR_HOST", "unset"},
			not:  []string{allow},
		},
		"emulator, said explicitly": {
			env:  []string{"FIRESTORE_EMULATOR_HOST=h:1", allow},
			want: []string{"FIRESTORE_EMULATOR_HOST", "unset"},
		},
		"emulator and memory, explicitly": {
			env:  []string{"FIRESTORE_EMULATOR_HOST=h:1", "REPLIFIRE_STORE=memory", allow},
			want: []string{"FIRESTORE_EMULATOR_HOST"},
		},
		"said to be safe counts as unsaid": {
			env:  []string{"REPLIFIRE_ALLOW_UNSAFE=false"},
			want: []string{"REPLIFIRE_AUTH"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := server.ParseSettings(nil, environment(slices.Concat(run, test.env)...))
			if err != nil != (len(test.want) > 0) {
				t.Fatalf("error is %v", err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error is %q, want %q in it", err, part)
				}
			}
			for _, part := range test.not {
				if strings.Contains(err.Error(), part) {
					t.Errorf("error is %q, want no %q in it", err, part)
				}
			}
			if _, err := server.ParseSettings(nil, environment(slices.Concat(run[1:], test.env)...)); err != nil {
				t.Errorf("elsewhere it is refused too: %v", err)
			}
		})
	}
}

func TestHelpNamesEverySetting(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	var s server.Settings
	parser, err := kong.New(&s, server.Flags(environment()), kong.Writers(&out, &out))
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range parser.Model.Flags {
		if flag.Help == "" {
			t.Errorf("--%s has no help", flag.Name)
		}
	}
	names := map[string]bool{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[server.Settings]()) {
		if env := f.Tag.Get("env"); env != "" && f.Tag.Get("hidden") == "" && !hidden(f) {
			names["[$"+env+"]"] = true
		}
	}
	if len(names) < 15 {
		t.Fatalf("found only %d variables", len(names))
	}
	ctx, err := kong.Trace(parser, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ctx.PrintUsage(false); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !strings.Contains(text, name) {
			t.Errorf("help does not name %s:\n%s", name, out.String())
		}
	}
}

func hidden(f reflect.StructField) bool {
	_, ok := f.Tag.Lookup("hidden")
	return ok
}
