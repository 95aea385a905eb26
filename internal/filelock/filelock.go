// Package filelock keeps a second process away from a file that only one may use.
package filelock

import (
	"errors"
	"os"
)

// ErrLocked: somebody else holds the lock.
var ErrLocked = errors.New("locked by another process, or by an earlier use in this one")

// Lock is an exclusive lock, which ends with the process at the latest. The file that carries it stays behind, empty.
type Lock struct{ f *os.File }

// Release ends the lock.
func (l *Lock) Release() error { return l.f.Close() }
