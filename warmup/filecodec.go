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

// fileFormat and fileVersion are what the first line of a file says. Version 1 ended with the line of fileTail.
const (
	fileFormat  = "repute-warmup"
	fileVersion = 2
)

// The lines of a file: a fileHead, a fileValue per key, a fileTail, and a fileChanges per write since.
type (
	fileHead struct {
		Format  string `json:"format"`
		Version int    `json:"v"`
	}
	fileValue struct {
		Key string `json:"k"`
		// JSON is the value if that is JSON on one line, so that the file can be read by people; otherwise Bytes is, in base64.
		JSON  json.RawMessage `json:"j,omitempty"`
		Bytes *[]byte         `json:"b,omitempty"`
		// Gone says, in fileChanges, that the key was removed.
		Gone bool `json:"gone,omitempty"`
	}
	fileTail struct {
		Keys *int    `json:"keys"`
		CRC  *string `json:"crc32c"`
	}
	fileChanges struct {
		Put []fileValue `json:"put"`
	}
)

// encodeFile is the text of a new file with these values, in the order of their keys.
func encodeFile(values map[string][]byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\"format\":%q,\"v\":%d}\n", fileFormat, fileVersion)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		encodeValue(&b, key, values[key])
		b.WriteByte('\n')
	}
	sum := extend(0, b.Bytes())
	fmt.Fprintf(&b, "{\"keys\":%d,\"crc32c\":\"%08x\"}\n", len(values), sum)
	return b.Bytes()
}

// encodeChanges is the line for changes to a file whose checksum is sum. The checksum in it covers the file and the line up to there.
func encodeChanges(sum uint32, changes map[string][]byte) []byte {
	var b bytes.Buffer
	b.WriteString(`{"put":[`)
	for i, key := range slices.Sorted(maps.Keys(changes)) {
		if i > 0 {
			b.WriteByte(',')
		}
		encodeValue(&b, key, changes[key])
	}
	b.WriteByte(']')
	fmt.Fprintf(&b, seal, extend(sum, b.Bytes()))
	b.WriteByte('\n')
	return b.Bytes()
}

// seal ends a line of changes; sealSize is its length with a checksum in it.
const (
	seal     = `,"crc32c":"%08x"}`
	sealSize = len(seal) - len("%08x") + 8
)

// encodeValue writes a fileValue.
func encodeValue(b *bytes.Buffer, key string, value []byte) {
	name, _ := json.Marshal(key) // A string that is valid UTF-8: cannot fail.
	b.WriteString(`{"k":`)
	b.Write(name)
	switch {
	case value == nil:
		b.WriteString(`,"gone":true`)
	case plain(value):
		b.WriteString(`,"j":`)
		b.Write(value)
	default:
		text, _ := json.Marshal(value) // Bytes: cannot fail.
		b.WriteString(`,"b":`)
		b.Write(text)
	}
	b.WriteByte('}')
}

// plain says that a value can stand in the file as it is, and comes back the same. A null would not.
func plain(value []byte) bool {
	return len(value) > 0 && value[0] == '{' && value[len(value)-1] == '}' && !bytes.ContainsAny(value, "\r\n") && json.Valid(value)
}

// extend is the checksum of a text of which sum is the checksum of the beginning and data the rest.
func extend(sum uint32, data []byte) uint32 {
	return crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), data)
}

// value is what v holds, nil if the key is gone, and false if that is not clear.
func (v *fileValue) value() ([]byte, bool) {
	switch {
	case v.Gone:
		return nil, v.JSON == nil && v.Bytes == nil
	case v.JSON != nil && v.Bytes == nil:
		return clone(v.JSON), true
	case v.Bytes != nil && v.JSON == nil:
		return append([]byte{}, *v.Bytes...), true
	default:
		return nil, false
	}
}

// fileImage is what a file holds.
type fileImage struct {
	values map[string][]byte
	base   int    // its size without the lines of changes
	sum    uint32 // its checksum
	renew  bool   // nothing can be appended to it: it is of an earlier version, or its last line was cut off
}

// decodeFile is the inverse of encodeFile and encodeChanges. It drops a last line that has no end, and refuses every other text that they
// would not have written.
func decodeFile(data []byte) (fileImage, error) {
	f := fileImage{values: make(map[string][]byte)}
	first, rest, ok := bytes.Cut(data, []byte("\n"))
	var head fileHead
	switch {
	case !ok || json.Unmarshal(first, &head) != nil || head.Format != fileFormat:
		return f, errors.New("not a warm-up file, or truncated in its first line")
	case head.Version > fileVersion:
		return f, fmt.Errorf("written in format version %d by a later program: this one knows versions up to %d", head.Version, fileVersion)
	case head.Version < 1:
		return f, fmt.Errorf("corrupted: format version is %d", head.Version)
	}
	for number := 2; ; number++ {
		line, after, ok := bytes.Cut(rest, []byte("\n"))
		if !ok {
			return f, fmt.Errorf("truncated in line %d: the line with the checksum is missing", number)
		}
		var tail fileTail
		if bytes.HasPrefix(line, []byte(`{"keys":`)) && json.Unmarshal(line, &tail) == nil && tail.Keys != nil && tail.CRC != nil {
			before := data[:len(data)-len(rest)]
			if err := tail.check(before, len(f.values)); err != nil {
				return f, err
			}
			f.base = len(data) - len(after)
			f.sum = extend(0, data[:f.base])
			if head.Version < 2 {
				f.renew = true
				if len(after) > 0 {
					return f, errors.New("corrupted: there is text after the last line")
				}
			}
			return f, f.replay(after, number+1)
		}
		var v fileValue
		if err := json.Unmarshal(line, &v); err != nil {
			return f, fmt.Errorf("corrupted in line %d: %w", number, err)
		}
		if _, double := f.values[v.Key]; double {
			return f, fmt.Errorf("corrupted in line %d: key %.80q for the second time", number, v.Key)
		}
		value, ok := v.value()
		if !ok || value == nil {
			return f, fmt.Errorf("corrupted in line %d: no value", number)
		}
		f.values[v.Key] = value
		rest = after
	}
}

// replay makes the changes of the lines in rest, of which the first has the given number.
func (f *fileImage) replay(rest []byte, number int) error {
	for ; len(rest) > 0; number++ {
		line, after, ok := bytes.Cut(rest, []byte("\n"))
		if !ok {
			f.renew = true
			return nil
		}
		body := line[:max(0, len(line)-sealSize)]
		sum := extend(f.sum, body)
		if string(line[len(body):]) != fmt.Sprintf(seal, sum) {
			return fmt.Errorf("corrupted in line %d: the checksum does not match", number)
		}
		var c fileChanges
		if err := json.Unmarshal(line, &c); err != nil {
			return fmt.Errorf("corrupted in line %d: %w", number, err)
		}
		for i := range c.Put {
			value, ok := c.Put[i].value()
			if !ok {
				return fmt.Errorf("corrupted in line %d: no value", number)
			}
			merge(f.values, map[string][]byte{c.Put[i].Key: value})
		}
		f.sum = extend(f.sum, rest[:len(line)+1])
		rest = after
	}
	return nil
}

// check holds the line against what came before it.
func (t fileTail) check(before []byte, keys int) error {
	switch {
	case *t.Keys != keys:
		return fmt.Errorf("corrupted: %d keys instead of %d", keys, *t.Keys)
	case *t.CRC != fmt.Sprintf("%08x", extend(0, before)):
		return errors.New("corrupted: the checksum does not match")
	default:
		return nil
	}
}
