//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package warmup

import (
	"errors"
	"os"
	"syscall"
)

// fileLock is an exclusive lock that ends with the process at the latest.
type fileLock struct{ f *os.File }

// lockFile takes the lock without waiting.
func lockFile(name string) (*fileLock, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err == nil {
		return &fileLock{f}, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, ErrLocked
	}
	return nil, &os.PathError{Op: "flock", Path: name, Err: err}
}

func (l *fileLock) release() error { return l.f.Close() }

// syncDir makes the names in a directory durable.
func (osDisk) syncDir(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
