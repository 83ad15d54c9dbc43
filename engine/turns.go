package engine

import "time"

const (
	// rivalMemory is after how many pauses that nobody used a rival is forgotten. Each is
	// twice as long as the one before: a rival may be slower than we are.
	rivalMemory = 3
	// probeEvery is how often a space's worker makes a pause although it knows of no rival:
	// one that always loses cannot tell us. Longer pauses come less often, so that they take
	// a 25th of the time at most.
	probeEvery = 250 * time.Millisecond
	probeShare = 25
	// turn is how many commits come before a pause for a known rival. Each change of turns
	// costs a lost race; with more commits the others wait longer, and little is gained.
	turn = 4
	// gatherTurn bounds the wait for pushes that come back, within a turn. Where clients are
	// further away it is in vain, and short beside a commit.
	gatherTurn = 2 * time.Millisecond
	// minPause and maxPause bound a pause.
	minPause = time.Millisecond
	maxPause = 50 * time.Millisecond
)

// turns shares a space with the other instances that write to it. Who has won a race
// could begin the next commit at once, from memory, while who has lost must read
// first, and would lose again and again. So the winner lets the time pass that it would
// need itself to come back, and the loser begins its turn of some commits meanwhile. It
// belongs to the worker.
type turns struct {
	comeback time.Duration // from a lost race to the next commit, about
	commit   time.Duration // that a commit takes, about
	rivals   int           // pauses still to be made for them
	commits  int           // since the last pause or lost race
	pushes   int           // in the last commit
	probes   int           // that nobody used
	probed   time.Time     // when the last probe was made
	probing  bool          // the commit under way, or the next one, follows it
	lostAt   time.Time     // of the race that was lost last, until the next commit
}

// sending notes that a commit is sent.
func (t *turns) sending(now time.Time) {
	if t.lostAt.IsZero() {
		return
	}
	t.comeback = smooth(t.comeback, now.Sub(t.lostAt))
	t.lostAt = time.Time{}
}

// lost notes a lost race, from which the worker comes back now: a rival has used the
// pause, if there was one.
func (t *turns) lost(now time.Time) {
	t.rivals, t.lostAt = rivalMemory, now
	t.commits, t.probing = 0, false
}

// won notes a commit that took so long: nobody has used the pause, if there was one.
func (t *turns) won(took time.Duration) {
	t.commit = smooth(t.commit, took)
	t.commits++
	if t.probing {
		t.probes++
		t.probing = false
	}
}

// gather is how long to wait, within a turn, for as many pushes as the last commit had.
// Who was told of it comes back at once, as a rule, and finds no commit under way that
// others fill meanwhile: the next one would leave with the first who is back, and a turn
// has only so many commits.
func (t *turns) gather() time.Duration {
	if t.rivals == 0 || t.commits >= turn {
		return 0
	}
	return min(gatherTurn, t.commit/2)
}

// grace is how long to wait after a lost race, if there was another one lately: the
// winner has begun its turn, and who comes back before its next commit loses again.
func (t *turns) grace() time.Duration {
	if t.rivals == 0 {
		return 0
	}
	return min(t.commit, maxPause)
}

// pause is how long to wait before a commit that would follow another of ours.
func (t *turns) pause(now time.Time) time.Duration {
	if t.probed.IsZero() {
		t.probed = now
	}
	if probe := t.doubled(t.probes % rivalMemory); now.Sub(t.probed) >= max(probeEvery, probeShare*probe) {
		t.probed, t.probing, t.commits = now, true, 0
		return probe
	}
	if t.rivals == 0 || t.commits < turn {
		return 0
	}
	t.commits = 0
	t.rivals--
	return t.doubled(rivalMemory - 1 - t.rivals)
}

// doubled is what a rival like us needs to come back, doubled so many times.
func (t *turns) doubled(times int) time.Duration {
	d := t.comeback + t.comeback/4
	if d == 0 {
		d = t.commit / 2 // coming back is a read, the shorter half of a commit
	}
	return min(max(d, minPause)<<times, maxPause)
}

// smooth is what was known of a time and what is new, mixed.
func smooth(known, d time.Duration) time.Duration {
	if known == 0 {
		return d
	}
	return (3*known + d) / 4
}
