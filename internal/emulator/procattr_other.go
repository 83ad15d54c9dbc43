//go:build !linux

package emulator

import "syscall"

// childAttributes are the defaults: nothing but Linux ties a child's life to its
// parent's.
func childAttributes() *syscall.SysProcAttr { return nil }
