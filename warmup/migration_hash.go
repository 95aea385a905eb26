package warmup

// The hash that decides which arm a recipient belongs to. It is FNV-1a of 64 bits over the salt, a zero byte and the recipient, mixed by the
// finalizer of MurmurHash3, since FNV alone leaves the upper bits of short texts uneven. It must never change: recipients would
// change their arms.
const (
	fnvOffset = 0xcbf29ce484222325
	fnvPrime  = 0x100000001b3
)

// hashSalt is the state of the hash behind the salt.
func hashSalt(salt string) uint64 {
	h := uint64(fnvOffset)
	for i := range len(salt) {
		h = (h ^ uint64(salt[i])) * fnvPrime
	}
	return h * fnvPrime // a zero byte
}

// point is where a recipient lies between 0 and 1, 1 excluded. Letters of ASCII count as lower-case in the whole address: providers do not tell
// mailboxes apart by case, and a person is to stay in one arm however the address was typed.
func point(salted uint64, recipient string) float64 {
	h := salted
	for i := range len(recipient) {
		c := recipient[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		h = (h ^ uint64(c)) * fnvPrime
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return float64(h>>11) / (1 << 53)
}
