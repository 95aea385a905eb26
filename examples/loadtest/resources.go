package main

import "time"

// resources are what this process has used; known is false where the system does not tell.
type resources struct {
	known bool
	cpu   time.Duration // of all threads, in user and kernel mode
	peak  int64         // resident memory, bytes
}

// since is what was used after before. The peak is that of the whole life of the process.
func (u resources) since(before resources) resources {
	u.cpu -= before.cpu
	return u
}

func (u resources) cpuSeconds() *float64 { return u.tell(u.cpu.Seconds(), 2) }
func (u resources) peakMiB() *float64    { return u.tell(float64(u.peak)/(1<<20), 1) }

func (u resources) tell(v float64, digits int) *float64 {
	if !u.known {
		return nil
	}
	v = round(v, digits)
	return &v
}
