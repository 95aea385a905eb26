package show

import (
	"os"

	"golang.org/x/sys/windows"
)

// interpretsEscapes asks a console to interpret escape sequences, and reports whether it does.
func interpretsEscapes(file *os.File) bool {
	console := windows.Handle(file.Fd())
	var mode uint32
	if err := windows.GetConsoleMode(console, &mode); err != nil {
		return false
	}
	return windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
