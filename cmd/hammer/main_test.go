package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/replifire/replifire/internal/apitest"
	"github.com/replifire/replifire/internal/load"
	"github.com/replifire/replifire/internal/memnet"
)

// TestHammer has the program run against the service.
func TestHammer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args  []string
		check func(*testing.T, load.Report)
	}{
		"closed loop": {
			args: []string{"--clients=3", "--pullers=2", "--pending=2", "--spaces=1", "--duration=1s"},
			check: func(t *testing.T, r load.Report) {
				t.Helper()
				if s := r.Setup; s.Clients != 3 || s.Pullers != 2 || s.Pending != 2 || s.Streams != 5 || s.Rate != 0 {
					t.Errorf("setup is %+v", s)
				}
				if r.Seconds != 1 || len(r.Spaces) != 1 || r.Spaces[0].Clients != 5 {
					t.Errorf("%v s, spaces %+v", r.Seconds, r.Spaces)
				}
			},
		},
		"open loop with a ramp": {
			args: []string{"--clients=4", "--rate=100", "--ramp=500ms", "--duration=1500ms"},
			check: func(t *testing.T, r load.Report) {
				t.Helper()
				// 100 a second for 1.5 s, and half of the 50 during the ramp: of each client
				// from its start on.
				if n := r.Mutations.Issued; n < 165 || n > 185 {
					t.Errorf("%d mutations were issued, want about 175", n)
				}
				if s := r.Setup; s.Rate != 100 || s.Pending != 0 || s.RampSeconds != 0.5 {
					t.Errorf("setup is %+v", s)
				}
				if r.Latencies.Lag.Count == 0 {
					t.Error("the lag was not measured")
				}
			},
		},
		"spaces and groups": {
			args: []string{
				"--clients=6", "--groups=4", "--spaces=2", "--streams=group", "--view=full", "--gzip", "--space=s",
				"--duration=300ms",
			},
			check: func(t *testing.T, r load.Report) {
				t.Helper()
				if len(r.Spaces) != 2 || r.Spaces[0].Name != "s-0" || r.Spaces[1].Name != "s-1" || r.Setup.Streams != 4 {
					t.Errorf("spaces are %+v, setup %+v", r.Spaces, r.Setup)
				}
			},
		},
	} {
		inBubble(t, name, func(t *testing.T) {
			network := &memnet.Network{Latency: latency}
			file := filepath.Join(t.TempDir(), "report.json")
			args := slices.Concat(test.args, []string{"--url=" + network.Serve(t, apitest.Service(t)), "--json=" + file})
			code, stdout, stderr := executeOn(t, network, variables(), args...)
			if code != 0 || !strings.Contains(stdout, "\nCONVERGED: ") {
				t.Errorf("exit code %d, stdout:\n%s\nstderr:\n%s", code, stdout, stderr)
			}
			r := readReport(t, file)
			if m := r.Mutations; m.Issued == 0 || m.Confirmed != m.Issued || m.Lost+m.Shed > 0 || !r.Verdict.Converged {
				t.Errorf("mutations are %+v, verdict %v", m, r.Verdict)
			}
			test.check(t, r)
		})
	}
}

// readReport reads a file of --json, which has the fields of a Report and no others.
func readReport(t *testing.T, file string) load.Report {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var r load.Report
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestJSONHasTheDocumentedFields compares the file with what docs/hammer.md lists.
func TestJSONHasTheDocumentedFields(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		doc, err := os.ReadFile("../../docs/hammer.md")
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "report.json")
		network := &memnet.Network{Latency: latency}
		code, _, stderr := executeOn(t, network, variables(),
			"--url="+network.Serve(t, apitest.Service(t)), "--duration=200ms", "--quiet", "--json="+file)
		if code != 0 || stderr != "" {
			t.Fatalf("exit code %d, stderr:\n%s", code, stderr)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var report any
		if err := json.Unmarshal(text, &report); err != nil {
			t.Fatal(err)
		}
		paths := map[string]bool{}
		leaves("", report, paths)
		for path := range paths {
			if !strings.Contains(string(doc), "`"+path+"`") {
				t.Errorf("docs/hammer.md does not have `%s`", path)
			}
		}
		if len(paths) < 30 {
			t.Errorf("the report has only %d fields: %v", len(paths), paths)
		}
	})
}

// leaves collects the paths of values that are no objects. The six latencies have the
// same fields, which are documented once.
func leaves(path string, value any, into map[string]bool) {
	switch v := value.(type) {
	case map[string]any:
		for name, field := range v {
			if name == "latencies" {
				latencies(field, into)
				continue
			}
			leaves(strings.TrimPrefix(path+"."+name, "."), field, into)
		}
	case []any:
		if len(v) > 0 {
			if _, ok := v[0].(map[string]any); ok {
				leaves(path+"[]", v[0], into)
				return
			}
		}
		into[path] = true
	default:
		into[path] = true
	}
}

func latencies(field any, into map[string]bool) {
	all, _ := field.(map[string]any)
	for name, one := range all {
		into["latencies."+name] = true
		leaves("", one, into)
	}
}

// TestHelpListsEveryFlag: with its variable.
func TestHelpListsEveryFlag(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := execute(t, variables(), "--help")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, stderr %q", code, stderr)
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[flags]()) {
		name := f.Tag.Get("name")
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		want := []string{"--" + name}
		if name != "help" {
			want = append(want, "$HAMMER_"+strings.ToUpper(name))
		}
		for _, w := range want {
			if !strings.Contains(stdout, w) {
				t.Errorf("the help has no %s", w)
			}
		}
	}
	if !strings.Contains(stdout, "{{uuid}}") {
		t.Error("the help does not have the placeholders")
	}
}

// TestMistakes: each is told in one line before anything is sent, with exit code 2.
func TestMistakes(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	url := apitest.Serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(func() {
		if n := asked.Load(); n > 0 {
			t.Errorf("%d requests were made", n)
		}
	})
	template := func(text string) string {
		file := filepath.Join(t.TempDir(), "templates.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return "--templates=" + file
	}
	for name, test := range map[string]struct {
		args []string
		env  []string
		want string
	}{
		"unknown flag":         {args: []string{"--colour"}, want: "unknown flag --colour"},
		"argument":             {args: []string{"run"}, want: "unexpected argument run"},
		"no number":            {args: []string{"--clients=many"}, want: "many"},
		"no time":              {args: []string{"--duration=2"}, want: "missing unit"},
		"unknown view":         {args: []string{"--view=half"}, want: `must be one of "hash","full","none"`},
		"no URL":               {args: []string{"--url=localhost:8080"}, want: "not like http://host:port"},
		"negative rate":        {args: []string{"--rate=-1"}, want: "rate"},
		"variable":             {env: []string{"HAMMER_CLIENTS=-3"}, want: "negative"},
		"no template file":     {args: []string{"--templates=nowhere.json"}, want: "nowhere.json: no such file"},
		"template is no JSON":  {args: []string{template("{")}, want: "templates.json: templates: unexpected EOF"},
		"template has no name": {args: []string{template(`{"args": 1}`)}, want: "template 1: has no name"},
		"unknown placeholder": {
			args: []string{template(`{"name": "n", "args": {{now}}}`)}, want: "placeholder {{now}}: is not known",
		},
		"period of nothing": {
			args: []string{template(`{"name": "n", "args": {{period 0s}}}`)}, want: `"0s" is not a time such as 10s`,
		},
		"unknown template field": {
			args: []string{template(`{"name": "n", "arguments": 1}`)}, want: `unknown field "arguments"`,
		},
		"arguments are no JSON": {
			args: []string{template(`{"name": "n", "args": {{pick yes no}}}`)}, want: "would not be JSON: yes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"--url=" + url, "--duration=1s"}, test.args...)
			code, stdout, stderr := execute(t, variables(test.env...), args...)
			if code != 2 || stdout != "" {
				t.Errorf("exit code %d, want 2; stdout %q", code, stdout)
			}
			line, rest, _ := strings.Cut(stderr, "\n")
			if !strings.HasPrefix(line, "hammer: ") || !strings.Contains(line, test.want) ||
				rest != "Try hammer --help\n" {
				t.Errorf("stderr is %q, want %q in its first line", stderr, test.want)
			}
		})
	}
}

// TestUnreachable: it says so at once, and does not offer load for the whole time.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	there := apitest.Serve(t, apitest.Service(t))
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	for name, test := range map[string]struct{ url, want string }{
		"nobody listens": {"http://" + address, "connection refused"},
		"no such host":   {"http://replifire.invalid", "replifire.invalid"},
		"unknown issuer": {secure.URL, "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := execute(t, variables(), "--url="+there, "--url="+test.url, "--duration=1h")
			if code != 1 || stdout != "" {
				t.Errorf("exit code %d, want 1; stdout:\n%s", code, stdout)
			}
			want := "hammer: load: " + test.url + " cannot be reached: "
			if !strings.HasPrefix(stderr, want) || !strings.Contains(stderr, test.want) ||
				strings.Count(stderr, "\n") != 1 {
				t.Errorf("stderr is %q, want %q and %q in one line", stderr, want, test.want)
			}
		})
	}
}

// TestSwallowedMutations is what the program is for: a server that says 200 and
// loses mutations is found out, whatever clients keep of their views.
func TestSwallowedMutations(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		picks func([]byte) bool
		args  []string
	}{
		"all pushes":               {func([]byte) bool { return true }, []string{"--clients=2"}},
		"all pushes, open loop":    {func([]byte) bool { return true }, []string{"--clients=2", "--rate=50"}},
		"one client's":             {ofClient1, []string{"--clients=3"}},
		"one client's, no views":   {ofClient1, []string{"--clients=3", "--view=none"}},
		"one client's, one group":  {ofClient1, []string{"--clients=3", "--groups=1", "--streams=group"}},
		"all after the third push": {after(3), []string{"--clients=2"}},
	} {
		inBubble(t, name, func(t *testing.T) {
			network := &memnet.Network{Latency: latency}
			file := filepath.Join(t.TempDir(), "report.json")
			url := network.Serve(t, swallowing(apitest.Service(t), test.picks))
			args := slices.Concat(test.args, []string{
				"--url=" + url, "--duration=500ms", "--settle=1s", "--json=" + file,
			})
			code, stdout, stderr := executeOn(t, network, variables(), args...)
			if code != 1 || !strings.HasSuffix(stderr, "\nhammer: not converged\n") {
				t.Errorf("exit code %d, want 1; stderr:\n%s", code, stderr)
			}
			for _, want := range []string{"\nNOT CONVERGED: ", " were never confirmed"} {
				if !strings.Contains(stdout, want) || strings.Contains(stdout, "\nCONVERGED") {
					t.Errorf("stdout has no %q:\n%s", want, stdout)
				}
			}
			m := readReport(t, file).Mutations
			if m.Acknowledged == 0 || m.Confirmed >= m.Acknowledged || m.Unconfirmed != m.Issued-m.Confirmed {
				t.Errorf("mutations are %+v", m)
			}
		})
	}
}

func ofClient1(push []byte) bool { return bytes.Contains(push, []byte(`-c1"`)) }

// after picks every push but the first n.
func after(n int64) func([]byte) bool {
	var seen atomic.Int64
	return func([]byte) bool { return seen.Add(1) > n }
}

// TestTemplates: mutations of a file's templates arrive, options come from variables.
func TestTemplates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "templates.json")
		text := `{"name": "createMessage", "expect": "message/{{client}}-{{seq}}",
			"args": {"id": "{{client}}-{{seq}}", "from": "{{space}}", "content": "{{text 9}}", "order": {{seq}}}}`
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var with, without atomic.Int64
		network := &memnet.Network{Latency: latency}
		url := network.Serve(t, swallowing(apitest.Service(t), func(push []byte) bool {
			if bytes.Contains(push, []byte(`"from":"quay"`)) || bytes.Contains(push, []byte(`"from": "quay"`)) {
				with.Add(1)
			} else {
				without.Add(1)
			}
			return false
		}))
		code, stdout, stderr := executeOn(t, network,
			variables("HAMMER_URL="+url, "HAMMER_SPACE=quay", "HAMMER_TEMPLATES="+file, "HAMMER_DURATION=300ms"))
		if code != 0 || with.Load() == 0 || without.Load() > 0 {
			t.Errorf("exit code %d, %d pushes of the template, %d others, stdout:\n%s\nstderr:\n%s",
				code, with.Load(), without.Load(), stdout, stderr)
		}
	})
}

// TestInterrupted: what was measured until then is told, and no success.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	service := apitest.Service(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var pulls atomic.Int64
	url := apitest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/pull") && pulls.Add(1) == 20 {
			cancel()
		}
		service.ServeHTTP(w, r)
	}))
	var stdout, stderr bytes.Buffer
	p := program{getenv: variables(), stdout: &stdout, stderr: &stderr}
	code := p.run(ctx, []string{"--url=" + url, "--duration=1h"})
	if code != 1 || !strings.Contains(stdout.String(), "the run was cut short") {
		t.Errorf("exit code %d, stdout:\n%s\nstderr:\n%s", code, &stdout, &stderr)
	}
}
