package chart

import (
	"math"

	"gonum.org/v1/plot"
)

// span is the lowest and the highest of what is drawn; with Log, of what is above zero. ok is false when there is nothing.
func (c Chart) span() (low, high float64, ok bool) {
	low, high = math.Inf(1), math.Inf(-1)
	add := func(v float64) {
		if !math.IsNaN(v) && !(c.Log && v < tiny) {
			low, high = min(low, v), max(high, v)
		}
	}
	for _, l := range c.Lines {
		for _, v := range l.Values {
			add(v)
		}
	}
	for _, tops := range c.tops() {
		for _, v := range tops {
			add(v)
		}
	}
	return low, high, low <= high
}

// tops are the upper edges of the layers of the stack.
func (c Chart) tops() [][]float64 {
	tops := make([][]float64, len(c.Stack))
	sum := make([]float64, len(c.X))
	for i, l := range c.Stack {
		for j, v := range l.Values {
			if !math.IsNaN(v) {
				sum[j] += v
			}
		}
		tops[i] = append([]float64(nil), sum...)
	}
	return tops
}

// yAxis is the range of the y axis and its ticks, the outermost of which are at its ends or close to them.
func (c Chart) yAxis() (low, high float64, ticks []plot.Tick) {
	low, high, ok := c.span()
	if c.Log {
		if !ok {
			low, high = 1, 1
		}
		return logarithmic(low, high)
	}
	if !ok {
		low, high = 0, 0
	}
	return even(min(low, 0), max(high, 0))
}

// slack is how much of itself a number may be off for want of bits.
const slack = 1e-12

// even is an axis whose ticks are 1, 2 or 5 times a power of ten apart.
func even(low, high float64) (float64, float64, []plot.Tick) {
	if high-low < tiny {
		high = low + 1
	}
	step := roundUp((high - low) / 6)
	first, last := math.Floor(low/step+slack), math.Ceil(high/step-slack)
	var ticks []plot.Tick
	for k := first; k <= last; k++ {
		ticks = append(ticks, plot.Tick{Value: k * step, Label: short(k * step)})
	}
	return first * step, last * step, ticks
}

// logarithmic is an axis with ticks at 1, 2 and 5 times each power of ten, or only at the powers, or not at all of them.
func logarithmic(low, high float64) (float64, float64, []plot.Tick) {
	low, high = roundDown(low), roundUp(high)
	if high/low < 9.9 {
		high = low * 10
	}
	decades := math.Log10(high / low)
	var ticks []plot.Tick
	for e, n := math.Floor(math.Log10(low)+slack), 0; ; e, n = e+1, n+1 {
		for _, m := range []float64{1, 2, 5} {
			v := power(m, e)
			if v > high*(1+slack) {
				return low, high, ticks
			}
			if v < low*(1-slack) {
				continue
			}
			t := plot.Tick{Value: v}
			if decades < 3.5 || m == 1 && (decades < 8 || int(e)%3 == 0) {
				t.Label = short(v)
			}
			ticks = append(ticks, t)
		}
	}
}

// roundUp and roundDown are the next 1, 2 or 5 times a power of ten.
func roundUp(v float64) float64 {
	e := math.Floor(math.Log10(v))
	for _, m := range []float64{1, 2, 5} {
		if p := power(m, e); p >= v*(1-slack) {
			return p
		}
	}
	return power(1, e+1)
}

func roundDown(v float64) float64 {
	e := math.Floor(math.Log10(v) + slack)
	for _, m := range []float64{5, 2} {
		if p := power(m, e); p <= v*(1+slack) {
			return p
		}
	}
	return power(1, e)
}

// power is m times ten to the e, as exact as it can be: 0.2, and not 0.20000000000000001.
func power(m, e float64) float64 {
	if e < 0 {
		return m / math.Pow10(int(-e))
	}
	return m * math.Pow10(int(e))
}

// every says to name every how many points, of n, when there is room for so many names: all, every second, or that of one day of each week, or second or fourth week,
// and so on.
func every(n, room int) int {
	step := 1
	for (n+step-1)/step > room {
		switch step {
		case 1:
			step = 2
		case 2:
			step = 7
		default:
			step *= 2
		}
	}
	return step
}
