package sim

// Shrink looks for a smaller run that breaks the same invariant as c does: without
// kinds of trouble, with fewer clients, with fewer steps. It calls run some dozen times
// and returns the smallest run that it found, c itself if none is smaller.
func Shrink(run func(Config) Result, c Config) (Config, Result) {
	s := &shrinker{run: run, config: c, result: run(c)}
	if s.result.Violation == nil {
		return c, s.result
	}
	for f := Fault(1); f < endOfFaults; f <<= 1 {
		without := s.config
		without.Without |= f
		s.try(without)
	}
	for n := 1; n < 8; n++ {
		fewer := s.config
		fewer.MaxClients = n
		if s.try(fewer) {
			break
		}
	}
	for low, high := 1, s.result.Steps; low < high; {
		shorter := s.config
		shorter.MaxSteps = (low + high) / 2
		if s.try(shorter) {
			high = shorter.MaxSteps
			continue
		}
		low = shorter.MaxSteps + 1
	}
	return s.config, s.result
}

// shrinker holds the smallest run so far.
type shrinker struct {
	run    func(Config) Result
	config Config
	result Result
}

func (s *shrinker) try(c Config) bool {
	r := s.run(c)
	if r.Violation == nil || r.Violation.Invariant != s.result.Violation.Invariant {
		return false
	}
	s.config, s.result = c, r
	return true
}
