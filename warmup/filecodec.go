package warmup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
)

// fileFormat and fileVersion are what the first line of a file says.
const (
	fileFormat  = "repute-warmup"
	fileVersion = 1
)

// The lines of a file.
type (
	fileHead struct {
		Format  string `json:"format"`
		Version int    `json:"v"`
	}
	fileLine struct {
		Key string `json:"k"`
		// JSON is the value if that is JSON on one line, so that the file can be read by people; otherwise Bytes is, in base64.
		JSON  json.RawMessage `json:"j,omitempty"`
		Bytes *[]byte         `json:"b,omitempty"`
	}
	fileTail struct {
		Keys *int    `json:"keys"`
		CRC  *string `json:"crc32c"`
	}
)

// encodeFile is the text of a file with these values, in the order of their keys.
func encodeFile(values map[string][]byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\"format\":%q,\"v\":%d}\n", fileFormat, fileVersion)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		value := values[key]
		name, _ := json.Marshal(key) // A string that is valid UTF-8: cannot fail.
		b.WriteString(`{"k":`)
		b.Write(name)
		if plain(value) {
			b.WriteString(`,"j":`)
			b.Write(value)
		} else {
			text, _ := json.Marshal(append([]byte{}, value...)) // Bytes: cannot fail.
			b.WriteString(`,"b":`)
			b.Write(text)
		}
		b.WriteString("}\n")
	}
	sum := checksum(b.Bytes())
	fmt.Fprintf(&b, "{\"keys\":%d,\"crc32c\":%q}\n", len(values), sum)
	return b.Bytes()
}

// plain says that a value can stand in the file as it is, and comes back the same. A null would not.
func plain(value []byte) bool {
	return len(value) > 0 && value[0] == '{' && value[len(value)-1] == '}' && !bytes.ContainsAny(value, "\r\n") && json.Valid(value)
}

func checksum(data []byte) string {
	return fmt.Sprintf("%08x", crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
}

// decodeFile is the inverse of encodeFile. It refuses every text that encodeFile would not have written.
func decodeFile(data []byte) (map[string][]byte, error) {
	first, rest, ok := bytes.Cut(data, []byte("\n"))
	var head fileHead
	if !ok || json.Unmarshal(first, &head) != nil || head.Format != fileFormat {
		return nil, errors.New("not a warm-up file, or truncated in its first line")
	}
	if head.Version > fileVersion {
		return nil, fmt.Errorf("written in format version %d by a later program: this one knows versions up to %d", head.Version, fileVersion)
	}
	if head.Version < 1 {
		return nil, fmt.Errorf("corrupted: format version is %d", head.Version)
	}
	values := make(map[string][]byte)
	for number := 2; ; number++ {
		line, after, ok := bytes.Cut(rest, []byte("\n"))
		if !ok {
			return nil, fmt.Errorf("truncated in line %d: the last line is missing", number)
		}
		var tail fileTail
		if bytes.HasPrefix(line, []byte(`{"keys":`)) && json.Unmarshal(line, &tail) == nil && tail.Keys != nil && tail.CRC != nil {
			return values, tail.check(data[:len(data)-len(rest)], len(values), after)
		}
		var l fileLine
		if err := json.Unmarshal(line, &l); err != nil {
			return nil, fmt.Errorf("corrupted in line %d: %w", number, err)
		}
		if _, double := values[l.Key]; double {
			return nil, fmt.Errorf("corrupted in line %d: key %.80q for the second time", number, l.Key)
		}
		switch {
		case l.JSON != nil && l.Bytes == nil:
			values[l.Key] = clone(l.JSON)
		case l.Bytes != nil && l.JSON == nil:
			values[l.Key] = append([]byte{}, *l.Bytes...)
		default:
			return nil, fmt.Errorf("corrupted in line %d: no value", number)
		}
		rest = after
	}
}

// check holds the last line against what came before it.
func (t fileTail) check(before []byte, keys int, after []byte) error {
	switch {
	case len(after) > 0:
		return errors.New("corrupted: there is text after the last line")
	case *t.Keys != keys:
		return fmt.Errorf("corrupted: %d keys instead of %d", keys, *t.Keys)
	case *t.CRC != checksum(before):
		return errors.New("corrupted: the checksum does not match")
	}
	return nil
}
