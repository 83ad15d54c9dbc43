// Package gc collects in all spaces of a store, one space after the other, for a
// limited time: what POST /api/gc asks for. What it means to collect in a space is
// the business of package engine; the command replifire gc goes through the spaces
// without a limit, or through some of them.
package gc
