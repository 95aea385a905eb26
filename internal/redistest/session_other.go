//go:build !unix

package redistest

import "syscall"

// ownSession finds that a server needs Unix's sockets and shell.
func ownSession() *syscall.SysProcAttr { return nil }
