package main

import (
	"bytes"
	"context"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/replifire/replifire/internal/emulator/emulatortest"
)

func TestMain(m *testing.M) { emulatortest.Main(m) }

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

// output is what a program has written so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// execute runs the program to its end. What it says of its progress is left out: on a
// machine that is slow enough everything takes long.
func execute(ctx context.Context, getenv func(string) string, args ...string) (code int, stdout, stderr string) {
	var out, errs output
	code = run(ctx, args, getenv, &out, &errs)
	return code, out.String(), soFar.ReplaceAllString(errs.String(), "")
}

var soFar = regexp.MustCompile(`(?m)^.* so far[:,] .*\n`)

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args   []string
		env    []string
		code   int
		stdout string // in it; "": empty
		stderr string // in it; "": empty
	}{
		"help":             {args: []string{"--help"}, stdout: "Usage: replifire <command>"},
		"short help":       {args: []string{"-h"}, stdout: "Empty a space"},
		"help of serve":    {args: []string{"serve", "--help"}, stdout: "[$REPLIFIRE_DRAIN_TIMEOUT]"},
		"help of dev":      {args: []string{"dev", "--help"}, stdout: "--memory"},
		"help of fsck":     {args: []string{"fsck", "--help"}, stdout: "Usage: replifire fsck <space>"},
		"help of reset":    {args: []string{"reset", "--help"}, stdout: "--yes"},
		"help of restored": {args: []string{"restored", "--help"}, stdout: "backup"},
		"version":          {args: []string{"version"}, stdout: "replifire "},
		"nothing":          {code: 2, stderr: "replifire --help"},
		"unknown command":  {args: []string{"run"}, code: 2, stderr: "run"},
		"unknown flag":     {args: []string{"serve", "--fast"}, code: 2, stderr: "--fast"},
		"wrong flag":       {args: []string{"serve", "--port=x"}, code: 2, stderr: "--port"},
		"keys are no flag": {args: []string{"serve", "--ticket-keys=k"}, code: 2, stderr: "--ticket-keys"},
		"keys of the environment": {
			args:   []string{"serve"},
			env:    []string{"REPLIFIRE_STORE=memory", "REPLIFIRE_TICKET_KEYS=SECRET"},
			code:   1,
			stderr: "REPLIFIRE_TICKET_KEYS",
		},
		"wrong environment": {
			args:   []string{"serve"},
			env:    []string{"REPLIFIRE_AUTH=oidc"},
			code:   2,
			stderr: "REPLIFIRE_OIDC_ISSUER",
		},
		"no project": {args: []string{"serve"}, code: 2, stderr: "GOOGLE_CLOUD_PROJECT"},
		"Cloud Run": {
			args: []string{"serve"}, env: []string{"K_SERVICE=s", "GOOGLE_CLOUD_PROJECT=p"},
			code: 2, stderr: "REPLIFIRE_ALLOW_UNSAFE=true",
		},
		"fsck of nothing":      {args: []string{"fsck"}, code: 2, stderr: "<space>"},
		"fsck without project": {args: []string{"fsck", "s"}, code: 2, stderr: "GOOGLE_CLOUD_PROJECT"},
		"fsck of no space": {
			args:   []string{"fsck", ""},
			env:    []string{"GOOGLE_CLOUD_PROJECT=p"},
			code:   2,
			stderr: "must not be empty",
		},
		"gc of the future": {
			args: []string{"gc", "--retention=-1h"}, env: []string{"GOOGLE_CLOUD_PROJECT=p"},
			code: 2, stderr: "--retention must not be negative",
		},
		"gc of days": {
			args: []string{"gc", "--retention=30d"}, env: []string{"GOOGLE_CLOUD_PROJECT=p"},
			code: 2, stderr: `--retention: "30d" is no duration: it must be one such as 720h`,
		},
		"gc without project":     {args: []string{"gc"}, code: 2, stderr: "GOOGLE_CLOUD_PROJECT"},
		"export without project": {args: []string{"export", "s"}, code: 2, stderr: "GOOGLE_CLOUD_PROJECT"},
		"import without project": {args: []string{"import", "s"}, code: 2, stderr: "GOOGLE_CLOUD_PROJECT"},
		"reset without yes": {
			args:   []string{"reset", "s"},
			env:    []string{"GOOGLE_CLOUD_PROJECT=p"},
			code:   2,
			stderr: "--yes",
		},
		"help of members":    {args: []string{"members", "--help"}, stdout: "members set"},
		"members of nothing": {args: []string{"members", "list"}, code: 2, stderr: "<space>"},
		"members without project": {
			args: []string{"members", "list", "s"}, code: 2, stderr: "GOOGLE_CLOUD_PROJECT",
		},
		"member without role": {
			args: []string{"members", "set", "s", "ann"}, env: []string{"GOOGLE_CLOUD_PROJECT=p"},
			code: 2, stderr: "--role",
		},
		"member of an odd role": {
			args: []string{"members", "set", "s", "ann", "--role=admin"}, env: []string{"GOOGLE_CLOUD_PROJECT=p"},
			code: 2, stderr: `"reader","writer","owner"`,
		},
		"member without id": {
			args: []string{"members", "remove", "s", ""}, env: []string{"GOOGLE_CLOUD_PROJECT=p"},
			code: 2, stderr: "user must not be empty",
		},
		"policy without sign-in": {
			args: []string{"serve"}, env: []string{"REPLIFIRE_POLICY=members", "GOOGLE_CLOUD_PROJECT=p"},
			code: 2, stderr: "REPLIFIRE_AUTH is none",
		},
		"dev on an odd port": {args: []string{"dev", "--memory", "--port=65536"}, code: 1, stderr: "PORT is 65536"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := execute(t.Context(), environment(test.env...), test.args...)
			if code != test.code {
				t.Errorf("exit code is %d, want %d", code, test.code)
			}
			if !strings.Contains(stdout, test.stdout) || (test.stdout == "") != (stdout == "") {
				t.Errorf("stdout is %q, want %q in it", stdout, test.stdout)
			}
			if !strings.Contains(stderr, test.stderr) || (test.stderr == "") != (stderr == "") {
				t.Errorf("stderr is %q, want %q in it", stderr, test.stderr)
			}
		})
	}
}

func TestVersionLine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		info *debug.BuildInfo
		want string
	}{
		"nothing known": {nil, `^replifire \(devel\) go\S+ \w+/\w+$`},
		"go install":    {&debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, `^replifire v1\.2\.3 go\S+ `},
		"go build": {
			&debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}}},
			`^replifire \(devel\) abc go\S+ `,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := versionLine(test.info); !regexp.MustCompile(test.want).MatchString(got) {
				t.Errorf("version is %q, want %s", got, test.want)
			}
		})
	}
}
