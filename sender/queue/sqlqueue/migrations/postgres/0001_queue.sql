-- What the recipients of one submission share. seq orders messages by age; id is the host's, and tells duplicates.
CREATE TABLE repute_message (
	seq        BIGINT   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id         TEXT     COLLATE "C" NOT NULL UNIQUE,
	stream     TEXT     NOT NULL,
	sender     TEXT     NOT NULL, -- reverse-path
	flags      INTEGER  NOT NULL, -- 1: 8BITMIME, 2: SMTPUTF8
	recipients INTEGER  NOT NULL,
	open       INTEGER  NOT NULL, -- deliveries that are not final; kept only for several recipients
	nonce      BIGINT   NOT NULL, -- names the Put that stored it
	created    BIGINT   NOT NULL  -- microseconds since 1970, as all times here
);

-- Bodies, apart from the messages since they go with the last delivery. They are not compressed: that costs more than it saves
-- for rows that live for seconds.
CREATE TABLE repute_body (
	message BIGINT PRIMARY KEY,
	data    BYTEA  NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
ALTER TABLE repute_body ALTER COLUMN data SET STORAGE EXTERNAL;

-- One recipient of one message. seq is the message's, times 1048576, plus the number of the delivery in it.
CREATE TABLE repute_delivery (
	seq       BIGINT  PRIMARY KEY,
	stream    TEXT    COLLATE "C" NOT NULL,
	domain    TEXT    COLLATE "C" NOT NULL,
	route     TEXT    COLLATE "C" NOT NULL,
	recipient TEXT    NOT NULL,
	rank      BIGINT  NOT NULL, -- the priority, negated
	state     INTEGER NOT NULL, -- 0 ready, 1 waiting, 2 in flight, 3 delivered, 4 bounced, 5 expired, 6 suppressed, 7 cancelled
	lease     BIGINT  NOT NULL, -- names the latest claim
	owner     TEXT    NOT NULL, -- who holds that claim
	due       BIGINT  NOT NULL, -- when it may be attempted; in flight: when the lease ends; final: when it was settled
	created   BIGINT  NOT NULL,
	expires   BIGINT  NOT NULL,
	attempts  INTEGER NOT NULL,
	losses    INTEGER NOT NULL, -- leases in a row that ran out
	records   INTEGER NOT NULL, -- lines in history
	history   TEXT    NOT NULL  -- one JSON object a line, the latest ten
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, autovacuum_analyze_scale_factor = 0.02);

-- A lane in the order in which it is claimed, its retries by when they are due, leases by their end, what may expire.
CREATE INDEX repute_ready   ON repute_delivery (stream, domain, route, rank, seq) WHERE state = 0;
CREATE INDEX repute_waiting ON repute_delivery (stream, domain, route, due, seq)  WHERE state = 1;
CREATE INDEX repute_leased  ON repute_delivery (due)                              WHERE state = 2;
CREATE INDEX repute_expiry  ON repute_delivery (expires)                          WHERE state < 2;

-- Messages that came in a transaction of the host, until somebody takes note.
CREATE TABLE repute_news (
	message BIGINT PRIMARY KEY
);

-- Who has leases, and until when it counts as alive.
CREATE TABLE repute_owner (
	owner   TEXT   PRIMARY KEY,
	expires BIGINT NOT NULL
);

-- Small values of other parts: warm-up, throttle, migration, suppression. version is a random number, new at each change.
CREATE TABLE repute_state (
	kind    TEXT   NOT NULL,
	name    TEXT   NOT NULL,
	version BIGINT NOT NULL,
	value   BYTEA  NOT NULL,
	PRIMARY KEY (kind, name)
);
