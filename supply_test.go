package replifire_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestCIRunsWhatCheckRuns: what make check is made of are steps of .ci/run.
func TestCIRunsWhatCheckRuns(t *testing.T) {
	t.Parallel()
	line := regexp.MustCompile(`(?m)^check: ([a-z -]+) ##`).FindStringSubmatch(read(t, "Makefile"))
	if len(line) == 0 {
		t.Fatal("the Makefile has no target check")
	}
	var ran []string
	for _, m := range regexp.MustCompile(`(?m)^(?:if ! )?make ([a-z-]+)`).FindAllStringSubmatch(read(t, ".ci/run"), -1) {
		ran = append(ran, m[1])
	}
	if want := strings.Fields(line[1]); !slices.Equal(ran, want) {
		t.Errorf(".ci/run makes %q, want %q", ran, want)
	}
}

// TestEveryScriptIsChecked: whatever bash runs is given to shellcheck.
func TestEveryScriptIsChecked(t *testing.T) {
	t.Parallel()
	var scripts []string
	for _, folder := range []string{".ci/*", "deploy/*", "deploy/testdata/*"} {
		names, err := filepath.Glob(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if info, err := os.Stat(name); err != nil || info.IsDir() {
				continue
			}
			if strings.HasPrefix(read(t, name), "#!/usr/bin/env bash\n") {
				scripts = append(scripts, name)
			}
		}
	}
	line := regexp.MustCompile(`(?m)^SCRIPTS := (.*)$`).FindStringSubmatch(read(t, "Makefile"))
	if len(line) == 0 || !slices.Equal(strings.Fields(line[1]), scripts) {
		t.Errorf("SCRIPTS of the Makefile are %q, want %q", line, scripts)
	}
}

// TestPartsGoOn: a part that fails keeps none from running, and the end says which did.
func TestPartsGoOn(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("there is no make")
	}
	script, err := filepath.Abs(".ci/parts")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	rules := "good better:\n\t@echo made $@ $(WITH)\nbad worse:\n\t@echo made $@; false\n"
	if err := os.WriteFile(filepath.Join(folder, "Makefile"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		parts, end string
		ok         bool
	}{
		{"good bad better worse", "\nFAILED: bad worse\n", false},
		{"bad good", "\nFAILED: bad\n", false},
		{"good better", "made better flags\n", true},
	} {
		cmd := exec.CommandContext(t.Context(), script, strings.Fields(test.parts)...)
		cmd.Dir, cmd.Env = folder, append(os.Environ(), "MAKEFLAGS= -- WITH=flags") // as below make test WITH=flags
		out, err := cmd.CombinedOutput()
		if (err == nil) != test.ok || !strings.HasSuffix(string(out), test.end) {
			t.Errorf("parts %s: %v, want %q at the end of:\n%s", test.parts, err, test.end, out)
		}
		for part := range strings.FieldsSeq(test.parts) {
			if !strings.Contains(string(out), "made "+part) {
				t.Errorf("parts %s: %s did not run:\n%s", test.parts, part, out)
			}
		}
	}
}

// lockfile is what is looked at in a package-lock.json.
type lockfile struct {
	Version  int                    `json:"lockfileVersion"`
	Packages map[string]lockPackage `json:"packages"`
}

type lockPackage struct {
	Version string            `json:"version,omitempty"`
	License string            `json:"license,omitempty"`
	Dev     bool              `json:"dev,omitempty"`
	Peer    map[string]string `json:"peerDependencies,omitempty"`
}

// TestNPMLicences has .ci/licences.mjs look at packages of many licences.
func TestNPMLicences(t *testing.T) {
	t.Parallel()
	const rules = `{"allowlist": ["MIT", "ISC"], "exceptions": {"sold": "it was bought"}}`
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no Node")
	}
	sold := lockPackage{License: "https://example.com/terms"}
	for name, test := range map[string]struct {
		packages map[string]lockPackage
		version  int
		want     string // "": it passes
	}{
		"allowed":       {packages: map[string]lockPackage{"node_modules/a": {License: "MIT"}}},
		"a choice":      {packages: map[string]lockPackage{"node_modules/a": {License: "(GPL-3.0 OR ISC)"}}},
		"for the build": {packages: map[string]lockPackage{"node_modules/a": {License: "GPL-3.0", Dev: true}}},
		"not allowed": {
			packages: map[string]lockPackage{"node_modules/@x/a": {License: "GPL-3.0"}},
			want:     "@x/a 1.0.0 has the licence GPL-3.0",
		},
		"both at once": {
			packages: map[string]lockPackage{"node_modules/a": {License: "(MIT AND GPL-3.0)"}}, want: "(MIT AND GPL-3.0)",
		},
		"none": {packages: map[string]lockPackage{"node_modules/a": {}}, want: "the licence undefined"},
		"inside another": {
			packages: map[string]lockPackage{"node_modules/a/node_modules/b": {License: "X"}}, want: "b 1.0.0 has the licence X",
		},
		"a peer": {
			packages: map[string]lockPackage{
				"":               {Peer: map[string]string{"a": "1"}},
				"node_modules/a": {License: "GPL-3.0", Dev: true},
			},
			want: "a 1.0.0 has the licence GPL-3.0",
		},
		"an old lockfile": {version: 1, want: "version 1 has no licences"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := lockfile{Version: 3, Packages: map[string]lockPackage{"node_modules/sold": sold}}
			if test.version > 0 {
				l.Version = test.version
			}
			for path, p := range test.packages {
				p.Version = "1.0.0"
				l.Packages[path] = p
			}
			out, ok := npmLicences(t, node, rules, l)
			if ok != (test.want == "") || !strings.Contains(out, test.want) {
				t.Errorf("passed: %t, want %q in:\n%s", ok, test.want, out)
			}
		})
	}
	if out, ok := npmLicences(t, node, rules, lockfile{Version: 3}); ok || !strings.Contains(out, "sold is not needed") {
		t.Errorf("an exception without a use passed: %t, %s", ok, out)
	}
}

func npmLicences(t *testing.T, node, rules string, l lockfile) (out string, ok bool) {
	t.Helper()
	folder := t.TempDir()
	text, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"rules.json": rules, "package-lock.json": string(text)}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), node, ".ci/licences.mjs",
		filepath.Join(folder, "rules.json"), filepath.Join(folder, "package-lock.json"))
	output, err := cmd.CombinedOutput()
	return string(output), err == nil
}
