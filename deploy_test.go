package replifire_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/replifire/replifire/server"
)

// read is a file of the module's root.
func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// settingNames are the environment variables of server.Settings with their
// defaults.
func settingNames() map[string]string {
	names := map[string]string{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[server.Settings]()) {
		if env := f.Tag.Get("env"); env != "" {
			names[env] = f.Tag.Get("default")
		}
	}
	return names
}

// instruction is one of a Dockerfile, its lines joined.
type instruction struct{ name, args string }

func dockerfile(t *testing.T) []instruction {
	t.Helper()
	var list []instruction
	var line string
	for l := range strings.Lines(read(t, "Dockerfile")) {
		l = strings.TrimSpace(l)
		if l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		if more, ok := strings.CutSuffix(l, `\`); ok {
			line += more
			continue
		}
		name, args, _ := strings.Cut(line+l, " ")
		list = append(list, instruction{name, args})
		line = ""
	}
	return list
}

// args are the arguments of all instructions of a name.
func args(list []instruction, name string) []string {
	var found []string
	for _, i := range list {
		if i.name == name {
			found = append(found, i.args)
		}
	}
	return found
}

func TestDockerfile(t *testing.T) {
	t.Parallel()
	list := dockerfile(t)
	known := []string{"ARG", "FROM", "WORKDIR", "ENV", "COPY", "RUN", "USER", "EXPOSE", "ENTRYPOINT"}
	for _, i := range list {
		if !slices.Contains(known, i.name) {
			t.Errorf("unknown instruction %s %s", i.name, i.args)
		}
	}
	for name, want := range map[string][]string{
		"FROM":   {"${GO_IMAGE} AS build", "${RUN_IMAGE}"},
		"USER":   {"65532:65532"},
		"EXPOSE": {settingNames()["PORT"]},
	} {
		if got := args(list, name); !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	var entry []string
	if err := json.Unmarshal([]byte(strings.Join(args(list, "ENTRYPOINT"), "")), &entry); err != nil {
		t.Errorf("ENTRYPOINT must be in the form without a shell, the image has none: %v", err)
	}
	if want := []string{"/replifire", "serve"}; !slices.Equal(entry, want) {
		t.Errorf("ENTRYPOINT is %q, want %q", entry, want)
	}
	if copied := args(list, "COPY"); copied[len(copied)-1] != "--from=build "+entry[0]+" "+entry[0] {
		t.Errorf("the last COPY is %q: it must bring what ENTRYPOINT runs", copied[len(copied)-1])
	}
}

func TestDockerfileGoVersionIsTheModules(t *testing.T) {
	t.Parallel()
	version := regexp.MustCompile(`(?m)^go (1\.\d+)`).FindStringSubmatch(read(t, "go.mod"))[1]
	want := "GO_IMAGE=golang:" + version + "-bookworm"
	if got := args(dockerfile(t), "ARG"); !slices.Contains(got, want) {
		t.Errorf("ARGs are %q, want %s among them", got, want)
	}
}

// What the image's build copies must be all it needs.
func TestDockerignoreKeepsTheSource(t *testing.T) {
	t.Parallel()
	var patterns []string
	for l := range strings.Lines(read(t, ".dockerignore")) {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "#") {
			patterns = append(patterns, l)
		}
	}
	for _, want := range []string{".git", "**/node_modules", "**/.env", "**/*.key.json", "**/ticket-keys"} {
		if !slices.Contains(patterns, want) {
			t.Errorf(".dockerignore has no line %s", want)
		}
	}
	for _, name := range append(goFiles(t), "go.mod", "go.sum") {
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "test/") {
			continue
		}
		for _, p := range patterns {
			if ignores(t, p, name) {
				t.Errorf(".dockerignore's %s leaves out %s", p, name)
			}
		}
	}
}

// ignores reports whether a pattern of .dockerignore leaves a file out, itself or
// with a folder above it.
func ignores(t *testing.T, pattern, name string) bool {
	t.Helper()
	parts := strings.Split(name, "/")
	anywhere, isAnywhere := strings.CutPrefix(pattern, "**/")
	for i := range parts {
		subject := strings.Join(parts[:i+1], "/")
		if isAnywhere {
			pattern, subject = anywhere, parts[i]
		}
		ok, err := filepath.Match(pattern, subject)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			return true
		}
	}
	return false
}

// cloudBuild is what is looked at in cloudbuild.yaml.
type cloudBuild struct {
	Substitutions map[string]string `yaml:"substitutions"`
	Steps         []buildStep       `yaml:"steps"`
	Options       struct {
		DynamicSubstitutions bool   `yaml:"dynamicSubstitutions"`
		Logging              string `yaml:"logging"`
		MachineType          string `yaml:"machineType"`
	} `yaml:"options"`
	Images         []string `yaml:"images"`
	ServiceAccount string   `yaml:"serviceAccount"`
	Timeout        string   `yaml:"timeout"`
}

type buildStep struct {
	ID         string   `yaml:"id"`
	Name       string   `yaml:"name"`
	Entrypoint string   `yaml:"entrypoint"`
	Args       []string `yaml:"args"`
	Env        []string `yaml:"env"`
	Volumes    []struct {
		Name string `yaml:"name"`
		Path string `yaml:"path"`
	} `yaml:"volumes"`
}

// loadBuild is strict: an unknown or repeated key is a mistake.
func loadBuild(t *testing.T) cloudBuild {
	t.Helper()
	var b cloudBuild
	dec := yaml.NewDecoder(strings.NewReader(read(t, "cloudbuild.yaml")), yaml.DisallowUnknownField())
	if err := dec.Decode(&b); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *cloudBuild) step(t *testing.T, id string) buildStep {
	t.Helper()
	i := slices.IndexFunc(b.Steps, func(s buildStep) bool { return s.ID == id })
	if i < 0 {
		t.Fatalf("cloudbuild.yaml has no step %q", id)
	}
	return b.Steps[i]
}

func TestCloudBuildSteps(t *testing.T) {
	t.Parallel()
	b := loadBuild(t)
	var ids []string
	for _, s := range b.Steps {
		ids = append(ids, s.ID)
	}
	want := []string{"go", "node", "test", "build", "push", "rules-and-indexes", "deploy"}
	if !slices.Equal(ids, want) {
		t.Errorf("steps are %q, want %q", ids, want)
	}
	test := b.step(t, "test")
	if !slices.Contains(test.Env, "CI=true") || !strings.Contains(test.Args[len(test.Args)-1], "make test") {
		t.Errorf("the test step is %+v: it must run make test with CI=true", test)
	}
	if b.Options.Logging != "CLOUD_LOGGING_ONLY" {
		t.Errorf("logging is %q: a build with its own service account needs CLOUD_LOGGING_ONLY", b.Options.Logging)
	}
	if _, err := time.ParseDuration(b.Timeout); err != nil {
		t.Errorf("timeout: %v", err)
	}
}

// TestCloudBuildDeploysRulesToItsDatabase runs the step with an npx that says what it is
// called with, and in which file.
func TestCloudBuildDeploysRulesToItsDatabase(t *testing.T) {
	t.Parallel()
	b := loadBuild(t)
	script := strings.NewReplacer(
		"${_DATABASE}", "sync-db", "${_FIREBASE_TOOLS}", "tools@1", "${PROJECT_ID}", "my-project", "$$", "$",
	).Replace(b.step(t, "rules-and-indexes").Args[1])
	dir := t.TempDir()
	npx := "#!/bin/bash\necho \"$@\"\ncat firebase.deploy.json\n"
	if err := os.WriteFile(filepath.Join(dir, "npx"), []byte(npx), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-ceu", script)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	called, config, _ := strings.Cut(string(out), "\n")
	if want := "--yes tools@1 deploy --non-interactive --project=my-project" +
		" --only=firestore --config=firebase.deploy.json"; called != want {
		t.Errorf("npx is called with %q, want %q", called, want)
	}
	var got struct {
		Firestore []struct{ Database, Rules, Indexes string }
	}
	if err := json.Unmarshal([]byte(config), &got); err != nil || len(got.Firestore) != 1 {
		t.Fatalf("the file is %s: %v", config, err)
	}
	f := got.Firestore[0]
	if f.Database != "sync-db" || f.Rules != "firestore.rules" || f.Indexes != "firestore.indexes.json" {
		t.Errorf("the file is %s", config)
	}
}

// Cloud Build refuses a build that names a substitution it does not have, or has
// one that nothing names.
func TestCloudBuildSubstitutions(t *testing.T) {
	t.Parallel()
	b := loadBuild(t)
	text := read(t, "cloudbuild.yaml")
	builtIn := []string{"PROJECT_ID", "BUILD_ID", "COMMIT_SHA"}
	text = strings.ReplaceAll(text, "$$", "") // "$$" is a "$" for the step's own shell
	for _, m := range regexp.MustCompile(`\$\{?(\w+)\}?`).FindAllStringSubmatch(text, -1) {
		_, ours := b.Substitutions[m[1]]
		if !ours && !slices.Contains(builtIn, m[1]) {
			t.Errorf("%s is used and is no substitution", m[0])
		}
	}
	for name := range b.Substitutions {
		if !strings.Contains(text, "${"+name+"}") {
			t.Errorf("substitution %s is not used", name)
		}
	}
	if !b.Options.DynamicSubstitutions {
		t.Error("substitutions name each other, which needs dynamicSubstitutions")
	}
}

func TestCloudBuildImagesAreTheDockerfiles(t *testing.T) {
	t.Parallel()
	b := loadBuild(t)
	build := b.step(t, "build").Args
	var declared []string
	for _, arg := range args(dockerfile(t), "ARG") {
		name, value, _ := strings.Cut(arg, "=")
		declared = append(declared, name)
		if want, ok := b.Substitutions["_"+name]; ok && value != "" && want != value {
			t.Errorf("%s is %s in the Dockerfile and %s in cloudbuild.yaml", name, value, want)
		}
	}
	for _, arg := range build {
		if given, ok := strings.CutPrefix(arg, "--build-arg="); ok {
			if name, _, _ := strings.Cut(given, "="); !slices.Contains(declared, name) {
				t.Errorf("--build-arg %s is no ARG of the Dockerfile", name)
			}
		}
	}
	image := "${_IMAGE}:${_VERSION}"
	for _, s := range []buildStep{b.step(t, "push"), b.step(t, "deploy")} {
		if !slices.ContainsFunc(s.Args, func(a string) bool { return a == image || a == "--image="+image }) {
			t.Errorf("step %s does not use the image that was built: %q", s.ID, s.Args)
		}
	}
}

func TestCloudRunFlags(t *testing.T) {
	t.Parallel()
	b := loadBuild(t)
	deploy := b.step(t, "deploy").Args
	for _, want := range []string{
		"--service-account=${_SERVICE_ACCOUNT}",
		"--port=" + settingNames()["PORT"],
		"--use-http2",        // or a backlog of more than 32 MB is refused
		"--concurrency=1000", // a poke stream is a request
		"--no-cpu-throttling",
		"--timeout=3600",
	} {
		if !slices.Contains(deploy, want) {
			t.Errorf("deploy has no %s: %q", want, deploy)
		}
	}
	life, err := time.ParseDuration(settingNames()["REPLIFIRE_STREAM_LIFE"])
	if err != nil || life >= time.Hour {
		t.Errorf("REPLIFIRE_STREAM_LIFE is %v (%v): it must be below the timeout", life, err)
	}
	drain, err := time.ParseDuration(settingNames()["REPLIFIRE_DRAIN_TIMEOUT"])
	if err != nil || drain > 8*time.Second {
		t.Errorf("REPLIFIRE_DRAIN_TIMEOUT is %v (%v): Cloud Run kills after 10 s", drain, err)
	}
	if !slices.ContainsFunc(deploy, func(a string) bool {
		return strings.HasPrefix(a, "--startup-probe=httpGet.path=/ready,")
	}) {
		t.Error("deploy has no startup probe on /ready")
	}
}

func TestCloudRunEnvironment(t *testing.T) {
	t.Parallel()
	b := loadBuild(t)
	deploy := b.step(t, "deploy").Args
	i := slices.IndexFunc(deploy, func(a string) bool { return strings.HasPrefix(a, "--set-env-vars=^;^") })
	if i < 0 {
		t.Fatalf("deploy has no --set-env-vars=^;^: %q", deploy)
	}
	given := map[string]string{}
	for pair := range strings.SplitSeq(strings.TrimPrefix(deploy[i], "--set-env-vars=^;^"), ";") {
		name, value, _ := strings.Cut(pair, "=")
		given[name] = value
		if _, known := settingNames()[name]; !known {
			t.Errorf("%s is no environment variable of the service", name)
		}
	}
	if _, ok := given["PORT"]; ok {
		t.Error("PORT is Cloud Run's to set")
	}
	for _, name := range []string{
		"GOOGLE_CLOUD_PROJECT", "FIRESTORE_DATABASE", "REPLIFIRE_ORIGINS", "REPLIFIRE_ALLOW_UNSAFE",
	} {
		if _, ok := given[name]; !ok {
			t.Errorf("%s is not given", name)
		}
	}
	if b.Substitutions["_ALLOW_UNSAFE"] != "false" {
		t.Error("_ALLOW_UNSAFE must be said, not be the default")
	}
	// With the defaults the service starts where unsafe is said, and only there.
	env := map[string]string{"K_SERVICE": "replifire", "GOOGLE_CLOUD_PROJECT": "p", "REPLIFIRE_ALLOW_UNSAFE": "true"}
	if _, err := server.ParseSettings(nil, func(k string) string { return env[k] }); err != nil {
		t.Errorf("the deployed service would not start: %v", err)
	}
	env["REPLIFIRE_ALLOW_UNSAFE"] = "false"
	if _, err := server.ParseSettings(nil, func(k string) string { return env[k] }); err == nil {
		t.Error("the deployed service would start without sign-in, unasked")
	}
}

// .gcloudignore takes .gitignore's lines in: what is not in the repository is not
// uploaded either, and secrets are not. The tests are, since the build runs them.
func TestGcloudignore(t *testing.T) {
	t.Parallel()
	ignored := strings.Split(read(t, ".gitignore"), "\n")
	for _, secret := range []string{".env", "*.key.json", "ticket-keys"} {
		if !slices.Contains(ignored, secret) {
			t.Errorf(".gitignore has no line %s", secret)
		}
	}
	lines := strings.Split(read(t, ".gcloudignore"), "\n")
	for _, want := range []string{".git", "#!include:.gitignore"} {
		if !slices.Contains(lines, want) {
			t.Errorf(".gcloudignore has no line %s", want)
		}
	}
	for _, no := range []string{"test", "*_test.go", "Dockerfile", "cloudbuild.yaml", "firestore.rules"} {
		if slices.Contains(lines, no) {
			t.Errorf(".gcloudignore leaves out %s", no)
		}
	}
}
