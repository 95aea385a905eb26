-- What the recipients of one submission share. seq orders messages by age, and is never used again; id is the host's, and tells duplicates.
CREATE TABLE repute_message (
	seq        INTEGER PRIMARY KEY AUTOINCREMENT,
	id         TEXT    NOT NULL UNIQUE,
	stream     TEXT    NOT NULL,
	sender     TEXT    NOT NULL, -- reverse-path
	flags      INTEGER NOT NULL, -- 1: 8BITMIME, 2: SMTPUTF8
	recipients INTEGER NOT NULL,
	open       INTEGER NOT NULL, -- deliveries that are not final; kept only for several recipients
	nonce      INTEGER NOT NULL, -- names the Put that stored it
	created    INTEGER NOT NULL  -- microseconds since 1970, as all times here
) STRICT;

-- Bodies, apart from the messages since they go with the last delivery.
CREATE TABLE repute_body (
	message INTEGER PRIMARY KEY,
	data    BLOB    NOT NULL
) STRICT;

-- One recipient of one message. seq is the message's, times 1048576, plus the number of the delivery in it.
CREATE TABLE repute_delivery (
	seq       INTEGER PRIMARY KEY,
	stream    TEXT    NOT NULL,
	domain    TEXT    NOT NULL,
	route     TEXT    NOT NULL,
	recipient TEXT    NOT NULL,
	rank      INTEGER NOT NULL, -- the priority, negated
	state     INTEGER NOT NULL, -- 0 ready, 1 waiting, 2 in flight, 3 delivered, 4 bounced, 5 expired, 6 suppressed, 7 cancelled
	lease     INTEGER NOT NULL, -- names the latest claim
	owner     TEXT    NOT NULL, -- who holds that claim
	due       INTEGER NOT NULL, -- when it may be attempted; in flight: when the lease ends; final: when it was settled
	created   INTEGER NOT NULL,
	expires   INTEGER NOT NULL,
	attempts  INTEGER NOT NULL,
	losses    INTEGER NOT NULL, -- leases in a row that ran out
	records   INTEGER NOT NULL, -- lines in history
	history   TEXT    NOT NULL  -- one JSON object a line, the latest ten
) STRICT;

-- A lane in the order in which it is claimed, its retries by when they are due, leases by their end, what may expire.
CREATE INDEX repute_ready   ON repute_delivery (stream, domain, route, rank, seq) WHERE state = 0;
CREATE INDEX repute_waiting ON repute_delivery (stream, domain, route, due, seq)  WHERE state = 1;
CREATE INDEX repute_leased  ON repute_delivery (due)                              WHERE state = 2;
CREATE INDEX repute_expiry  ON repute_delivery (expires)                          WHERE state < 2;

-- Messages that came in a transaction of the host, until somebody takes note.
CREATE TABLE repute_news (
	message INTEGER PRIMARY KEY
) STRICT;

-- Who has leases, and until when it counts as alive.
CREATE TABLE repute_owner (
	owner   TEXT    NOT NULL PRIMARY KEY,
	expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Small values of other parts: warm-up, throttle, migration, suppression. version is a random number, new at each change.
CREATE TABLE repute_state (
	kind    TEXT    NOT NULL,
	name    TEXT    NOT NULL,
	version INTEGER NOT NULL,
	value   BLOB    NOT NULL,
	PRIMARY KEY (kind, name)
) STRICT;
