package transport

import "bytes"

// content collects a part of the content and writes out what fills a block. A dot at the start of a line is doubled
// (RFC 5321 section 4.5.2), and LF alone becomes CRLF, so that no line of the content can be read as the final dot.
func (w *wire) content(p []byte) error {
	for len(p) > 0 && w.err == nil {
		if w.lineStart && p[0] == '.' {
			w.put(p[:1])
		}
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			w.put(p)
			w.lineStart, w.afterCR = false, p[len(p)-1] == '\r'
			break
		}
		if i > 0 && p[i-1] == '\r' || i == 0 && w.afterCR {
			w.put(p[:i+1])
		} else {
			w.put(p[:i])
			w.put(crlf)
		}
		w.lineStart, w.afterCR = true, false
		p = p[i+1:]
	}
	return w.err
}

// dot collects the end of the content: the end of its last line if that is missing, and the final dot.
func (w *wire) dot() error {
	switch {
	case w.afterCR:
		w.put(crlf[1:])
	case !w.lineStart:
		w.put(crlf)
	}
	w.put(dot)
	return w.err
}

var crlf, dot = []byte("\r\n"), []byte(".\r\n")

// put collects p, and writes out full blocks.
func (w *wire) put(p []byte) {
	for len(w.out)+len(p) > blockSize {
		n := blockSize - len(w.out)
		w.out = append(w.out, p[:n]...)
		p = p[n:]
		if w.flush() != nil {
			return
		}
	}
	w.out = append(w.out, p...)
}
