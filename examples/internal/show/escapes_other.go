//go:build !windows

package show

import "os"

// interpretsEscapes reports whether a terminal interprets escape sequences.
func interpretsEscapes(*os.File) bool { return true }
