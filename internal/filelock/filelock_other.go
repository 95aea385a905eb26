//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package filelock

import (
	"fmt"
	"runtime"
)

// Take refuses: there is no lock here, and without one two processes could use the file.
func Take(string) (*Lock, error) {
	return nil, fmt.Errorf("files cannot be locked on %s", runtime.GOOS)
}
