package load_test

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/replifire/replifire/internal/apitest"
	"github.com/replifire/replifire/internal/load"
)

// TestBursts: a client that was offline sends many mutations in one push, whose texts say
// in which period they were made.
func TestBursts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		templates, err := load.ParseTemplates([]byte(
			`{"name": "createMessage", "args": {"id": "{{uuid}}", "from": "x", "content": "x", "order": {{period 50ms}}}}`))
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		most, periods := 0, map[int]bool{}
		tap := &proxy{next: apitest.Service(t), skip: func(r *http.Request, body []byte) (*answer, bool) {
			var push struct {
				Mutations []struct{ Args struct{ Order int } }
			}
			if isPush(r) && json.Unmarshal(body, &push) == nil {
				mu.Lock()
				defer mu.Unlock()
				most = max(most, len(push.Mutations))
				for _, m := range push.Mutations {
					periods[m.Args.Order] = true
				}
			}
			return nil, false
		}}
		r := run(t, load.Config{Clients: 4, Rate: 400, Burst: 20, Duration: time.Second, Templates: templates}, tap)
		if !r.Verdict.Converged {
			t.Errorf("verdict is %v", r.Verdict)
		}
		if most < 5 {
			t.Errorf("no push has more than %d mutations, want 5", most)
		}
		if len(periods) < 3 {
			t.Errorf("all mutations are of the periods %v", periods)
		}
	})
}
