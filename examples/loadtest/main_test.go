package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/reputemail/repute/internal/interop"
	"github.com/reputemail/repute/internal/pgtest"
	"github.com/reputemail/repute/sender"
	"github.com/reputemail/repute/sender/queue/sqlitequeue"
	"github.com/reputemail/repute/sender/sendertest"
)

// loadtest runs the program with -json and returns its status, the report, and what it told people.
func loadtest(t *testing.T, ctx context.Context, args ...string) (status int, r report, said string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status = run(ctx, append(args, "-json"), &stdout, &stderr)
	d := json.NewDecoder(&stdout)
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatalf("status %d: %v\n%s", status, err, &stderr)
	}
	if d.More() {
		t.Error("more than one JSON value")
	}
	return status, r, stderr.String()
}

func TestMemory(t *testing.T) {
	for _, dkim := range []string{dkimNone, dkimRSA, dkimEd25519} {
		t.Run(dkim, func(t *testing.T) {
			status, r, said := loadtest(t, t.Context(), "-n", "60", "-c", "5", "-bare", "-size", "3000", "-dkim", dkim)
			if status != 0 || !r.OwnSink || r.Accepted != 60 || r.Delivered != 60 || r.Failed != 0 || r.Deferred != 0 || r.Interrupted {
				t.Errorf("status %d, %+v", status, r)
			}
			if r.Messages != 60 || r.Connections != 5 || r.Enqueuers != 5 || r.Domains != 1 || r.Size != 3000 || r.DKIM != dkim || r.Queue != queueMemory {
				t.Errorf("%+v does not tell what was asked for", r)
			}
			if r.AcceptPerSecond <= 0 || r.EndToEndPerSecond <= 0 || r.AcceptPerSecond < r.EndToEndPerSecond || r.Seconds <= 0 {
				t.Errorf("rates: %+v", r)
			}
			if r.P50 <= 0 || r.P50 > r.P99 || r.P99 > r.Max || r.Max > 1000*r.Seconds+1 { // seconds are rounded
				t.Errorf("times: %+v", r)
			}
			if r.BarePerSecond == nil || *r.BarePerSecond <= 0 || r.Ratio == nil || *r.Ratio <= 0 {
				t.Errorf("bare loop: %+v", r)
			}
			if runtime.GOOS == "linux" && (r.CPU == nil || *r.CPU < 0 || r.PeakRSS == nil || *r.PeakRSS < 1 || r.BareCPU == nil) {
				t.Errorf("resources: %+v", r)
			}
			if !strings.Contains(said, "a sink inside this process") {
				t.Errorf("the sink is not named: %s", said)
			}
		})
	}
}

// TestShape: programs read these names.
func TestShape(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"-n", "5", "-c", "2", "-bare", "-json"}, &stdout, &stderr); status != 0 {
		t.Fatalf("status %d: %s", status, &stderr)
	}
	var got map[string]any
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"accept_per_s", "end_to_end_per_s", "p50_ms", "p99_ms", "cpu_s", "peak_rss_mb", "bare_per_s"} {
		if _, ok := got[name]; !ok {
			t.Errorf("no %s in %s", name, &stdout)
		}
	}
}

// receiver is a sink of a test's own, for -addr.
func receiver(t *testing.T, script sendertest.Script) string {
	t.Helper()
	to, err := startSink(script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(to.close)
	return to.addr
}

// Many lanes share the one path, and each gets its turns.
func TestDomains(t *testing.T) {
	status, r, _ := loadtest(t, t.Context(), "-addr", receiver(t, sendertest.Script{}), "-n", "400", "-c", "3", "-domains", "150", "-size", "600")
	if status != 0 || r.OwnSink || r.Delivered != 400 || r.Domains != 150 {
		t.Errorf("status %d, %+v", status, r)
	}
	if r.BarePerSecond != nil || r.Ratio != nil {
		t.Errorf("a bare loop that was not asked for: %+v", r)
	}
}

func TestRefused(t *testing.T) {
	addr := receiver(t, sendertest.UnknownUsers(sendertest.AnyOf("r1@example.org", "r7@example.org")))
	status, r, said := loadtest(t, t.Context(), "-addr", addr, "-n", "20", "-c", "2")
	if status != 1 || r.Accepted != 20 || r.Delivered != 18 || r.Failed != 2 {
		t.Errorf("status %d, %+v", status, r)
	}
	if status, _, _ := loadtest(t, t.Context(), "-addr", addr, "-n", "1", "-c", "2"); status != 0 {
		t.Errorf("status %d for what is delivered", status)
	}
	if strings.Contains(said, "\x1b") {
		t.Errorf("escape sequences: %q", said)
	}
	// The bare loop does not go on as if nothing had been.
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"-addr", addr, "-n", "20", "-c", "2", "-bare"}, &stdout, &stderr); status != 1 ||
		!strings.Contains(stderr.String(), "bare loop: message") {
		t.Errorf("status %d, %s", status, &stderr)
	}
}

// A signal ends the run, and what was measured is told.
func TestInterrupt(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	addr := receiver(t, sendertest.Script{OnDot: func(*sendertest.Session, string) *sendertest.Answer {
		interrupt()
		return nil
	}})
	status, r, _ := loadtest(t, ctx, "-addr", addr, "-n", "100000", "-c", "2", "-size", "600", "-bare")
	if status != 1 || !r.Interrupted || r.Delivered == 0 || r.Delivered >= r.Messages || r.Delivered > r.Accepted {
		t.Errorf("status %d, %+v", status, r)
	}
	if r.BarePerSecond != nil {
		t.Error("the bare loop ran")
	}
}

func TestNoSink(t *testing.T) {
	addr := receiver(t, sendertest.Script{})
	closed, err := startSink(sendertest.Script{})
	if err != nil {
		t.Fatal(err)
	}
	closed.close()
	for _, tt := range []struct {
		name string
		args []string
		says string
	}{
		{"sink", []string{"-addr", closed.addr}, "-addr: there is no sink"},
		{"folder of the queue", []string{"-addr", addr, "-queue", "sqlite:" + filepath.Join(t.TempDir(), "missing", "load.db")}, "-queue: "},
		{"folder of the profile", []string{"-addr", addr, "-cpuprofile", filepath.Join(t.TempDir(), "missing", "cpu")}, "-cpuprofile: "},
	} {
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), append(tt.args, "-n", "1"), &stdout, &stderr); status != 1 || !strings.Contains(stderr.String(), tt.says) {
			t.Errorf("%s: status %d, %s", tt.name, status, &stderr)
		}
	}
}

// What an earlier run left in a durable queue is sent, and in no figure.
func TestFoundInQueue(t *testing.T) {
	file := filepath.Join(t.TempDir(), "load.db")
	q, err := sqlitequeue.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sender.New(sender.Config{
		Routes:  []sender.Route{{Name: "sink", Relay: &sender.Relay{Addr: "127.0.0.1:25"}}},
		Streams: []sender.Stream{{Name: "load"}}, Queue: q,
	})
	if err != nil {
		t.Fatal(err)
	}
	l := newLetters(minSize, 1, t0)
	for i := range 3 {
		if _, err := s.Enqueue(t.Context(), sender.Message{From: from, To: []string{"old" + strconv.Itoa(i) + "@example.org"}, Data: l.data(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	args := []string{"-n", "40", "-c", "4", "-size", "600", "-queue", "sqlite:" + file}
	status, r, said := loadtest(t, t.Context(), args...)
	if status != 0 || r.Queue != queueSQLite || r.FoundInQueue != 3 || r.Accepted != 40 || r.Delivered != 40 {
		t.Errorf("status %d, %+v", status, r)
	}
	if !strings.Contains(said, "holds 3 messages of an earlier run") {
		t.Errorf("not told: %s", said)
	}
	if status, r, _ := loadtest(t, t.Context(), args...); status != 0 || r.FoundInQueue != 0 || r.Delivered != 40 {
		t.Errorf("again: status %d, %+v", status, r)
	}
}

func TestPostgres(t *testing.T) {
	status, r, said := loadtest(t, t.Context(), "-n", "60", "-c", "4", "-size", "600", "-queue", "postgres:"+pgtest.DSN(t))
	if status != 0 || r.Queue != queuePostgres || r.Delivered != 60 {
		t.Errorf("status %d, %+v\n%s", status, r, said)
	}
	if strings.Contains(said, "postgres:") {
		t.Errorf("the DSN is told: %s", said)
	}
}

// The sink that the figures are measured with.
func TestInteropSink(t *testing.T) {
	program, err := exec.LookPath("smtp-sink")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/smtp-sink")
	}
	interop.Need(t, "Postfix's smtp-sink (Debian package postfix)", err == nil)
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	args := []string{addr, "50"}
	if os.Geteuid() == 0 { // it refuses to run as root
		args = append([]string{"-u", "nobody"}, args...)
	}
	sink := exec.Command(program, args...)
	if err := sink.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		sink.Process.Kill()
		sink.Wait()
	}()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp4", addr); err == nil {
			conn.Close()
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	status, r, said := loadtest(t, t.Context(), "-addr", addr, "-n", "500", "-c", "10", "-bare")
	if status != 0 || r.OwnSink || r.Sink != addr || r.Delivered != 500 || r.Ratio == nil {
		t.Errorf("status %d, %+v\n%s", status, r, said)
	}
}

func TestProfile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cpu")
	if status, _, said := loadtest(t, t.Context(), "-n", "10", "-c", "1", "-cpuprofile", file); status != 0 {
		t.Errorf("status %d: %s", status, said)
	}
	if info, err := os.Stat(file); err != nil || info.Size() == 0 {
		t.Errorf("%v, %v", info, err)
	}
}
