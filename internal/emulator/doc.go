// Package emulator starts and stops the Cloud Firestore emulator that comes with
// the Google Cloud CLI. It runs the emulator's jar with java directly: gcloud
// would put a Python and a bash process in between, and killing those leaves
// the emulator running. The emulator keeps everything in memory, so stopping it
// loses the data, which is what a test and a developer's trial want.
//
// On Linux the emulator dies with the process that started it, however that
// ends. Elsewhere a process that is killed leaves it behind.
package emulator
