package replifire_test

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// minSentences is what a package's comment must say at the least: what it is, what
// it is not, and how it fits in.
const minSentences = 3

var sentenceEnd = regexp.MustCompile(`[.!?:]["')\]]*(\s|$)`)

func TestEveryPackageIsDocumented(t *testing.T) {
	t.Parallel()
	docs := map[string]string{}
	for _, name := range goFiles(t) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f := parse(t, name)
		docs[filepath.Dir(name)] += f.Doc.Text()
	}
	for pkg, doc := range docs {
		if n := len(sentenceEnd.FindAllString(doc, -1)); n < minSentences {
			t.Errorf("the comment of package %s has %d sentences, want %d or more", pkg, n, minSentences)
		}
	}
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	t.Parallel()
	count := 0
	for _, name := range goFiles(t) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, decl := range parse(t, name).Decls {
			for exported, doc := range exportedNames(decl) {
				count++
				if strings.TrimSpace(doc) == "" {
					t.Errorf("%s: %s has no comment", name, exported)
				}
			}
		}
	}
	if count < 100 {
		t.Errorf("found only %d exported names: is this the module's root?", count)
	}
}

func parse(t *testing.T, name string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// exportedNames are the exported names of a declaration with their comments. The
// comment of a group of constants or variables is that of each one in it.
func exportedNames(decl ast.Decl) map[string]string {
	names := map[string]string{}
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && exportedReceiver(d) {
			names[d.Name.Name] = d.Doc.Text()
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() {
					names[s.Name.Name] = s.Doc.Text() + d.Doc.Text()
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() {
						names[n.Name] = s.Doc.Text() + s.Comment.Text() + d.Doc.Text()
					}
				}
			}
		}
	}
	return names
}

// exportedReceiver reports whether a function is no method, or one of a type that
// others can name.
func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	t := f.Recv.List[0].Type
	for {
		switch e := t.(type) {
		case *ast.StarExpr:
			t = e.X
		case *ast.IndexExpr:
			t = e.X
		case *ast.IndexListExpr:
			t = e.X
		case *ast.Ident:
			return e.IsExported()
		default:
			return false
		}
	}
}

var (
	// namedIn is what a page says before the names of tests: their folder.
	namedIn   = regexp.MustCompile("`([a-z/]+)`: |\\broot: |\\b(?:Test|Fuzz)[A-Z]\\w+")
	namedTest = regexp.MustCompile("^(?:Test|Fuzz)[A-Z]")
)

// TestNamedTestsExist: a test that a page calls a proof is there, in the package that
// the page says.
func TestNamedTestsExist(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"docs/security.md", "docs/guarantees.md"} {
		count := 0
		for line := range strings.Lines(read(t, page)) {
			folder := "a package that is not said"
			for _, m := range namedIn.FindAllStringSubmatch(line, -1) {
				if !namedTest.MatchString(m[0]) {
					folder = cmp.Or(m[1], ".")
					continue
				}
				count++
				if !declares(t, folder, m[0]) {
					t.Errorf("%s names %s of %s, which does not exist", page, m[0], folder)
				}
			}
		}
		if count < 10 {
			t.Errorf("%s names only %d tests", page, count)
		}
	}
}

// declares reports whether a test file of a folder has a function of that name.
func declares(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		return strings.Contains(read(t, file), "\nfunc "+name+"(")
	})
}
