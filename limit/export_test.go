package limit

// Keys is how many keys are remembered.
func (p *Places) Keys() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.keys)
}
