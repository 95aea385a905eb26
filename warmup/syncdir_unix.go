//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package warmup

import (
	"errors"
	"os"
)

// syncDir makes the names in a directory durable.
func (osDisk) syncDir(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
