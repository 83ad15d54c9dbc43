package abuse_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// What a process that attacks is told.
var (
	attackName    = flag.String("abuse.attack", "", "attack by this name; TestAbuse says it")
	attackTarget  = flag.String("abuse.target", "", "the service's host:port")
	attackAddress = flag.Int("abuse.address", 0, "the last byte of the address to attack from")
	attackAnswers = flag.String("abuse.answers", "", "the file for the answers")
)

// from makes the attack in a process of its own, while meanwhile does something, and
// returns the answers and the processor time of the attacker. Attackers have their own
// computers; in full size, whose figures count, they get what processor time nobody else
// wants, which on a busy machine is none.
func (a *attack) from(t *testing.T, s *service, address byte, meanwhile func()) (answers, time.Duration) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "answers.json")
	args := []string{
		os.Args[0], "-test.run=^TestAttack$", "-abuse.attack=" + a.name,
		"-abuse.target=" + s.address, fmt.Sprint("-abuse.address=", address), "-abuse.answers=" + file,
		fmt.Sprint("-abuse.full=", *full),
	}
	if *full {
		args = append([]string{"nice", "-n", "19"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	var out bytes.Buffer // read after the process has ended
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	meanwhile()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v\n%.4000s", a.name, err, out.String())
	}
	var got answers
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &got)
	}
	if err != nil {
		t.Errorf("%s: %v", a.name, err)
	}
	return got, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// TestAttack is the process that attacks. TestAbuse starts it.
func TestAttack(t *testing.T) {
	t.Parallel()
	if *attackName == "" {
		t.Skip("TestAbuse runs it")
	}
	list := slices.Concat(attacks(), pullAttacks())
	i := slices.IndexFunc(list, func(a attack) bool { return a.name == *attackName })
	if i < 0 {
		t.Fatalf("there is no attack %q", *attackName)
	}
	n := sizes()
	a := newAttacker(t, *attackTarget, n, fmt.Sprint("attacker", *attackAddress), byte(*attackAddress))
	a.want = list[i].want
	ctx, cancel := context.WithTimeout(t.Context(), n.lasts)
	defer cancel()
	list[i].run(ctx, a)
	a.client.CloseIdleConnections()
	for _, status := range list[i].want {
		if a.answers[status] == 0 {
			t.Errorf("no answer has status %d: %s", status, a.answers)
		}
	}
	if most := list[i].most; most > 0 && a.answers[200] > most {
		t.Errorf("%d answers have status 200, want %d at the most", a.answers[200], most)
	}
	text, err := json.Marshal(a.answers)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(*attackAnswers, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
