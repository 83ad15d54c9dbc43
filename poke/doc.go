// Package poke knows who listens to which space, and tells them that it has a
// new version. A poke is a hint to pull, without content: it may be lost, come
// twice or stand for several commits; what counts is that a listener hears of the
// latest version soon.
//
// A Hub hears of versions in three ways. Commits of this process are told to it
// at once ([Hub.Notify]). Commits of other processes come from one watch per
// space that has listeners here, never one per listener. Behind the watch, which
// can break or go silent, the head of the space is read every now and then. A
// watch that broke is begun again after a pause that grows; a watch that was
// found to be silent is replaced.
//
// Costs: one goroutine for the hub, one for each watched space, and one more for
// the moment a head is being read; none per listener, who gets a mailbox of one
// version that a newer version replaces. Everything ends with [Hub.Close].
//
// The package knows neither HTTP nor the store: package handlers streams what a
// Subscription receives, and Options say how to watch.
package poke
