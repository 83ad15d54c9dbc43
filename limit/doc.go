// Package limit says when it is too much: how often somebody asks, or how much he sends
// ([Buckets]), how many of something he holds ([Slots]), and how many bytes all hold together
// ([Budget]). Each answers at once and makes nobody wait; each has bounded memory,
// no goroutines and nothing to close. A nil one has no limit.
package limit
