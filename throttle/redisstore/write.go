package redisstore

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// script replaces a string if its tag is as expected. ARGV: the tag expected ("" for no string), the new tag, the new value ("" to
// remove it), milliseconds to live. It returns 1 when done, 0 when another one was quicker. Redis keeps no empty strings.
const script = `
local head = redis.call('GETRANGE', KEYS[1], 0, 19)
local tag = ''
if #head > 0 then
  if #head < 20 or string.sub(head, 1, 4) ~= 'RPT1' then
    return redis.error_reply('ERR not a value of redisstore')
  end
  tag = string.sub(head, 5)
end
if tag == ARGV[2] then return 1 end
if tag ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], 'RPT1' .. ARGV[2] .. ARGV[3], 'PX', ARGV[4])
return 1
`

// scriptName is how the server knows the script when it has seen it.
var scriptName = func() string {
	sum := sha1.Sum([]byte(script))
	return hex.EncodeToString(sum[:])
}()

// once is a command that the client must not repeat by itself, or nobody would know that it did.
type once struct{ *redis.Cmd }

// NoRetry tells the client.
func (once) NoRetry() bool { return true }

// writeTries is how often a write is sent whose answer does not come, and writePause how long after the first time; then twice as long.
const (
	writeTries = 4
	writePause = 10 * time.Millisecond
)

// errUnsure is the error of a write that may have been made and overwritten since.
var errUnsure = errors.New("the answer was lost, and the key was written by another one since")

// replace writes a value if the key's tag is still the one given, or reports that it is not. A value without bytes removes the key.
func (s *Store) replace(ctx context.Context, key, tag string, value []byte) (done bool, err error) {
	var fresh [tagSize]byte
	rand.Read(fresh[:]) // never fails
	life := s.expire
	if len(value) == 0 {
		life = keepRemoved
	}
	value = append([]byte{}, value...) // a command may outlive this call
	args := []any{s.prefix + key, tag, fresh[:], value, life.Milliseconds()}
	unsure := false
	for try := 0; ; try++ {
		done, err := s.run(ctx, args)
		var answer redis.Error
		switch {
		case err == nil && !done && unsure:
			return false, errUnsure
		case err == nil, ctx.Err() != nil, errors.As(err, &answer), try+1 == writeTries:
			return done, err
		}
		unsure = true
		if err := sleep(ctx, writePause<<try); err != nil {
			return false, err
		}
	}
}

// run runs the script once.
func (s *Store) run(ctx context.Context, args []any) (bool, error) {
	done, err := s.send(ctx, append([]any{"evalsha", scriptName, "1"}, args...))
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		done, err = s.send(ctx, append([]any{"eval", script, "1"}, args...))
	}
	return done, err
}

func (s *Store) send(ctx context.Context, args []any) (bool, error) {
	return wait(ctx, func() (bool, error) {
		cmd := once{redis.NewCmd(ctx, args...)}
		if err := s.client.Process(ctx, cmd); err != nil {
			return false, err
		}
		return cmd.Bool()
	})
}
