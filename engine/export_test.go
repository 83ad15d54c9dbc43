package engine

// Remembered is how many bytes an engine counts of what it remembers for pushes and
// for pulls.
func (e *Engine) Remembered() (known, tails int64) { return e.knownBytes.Load(), e.tailBytes.Load() }
