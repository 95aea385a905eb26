package sender

import (
	"math"
	"time"

	"github.com/reputemail/repute/internal/keyed"
)

// speed is how fast a path has been lately. The dispatcher's mutex guards it.
//
// Two things are measured. What an attempt takes, from its begin to its end with the dialling in it: so many connections carry so many times as much. And how
// many deliveries ended while others stood in line for the path: that is all that it gives, whatever it is that limits it.
type speed struct {
	took float64 // seconds an attempt; 0: none has ended yet
	per  float64 // deliveries an attempt

	n, span float64   // deliveries that ended in so many seconds with others in line; both fade
	last    time.Time // when the latest of them ended; zero: nobody stood in line then
	at      time.Time // when the latest attempt of all ended
}

const (
	speedFade   = 30 * time.Second // what is older counts for less than a third
	speedOld    = 15 * time.Minute // after so long without an attempt, who knows
	speedGap    = time.Minute      // a longer silence is a stop, and no slowness
	speedSample = 2.0              // seconds with others in line that tell the speed
	speedShare  = 1.0 / 16         // of a new attempt in the averages
	maxSpeeds   = 10_000           // paths of which the speed is remembered
	speedIdle   = 24 * time.Hour   // and for how long
)

func newSpeeds() *keyed.Map[Path, *speed] {
	return keyed.New(keyed.Config[Path, *speed]{Max: maxSpeeds, Idle: speedIdle})
}

// ended notes that an attempt for n deliveries ended, and whether others stand in line.
func (s *speed) ended(now time.Time, took time.Duration, n int, inLine bool) {
	if n <= 0 {
		return
	}
	s.at = now
	if sec := max(0, took.Seconds()); s.per == 0 {
		s.took, s.per = sec, float64(n)
	} else {
		s.took += speedShare * (sec - s.took)
		s.per += speedShare * (float64(n) - s.per)
	}
	if !s.last.IsZero() && inLine {
		if gap := now.Sub(s.last); gap >= 0 && gap <= speedGap {
			keep := 1.0
			if gap > 0 {
				keep = math.Exp(-gap.Seconds() / speedFade.Seconds())
			}
			s.n, s.span = s.n*keep+float64(n), s.span*keep+gap.Seconds()
		}
	}
	if s.last = now; !inLine {
		s.last = time.Time{}
	}
}

// measured is how many deliveries a second the path gave when others stood in line; false if that was not the case for long enough.
func (s *speed) measured() (perSecond float64, ok bool) {
	if s == nil || s.span < speedSample || s.n <= 0 {
		return 0, false
	}
	return s.n / s.span, true
}

// old reports whether what is known is of a time that tells little of now.
func (s *speed) old(now time.Time) bool { return s != nil && now.Sub(s.at) > speedOld }

// group is how many deliveries an attempt carries, at least one.
func (s *speed) group() float64 {
	if s == nil {
		return 1
	}
	return max(1, s.per)
}

// over is how many deliveries a second so many connections carry; false if no attempt has ended yet, or took no time.
func (s *speed) over(connections int) (perSecond float64, ok bool) {
	if s == nil || s.took <= 0 || connections <= 0 {
		return 0, false
	}
	return float64(connections) / s.took * s.group(), true
}
