package storetest

import "time"

// SetPatience makes cases of a mutant that never tells its watchers end sooner.
func SetPatience(d time.Duration) { patience = d }
