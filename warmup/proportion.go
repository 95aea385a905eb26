package warmup

import "math"

// arm2x2 is a table of two by two: how many of the messages of each arm were bad, in one stage of a migration.
type arm2x2 struct {
	newBad, newOf         int64
	controlBad, controlOf int64
}

// moments are those of the number of bad messages of the new arm, when all that is known is how many there were in both arms together and the arms
// are alike: it is then hypergeometric.
type moments struct{ mean, variance, third float64 }

func (t arm2x2) moments() moments {
	n1, n0, bad := float64(t.newOf), float64(t.controlOf), float64(t.newBad+t.controlBad)
	n := n1 + n0
	if n1 == 0 || n0 == 0 || bad == 0 || bad == n {
		return moments{mean: float64(t.newBad)} // It says nothing.
	}
	m := moments{mean: n1 * bad / n, variance: n1 * n0 * bad * (n - bad) / (n * n * (n - 1))}
	if n > 2 {
		m.third = m.variance * (n - 2*bad) * (n0 - n1) / (n * (n - 2))
	}
	return m
}

// The regimes of excess.
const (
	// exactBelow is the variance up to which the distribution is worked out in full. From there on its skewness is so small that the normal
	// distribution with one correction term is within a few percent of it where it matters.
	exactBelow = 400
	// exactFrom is the number of standard deviations above the mean from which that is done: below, no threshold is near.
	exactFrom = 0.5
	// negligible is the part of a distribution's peak below which its tails are cut off.
	negligible = 1e-15
)

// excess compares the arms over all tables (Cochran 1954; Mantel and Haenszel 1959): each table is only compared with itself, so that what changes
// both arms from one table to the next does not matter. difference is the share of bad messages in the new arm minus that in the control arm,
// the tables weighted by what they tell. p is the probability that arms that are alike differ by that much, in that direction: exact
// for small counts, normal with corrections for continuity and skewness for large ones. Without information they are 0 and 1.
func excess(tables []arm2x2) (difference, p float64) {
	var sum moments
	weight, observed := 0.0, int64(0)
	for _, t := range tables {
		m := t.moments()
		sum.mean += m.mean
		sum.variance += m.variance
		sum.third += m.third
		observed += t.newBad
		if n := t.newOf + t.controlOf; n > 0 {
			weight += float64(t.newOf) * float64(t.controlOf) / float64(n)
		}
	}
	if weight == 0 || sum.variance == 0 {
		return 0, 1
	}
	over := float64(observed) - sum.mean
	difference = over / weight
	z := (over - 0.5) / math.Sqrt(sum.variance)
	if sum.variance < exactBelow && z > exactFrom {
		return difference, exactTail(tables, observed)
	}
	skew := sum.third / (sum.variance * math.Sqrt(sum.variance))
	// The first term of Edgeworth's series.
	p = math.Erfc(z/math.Sqrt2)/2 + skew/6*(z*z-1)*math.Exp(-z*z/2)/math.Sqrt(2*math.Pi)
	return difference, min(max(p, 0), 1)
}

// exactTail is the probability that the new arm has at least so many bad messages in all tables together, if the arms are alike.
func exactTail(tables []arm2x2, atLeast int64) float64 {
	all, last := spread{p: []float64{1}}, spread{p: []float64{1}}
	for _, t := range tables {
		s := t.spread()
		if len(s.p) > len(last.p) {
			s, last = last, s
		}
		all = all.plus(s)
	}
	// The sum with the widest one need not be worked out: what it has from somewhere on is enough.
	from := make([]float64, len(last.p)+1)
	for i := len(last.p) - 1; i >= 0; i-- { // The smallest first, so that none is lost.
		from[i] = from[i+1] + last.p[i]
	}
	tail := 0.0
	for i := len(all.p) - 1; i >= 0; i-- {
		need := atLeast - all.from - int64(i) - last.from
		tail += all.p[i] * from[min(max(need, 0), int64(len(last.p)))]
	}
	return min(tail, 1)
}

// spread is a distribution over whole numbers: p[i] is the probability of from+i.
type spread struct {
	from int64
	p    []float64
}

// spread is the distribution that moments are of, without its negligible tails.
func (t arm2x2) spread() spread {
	n1, n0, bad := t.newOf, t.controlOf, t.newBad+t.controlBad
	least, most := max(0, bad-n0), min(bad, n1)
	// ratio is the probability of x+1 by that of x.
	ratio := func(x int64) float64 {
		return float64(bad-x) / float64(x+1) * (float64(n1-x) / float64(n0-bad+x+1))
	}
	peak := int64(float64(bad+1) * (float64(n1+1) / float64(n1+n0+2)))
	peak = min(max(peak, least), most)
	var below []float64 // from the peak down
	for x, p := peak, 1.0; x > least; x-- {
		if p /= ratio(x - 1); p < negligible {
			break
		}
		below = append(below, p)
	}
	s := spread{from: peak - int64(len(below)), p: make([]float64, 0, 2*len(below)+1)}
	for i := len(below) - 1; i >= 0; i-- {
		s.p = append(s.p, below[i])
	}
	s.p = append(s.p, 1)
	for x, p := peak, 1.0; x < most; x++ {
		if p *= ratio(x); p < negligible {
			break
		}
		s.p = append(s.p, p)
	}
	total := 0.0
	for _, p := range s.p {
		total += p
	}
	for i := range s.p {
		s.p[i] /= total
	}
	return s
}

// plus is the distribution of the sum of two independent numbers.
func (s spread) plus(o spread) spread {
	if len(s.p) == 1 {
		return spread{s.from + o.from, o.p}
	}
	if len(o.p) == 1 {
		return spread{s.from + o.from, s.p}
	}
	sum := spread{from: s.from + o.from, p: make([]float64, len(s.p)+len(o.p)-1)}
	for i, p := range s.p {
		part := sum.p[i : i+len(o.p)]
		for j, q := range o.p {
			part[j] += p * q
		}
	}
	return sum
}
