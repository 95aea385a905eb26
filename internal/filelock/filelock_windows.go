package filelock

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// Take takes the lock without waiting: ErrLocked if it is taken. The file is made if it is not there.
func Take(name string) (*Lock, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0,
		new(windows.Overlapped))
	if err == nil {
		return &Lock{f}, nil
	}
	f.Close()
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return nil, ErrLocked
	}
	return nil, &os.PathError{Op: "LockFileEx", Path: name, Err: err}
}
