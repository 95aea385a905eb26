package warmup

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// fileLock is an exclusive lock that ends with the process at the latest.
type fileLock struct{ f *os.File }

// lockFile takes the lock without waiting.
func lockFile(name string) (*fileLock, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0,
		new(windows.Overlapped))
	if err == nil {
		return &fileLock{f}, nil
	}
	f.Close()
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return nil, ErrLocked
	}
	return nil, &os.PathError{Op: "LockFileEx", Path: name, Err: err}
}

func (l *fileLock) release() error { return l.f.Close() }

// syncDir does nothing: Windows has no call for it, and keeps renames in its journal.
func (osDisk) syncDir(string) error { return nil }
