package emulator

import "syscall"

// childAttributes let the emulator die with its parent, and keep a terminal's
// Ctrl-C from it: the parent still wants to write while it shuts down.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
