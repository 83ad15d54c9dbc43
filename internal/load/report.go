package load

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what a run found.
type Report struct {
	Started time.Time `json:"started"`
	Setup   Setup     `json:"setup"`
	// Seconds is how long figures were taken: Config.Duration, or less of a run that
	// was cut short.
	Seconds   float64   `json:"seconds"`
	Mutations Mutations `json:"mutations"`
	Latencies Latencies `json:"latencies"`
	// BytesReceived and BytesSent are of HTTP on the wire, headers, streams and,
	// with https, TLS included, while figures were taken.
	BytesReceived int64 `json:"bytesReceived"`
	BytesSent     int64 `json:"bytesSent"`
	// Requests are those of the whole run.
	Requests []Requests `json:"requests"`
	// Pokes is how many events came on all streams in the whole run, Reconnects how
	// often a stream was opened again.
	Pokes      int64 `json:"pokes"`
	Reconnects int64 `json:"reconnects"`
	// UnseenPokes is how many pushes have no commit-to-poke time, since no poke of
	// their version or a later one was seen before the streams were closed, or too
	// many others in between.
	UnseenPokes int64   `json:"unseenPokes"`
	Spaces      []Space `json:"spaces"`
	Verdict     Verdict `json:"verdict"`
}

// Setup repeats the parts of a Config that figures depend on.
type Setup struct {
	URLs    []string `json:"urls"`
	Spaces  int      `json:"spaces"`
	Groups  int      `json:"groups"`
	Clients int      `json:"clients"`
	Pullers int      `json:"pullers"`
	// Rate is 0 in the closed loop, Pending in the open one.
	Rate         float64 `json:"ratePerSecond"`
	Pending      int     `json:"pending"`
	ThinkSeconds float64 `json:"thinkSeconds"`
	RampSeconds  float64 `json:"rampSeconds"`
	Streams      int     `json:"streams"`
	Seed         uint64  `json:"seed"`
}

// Mutations counts mutations.
type Mutations struct {
	// Those of the whole run. A mutation whose push broke can be confirmed without
	// ever being acknowledged.
	Issued       int64 `json:"issued"`
	Acknowledged int64 `json:"acknowledged"`
	Confirmed    int64 `json:"confirmed"`
	// Lost: the server answered ClientStateNotFound before they were confirmed.
	Lost int64 `json:"lost"`
	// Unconfirmed: neither confirmed nor lost when the run ended, acknowledged or not.
	Unconfirmed int64 `json:"unconfirmed"`
	// Shed: due at the offered rate, but their client had Config.Backlog pending.
	// They are not in Issued.
	Shed int64 `json:"shed"`

	// Those acknowledged and confirmed while figures were taken, per second.
	AcknowledgedPerSecond float64 `json:"acknowledgedPerSecond"`
	ConfirmedPerSecond    float64 `json:"confirmedPerSecond"`
}

// Latencies are of what began while figures were taken, however long it took.
type Latencies struct {
	// Push and Pull are from sending a request to having its whole answer, of status
	// 200 only.
	Push Latency `json:"push"`
	Pull Latency `json:"pull"`
	// Acknowledge is from when a mutation was due to the answer of the first push
	// with it that was answered 200, failed ones before included.
	Acknowledge Latency `json:"acknowledge"`
	// Confirm is from when a mutation was due to when a pull that confirms it was
	// applied.
	Confirm Latency `json:"confirm"`
	// CommitToPoke is from the answer of a push to when another client of the space,
	// always the same one for a client, was poked with the push's version or a later
	// one; 0 if that came first. A push does not tell its version, so that of the
	// first cookie that confirms it is taken: never too early a poke.
	CommitToPoke Latency `json:"commitToPoke"`
	// Lag is how late the generator issued what was due at an offered rate. If it is
	// not far below the other figures, they are the generator's.
	Lag Latency `json:"lag"`
}

// Requests is how many requests of a kind (push, pull, stream) had a status, which is
// a number, "network error", "timeout" or "no token".
type Requests struct {
	Kind   string `json:"kind"`
	Status string `json:"status"`
	Count  int64  `json:"count"`
}

// Space is a space as a fresh client saw it at the end.
type Space struct {
	Name    string `json:"name"`
	Clients int    `json:"clients"`
	// Entries is how many its view has; 0 with the View None.
	Entries int `json:"entries"`
	// Version is that of the cookie, where cookies have one.
	Version int64 `json:"version"`
}

func (r *run) report(m measured, spaces []Space) Report {
	t := r.meter
	return Report{
		Started: r.start.UTC(), Setup: r.setup(), Seconds: m.seconds, Mutations: t.mutations(m.seconds),
		Latencies: Latencies{
			Push: t.push.latency(), Pull: t.pull.latency(), Acknowledge: t.acknowledge.latency(),
			Confirm: t.confirm.latency(), CommitToPoke: t.poke.latency(), Lag: t.lag.latency(),
		},
		BytesReceived: m.received, BytesSent: m.sent, Requests: t.counts(),
		Pokes: t.pokes.Load(), Reconnects: t.reconnects.Load(), UnseenPokes: t.unseenPokes.Load(),
		Spaces: spaces, Verdict: r.problems.verdict(),
	}
}

func (r *run) setup() Setup {
	c := r.config
	s := Setup{
		URLs: c.URLs, Spaces: c.Spaces, Groups: c.Groups, Clients: c.Clients, Pullers: c.Pullers,
		Rate: c.Rate, Pending: c.Pending, ThinkSeconds: c.Think.Seconds(), RampSeconds: c.Ramp.Seconds(),
		Streams: len(r.streams), Seed: c.Seed,
	}
	if c.Rate > 0 {
		s.Pending, s.ThinkSeconds = 0, 0
	}
	return s
}

func (m *meter) mutations(seconds float64) Mutations {
	out := Mutations{
		Issued: m.issued.Load(), Acknowledged: m.acknowledged.Load(), Confirmed: m.confirmed.Load(),
		Lost: m.lost.Load(), Shed: m.shed.Load(), Unconfirmed: m.pending(),
	}
	if seconds > 0 {
		out.AcknowledgedPerSecond = float64(m.acknowledgedIn.Load()) / seconds
		out.ConfirmedPerSecond = float64(m.confirmedIn.Load()) / seconds
	}
	return out
}

// Table writes the report for a person.
func (r *Report) Table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, part := range []func(io.Writer){r.tableMutations, r.tableLatencies, r.tableRequests} {
		part(t)
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, r.Verdict.String())
	return err
}

func (r *Report) tableMutations(w io.Writer) {
	m := r.Mutations
	fmt.Fprintln(w, "mutations\tissued\tacknowledged\tconfirmed\tunconfirmed\tlost\tshed\t")
	fmt.Fprintf(w, "all\t%d\t%d\t%d\t%d\t%d\t%d\t\n",
		m.Issued, m.Acknowledged, m.Confirmed, m.Unconfirmed, m.Lost, m.Shed)
	fmt.Fprintf(w, "per second of %.1f\t\t%.1f\t%.1f\t\t\t\t\n", r.Seconds, m.AcknowledgedPerSecond, m.ConfirmedPerSecond)
}

func (r *Report) tableLatencies(w io.Writer) {
	l := r.Latencies
	fmt.Fprintln(w, "milliseconds\tp50\tp95\tp99\tmax\tcount\t")
	for _, row := range []struct {
		name string
		Latency
	}{
		{"push", l.Push},
		{"pull", l.Pull},
		{"acknowledge", l.Acknowledge},
		{"confirm", l.Confirm},
		{"commit to poke", l.CommitToPoke},
		{"generator lag", l.Lag},
	} {
		if row.Count > 0 {
			fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t%d\t\n", row.name, row.P50, row.P95, row.P99, row.Max, row.Count)
		}
	}
}

func (r *Report) tableRequests(w io.Writer) {
	fmt.Fprintln(w, "requests\tstatus\tcount\t")
	for _, q := range r.Requests {
		fmt.Fprintf(w, "%s\t%s\t%d\t\n", q.Kind, q.Status, q.Count)
	}
	for _, row := range []struct {
		name  string
		count int64
	}{
		{"bytes received", r.BytesReceived},
		{"bytes sent", r.BytesSent},
		{"pokes", r.Pokes},
		{"pokes not seen", r.UnseenPokes},
		{"reconnects", r.Reconnects},
	} {
		fmt.Fprintf(w, "%s\t\t%d\t\n", row.name, row.count)
	}
}

// String is the verdict in lines for a person.
func (v Verdict) String() string {
	if v.Converged {
		return "CONVERGED: all clients of each space see the same, every mutation is confirmed\n"
	}
	var out strings.Builder
	fmt.Fprintf(&out, "NOT CONVERGED: %d problems, %d of them answers that break the protocol\n", v.Count, v.Violations)
	for _, p := range v.Problems {
		fmt.Fprintf(&out, "  %s\n", p)
	}
	if more := v.Count - len(v.Problems); more > 0 {
		fmt.Fprintf(&out, "  and %d more\n", more)
	}
	return out.String()
}
