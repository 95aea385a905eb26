package sendertest

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/reputemail/repute/bounce"
)

// Greylist refuses each new triple of source address, sender and recipient with "450 4.7.1" until delay has passed since it
// was first seen. A Script remembers for as long as it lives.
func Greylist(delay time.Duration) Script {
	type triple struct {
		source   netip.Addr
		from, to string
	}
	var mu sync.Mutex
	first := map[triple]time.Time{}
	return Script{OnRcpt: func(s *Session, to string) *Answer {
		mu.Lock()
		defer mu.Unlock()
		now, t := time.Now(), triple{s.Source(), s.From(), strings.ToLower(to)}
		seen, ok := first[t]
		if !ok {
			seen, first[t] = now, now
		}
		if left := delay - now.Sub(seen); left > 0 {
			return Say(fmt.Sprintf("450 4.7.1 Greylisted, try again in %.0f seconds", left.Seconds()))
		}
		return nil
	}}
}

// RateLimit lets n messages a source address through in any period of length per. MAIL for a further one is answered with
// "421 4.7.0" and the connection ends.
func RateLimit(n int, per time.Duration) Script {
	var mu sync.Mutex
	passed := map[netip.Addr][]time.Time{}
	return Script{OnMail: func(s *Session, _ string) *Answer {
		mu.Lock()
		defer mu.Unlock()
		now, times := time.Now(), passed[s.Source()]
		for len(times) > 0 && now.Sub(times[0]) >= per {
			times = times[1:]
		}
		if len(times) >= n {
			passed[s.Source()] = times
			return Say("421 4.7.0 Too many messages from " + s.Source().String() + ", rate limited, try again later")
		}
		passed[s.Source()] = append(times, now)
		return nil
	}}
}

// MaxConnections greets with "421 4.7.0" while a source address has n connections already.
func MaxConnections(n int) Script {
	var mu sync.Mutex
	open := map[netip.Addr]map[*Session]bool{}
	return Script{
		OnConnect: func(s *Session, _ string) *Answer {
			mu.Lock()
			defer mu.Unlock()
			mine := open[s.Source()]
			if mine == nil {
				mine = map[*Session]bool{}
				open[s.Source()] = mine
			}
			if len(mine) >= n {
				return Say("421 4.7.0 Too many connections from " + s.Source().String() + ", try again later")
			}
			mine[s] = true
			return nil
		},
		OnClose: func(s *Session) {
			mu.Lock()
			defer mu.Unlock()
			delete(open[s.Source()], s)
		},
	}
}

// CloseAfter closes each connection without a word once n messages were accepted on it, as Yahoo's servers do.
func CloseAfter(n int) Script {
	return Script{OnReply: func(s *Session, a *Answer) {
		if s.Messages()+1 >= n && a.takes() {
			a.Close = true
		}
	}}
}

// UnknownUsers refuses the recipients for which unknown reports true with "550 5.1.1". AnyOf makes such a function of a list.
func UnknownUsers(unknown func(addr string) bool) Script {
	return Script{OnRcpt: func(_ *Session, to string) *Answer {
		if unknown(to) {
			return Say("550 5.1.1 <" + to + ">: No such user here")
		}
		return nil
	}}
}

// AnyOf returns a function that reports whether an address is one of addrs. Letter case does not matter.
func AnyOf(addrs ...string) func(addr string) bool {
	set := make(map[string]bool, len(addrs))
	for _, a := range addrs {
		set[strings.ToLower(a)] = true
	}
	return func(addr string) bool { return set[strings.ToLower(addr)] }
}

// Tarpit waits before every reply.
func Tarpit(delay time.Duration) Script {
	return Script{OnReply: func(_ *Session, a *Answer) { a.Delay += delay }}
}

// SlowDrip waits after every octet of every reply.
func SlowDrip(pause time.Duration) Script {
	return Script{OnReply: func(_ *Session, a *Answer) { a.Drip = pause }}
}

// RejectAt answers every command of a stage with a reply, written as for Say. A stage without a hook (bounce.StageResolve)
// gives a Script that does nothing; so do the other functions with a stage.
func RejectAt(stage bounce.Stage, reply string) Script {
	return atStage(stage, func(*Session, string) *Answer { return Say(reply) })
}

// DropAt cuts the connection in place of the reply of a stage, as a TCP reset.
func DropAt(stage bounce.Stage) Script {
	return atStage(stage, func(*Session, string) *Answer { return &Answer{Reset: true} })
}

// HangAt never answers at a stage, and takes no notice of what the client sends, until the client closes the connection or is
// silent for the server's Timeout.
func HangAt(stage bounce.Stage) Script {
	return atStage(stage, func(s *Session, _ string) *Answer {
		s.Drain()
		return &Answer{Close: true}
	})
}

// EndlessReply sends a reply with ever more lines at a stage, until the client closes the connection or takes nothing for the
// server's Timeout.
func EndlessReply(stage bounce.Stage) Script {
	code := "250-"
	switch stage {
	case bounce.StageConnect, bounce.StageTLS:
		code = "220-"
	case bounce.StageAuth:
		code = "235-"
	case bounce.StageData:
		code = "354-"
	}
	lines := []byte(strings.Repeat(code+"and one more line\r\n", 40))
	return atStage(stage, func(s *Session, _ string) *Answer {
		for {
			if _, err := s.Write(lines); err != nil {
				return &Answer{Close: true}
			}
		}
	})
}

// GarbageGreeting greets with octets that are no SMTP and then only listens.
func GarbageGreeting() Script {
	return Script{OnConnect: func(s *Session, _ string) *Answer {
		s.Write([]byte("\x00\x01\xfe\xffnot a mail server\r\n\x80\x81\r\n"))
		s.Drain()
		return &Answer{Close: true}
	}}
}

// DropBeforeDot cuts the connection when the first octets of the content have come.
func DropBeforeDot() Script {
	return Script{OnContent: func(s *Session, _ string) *Answer {
		s.reader.Peek(1)
		return &Answer{Reset: true}
	}}
}

// DropAfterDot takes the message, also into the Inbox, and cuts the connection in place of the reply: the client cannot know
// whether it was delivered.
func DropAfterDot() Script {
	return Script{OnDot: func(*Session, string) *Answer {
		a := Say("250 2.0.0 Accepted")
		a.Silent, a.Reset = true, true
		return a
	}}
}

// BadTLS says "220" to STARTTLS and answers the client's first octets of the handshake with some that are no TLS.
func BadTLS() Script {
	return Script{OnStartTLS: func(s *Session, _ string) *Answer {
		s.Write([]byte("220 2.0.0 Ready for TLS\r\n"))
		s.reader.Peek(1)
		s.Write([]byte("but TLS it is not\r\n"))
		s.Drain()
		return &Answer{Close: true}
	}}
}

// OldTLS speaks nothing newer than TLS 1.1.
func OldTLS() Script {
	return Script{OnTLS: func(_ *Session, config *tls.Config) *tls.Config {
		config = config.Clone()
		config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
		return config
	}}
}

// BadCertificate presents a certificate of one's choice: CA.Expired, one of another CA, or one for another name.
func BadCertificate(cert tls.Certificate) Script {
	return Script{OnTLS: func(_ *Session, config *tls.Config) *tls.Config {
		config = config.Clone()
		config.Certificates, config.GetCertificate = []tls.Certificate{cert}, nil
		return config
	}}
}

// When restricts a Script to the sessions or moments for which condition reports true, for example those of one source
// address. OnClose is always called.
func When(condition func(s *Session) bool, script Script) Script {
	guarded := script.each(func(h Hook) Hook {
		return func(s *Session, arg string) *Answer {
			if !condition(s) {
				return nil
			}
			return h(s, arg)
		}
	})
	if f := script.OnReply; f != nil {
		guarded.OnReply = func(s *Session, a *Answer) {
			if condition(s) {
				f(s, a)
			}
		}
	}
	if f := script.OnTLS; f != nil {
		guarded.OnTLS = func(s *Session, config *tls.Config) *tls.Config {
			if !condition(s) {
				return config
			}
			return f(s, config)
		}
	}
	return guarded
}

// Times lets the hooks of a Script give n answers altogether; after that they leave everything to the next script.
// OnReply, OnClose and OnTLS are not restricted.
func Times(n int, script Script) Script {
	var mu sync.Mutex
	left := n
	return script.each(func(h Hook) Hook {
		return func(s *Session, arg string) *Answer {
			mu.Lock()
			if left <= 0 {
				mu.Unlock()
				return nil
			}
			left--
			mu.Unlock()
			a := h(s, arg)
			if a == nil {
				mu.Lock()
				left++
				mu.Unlock()
			}
			return a
		}
	})
}

// atStage is a Script with one hook.
func atStage(stage bounce.Stage, h Hook) Script {
	var s Script
	if field := s.at(stage); field != nil {
		*field = h
	}
	return s
}
