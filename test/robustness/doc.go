// Package robustness has no code but tests: two real processes of the service on the
// Firestore emulator, some dozens of simulated clients, and a nemesis that kills, stops
// and freezes the processes and breaks the network on both sides of them, while package
// history writes down what every client sent and was shown, and judges it.
//
// What the nemesis does follows from a seed; when it does it, and so what comes of it,
// does not. A run that fails leaves its history, and says where.
package robustness
