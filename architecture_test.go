package replifire_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/replifire/replifire"

// directions are the packages of this module with those of its packages that
// each may import, tests aside: cmd and root → server → handlers → engine → mutate
// → protocol, stores → engine, nothing else → handlers. A new package finds its
// place here first.
var directions = map[string][]string{
	"protocol": {},
	"mutate":   {"protocol"},
	"engine":   {"mutate", "protocol"},

	"backup":                {"engine", "mutate", "protocol"},
	"engine/fsck":           {"engine", "mutate", "protocol"},
	"storetest":             {"engine", "engine/fsck", "mutate", "protocol"},
	"memory":                {"auth/members", "engine", "engine/fsck", "protocol"},
	"firestore":             {"auth/members", "engine", "engine/fsck", "protocol"},
	"mutate/mutatetest":     {"mutate", "protocol"},
	"internal/faultrpc":     {},
	"internal/faulttcp":     {},
	"internal/history":      {"internal/load", "internal/replica", "protocol"},
	"internal/rpccount":     {},
	"internal/anyjson":      {},
	"internal/apitest":      {"chat", "protocol", "server"},
	"internal/emulator":     {},
	"internal/load":         {"internal/replica", "protocol"},
	"internal/memnet":       {},
	"internal/oidcprovider": {},
	"internal/replica":      {"protocol"},
	"internal/signals":      {},
	"internal/tokentest":    {},
	"internal/sim": {
		"engine", "engine/fsck", "internal/replica", "memory", "mutate", "poke", "protocol",
	},
	"test/bench": {
		"chat", "engine", "firestore", "internal/emulator", "internal/rpccount", "internal/signals", "protocol",
	},
	"test/signin/provider": {"internal/oidcprovider", "internal/signals"},
	"web":                  {},
	"chat":                 {"mutate", "protocol"},
	"auth":                 {"protocol"},
	"auth/token":           {"auth"},
	"auth/ticket":          {"auth", "protocol"},
	"poke":                 {"protocol"},
	"limit":                {},
	"gc":                   {"engine", "protocol"},
	"handlers": {
		"auth", "auth/members", "auth/ticket", "engine", "gc", "limit", "mutate", "poke", "protocol",
	},
	"auth/members":             {"auth", "protocol"},
	"auth/members/memberstest": {"auth", "auth/members", "protocol"},
	"server": {
		"auth", "auth/members", "auth/ticket", "auth/token", "engine", "firestore", "gc", "handlers", "limit", "memory",
		"mutate", "poke", "protocol", "web",
	},
	"internal/emulator/cmd/with-emulator": {
		"internal/emulator", "internal/emulator/emulatortest", "internal/signals",
	},
	"internal/emulator/emulatortest": {"internal/emulator"},

	".":          {"chat", "server"},
	"cmd/hammer": {"internal/load", "internal/signals"},
	"cmd/replifire": {
		"auth/members", "backup", "chat", "engine", "engine/fsck", "internal/emulator", "internal/signals", "mutate",
		"protocol", "server",
	},
}

// onlyIn are imports, with everything below them, that only some packages may use.
var onlyIn = map[string][]string{
	"cloud.google.com/go/firestore": {"firestore", "internal/rpccount", "test/bench"},
	"net/http": {
		"web", "handlers", "server", ".", "internal/emulator", "internal/apitest", "internal/memnet",
		"internal/load", "test/bench", "auth/token", "internal/tokentest", "internal/oidcprovider", "test/signin/provider",
	},
	"testing": {
		"storetest", "internal/apitest", "internal/memnet", "mutate/mutatetest", "internal/emulator/emulatortest",
		"internal/sim", "internal/tokentest", "auth/members/memberstest",
	},
	"github.com/go-jose/go-jose": {"auth/token", "internal/tokentest", "internal/oidcprovider"},
	"github.com/zitadel/oidc":    {"internal/oidcprovider"},
	"github.com/coreos/go-oidc":  {"auth/token"},
	"github.com/alecthomas/kong": {"server", "cmd/replifire", "cmd/hammer"},
}

// standardOnly import nothing but the standard library and this module.
var standardOnly = []string{"protocol", "mutate", "auth", "auth/ticket", "poke"}

func TestImportDirections(t *testing.T) {
	t.Parallel()
	found := imports(t)
	for pkg, list := range found {
		allowed, known := directions[pkg]
		if !known {
			t.Errorf("package %s has no place in the directions", pkg)
			continue
		}
		for _, imp := range list {
			checkImport(t, pkg, imp, allowed)
		}
	}
	for pkg := range directions {
		if _, ok := found[pkg]; !ok {
			t.Errorf("package %s of the directions does not exist", pkg)
		}
	}
}

func checkImport(t *testing.T, pkg, imp string, allowed []string) {
	t.Helper()
	if ours, ok := local(imp); ok {
		if !slices.Contains(allowed, ours) {
			t.Errorf("package %s imports %s, and may import only %q of this module", pkg, ours, allowed)
		}
		return
	}
	if strings.Contains(imp, ".") && slices.Contains(standardOnly, pkg) {
		t.Errorf("package %s imports %s, and may import only the standard library", pkg, imp)
	}
	for prefix, pkgs := range onlyIn {
		if (imp == prefix || strings.HasPrefix(imp, prefix+"/")) && !slices.Contains(pkgs, pkg) {
			t.Errorf("package %s imports %s, which is only for %q", pkg, imp, pkgs)
		}
	}
}

// local cuts the module's path off an import.
func local(imp string) (string, bool) {
	if imp == module {
		return ".", true
	}
	return strings.CutPrefix(imp, module+"/")
}

// imports are the imports of every package of the module, tests aside.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	list := map[string][]string{}
	for _, name := range goFiles(t) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		pkg := path.Dir(filepath.ToSlash(name))
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(list[pkg], imp) {
				list[pkg] = append(list[pkg], imp)
			}
		}
	}
	if len(list) < 10 {
		t.Fatalf("found only %d packages: is this the module's root?", len(list))
	}
	return list
}

// goFiles are the paths of the module's Go files, from its root.
func goFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() && name != "." &&
			(strings.HasPrefix(base, ".") || base == "node_modules" || base == "testdata") {
			return fs.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(base, ".go") {
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
