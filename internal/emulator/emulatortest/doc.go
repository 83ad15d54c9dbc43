// Package emulatortest gives tests a Firestore emulator: one for each test
// process, started by the first test that asks for it, or one for all processes
// named by REPLIFIRE_TEST_EMULATOR. A test isolates itself by a project of its
// own, not by a wipe: so tests run in parallel, and the emulator, whose queries
// cost as much as the project is large, stays fast. A package that uses it
// gives its TestMain to Main.
package emulatortest
