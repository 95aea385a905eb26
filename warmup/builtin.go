package warmup

import (
	"fmt"
	"math"
)

// The published tables, in messages per day unless said otherwise.

// brazeConservative is Braze's conservative schedule; each value stands for three days (Braze, "IP warming").
func brazeConservative() []int { return []int{50, 100, 500, 1_000, 2_000, 4_000, 8_000} }

// brazeModerate is Braze's moderate schedule, a value a day (Braze, "IP warming").
func brazeModerate() []int {
	return []int{50, 100, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 25_000, 35_000, 50_000, 75_000, 100_000, 150_000, 200_000, 275_000,
		375_000, 500_000, 650_000, 825_000, 1_000_000}
}

// sparkPost is SparkPost's automated IP warm-up, a value a stage (SparkPost, "Automated IP warmup").
func sparkPost() []int {
	return []int{200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 50_000, 75_000, 100_000, 150_000, 200_000, 250_000, 325_000,
		400_000, 500_000, 600_000, 750_000, 1_000_000, 1_250_000, 1_750_000, 2_000_000, 3_000_000, 4_250_000, 5_000_000, 6_000_000,
		7_500_000, 10_000_000}
}

// sendGridHourly is SendGrid's automated schedule in messages per hour, by age in days from 0 (Twilio SendGrid, "Warming up an IP
// address", ages 0 to 35; SendGrid Japan (KKE) repeats it up to age 41). It is round(20 * 1.4^age) but for two published
// values, which are kept as published: age 12 (1,000 instead of 1,134) and age 18 (8,583 instead of 8,538, perhaps swapped digits).
func sendGridHourly() []int {
	return []int{20, 28, 39, 55, 77, 108, 151, 211, 295, 413, 579, 810, 1_000, 1_587, 2_222, 3_111, 4_356, 6_098, 8_583, 11_953,
		16_734, 23_427, 32_798, 45_917, 64_284, 89_998, 125_997, 176_395, 246_953, 345_735, 484_029, 677_640, 948_696, 1_328_175,
		1_859_444, 2_603_222, 3_644_511, 5_102_316, 7_143_242, 10_000_539, 14_000_754, 19_601_056}
}

const (
	// sesStages and sesStart shape the plan SES.
	sesStages = 45
	sesStart  = 50
)

// Conservative is the slower schedule of Braze's manual warm-up, ending at peak messages a day: 50, 100, 500, 1,000, 2,000, 4,000 and
// 8,000, each for three stages, then doubled every three stages until peak is reached (Braze, "IP warming"). Its early
// step from 100 to 500 and its doublings are the vendor's own, so it sets AllowJumps. The peak stands for one stage; a peak of 50 or
// less makes a single stage. A peak below 1 or above MaxCap is reported by Validate.
// The first stage of 50 a day derives caps of 7 an hour and one a minute (see Stage).
func Conservative(peak int) Plan {
	p := Plan{Name: "braze-conservative", Source: "Braze, IP warming: conservative schedule", AllowJumps: true}
	if !p.checkPeak(peak) {
		return p
	}
	days := brazeConservative()
	for last := days[len(days)-1]; last < peak; {
		last *= 2
		days = append(days, last)
	}
	for _, day := range days {
		if day >= peak {
			break
		}
		p.Stages = append(p.Stages, Stage{Day: day}, Stage{Day: day}, Stage{Day: day})
	}
	p.Stages = append(p.Stages, Stage{Day: peak})
	return p
}

// Moderate is the middle schedule of Braze's manual warm-up, ending at peak messages a day: 50, 100, 500, 1,000 and so on to 1,000,000
// on the 21st day (Braze, "IP warming"). Beyond its end it grows by 1.2 a stage, about the table's last step (our
// judgement). Its early doublings and its step from 100 to 500 are the vendor's own, so it sets AllowJumps. A peak below 1 or above
// MaxCap is reported by Validate.
// The first stage of 50 a day derives caps of 7 an hour and one a minute (see Stage).
func Moderate(peak int) Plan {
	p := Plan{Name: "braze-moderate", Source: "Braze, IP warming: moderate schedule", AllowJumps: true}
	p.fill(brazeModerate(), 1.2, peak)
	return p
}

// SparkPost is the schedule of SparkPost's automated IP warm-up, ending at peak messages a day: 200, 500, 1,000, 2,000, 5,000 and so on
// to 10,000,000 at stage 29 (SparkPost, "Automated IP warmup"). Beyond its end it grows by 1.33 a stage, the table's last
// step (our judgement). Its steps of 2 and 2.5 are the vendor's own, so it sets AllowJumps. A peak below 1 or above MaxCap is reported
// by Validate.
func SparkPost(peak int) Plan {
	p := Plan{Name: "sparkpost", Source: "SparkPost, Automated IP warmup", AllowJumps: true}
	p.fill(sparkPost(), 1.33, peak)
	return p
}

// SendGrid is the hourly schedule of SendGrid's automated warm-up, ending at peak messages a day: 20 an hour at age 0, 28 at age 1, and
// so on by 1.4 a day (Twilio SendGrid, "Warming up an IP address"). The day cap of a stage is 24 times its hour cap; in
// the last stage it is peak. The vendor counts ages by the calendar; here each is a stage that has to be earned. A peak below 1 or
// above MaxCap is reported by Validate.
func SendGrid(peak int) Plan {
	p := Plan{Name: "sendgrid", Source: "Twilio SendGrid, Warming up an IP address: automated schedule"}
	if !p.checkPeak(peak) {
		return p
	}
	hours := sendGridHourly()
	for 24*hours[len(hours)-1] < peak {
		hours = append(hours, int(float64(hours[len(hours)-1])*DefaultGrowth))
	}
	for _, hour := range hours {
		if 24*hour >= peak {
			p.Stages = append(p.Stages, Stage{Day: peak, Hour: min(hour, peak)})
			break
		}
		p.Stages = append(p.Stages, Stage{Day: 24 * hour, Hour: hour})
	}
	return p
}

// SES is a ramp like that of Amazon SES's standard warm-up: 45 stages, evenly growing by a constant factor from 50 messages a day to
// peak (Amazon SES developer guide: the share rises over 45 days, to 50,000 a day). Amazon publishes the length and the
// end but no table: the shape and the start are our judgement. At a peak of 50,000 it grows by 1.17 a stage. A peak of 50 or less makes
// a single stage; a peak below 1 or above MaxCap is reported by Validate.
func SES(peak int) Plan {
	p := Plan{Name: "ses", Source: "Amazon SES developer guide: standard warm-up over 45 days; geometric shape by judgement"}
	if !p.checkPeak(peak) {
		return p
	}
	if peak <= sesStart {
		p.Stages = []Stage{{Day: peak}}
		return p
	}
	ratio := float64(peak) / sesStart
	for i := range sesStages - 1 {
		day := int(math.Round(sesStart * math.Pow(ratio, float64(i)/(sesStages-1))))
		p.Stages = append(p.Stages, Stage{Day: min(day, peak)})
	}
	p.Stages = append(p.Stages, Stage{Day: peak})
	return p
}

// Geometric grows from start messages a day by factor a stage, rounded down but by at least one message, and ends at target messages a
// day. A factor of 0 means DefaultGrowth. A target of start or less makes a single stage. Validate reports a start or target below 1
// or above MaxCap, a factor that is not above 1 or not below MaxGrowth, and a plan of more than MaxStages stages.
func Geometric(start int, factor float64, target int) Plan {
	p := Plan{Name: "geometric"}
	if factor == 0 {
		factor = DefaultGrowth
	}
	p.Source = fmt.Sprintf("geometric growth by %g a stage", factor)
	switch {
	case start < 1 || start > MaxCap:
		p.invalid = fmt.Sprintf("start is %d: must be between 1 and %d", start, MaxCap)
	case target < 1 || target > MaxCap:
		p.invalid = fmt.Sprintf("target is %d: must be between 1 and %d", target, MaxCap)
	case !(factor > 1 && factor < MaxGrowth): // Also catches NaN.
		p.invalid = fmt.Sprintf("factor is %g: must be above 1 and below %.1f", factor, MaxGrowth)
	}
	if p.invalid != "" {
		return p
	}
	for day := start; day < target; day = max(day+1, int(float64(day)*factor)) {
		if len(p.Stages) == MaxStages-1 {
			p.Stages, p.invalid = nil, fmt.Sprintf("factor is %g: from %d to %d takes more than %d stages", factor, start, target, MaxStages)
			return p
		}
		p.Stages = append(p.Stages, Stage{Day: day})
	}
	p.Stages = append(p.Stages, Stage{Day: target})
	return p
}

// Weekly is the ramp of a newsletter: as Geometric, but with a sending every seven days, and caps for an hour that let a stage go out within half a
// day. A path advances once a week, however many days a sending takes, and a week without mail is no silence. A factor of 0 means WeeklyGrowth:
// Google asks those who send seldom to grow more slowly than those who send daily. Validate reports what it does for Geometric.
func Weekly(start int, factor float64, target int) Plan {
	if factor == 0 {
		factor = WeeklyGrowth
	}
	p := Geometric(start, factor, target)
	p.Name, p.Every = "weekly", 7
	p.Source = fmt.Sprintf("geometric growth by %g a week, by judgement", factor)
	for i := range p.Stages {
		p.Stages[i].Hour = max(1, ceilDiv(p.Stages[i].Day, 12))
	}
	return p
}

// fill makes the stages from a table of day caps, continued by growth beyond its end, and ending at peak.
func (p *Plan) fill(table []int, growth float64, peak int) {
	if !p.checkPeak(peak) {
		return
	}
	for last := table[len(table)-1]; last < peak; {
		last = int(float64(last) * growth)
		table = append(table, last)
	}
	for _, day := range table {
		if day >= peak {
			break
		}
		p.Stages = append(p.Stages, Stage{Day: day})
	}
	p.Stages = append(p.Stages, Stage{Day: peak})
}

// checkPeak notes a peak out of bounds and reports whether it is within.
func (p *Plan) checkPeak(peak int) bool {
	if peak < 1 || peak > MaxCap {
		p.invalid = fmt.Sprintf("peak is %d: must be between 1 and %d", peak, MaxCap)
		return false
	}
	return true
}
