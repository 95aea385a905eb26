package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxLine bounds a line of input, in bytes.
const maxLine = 16 << 20

// eachLine reads a file of JSON lines, and writes what do makes of each as a JSON line. What was written before an error stays.
func eachLine[T any](file string, w io.Writer, do func(T) (any, error)) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var in T
		if err := json.Unmarshal(lines.Bytes(), &in); err != nil {
			return errors.Join(fmt.Errorf("%s: line %d: %w", file, n, err), out.Flush())
		}
		v, err := do(in)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: line %d: %w", file, n, err), out.Flush())
		}
		if err := enc.Encode(v); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return errors.Join(fmt.Errorf("%s: line %d: %w", file, n+1, err), out.Flush())
	}
	return out.Flush()
}
