package intake

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/reputemail/repute/bounce/internal/entity"
)

// ServeHTTP takes one raw message as the body of a POST or PUT, and answers with its report as JSON. The reverse-path and the recipient to whom the message
// came may be given as "from" and "to" in the query. It is for hosts whose mail is received by something else: a mail server that pipes into curl, a
// provider's webhook. Who may call it is the host's business: put it behind authentication of its own, since who can reach it can
// post what they like, although nothing untied suppresses anybody.
//
// It answers 200 when the report was handed over, 405 for other methods, 413 for more than 10 MB, 400 when the body cannot be read or is empty, and 503 when
// the report cannot be kept, so that it should come again.
func (in *Intake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		w.Header().Set("Allow", "POST, PUT")
		http.Error(w, "POST a message", http.StatusMethodNotAllowed)
		return
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, entity.MaxBytes))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		http.Error(w, entity.ErrTooLarge.Error(), http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		http.Error(w, "the body cannot be read", http.StatusBadRequest)
		return
	case len(data) == 0:
		http.Error(w, entity.ErrEmpty.Error(), http.StatusBadRequest)
		return
	}
	q := r.URL.Query()
	report, err := in.Take(r.Context(), Message{From: q.Get("from"), To: q.Get("to"), Data: data})
	if err != nil {
		in.log.Error("a report cannot be kept", "err", err)
		http.Error(w, "the report cannot be kept for now", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(report); err != nil {
		in.log.Debug("answer cannot be written", "err", err)
	}
}
