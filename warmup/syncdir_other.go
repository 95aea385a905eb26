//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package warmup

// syncDir does nothing: Windows has no call for it, and keeps renames in its journal.
func (osDisk) syncDir(string) error { return nil }
