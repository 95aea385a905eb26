package sender

import (
	"context"
	"math"

	"github.com/reputemail/repute/sender/queue"
)

// MaxRank is the highest rank of a Ranker.
const MaxRank = 1000

// minRank is below all priorities of deliveries.
const minRank = math.MinInt

// rank is the priority of a delivery in the queue: the message's, and within that the Ranker's.
func (s *Sender) rank(ctx context.Context, m *Message, st *stream, d *queue.Delivery) int {
	rank := 0
	if s.cfg.Ranker != nil {
		c := Candidate{MessageID: d.MessageID, Stream: st.Name, Recipient: s.redact.recipient(st.Name, d.Recipient)}
		rank = min(max(s.cfg.Ranker.Rank(ctx, c), -MaxRank), MaxRank)
	}
	return m.Priority*(2*MaxRank+1) + rank
}
