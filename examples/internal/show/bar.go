package show

import "strings"

// Bar is a bar of width columns of which done/total are full. A bar that is not quite full never looks so.
func Bar(width, done, total int) string {
	if width <= 0 {
		return ""
	}
	full := 0
	if total > 0 {
		full = min(width, max(0, int(int64(done)*int64(width)/int64(total))))
	}
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}
