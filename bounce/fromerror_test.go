package bounce

import (
	"errors"
	"fmt"
	"net/textproto"
	"reflect"
	"testing"

	"github.com/emersion/go-smtp"
)

func TestFromError(t *testing.T) {
	want := Reply{Code: 550, Status: Status{5, 1, 1}, Lines: []string{"no such user", "see the help"}, Stage: StageRcpt, Host: "mx.example.com"}
	for name, err := range map[string]error{
		"go-smtp":          &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user\nsee the help"},
		"go-smtp, wrapped": fmt.Errorf("rcpt: %w", &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user\nsee the help"}),
		"textproto":        &textproto.Error{Code: 550, Msg: "5.1.1 no such user\n5.1.1 see the help"},
	} {
		if got, ok := FromError(err, StageRcpt, "mx.example.com"); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %#v, %v, want %#v", name, got, ok, want)
		}
	}
}

func TestFromErrorWithoutStatus(t *testing.T) {
	for _, code := range []smtp.EnhancedCode{smtp.EnhancedCodeNotSet, smtp.NoEnhancedCode} {
		got, ok := FromError(&smtp.SMTPError{Code: 421, EnhancedCode: code, Message: "closing"}, StageData, "")
		if want := (Reply{Code: 421, Lines: []string{"closing"}, Stage: StageData}); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: got %#v, %v, want %#v", code, got, ok, want)
		}
	}
}

func TestFromErrorOther(t *testing.T) {
	for _, err := range []error{nil, errors.New("connection reset")} {
		if r, ok := FromError(err, StageData, "mx.example.com"); ok || !reflect.DeepEqual(r, Reply{}) {
			t.Errorf("FromError(%v) = %v, %v", err, r, ok)
		}
	}
}
