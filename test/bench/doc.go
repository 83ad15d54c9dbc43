// Program bench measures the service on the Firestore emulator of this machine, side
// by side in one run with the raw limit (bare commits of the same documents) and with
// the plain pattern (one transaction per push that reads and then writes), and writes
// the figures into docs/performance.md with plots beside it. "make bench" runs it, in
// about ten minutes. It starts the real program as processes of their own, and ends
// them. Figures of one run may be compared with each other; those of two runs may not.
package main
