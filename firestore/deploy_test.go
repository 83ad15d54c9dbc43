package firestore_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/replifire/replifire/engine"
	"github.com/replifire/replifire/firestore"
	"github.com/replifire/replifire/internal/emulator/emulatortest"
)

// The files that are deployed to Firestore, beside this package.
const (
	indexesFile  = "../firestore.indexes.json"
	rulesFile    = "../firestore.rules"
	firebaseFile = "../firebase.json"
)

func decodeFile(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// indexes is the format of firestore.indexes.json
// (firebase.google.com/docs/reference/firestore/indexes).
type indexes struct {
	Indexes []struct {
		CollectionGroup, QueryScope string
		Fields                      []struct{ FieldPath, Order string }
	}
	FieldOverrides []struct {
		CollectionGroup, FieldPath string
		Indexes                    []struct{ Order, QueryScope string }
	}
}

// serves reports whether production would answer a query of the shape.
func (x indexes) serves(s firestore.Shape) bool {
	if s.Order() == "__name__" {
		return s.Equal() == "" // the index of all names is always there
	}
	if s.Equal() != "" {
		return x.hasComposite(s.Collection(), s.Equal(), s.Order())
	}
	return x.hasSingle(s.Collection(), s.Order())
}

func (x indexes) hasComposite(collection string, fields ...string) bool {
	for _, index := range x.Indexes {
		var have []string
		for _, f := range index.Fields {
			have = append(have, f.FieldPath+" "+f.Order)
		}
		var want []string
		for _, f := range fields {
			want = append(want, f+" ASCENDING")
		}
		if index.CollectionGroup == collection && index.QueryScope == "COLLECTION" &&
			slices.Equal(have, want) {
			return true
		}
	}
	return false
}

// hasSingle follows Firestore's order: the field's own override, then the
// collection's, then the default, which is to index.
func (x indexes) hasSingle(collection, field string) bool {
	for _, path := range []string{field, "*"} {
		for _, o := range x.FieldOverrides {
			if o.CollectionGroup != collection || o.FieldPath != path {
				continue
			}
			for _, index := range o.Indexes {
				if index.Order == "ASCENDING" && index.QueryScope == "COLLECTION" {
					return true
				}
			}
			return false
		}
	}
	return true
}

func TestEveryQueryHasItsIndex(t *testing.T) {
	t.Parallel()
	var declared indexes
	decodeFile(t, indexesFile, &declared)
	if len(firestore.Shapes) == 0 {
		t.Fatal("no queries")
	}
	for _, s := range firestore.Shapes {
		if !declared.serves(s) {
			t.Errorf("%s has no index for %+v", indexesFile, s)
		}
	}
}

// TestNothingElseIsIndexed keeps writes cheap: an index that no query uses costs
// as much as one that does.
func TestNothingElseIsIndexed(t *testing.T) {
	t.Parallel()
	var declared indexes
	decodeFile(t, indexesFile, &declared)
	used := func(collection string, fields ...string) bool {
		return slices.ContainsFunc(firestore.Shapes, func(s firestore.Shape) bool {
			have := slices.DeleteFunc([]string{s.Equal(), s.Order()},
				func(f string) bool { return f == "" })
			return s.Collection() == collection && slices.Equal(have, fields)
		})
	}
	for _, index := range declared.Indexes {
		var fields []string
		for _, f := range index.Fields {
			fields = append(fields, f.FieldPath)
		}
		if !used(index.CollectionGroup, fields...) {
			t.Errorf("no query uses the index of %s on %v", index.CollectionGroup, fields)
		}
	}
	for _, o := range declared.FieldOverrides {
		if len(o.Indexes) > 0 && !used(o.CollectionGroup, o.FieldPath) {
			t.Errorf("no query uses the index of %s on %s", o.CollectionGroup, o.FieldPath)
		}
	}
	for _, collection := range []string{
		"spaces", "entries", "clients", "clientGroups", "members", "creators",
	} {
		if declared.hasSingle(collection, "anything") {
			t.Errorf("%s indexes fields by default", collection)
		}
	}
}

// TestQueriesAreInOneFile makes sure that the shapes are all there is.
func TestQueriesAreInOneFile(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	query := regexp.MustCompile(`\.(Where\w*|OrderBy\w*|CollectionGroup|Collections|DocumentRefs)\(`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") || file == "queries.go" {
			continue
		}
		if found := query.Find(text); found != nil {
			t.Errorf("%s calls %s); queries are made in queries.go", file, found)
		}
	}
}

func TestFirebaseConfig(t *testing.T) {
	t.Parallel()
	var config struct {
		Firestore struct{ Rules, Indexes string }
		Emulators struct {
			Firestore struct {
				Host string
				Port int
			}
		}
	}
	decodeFile(t, firebaseFile, &config)
	for _, file := range []string{config.Firestore.Rules, config.Firestore.Indexes} {
		if _, err := os.Stat(filepath.Join("..", file)); err != nil {
			t.Errorf("%s names a file that is not there: %v", firebaseFile, err)
		}
	}
}

// rest makes a request to the emulator as somebody who is not the service.
func rest(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method,
		"http://"+emulatortest.Host(t)+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestRulesLetNobodyIn(t *testing.T) {
	t.Parallel()
	f := open(t)
	rules, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	ruleset, err := json.Marshal(map[string]any{"rules": map[string]any{"files": []any{
		map[string]string{"name": "firestore.rules", "content": string(rules)},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	documents := "/v1/projects/" + f.project + "/databases/(default)/documents"
	if code, _ := rest(t, http.MethodGet, documents+"/spaces/s", ""); code != http.StatusNotFound {
		t.Fatalf("without rules: status %d, want 404: the requests are wrong", code)
	}
	code, text := rest(t, http.MethodPut,
		"/emulator/v1/projects/"+f.project+":securityRules", string(ruleset))
	if code != http.StatusOK {
		t.Fatalf("setting the rules: %d %s", code, text)
	}

	c := after(engine.Head{})
	put(&c, "k", `{"a":1}`)
	client(&c, "c", "g")
	f.mustCommit(t, c)
	snap := f.mustSnapshot(t, engine.Documents{Head: true})
	if got := collect(t, snap.Entries(t.Context(), 0)); len(got) != 1 {
		t.Errorf("the store reads %v, want its entry", got)
	}

	const fields = `{"fields":{"version":{"integerValue":"9"}}}`
	query := `{"structuredQuery":{"from":[{"collectionId":"entries","allDescendants":true}]}}`
	for _, tt := range []struct{ method, path, body string }{
		{http.MethodGet, documents + "/spaces/s", ""},
		{http.MethodGet, documents + "/spaces/s/entries/k", ""},
		{http.MethodGet, documents + "/spaces/s/entries", ""},
		{http.MethodGet, documents + "/spaces/s/clients/c", ""},
		{http.MethodGet, documents + "/clientGroups/g", ""},
		{http.MethodGet, documents + "/elsewhere/x", ""},
		{http.MethodPost, documents + ":runQuery", query},
		{http.MethodPatch, documents + "/spaces/s", fields},
		{http.MethodPost, documents + "/spaces", fields},
		{http.MethodPost, documents + "/spaces/s/entries", fields},
		{http.MethodPost, documents + "/clientGroups", fields},
		{http.MethodDelete, documents + "/spaces/s/entries/k", ""},
	} {
		code, text := rest(t, tt.method, tt.path, tt.body)
		if code != http.StatusForbidden {
			t.Errorf("%s %s: %d %s, want 403", tt.method, tt.path, code, text)
		}
	}
}
