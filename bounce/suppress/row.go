package suppress

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// What a row of a CSV file may have. A quotation mark that is never closed would make one row of the whole file otherwise.
const (
	maxRow      = 16 << 10 // bytes
	maxRowLines = 20
)

// rowReader reads the rows of a CSV file (RFC 4180 section 2) that anybody may have written. It takes bare quotation marks as they are, so that an
// address with a quoted local-part needs no second pair, and leaves out empty rows. It holds a few rows at a time.
type rowReader struct {
	in *bufio.Reader
	// ahead are lines that were read for a row to which they do not belong.
	ahead []line
	// number is that of the last line that was taken.
	number int
	// err ends the input.
	err error
}

// line is a line without its end.
type line struct {
	text string
	long bool // it does not fit, and has no text
}

func newRowReader(r io.Reader) *rowReader {
	in := bufio.NewReaderSize(r, maxRow)
	if mark, err := in.Peek(3); err == nil && string(mark) == "\xef\xbb\xbf" { // a byte order mark, which spreadsheets write
		in.Discard(3)
	}
	return &rowReader{in: in}
}

// read returns the cells of the next row and the number of its first line. An error that is a *fieldError is about this row only. io.EOF is the
// end.
func (r *rowReader) read() (cells []string, number int, err error) {
	first, err := r.next()
	for ; strings.Trim(first.text, " ,") == "" && !first.long && err == nil; first, err = r.next() {
	}
	if err != nil {
		return nil, r.number, err
	}
	number = r.number
	if first.long {
		return nil, number, &fieldError{"line", fmt.Sprintf("is longer than %d bytes", maxRow)}
	}
	text := first.text
	var more []line
	for {
		cells, closed := split(text)
		if closed {
			return cells, number, nil
		}
		l, err := r.next()
		if err == nil {
			more = append(more, l)
		}
		if err != nil || l.long || len(more) == maxRowLines || len(text)+len(l.text) > maxRow {
			r.ahead = append(more, r.ahead...)
			r.number = number
			return nil, number, &fieldError{"line", "has a quotation mark that is not closed"}
		}
		text += "\n" + l.text
	}
}

// next takes the next line.
func (r *rowReader) next() (line, error) {
	if len(r.ahead) > 0 {
		l := r.ahead[0]
		r.ahead = r.ahead[1:]
		r.number++
		return l, nil
	}
	if r.err != nil {
		return line{}, r.err
	}
	b, err := r.in.ReadSlice('\n')
	long := err == bufio.ErrBufferFull
	for err == bufio.ErrBufferFull {
		_, err = r.in.ReadSlice('\n')
	}
	if r.err = err; err != nil && (err != io.EOF || len(b) == 0) {
		return line{}, err // half a line may be another address
	}
	r.number++
	if long {
		return line{long: true}, nil
	}
	return line{text: strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")}, nil
}

// split are the cells of a row, and whether the last one is closed.
func split(row string) (cells []string, closed bool) {
	for {
		row = strings.TrimLeft(row, " ")
		var cell string
		if strings.HasPrefix(row, `"`) {
			var end int
			if cell, end = quoted(row); end < 0 {
				return nil, false
			}
			if rest := strings.TrimLeft(row[end:], " "); rest != "" && rest[0] != ',' { // "two words"@example.com
				if i := strings.IndexByte(row[end:], ','); i >= 0 {
					end += i
				} else {
					end = len(row)
				}
				cell = row[:end]
			} else {
				end = len(row) - len(rest)
			}
			row = row[end:]
		} else if i := strings.IndexByte(row, ','); i >= 0 {
			cell, row = row[:i], row[i:]
		} else {
			cell, row = row, ""
		}
		cells = append(cells, cell)
		if row == "" {
			return cells, true
		}
		row = row[1:]
	}
}

// quoted is the text of the quoted cell with which a row begins, and where its closing quotation mark ends; -1 if that is missing.
func quoted(row string) (cell string, end int) {
	for i := 1; i < len(row); i++ {
		if row[i] != '"' {
			continue
		}
		if i+1 < len(row) && row[i+1] == '"' {
			i++
			continue
		}
		return strings.ReplaceAll(row[1:i], `""`, `"`), i + 1
	}
	return "", -1
}
