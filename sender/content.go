package sender

import (
	"context"
	"errors"
	"time"

	"github.com/reputemail/repute/sender/queue"
)

// compose reads and signs the message.
func (d *dispatcher) compose(a *attempt) (msg *queue.Message, header []byte, ok bool) {
	why := WaitQueue
	msg, err := d.s.cfg.Queue.Message(d.ctx, a.group[0].MessageID)
	if err == nil {
		why = WaitSigner
		header, err = d.s.sign(d.ctx, a.lane.stream, msg)
	}
	// Its leases were lost while this process stood still. What stands behind it in the lane is not to wait for that.
	gone := why == WaitQueue && errors.Is(err, queue.ErrNotFound)
	d.mu.Lock()
	if err == nil {
		a.lane.pause = 0
	} else if d.ctx.Err() == nil && !gone {
		d.hold(a.lane, why, err)
	}
	d.mu.Unlock()
	if err == nil {
		return msg, header, true
	}
	switch {
	case d.ctx.Err() != nil:
	case gone:
		d.s.log.Warn("message is gone before its attempt: another process has settled it", "message", a.group[0].MessageID)
	default:
		d.s.log.Error("message cannot be read or signed", "message", a.group[0].MessageID, "err", err)
	}
	for _, del := range a.group {
		d.s.settler.wait(del, gateRetry)
	}
	return nil, nil, false
}

// sign returns the header that signs a message: once however many recipients.
func (s *Sender) sign(ctx context.Context, st *stream, msg *queue.Message) ([]byte, error) {
	if st.Signer == nil {
		return nil, nil
	}
	if msg.Recipients == 1 {
		return st.Signer.Sign(ctx, msg.Data)
	}
	e := s.signed.GetOrCreate(time.Now(), msg.ID, func() *signature { return &signature{} })
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.header == nil {
		header, err := st.Signer.Sign(ctx, msg.Data)
		if err != nil {
			return nil, err
		}
		e.header = header
	}
	return e.header, nil
}
