package replifire_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
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
