// Package show is what the examples have in common to show what happens: a block of lines that is redrawn in place on a
// terminal and printed as plain lines elsewhere, a bar, and a table.
//
// Control characters are written to terminals only. Colours are left out where the environment has NO_COLOR
// (https://no-color.org). Text from strangers, such as the replies of mail servers, goes through Clean first.
package show

import (
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/term"
)

// Screen is where progress is shown. It is safe for concurrent use; make one with New.
type Screen struct {
	w      io.Writer
	live   bool
	colour bool
	size   func() (width, height int)

	mu    sync.Mutex
	drawn int // lines of the block that stands on the terminal
}

// New makes a Screen that writes to w. It is live if w is a terminal that can be redrawn and plain is false.
func New(w io.Writer, plain bool) *Screen {
	s := &Screen{w: w, size: func() (int, int) { return 0, 0 }}
	file, ok := w.(*os.File)
	if !ok || plain || os.Getenv("TERM") == "dumb" || !term.IsTerminal(int(file.Fd())) || !interpretsEscapes(file) {
		return s
	}
	s.live, s.colour = true, os.Getenv("NO_COLOR") == ""
	s.size = func() (int, int) {
		width, height, err := term.GetSize(int(file.Fd()))
		if err != nil {
			return 0, 0
		}
		return width, height
	}
	return s
}

// The size of a terminal that does not tell its own (the VT100's).
const (
	defaultWidth  = 80
	defaultHeight = 24
)

// Live reports whether Draw redraws in place. If not, Print is all there is.
func (s *Screen) Live() bool { return s.live }

// Width is how many columns a line may have: the terminal's as of now, or 80.
func (s *Screen) Width() int {
	width, _ := s.bounds()
	return width
}

func (s *Screen) bounds() (width, height int) {
	width, height = s.size()
	if width <= 0 {
		width = defaultWidth
	}
	if height <= 0 {
		height = defaultHeight
	}
	return width, height
}

// Draw puts a block of lines in the place of the last one. Lines are cut at the terminal's width and the block at its
// height, so that nothing scrolls. On a Screen that is not live it does nothing.
func (s *Screen) Draw(lines []string) {
	if !s.live {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	width, height := s.bounds()
	lines = lines[:min(len(lines), height-1)]
	var b strings.Builder
	s.rewind(&b)
	for _, line := range lines {
		b.WriteString(cut(line, width-1)) // a full line makes some terminals begin the next one
		b.WriteString("\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	s.drawn = len(lines)
	io.WriteString(s.w, b.String())
}

// Print writes lines that stay. On a terminal they come above the block, which the next Draw makes anew.
func (s *Screen) Print(lines ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	s.rewind(&b)
	if s.drawn > 0 {
		b.WriteString("\x1b[J")
	}
	s.drawn = 0
	for _, line := range lines {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	_, err := io.WriteString(s.w, b.String())
	return err
}

// Keep lets the block stand as it is: what is printed from now on comes below it.
func (s *Screen) Keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drawn = 0
}

// rewind moves to the first line of the block.
func (s *Screen) rewind(b *strings.Builder) {
	if s.drawn > 0 {
		b.WriteString("\x1b[" + strconv.Itoa(s.drawn) + "A\r")
	}
}

// The looks of text on a terminal (ECMA-48 section 8.3.117).
const (
	Bold   = "1"
	Dim    = "2"
	Red    = "31"
	Green  = "32"
	Yellow = "33"
)

// Style gives text a look where colours are wanted, and returns it as it is where not.
func (s *Screen) Style(look, text string) string {
	if !s.colour || text == "" {
		return text
	}
	return "\x1b[" + look + "m" + text + "\x1b[0m"
}

// Clean makes a stranger's text fit for one line of a terminal: control characters become spaces.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// Shorten is text with at most width characters, the last of which then is an ellipsis.
func Shorten(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	if width < 1 {
		return ""
	}
	return string(runes[:width-1]) + "…"
}

// cut ends a line after width columns. Looks take none, and are kept to the end so that none stays on.
func cut(line string, width int) string {
	var b strings.Builder
	escape := false
	for _, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		case width <= 0:
			continue
		default:
			width--
		}
		b.WriteRune(r)
	}
	return b.String()
}
