package sendertest

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/reputemail/repute/bounce"
)

// Kind is a provider personality: a manner of naming hosts, of judging and of putting it into words. The words are our own
// but for the tokens by which such replies are known; the numbers are invented where the provider publishes none.
type Kind string

// The personalities.
const (
	// GmailLike limits at the end of the content with "421-4.7.28" and refuses unauthenticated mail with "550-5.7.26"
	// (Google, email sender guidelines and SMTP error reference).
	GmailLike Kind = "gmail-like"
	// OutlookLike limits at MAIL with "451 4.7.650", blocks with "550 5.7.1 … (S3140)", calls unknown users "550 5.5.0" and
	// refuses unauthenticated mail with "550 5.7.515" (Microsoft, Outlook.com postmaster pages).
	OutlookLike Kind = "outlook-like"
	// YahooLike limits at MAIL with "421 4.7.0 [TSS04]" and closes each connection without a word after 20 messages (Yahoo,
	// sender hub SMTP error codes and FAQ; the 20 from KumoMTA's shaping data).
	YahooLike Kind = "yahoo-like"
	// DocomoLike says "550 Unknown user" both for unknown users and for unauthenticated mail, takes 100 recipients a session
	// and blocks an address that tries many unknown users (NTT docomo, notes on SMTP connections).
	DocomoLike Kind = "docomo-like"
)

// Kinds lists every personality, in the order of the constants.
func Kinds() []Kind { return []Kind{GmailLike, OutlookLike, YahooLike, DocomoLike} }

// personality is a Kind as data. In the replies {ip}, {rcpt} and {domain} stand for the client's address, the recipient and
// the domain in From.
type personality struct {
	domain     string                            // the default of ProviderConfig.Domains
	addrs      [2]netip.Addr                     // the default of ProviderConfig.Addrs
	host       func(domain string, i int) string // name of the i-th MX host
	sharedMX   bool                              // one MX name with all addresses, not a name for each
	equalMX    bool                              // all MX hosts have one preference
	thresholds Thresholds                        // defaults

	rateAt   bounce.Stage // where the rate limit is announced
	rate     string
	blockAt  bounce.Stage
	block    string
	unknown  string
	unsigned string
	noPTR    string
}

// personalityOf returns the data of a Kind; false for an unknown one.
func personalityOf(kind Kind) (personality, bool) {
	switch kind {
	case GmailLike:
		return personality{
			domain: "gmail.example",
			addrs:  testNet(64),
			host: func(_ string, i int) string {
				if i == 0 {
					return "gmail-smtp-in.l.google.com"
				}
				return "alt" + strconv.Itoa(i) + ".gmail-smtp-in.l.google.com"
			},
			thresholds: Thresholds{NewAllowance: 100, MaxUnknownShare: 0.10},
			rateAt:     bounce.StageDot,
			rate: "421 4.7.28 [{ip}] An unusual rate of mail is coming from your IP address.\n" +
				"To protect our users it has been temporarily rate limited. - gsmtp",
			blockAt: bounce.StageMail,
			block: "421 4.7.28 [{ip}] An unusual amount of unsolicited mail is coming from your IP address.\n" +
				"To protect our users it has been temporarily blocked. - gsmtp",
			unknown: "550 5.1.1 There is no such account here: <{rcpt}> does not exist.\n" +
				"Please look for typing errors in the address. - gsmtp",
			unsigned: "550 5.7.26 This mail from {domain} is blocked because the sender is unauthenticated.\n" +
				"Senders must authenticate with DKIM, aligned with From. DKIM = did not pass. - gsmtp",
			noPTR: "550 5.7.25 [{ip}] The sending IP address has no PTR record,\n" +
				"or its name does not lead back to it. - gsmtp",
		}, true
	case OutlookLike:
		return personality{
			domain:     "outlook.example",
			addrs:      testNet(72),
			host:       func(domain string, _ int) string { return dashed(domain) + ".olc.protection.outlook.com" },
			sharedMX:   true,
			thresholds: Thresholds{NewAllowance: 100, MaxUnknownShare: 0.10},
			rateAt:     bounce.StageMail,
			rate: "451 4.7.650 The mail server [{ip}] is rate limited for now because of its IP reputation. " +
				"See https://postmaster.live.com (S775)",
			blockAt: bounce.StageMail,
			block:   "550 5.7.1 Messages from [{ip}] were not sent on: part of your network is on our block list (S3140).",
			unknown: "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).",
			unsigned: "550 5.7.515 Access denied, sending domain {domain} doesn't meet the required authentication level. " +
				"Dkim=Fail",
			noPTR: "550 5.7.25 Access denied, the sending address [{ip}] must have a reverse DNS record",
		}, true
	case YahooLike:
		return personality{
			domain:     "yahoo.example",
			addrs:      testNet(80),
			host:       func(_ string, i int) string { return "mta" + strconv.Itoa(5+i) + ".am0.yahoodns.net" },
			equalMX:    true,
			thresholds: Thresholds{NewAllowance: 100, MaxUnknownShare: 0.10, MaxMessages: 20},
			rateAt:     bounce.StageMail,
			rate: "421 4.7.0 [TSS04] Mail from {ip} is deferred for now, because of its volume or of complaints; " +
				"see https://postmaster.yahooinc.com/error-codes",
			blockAt:  bounce.StageConnect,
			block:    "421 4.7.0 [TSS05] Messages from {ip} temporarily deferred due to user complaints",
			unknown:  "552 1 Requested mail action aborted, mailbox not found",
			unsigned: "550 5.7.9 This mail is blocked because the sender is unauthenticated: sign it with DKIM",
			noPTR:    "550 5.7.25 [{ip}] has no reverse DNS that leads back to it",
		}, true
	case DocomoLike:
		return personality{
			domain:     "docomo.example",
			addrs:      testNet(88),
			host:       func(string, int) string { return "mfsmax.docomo.ne.jp" },
			sharedMX:   true,
			thresholds: Thresholds{NewAllowance: 200, MaxUnknownShare: 0.05, MaxRecipients: 100},
			rateAt:     bounce.StageMail,
			rate:       "421 Service not available, closing transmission channel",
			blockAt:    bounce.StageConnect,
			block:      "421 Service not available, closing transmission channel",
			unknown:    "550 Unknown user {rcpt}",
			unsigned:   "550 Unknown user",
			noPTR:      "550 Unknown host {ip}",
		}, true
	}
	return personality{}, false
}

// testNet are two neighbouring addresses of TEST-NET-1 (RFC 5737).
func testNet(last byte) [2]netip.Addr {
	return [2]netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, last}), netip.AddrFrom4([4]byte{192, 0, 2, last + 1})}
}

func dashed(domain string) string { return strings.ReplaceAll(domain, ".", "-") }

// Thresholds are the numbers by which a provider judges. They are counted in recipients, for each source address.
type Thresholds struct {
	// Window is the period that the allowance is for. The first one begins with an address's first connection.
	// Defaults to 1 hour.
	Window time.Duration
	// NewAllowance is how many recipients an unknown address may reach in a window. Defaults to 100, docomo-like 200.
	NewAllowance int
	// Growth multiplies the allowance after a good window in which at least half of it was used. At least 1.
	// Defaults to 1.5.
	Growth float64
	// MaxAllowance is what the allowance grows to. Defaults to 100,000.
	MaxAllowance int
	// MaxUnknownShare is the share of unknown users, 0 to 1, above which an address is blocked. With unauthenticated messages
	// it also makes a window a bad one, which halves the allowance. Defaults to 0.10, docomo-like 0.05.
	MaxUnknownShare float64
	// MinSample is how many recipients an address must have had in the window before shares count. Defaults to 20.
	MinSample int
	// BlockFor is how long a block lasts. Defaults to 4 hours.
	BlockFor time.Duration
	// MaxMessages is after how many messages a connection is closed without a word. Defaults to 0, never; yahoo-like 20.
	MaxMessages int
	// MaxRecipients is how many recipients a session may name. Defaults to 0, no limit; docomo-like 100.
	MaxRecipients int
	// AllowUnsigned takes messages that have no valid DKIM signature aligned with From (relaxed, RFC 7489 section 3.1.1).
	// Defaults to false.
	AllowUnsigned bool
	// RequireReverseDNS refuses addresses without a PTR record whose name leads back to the address. Defaults to false.
	RequireReverseDNS bool
}

// fill replaces zero fields by those of defaults, and then by the general ones.
func (t Thresholds) fill(defaults Thresholds) Thresholds {
	pick := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	pick(&t.NewAllowance, defaults.NewAllowance)
	pick(&t.MaxAllowance, 100_000)
	pick(&t.MinSample, 20)
	pick(&t.MaxMessages, defaults.MaxMessages)
	pick(&t.MaxRecipients, defaults.MaxRecipients)
	if t.Window == 0 {
		t.Window = time.Hour
	}
	if t.BlockFor == 0 {
		t.BlockFor = 4 * time.Hour
	}
	if t.Growth == 0 {
		t.Growth = 1.5
	}
	if t.MaxUnknownShare == 0 {
		t.MaxUnknownShare = defaults.MaxUnknownShare
	}
	return t
}
