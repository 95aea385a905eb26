package sender

// Held is how many lanes, paths and alarms a Sender remembers.
type Held struct{ Lanes, Paths, Alarms int }

// HeldBy counts what a Sender remembers, for tests.
func HeldBy(s *Sender) Held {
	s.dispatch.mu.Lock()
	defer s.dispatch.mu.Unlock()
	return Held{Lanes: len(s.dispatch.lanes), Paths: len(s.dispatch.paths), Alarms: len(s.dispatch.alarms.items)}
}
