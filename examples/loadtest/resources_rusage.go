//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package main

import (
	"runtime"
	"syscall"
	"time"
)

// measureResources asks getrusage(2).
func measureResources() resources {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return resources{}
	}
	peak := int64(r.Maxrss) // KiB; bytes on Darwin
	if runtime.GOOS != "darwin" {
		peak <<= 10
	}
	return resources{known: true, cpu: time.Duration(r.Utime.Nano() + r.Stime.Nano()), peak: peak}
}
