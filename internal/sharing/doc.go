// Package sharing measures what several processes send together that share their limits. It has no code of its own but its benchmark:
//
//	go test ./internal/sharing -bench Processes -benchtime 1x
//
// REPUTE_SCALE=1 makes it run for a minute instead of fifteen seconds.
package sharing
