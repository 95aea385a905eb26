package throttle

import (
	"errors"
	"fmt"
)

// fieldError says which field of a configuration cannot be, and why.
type fieldError struct {
	field, reason string
}

func (e *fieldError) Error() string { return e.field + ": " + e.reason }

// invalid makes a fieldError.
func invalid(field, format string, args ...any) error {
	return &fieldError{field, fmt.Sprintf(format, args...)}
}

// within puts the name of the struct before the field that err names.
func within(name string, err error) error {
	var f *fieldError
	if errors.As(err, &f) {
		return &fieldError{name + "." + f.field, f.reason}
	}
	return err
}
