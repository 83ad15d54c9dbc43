// Package contention measures what many clients on one space cost: 64 clients
// push createMessage over HTTP to one and to two instances of the service on the
// Firestore emulator, beside the plain pattern, one RunTransaction per push that
// reads and then writes. It has benchmarks only; docs/performance.md has figures
// and the command. Nothing here is part of the service.
package contention
