// Package limit says when it is too much: how often somebody asks, or how much he sends
// ([Buckets]), how many of something he holds ([Slots]), and how many bytes all hold
// together ([Budget]). Each answers at once and makes nobody wait. Only [Turns], which are
// for all, and [Places], which are for each key, are waited for. Each has bounded memory, no
// goroutines and nothing to close. Nil Buckets, Slots and Budgets have no limit.
package limit
