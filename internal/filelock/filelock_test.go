package filelock_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/reputemail/repute/internal/filelock"
)

func TestOneHolderAtATime(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.lock")
	first, err := filelock.Take(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := filelock.Take(name); !errors.Is(err, filelock.ErrLocked) {
		t.Errorf("second: %v", err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := filelock.Take(name)
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
	if _, err := filelock.Take(filepath.Join(t.TempDir(), "none", "x.lock")); err == nil || errors.Is(err, filelock.ErrLocked) {
		t.Errorf("no folder: %v", err)
	}
}
