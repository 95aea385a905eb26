package warmup

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Gate says from what rates on a path stops advancing, and from what rates it goes back a stage. The zero Gate has the documented defaults,
// which follow published thresholds (FACTS.md section 2) where there are any.
//
// Rates are those of the running day of a stage, of all processes as far as they have told the store, so that what has improved is soon forgiven; days with less than MinSample attempts are
// taken together. A rate over fewer messages
// than its minimum sample counts as the lower end of its Wilson interval of 95 %: what it is at least. Fewer than three messages never count.
type Gate struct {
	// Bounce is the share of attempts that met a recipient who does not exist. Defaults to hold at 5 % and back at 10 %, where Amazon SES reviews
	// and pauses accounts.
	Bounce Threshold `json:"bounce,omitzero"`
	// Deferral is the share of attempts that were put off for the sender's reputation or rate. Defaults to hold at 5 % and back at 20 %, our judgement:
	// no vendor publishes one.
	Deferral Threshold `json:"deferral,omitzero"`
	// Block is the share of attempts that were refused for good for the sender's sake. Defaults to hold at 1 % and back at 5 %, our judgement.
	Block Threshold `json:"block,omitzero"`
	// Complaint is the share of messages delivered today and on the sending day before that a recipient reported today. Defaults to hold at 0.1 % and back at 0.3 %, the limits of Google,
	// Yahoo and Amazon SES. It is only looked at where the provider is one of Reporters.
	Complaint Threshold `json:"complaint,omitzero"`
	// BlockBurst is how many blocks within an hour put a path back at once, if they are at least Block.Hold of the day's attempts. At most 100.
	// Defaults to 5, our judgement.
	BlockBurst int `json:"block_burst,omitempty"`
	// MinSample is how many attempts make the rates of bounces, deferrals and blocks count as they are. Defaults to 100.
	MinSample int `json:"min_sample,omitempty"`
	// MinDelivered is how many delivered messages make the rate of complaints count as it is. Defaults to 1000.
	MinDelivered int `json:"min_delivered,omitempty"`
	// Reporters are the providers that tell of complaints, by their names in a Path: for others a rate of complaints would be too low. Defaults to
	// those of the built-in provider table that run a feedback loop: yahoo, outlook, comcast and cox.
	Reporters []string `json:"reporters,omitempty"`
	// Off turns the gate off: only the volume decides. Defaults to false.
	Off bool `json:"off,omitempty"`
}

// Threshold is a pair of rates between 0 and 1. 0 stands for the default, and 1 for never.
type Threshold struct {
	// Hold is from what rate on a path does not advance.
	Hold float64 `json:"hold,omitempty"`
	// Back is from what rate on it goes back a stage, at once. At least Hold.
	Back float64 `json:"back,omitempty"`
}

// Evidence is what a gate decided on.
type Evidence struct {
	// Cause is the rate: CauseBounces, CauseDeferrals, CauseBlocks or CauseComplaints.
	Cause Cause `json:"cause"`
	// Bad of Of messages make the rate.
	Bad int `json:"bad"`
	Of  int `json:"of"`
	// Rate is what was held against Threshold: Bad/Of, or for a small sample the lower end of its Wilson interval. For a burst of blocks, within an hour, both
	// are the share of blocks in the day.
	Rate      float64 `json:"rate"`
	Threshold float64 `json:"threshold"`
	// Burst says that it were blocks within an hour.
	Burst bool `json:"burst,omitempty"`
}

// String is the evidence in words: "deferrals: 31 of 120, at least 20 %".
func (e Evidence) String() string {
	if e.Of == 0 {
		return ""
	}
	how := ""
	if e.Burst {
		how = ", several within an hour"
	}
	return fmt.Sprintf("%s: %d of %d%s, the threshold is %g %%", e.Cause, e.Bad, e.Of, how, math.Round(e.Threshold*1e6)/1e4)
}

// The defaults of a Gate, and the least number of messages that can mean something.
const (
	minBad        = 3
	maxBurst      = 100
	burstTime     = int64(time.Hour)
	wilsonZ       = 1.96
	minSample     = 100
	minDelivered  = 1000
	defaultBurst  = 5
	bounceHold    = 0.05
	bounceBack    = 0.10
	deferralHold  = 0.05
	deferralBack  = 0.20
	blockHold     = 0.01
	blockBack     = 0.05
	complaintHold = 0.001
	complaintBack = 0.003
	neverRate     = 1
)

// defaultReporters are providers with a feedback loop, by the names of the provider table.
func defaultReporters() []string { return []string{"yahoo", "outlook", "comcast", "cox"} }

func (t Threshold) withDefaults(hold, back float64) Threshold {
	if t.Hold == 0 {
		t.Hold = hold
		if t.Back != 0 {
			t.Hold = min(hold, t.Back)
		}
	}
	if t.Back == 0 {
		t.Back = max(back, t.Hold)
	}
	return t
}

func (t Threshold) check() error {
	switch {
	case !(t.Hold >= 0 && t.Hold <= 1): // Also catches NaN.
		return fault("Hold", "is %g: must be between 0 and 1", t.Hold)
	case !(t.Back >= 0 && t.Back <= 1):
		return fault("Back", "is %g: must be between 0 and 1", t.Back)
	case t.Back != 0 && t.Back < t.Hold:
		return fault("Back", "is %g: must not be below Hold, which is %g", t.Back, t.Hold)
	}
	return nil
}

// Validate checks the gate. The error names the field and the reason.
func (g Gate) Validate() error {
	for _, c := range []struct {
		field string
		t     Threshold
	}{{"Bounce", g.Bounce}, {"Deferral", g.Deferral}, {"Block", g.Block}, {"Complaint", g.Complaint}} {
		if err := c.t.check(); err != nil {
			return errors.New("Gate." + c.field + "." + err.Error())
		}
	}
	switch {
	case g.BlockBurst < 0 || g.BlockBurst > maxBurst:
		return fault("Gate.BlockBurst", "is %d: must be between 0 and %d", g.BlockBurst, maxBurst)
	case g.MinSample < 0:
		return fault("Gate.MinSample", "is %d: must not be negative", g.MinSample)
	case g.MinDelivered < 0:
		return fault("Gate.MinDelivered", "is %d: must not be negative", g.MinDelivered)
	}
	for _, r := range g.Reporters {
		if r == "" {
			return fault("Gate.Reporters", "has an empty name")
		}
	}
	return nil
}

// withDefaults fills the zero fields in.
func (g Gate) withDefaults() Gate {
	g.Bounce = g.Bounce.withDefaults(bounceHold, bounceBack)
	g.Deferral = g.Deferral.withDefaults(deferralHold, deferralBack)
	g.Block = g.Block.withDefaults(blockHold, blockBack)
	g.Complaint = g.Complaint.withDefaults(complaintHold, complaintBack)
	if g.BlockBurst == 0 {
		g.BlockBurst = defaultBurst
	}
	if g.MinSample == 0 {
		g.MinSample = minSample
	}
	if g.MinDelivered == 0 {
		g.MinDelivered = minDelivered
	}
	if g.Reporters == nil {
		g.Reporters = defaultReporters()
	}
	return g
}

// level is what a gate says.
type level int

const (
	levelOpen level = iota
	levelHold
	levelBack
)

// finding is the worst that a gate found.
type finding struct {
	level    level
	evidence Evidence
}

// judge looks at the outcomes of a day; before is what was delivered on the one before, of which complaints come as well. burst says that there were as many blocks within an hour as make a burst; reports that the
// provider tells of complaints. The gate's defaults are filled in.
func (g *Gate) judge(c counts, before int, burst, reports bool) finding {
	if g.Off {
		return finding{}
	}
	attempts := 0
	for i, n := range c {
		if i != Complained.index() {
			attempts += int(n)
		}
	}
	var f finding
	f.worse(CauseBlocks, g.Block, int(c[Blocked.index()]), attempts, g.MinSample)
	if share := float64(c[Blocked.index()]); burst && f.level < levelBack && share >= g.Block.Hold*float64(attempts) {
		f = finding{levelBack, Evidence{Cause: CauseBlocks, Bad: int(share), Of: attempts, Rate: share / float64(attempts), Threshold: g.Block.Hold, Burst: true}}
	}
	if reports {
		f.worse(CauseComplaints, g.Complaint, int(c[Complained.index()]), int(c[Delivered.index()])+before, g.MinDelivered)
	}
	f.worse(CauseBounces, g.Bounce, int(c[Bounced.index()]), attempts, g.MinSample)
	f.worse(CauseDeferrals, g.Deferral, int(c[Deferred.index()]), attempts, g.MinSample)
	return f
}

// worse makes f what a rate says, if that is worse.
func (f *finding) worse(cause Cause, t Threshold, bad, of, sample int) {
	if bad < minBad || of == 0 {
		return
	}
	rate := min(1, float64(bad)/float64(of))
	if of < sample {
		rate = wilsonLower(min(bad, of), of)
	}
	switch {
	case t.Back < neverRate && rate >= t.Back && f.level < levelBack:
		*f = finding{levelBack, Evidence{Cause: cause, Bad: bad, Of: of, Rate: rate, Threshold: t.Back}}
	case t.Hold < neverRate && rate >= t.Hold && f.level < levelHold:
		*f = finding{levelHold, Evidence{Cause: cause, Bad: bad, Of: of, Rate: rate, Threshold: t.Hold}}
	}
}

// wilsonLower is the lower end of Wilson's score interval of 95 % for bad of n (Wilson 1927).
func wilsonLower(bad, n int) float64 {
	p, m, z2 := float64(bad)/float64(n), float64(n), wilsonZ*wilsonZ
	middle := p + z2/(2*m)
	spread := wilsonZ * math.Sqrt(p*(1-p)/m+z2/(4*m*m))
	return max(0, (middle-spread)/(1+z2/m))
}
