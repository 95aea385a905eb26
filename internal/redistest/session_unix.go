//go:build unix

package redistest

import "syscall"

// ownSession is for a process that a terminal does not reach; nil where there is no such thing.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
