package replifire_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the golden files should have")

// setup is a place in which deploy/setup.sh runs: a project, and a PATH that has what
// the script needs and a gcloud that only keeps notes.
type setup struct{ bin, state string }

func newSetup(t *testing.T) *setup {
	t.Helper()
	s := &setup{bin: t.TempDir(), state: t.TempDir()}
	for _, name := range []string{
		"bash", "base64", "cat", "cut", "dirname", "grep", "head", "paste", "rm", "sleep", "tail", "touch", "tr",
	} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skip(err)
		}
		s.link(t, path, name)
	}
	gcloud, err := filepath.Abs("deploy/testdata/gcloud")
	if err != nil {
		t.Fatal(err)
	}
	s.link(t, gcloud, "gcloud")
	return s
}

func (s *setup) link(t *testing.T, path, name string) {
	t.Helper()
	if err := os.Symlink(path, filepath.Join(s.bin, name)); err != nil {
		t.Fatal(err)
	}
}

// run runs the script to its end.
func (s *setup) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "deploy/setup.sh", args...)
	cmd.Env = []string{"PATH=" + s.bin, "FAKE_STATE=" + s.state}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), out.String(), errs.String()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0, out.String(), errs.String()
}

// must runs the script, which must succeed without a warning.
func (s *setup) must(t *testing.T, args ...string) (stdout string) {
	t.Helper()
	code, stdout, stderr := s.run(t, args...)
	if code != 0 || stderr != "" {
		t.Fatalf("setup.sh %q: exit code %d\nstdout:\n%s\nstderr:\n%s", args, code, stdout, stderr)
	}
	return stdout
}

// lines are those of a file of the gcloud for tests; none: there is no file.
func (s *setup) lines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.state, file))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func (s *setup) write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.state, file), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// making are commands of gcloud that make something new.
func (s *setup) making(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(s.lines(t, "calls"), func(call string) bool {
		return call == "" || !regexp.MustCompile(`\b(enable|create|add|add-iam-policy-binding)\b`).MatchString(call)
	})
}

const (
	inProject = "--project=my-project"
	account   = "replifire@my-project.iam.gserviceaccount.com"
)

func TestSetupDryRun(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		firebase bool
		args     []string
	}{
		"default":  {args: []string{inProject}},
		"firebase": {firebase: true, args: []string{inProject}},
		"all": {args: []string{
			"--project", "my-project", "--region", "europe-west1", "--service", "sync-service", "--database=sync-db",
			"--auth=oidc", "--policy=authenticated", "--origins=https://a.example.com,https://b.example.com:8443",
		}},
		"rotate": {args: []string{inProject, "--rotate-ticket-key"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t)
			if test.firebase {
				s.link(t, filepath.Join(s.bin, "gcloud"), "firebase")
			}
			got := s.must(t, append([]string{"--dry-run"}, test.args...)...)
			if calls := s.lines(t, "calls"); len(calls) > 1 || calls[0] != "" {
				t.Errorf("a dry run called gcloud: %q", calls)
			}
			golden := filepath.Join("deploy", "testdata", "dry-run-"+name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(read(t, golden), got); diff != "" {
				t.Errorf("go test . -run TestSetupDryRun -update writes this anew (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSetupPrintsWhatItRuns: a shell that is given what a dry run prints leaves the
// same behind as the script itself.
func TestSetupPrintsWhatItRuns(t *testing.T) {
	t.Parallel()
	ran, pasted := newSetup(t), newSetup(t)
	ran.must(t, inProject)
	commands, _, _ := strings.Cut(pasted.must(t, "--dry-run", inProject), "\n# The rules")
	shell := exec.CommandContext(t.Context(), "bash", "-eu", "-o", "pipefail", "-c", commands)
	shell.Env = []string{"PATH=" + pasted.bin, "FAKE_STATE=" + pasted.state}
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, file := range []string{"apis", "databases", "accounts", "roles", "secrets", "grants", "indexes", "fields"} {
		if diff := cmp.Diff(ran.lines(t, file), pasted.lines(t, file)); diff != "" {
			t.Errorf("%s differ (-run +pasted):\n%s", file, diff)
		}
	}
	if diff := cmp.Diff(ran.making(t), pasted.making(t)); diff != "" {
		t.Errorf("commands differ (-run +pasted):\n%s", diff)
	}
}

func TestSetupIsIdempotent(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.must(t, inProject)
	if n := len(s.making(t)); n != 8 {
		t.Errorf("%d commands of the first run make something, want 8: %q", n, s.making(t))
	}
	key := s.lines(t, "versions")
	s.write(t, "calls", "")
	s.must(t, inProject)
	if again := s.making(t); len(again) > 0 {
		t.Errorf("the second run made something: %q", again)
	}
	if diff := cmp.Diff(key, s.lines(t, "versions")); diff != "" {
		t.Error("the second run changed the key")
	}
	if len(s.lines(t, "calls")) < 8 {
		t.Errorf("the second run looked only at %q", s.lines(t, "calls"))
	}
}

// TestSetupGoesOn: a run that broke off at any command is finished by the next one.
func TestSetupGoesOn(t *testing.T) {
	t.Parallel()
	whole := newSetup(t)
	whole.must(t, inProject)
	for _, command := range []string{
		"services enable", "firestore databases list", "firestore databases create", "iam service-accounts list",
		"iam service-accounts create", "secrets list", "secrets create", "secrets versions add",
		"firestore indexes composite list", "firestore indexes composite create",
		"firestore indexes fields update version",
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t)
			s.write(t, "deny", command)
			if code, stdout, stderr := s.run(t, inProject); code == 0 || !strings.Contains(stderr, "PERMISSION_DENIED") {
				t.Errorf("exit code %d\nstdout:\n%s\nstderr:\n%s", code, stdout, stderr)
			}
			s.must(t, inProject)
			for _, file := range []string{"apis", "databases", "accounts", "roles", "secrets", "grants", "indexes"} {
				if diff := cmp.Diff(whole.lines(t, file), s.lines(t, file)); diff != "" {
					t.Errorf("%s differ (-whole +broken off):\n%s", file, diff)
				}
			}
			if n := len(s.lines(t, "versions")); n != 1 {
				t.Errorf("there are %d keys", n)
			}
		})
	}
}

// TestSetupGrantsLittle: one role in the project and one on the secret, each to the
// service's own account.
func TestSetupGrantsLittle(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.must(t, inProject)
	var grants []string
	for _, call := range s.lines(t, "calls") {
		if strings.Contains(call, "iam-policy-binding") {
			grants = append(grants, call)
		}
	}
	want := []string{
		"projects add-iam-policy-binding my-project --member=serviceAccount:" + account +
			" --role=roles/datastore.user --condition=None",
		"secrets add-iam-policy-binding replifire-ticket-keys --member=serviceAccount:" + account +
			" --role=roles/secretmanager.secretAccessor --project=my-project",
	}
	if diff := cmp.Diff(want, grants); diff != "" {
		t.Errorf("grants (-want +got):\n%s", diff)
	}
	s.write(t, "roles", "roles/datastore.user\nroles/editor\n")
	if code, _, stderr := s.run(t, inProject); code != 0 || !strings.Contains(stderr, "roles/editor") {
		t.Errorf("exit code %d: no word about a role too many: %q", code, stderr)
	}
}

// TestSetupWaitsForTheAccount: the first grant after an account was made may fail.
func TestSetupWaitsForTheAccount(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.write(t, "deny", "projects add-iam-policy-binding")
	if code, stdout, stderr := s.run(t, inProject); code != 0 {
		t.Errorf("exit code %d\nstdout:\n%s\nstderr:\n%s", code, stdout, stderr)
	}
	if got := s.lines(t, "roles"); !slices.Equal(got, []string{"roles/datastore.user"}) {
		t.Errorf("roles are %q", got)
	}
}

// TestSetupKeys: 32 random bytes, never printed nor in a command's arguments; a
// rotation puts a new key before the last one.
func TestSetupKeys(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	shown := []string{s.must(t, inProject)}
	for range 2 {
		shown = append(shown, s.must(t, inProject, "--rotate-ticket-key"))
	}
	shown = append(shown, s.lines(t, "calls")...)
	versions := s.lines(t, "versions")
	if len(versions) != 3 {
		t.Fatalf("there are %d versions, want 3", len(versions))
	}
	var newest []string
	for i, v := range versions {
		keys := strings.Split(v, ",")
		newest = append(newest, keys[0])
		if want := newest[max(i-1, 0):]; len(keys) != len(want) || keys[len(keys)-1] != want[0] {
			t.Errorf("version %d has %d keys, the last one of another version", i+1, len(keys))
		}
		raw, err := base64.StdEncoding.DecodeString(keys[0])
		if err != nil || len(raw) != 32 {
			t.Errorf("the key of version %d has %d bytes: %v", i+1, len(raw), err)
		}
		if strings.Contains(strings.Join(shown, "\n"), keys[0]) {
			t.Errorf("the key of version %d was shown", i+1)
		}
	}
	if slices.Sort(newest); len(slices.Compact(newest)) != 3 {
		t.Error("a new key is an old one")
	}
}

// TestSetupRotatesOnlyWhatIsThere: without a secret there is nothing to rotate.
func TestSetupRotatesOnlyWhatIsThere(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	code, _, stderr := s.run(t, inProject, "--rotate-ticket-key")
	if code == 0 || !strings.Contains(stderr, "the secret replifire-ticket-keys is empty") || len(s.making(t)) > 0 {
		t.Errorf("exit code %d, stderr %q, calls %q", code, stderr, s.making(t))
	}
}

func TestSetupRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"nothing":          {nil, "--project is missing"},
		"only a dry run":   {[]string{"--dry-run"}, "--project is missing"},
		"unknown flag":     {[]string{inProject, "--colour=red"}, "unknown argument --colour=red"},
		"an argument":      {[]string{inProject, "europe"}, "unknown argument europe"},
		"no value":         {[]string{"--project"}, "--project needs a value"},
		"empty value":      {[]string{"--project="}, "--project cannot be ''"},
		"a command":        {[]string{"--project=a;rm -rf"}, "--project cannot be"},
		"two lines":        {[]string{"--project=my-project\nx"}, "--project cannot be"},
		"long service":     {[]string{inProject, "--service=" + strings.Repeat("s", 31)}, "--service cannot be"},
		"region":           {[]string{inProject, "--region=Europe"}, "--region cannot be 'Europe'"},
		"database":         {[]string{inProject, "--database=_"}, "--database cannot be '_'"},
		"no sign-in":       {[]string{inProject, "--auth=none"}, "--auth cannot be 'none'"},
		"an open policy":   {[]string{inProject, "--policy=open"}, "--policy cannot be 'open'"},
		"origin of a star": {[]string{inProject, "--origins=*"}, "--origins cannot be '*'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t)
			code, stdout, stderr := s.run(t, test.args...)
			if code != 2 || stdout != "" || !strings.HasPrefix(stderr, "setup.sh: "+test.want) ||
				!strings.HasSuffix(stderr, "Try deploy/setup.sh --help\n") {
				t.Errorf("exit code %d, want 2; stdout %q, stderr %q, want %q", code, stdout, stderr, test.want)
			}
			if calls := s.lines(t, "calls"); calls[0] != "" {
				t.Errorf("calls are %q", calls)
			}
		})
	}
}

func TestSetupRefusesDatastoreMode(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.write(t, "databases", "(default) DATASTORE_MODE\n")
	code, _, stderr := s.run(t, inProject)
	if code != 1 || !strings.Contains(stderr, "Datastore mode") || len(s.lines(t, "accounts")) > 1 {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

func TestSetupHelp(t *testing.T) {
	t.Parallel()
	help := newSetup(t).must(t, "--help")
	flags := []string{"--dry-run", "--rotate-ticket-key", "--help"}
	for _, m := range regexp.MustCompile(`(--[a-z-]+)=\*`).FindAllStringSubmatch(read(t, "deploy/setup.sh"), -1) {
		flags = append(flags, m[1])
	}
	if len(flags) != 10 {
		t.Errorf("flags of the script are %q", flags)
	}
	for _, name := range flags {
		if !strings.Contains(help, "\n  "+name) {
			t.Errorf("the help has no %s", name)
		}
	}
	if !strings.HasPrefix(help, "Usage: deploy/setup.sh --project=PROJECT") {
		t.Errorf("help is %q", help)
	}
}

// TestSetupIndexes: what gcloud is told is what firestore.indexes.json has.
func TestSetupIndexes(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.must(t, inProject)
	var declared struct {
		Indexes []struct {
			CollectionGroup, QueryScope string
			Fields                      []struct{ FieldPath, Order string }
		}
		FieldOverrides []struct {
			CollectionGroup, FieldPath string
			Indexes                    []struct{ Order, QueryScope string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "firestore.indexes.json")), &declared); err != nil {
		t.Fatal(err)
	}
	var indexes, fields []string
	for _, i := range declared.Indexes {
		var paths []string
		for _, f := range i.Fields {
			paths = append(paths, f.FieldPath)
			if f.Order != "ASCENDING" || i.QueryScope != "COLLECTION" {
				t.Errorf("setup.sh makes no index %+v", i)
			}
		}
		indexes = append(indexes, i.CollectionGroup+" "+strings.Join(paths, ",")+",__name__")
	}
	for _, o := range declared.FieldOverrides {
		var orders []string
		for _, i := range o.Indexes {
			orders = append(orders, "order="+strings.ToLower(i.Order))
		}
		fields = append(fields, o.CollectionGroup+"/"+o.FieldPath+" "+strings.Join(orders, "\n"))
	}
	if diff := cmp.Diff(indexes, s.lines(t, "indexes")); diff != "" {
		t.Errorf("indexes (-declared +made):\n%s", diff)
	}
	got := s.lines(t, "fields")
	slices.Sort(fields)
	slices.Sort(got)
	if diff := cmp.Diff(fields, got); diff != "" {
		t.Errorf("exemptions (-declared +made):\n%s", diff)
	}
}

// TestSetupDeploysAsCloudBuildDoes: the printed command has the flags of
// cloudbuild.yaml's, but for the image and the environment.
func TestSetupDeploysAsCloudBuildDoes(t *testing.T) {
	t.Parallel()
	b := loadBuild(t)
	printed := newSetup(t).must(t, "--dry-run", inProject)
	_, printed, _ = strings.Cut(printed, "gcloud run deploy")
	for _, arg := range b.step(t, "deploy").Args[2:] { // without "run deploy"
		own := strings.HasPrefix(arg, "--image=") || strings.HasPrefix(arg, "--set-env-vars=")
		for name, value := range b.Substitutions {
			arg = strings.ReplaceAll(arg, "${"+name+"}", value)
		}
		arg = strings.ReplaceAll(arg, "${PROJECT_ID}", "my-project")
		if !own && !strings.Contains(printed, " "+arg) {
			t.Errorf("the printed command has no %s:\n%s", arg, printed)
		}
	}
	version := b.Substitutions["_FIREBASE_TOOLS"]
	if !strings.Contains(read(t, "deploy/setup.sh"), " "+version+" ") {
		t.Errorf("setup.sh does not name %s", version)
	}
}
