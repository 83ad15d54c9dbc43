// Package signals tells a program that it is to end. The first SIGINT or SIGTERM
// asks for that, so that what is under way can be finished. A second one does not
// ask: who sends it has no patience left, and the system ends the process.
package signals
