//! Every bound of the dispatcher, in one place, with how they relate checked at compile time.

mod api;
mod bus;
mod clock;
mod otlp;
mod queue_files;
mod replies;
mod sockets;

use std::time::Duration;

pub use self::api::*;
pub use self::bus::*;
pub use self::clock::*;
pub use self::otlp::*;
pub use self::queue_files::*;
pub use self::replies::*;
pub use self::sockets::*;

// --- Topics ---

/// Longest pattern, in bytes: it fits a `SUB` frame.
pub const MAX_PATTERN_BYTES: usize = 1024;
/// Most tokens in a pattern; also bounds the depth of the routing recursion.
pub const MAX_PATTERN_TOKENS: usize = 64;
/// Most patterns of one subscription.
pub const MAX_PATTERNS_PER_SUBSCRIPTION: usize = 1024;

// --- Subscriptions ---

/// Longest name of a subscription, in characters.
pub const MAX_NAME_CHARS: usize = 64;
/// Shortest secret that is accepted from a user, in characters.
pub const MIN_SECRET_CHARS: usize = 16;
/// Longest secret, in characters.
pub const MAX_SECRET_CHARS: usize = 256;
/// Longest URL, in bytes: DECNET's tables hold such, its API takes no longer ones.
pub const MAX_URL_BYTES: usize = 2083;
/// Longest `last_error` in a subscription's row, in characters.
pub const MAX_ERROR_CHARS: usize = 512;

/// Headers that one subscription adds to its requests.
pub const MAX_CUSTOM_HEADERS: usize = 32;
/// Longest name of one, in bytes.
pub const MAX_CUSTOM_HEADER_NAME_BYTES: usize = 128;
/// Longest value of one, in bytes: a signed token fits.
pub const MAX_CUSTOM_HEADER_VALUE_BYTES: usize = 4096;
/// Names and values of all of them, in bytes: with our own they stay within the 8 KiB that servers commonly read.
pub const MAX_CUSTOM_HEADERS_BYTES: usize = 6 * 1024;
/// Secrets of a subscription that still sign beside the newest one: each costs a signature a request.
pub const MAX_OLD_SECRETS: usize = 2;
/// For how long an old secret signs beside the new one, unless something else is asked for.
pub const DEFAULT_SECRET_OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest such time: a secret that is replaced must stop to count one day.
pub const MAX_SECRET_OVERLAP: Duration = Duration::from_secs(30 * 24 * 60 * 60);

// --- The catalog ---

/// Subscriptions read from a catalog; rows beyond them are left out and said to be.
pub const MAX_SUBSCRIPTIONS: usize = 1_000_000;
/// Longest value read from a column of the catalog, in bytes; a longer one counts as bad.
pub const MAX_CATALOG_VALUE_BYTES: usize = 2 * 1024 * 1024;
/// How long another process's write to the catalog is waited for.
pub const CATALOG_BUSY_TIMEOUT: Duration = Duration::from_secs(5);

// --- Intake ---

/// Bytes of events read from the bus and not yet committed; beyond them the socket is left unread.
pub const MAX_INTAKE_BYTES: usize = 64 * 1024 * 1024;
/// Longest time that events wait for the subscriptions to be read after a change; then those read before route them.
pub const MAX_CHANGE_HOLD: Duration = Duration::from_secs(10);
/// Event ids remembered so that a redelivered event is admitted once.
pub const DEDUP_WINDOW_EVENTS: usize = 262_144;

// --- The queue ---

/// Most delivery and event rows written by one commit.
pub const MAX_COMMIT_ROWS: usize = 4096;
/// Rows of a commit from which on the next one lets more come together.
pub const BUSY_COMMIT_ROWS: usize = 256;
/// Shortest time between the ends of two commits while they are busy.
pub const BUSY_COMMIT_INTERVAL: Duration = Duration::from_millis(2);
/// Attempts that wait to be settled together, and how long they do.
pub const MAX_UNSETTLED: usize = 1024;
/// Longest wait of an attempt that is over for others, to be settled together with them.
pub const SETTLE_DELAY: Duration = Duration::from_millis(5);
/// Event and delivery rows of admissions that wait for their commit; beyond them the intake waits.
pub const MAX_ADMITTING_ROWS: usize = 262_144;
/// Subscriptions one event may go to: a delivery's number within its event has this many values.
pub const MAX_FAN_OUT: u32 = 1 << 20;
/// Rows one retention step looks at; a step is one short transaction.
pub const RETENTION_STEP_ROWS: usize = 100;
/// Commands that wait for the queue's writer; beyond them callers wait.
pub const MAX_QUEUE_COMMANDS: usize = 1024;
/// First wait before a commit that the disk refused is tried again.
pub const MIN_COMMIT_BACKOFF: Duration = Duration::from_millis(50);
/// Longest wait between two such tries.
pub const MAX_COMMIT_BACKOFF: Duration = Duration::from_secs(2);
/// The write-ahead log is copied into the database from this size on, in bytes.
pub const CHECKPOINT_WAL_BYTES: i64 = 16 * 1024 * 1024;
/// What the writer itself copies, between two commits, so that the log begins anew, in bytes.
pub const CHECKPOINT_WRITER_BYTES: i64 = 4 * 1024 * 1024;
/// From this size on the writer itself copies all of the log, and its file shrinks to this when it begins anew, in bytes.
pub const MAX_WAL_BYTES: i64 = 64 * 1024 * 1024;
/// Deliveries that one step of listing looks at; a step is one short read transaction.
pub const LIST_STEP_ROWS: u32 = 10_000;

/// Deliveries that one page of a list looks at; a page of a rare kind may be short, and says where to go on.
pub const PAGE_LOOK_ROWS: usize = 100_000;
/// Deliveries chosen for one redelivery by filter: they are in memory, 16 bytes each.
pub const MAX_REDELIVERY: usize = 10_000_000;
/// Deliveries that one redelivery makes in a second, at most.
pub const MAX_REDELIVERY_RATE: u32 = 100_000;
/// Deliveries that one transaction of a redelivery or an erasure touches: as short as the worker's own.
pub const OPERATOR_STEP_ROWS: usize = 200;
/// Bytes of bodies after which one transaction of an erasure ends: each is overwritten with zeros.
pub const ERASURE_STEP_BYTES: usize = 4 * 1024 * 1024;

// --- Submitted events ---

/// Events of one submission.
pub const MAX_SUBMISSION_EVENTS: usize = 1000;
/// Events that were submitted and that no worker has admitted yet; beyond them nothing more is taken.
pub const MAX_SUBMITTED_EVENTS: usize = 100_000;
/// The same in bytes of bodies.
pub const MAX_SUBMITTED_BYTES: usize = 256 * 1024 * 1024;
/// Submitted events that the worker takes in one go.
pub const SUBMITTED_STEP_EVENTS: usize = 1024;
/// The same in bytes of bodies, beyond the first.
pub const SUBMITTED_STEP_BYTES: usize = 4 * 1024 * 1024;
/// How long ids and idempotency keys of submissions are remembered, at most.
pub const SUBMISSION_MEMORY_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Ids of submitted events remembered, of all who submit; beyond them the oldest are forgotten sooner.
pub const MAX_REMEMBERED_IDS: usize = 10_000_000;
/// Idempotency keys remembered, of all who submit; beyond them the oldest are forgotten sooner.
pub const MAX_REMEMBERED_KEYS: usize = 1_000_000;
/// What a remembered id takes in the queue, about, in bytes: its row, and its place in the index.
pub const REMEMBERED_ID_BYTES: u64 = 120;
/// The same of an idempotency key, however many events it was used for.
pub const REMEMBERED_KEY_BYTES: u64 = 160;
/// Ids, and keys, take at most this part of the size that the queue may have; beyond it the oldest are forgotten sooner.
pub const REMEMBERED_FRACTION: u64 = 8;
/// Longest idempotency key, in bytes.
pub const MAX_IDEMPOTENCY_KEY_BYTES: usize = 255;

// --- Lanes ---

/// Deliveries of one subscription held in memory; the others wait in the queue.
pub const LANE_CAPACITY: usize = 256;
/// The same where the receiver answers well and quickly, and memory has room.
pub const PROVEN_LANE_CAPACITY: usize = 4096;
/// Body bytes of one subscription held in memory, beyond its first delivery.
pub const LANE_BYTES: usize = 4 * 1024 * 1024;
/// Deliveries of one subscription in flight from which on it starts no further request: only batches come to so many.
pub const LANE_FLIGHT: usize = 8192;
/// The same in body bytes.
pub const LANE_FLIGHT_BYTES: usize = 8 * 1024 * 1024;
/// Deliveries of all subscriptions held in memory.
pub const MAX_HELD: usize = 65_536;
/// Body bytes of all subscriptions held in memory.
pub const MAX_HELD_BYTES: usize = 64 * 1024 * 1024;
/// Deliveries held beyond that, for subscriptions that have none in memory.
pub const HELD_RESERVE: usize = 8192;
/// Body bytes held beyond that, for subscriptions that have none in memory.
pub const HELD_RESERVE_BYTES: usize = 16 * 1024 * 1024;
/// Requests in flight to a receiver whose last attempt was not answered well, or that was sent none yet.
pub const UNANSWERED_CONCURRENCY: usize = 2;
/// Requests in flight over all subscriptions, unless configured otherwise.
pub const DEFAULT_TOTAL_CONCURRENCY: usize = 256;

/// Requests in flight to one subscription whose receiver keeps up with them, unless configured otherwise.
pub const MAX_ADAPTIVE_CONCURRENCY: usize = 64;
/// Most that can be configured or asked for.
pub const MAX_CONCURRENCY: usize = 256;
/// Latencies below this count as equal: what moves them is noise, of the machine or the network, and no queue at the
/// receiver.
pub const LATENCY_FLOOR: Duration = Duration::from_millis(10);

// --- Batches ---

/// Events of one batch.
pub const MAX_BATCH_EVENTS: usize = 256;
/// Bytes of a batch's body, beyond its first event.
pub const MAX_BATCH_BODY_BYTES: usize = 1024 * 1024;
/// Longest time for which an event waits for others to be sent with.
pub const MAX_BATCH_LINGER: Duration = Duration::from_secs(60);

// --- Attempts ---

/// One deadline over resolving, connecting, sending and reading the reply, unless configured otherwise.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);
/// Shortest deadline that can be asked for: less than a handshake across the world.
pub const MIN_DEADLINE: Duration = Duration::from_millis(100);
/// Longest deadline that can be asked for.
pub const MAX_DEADLINE: Duration = Duration::from_secs(5 * 60);
/// Head start an address gets before the next one is dialled beside it (RFC 8305 section 5).
pub const CONNECT_STAGGER: Duration = Duration::from_millis(250);
/// Addresses of one host that are dialled for one connection; all of them are checked.
pub const MAX_DIALLED_ADDRESSES: usize = 8;
/// Idle connections kept over all receivers.
pub const MAX_IDLE_CONNECTIONS: usize = 4096;
/// Idle connections kept to one receiver, for all subscriptions that share it.
pub const MAX_IDLE_PER_RECEIVER: usize = 256;
/// How long an idle connection is kept.
pub const IDLE_CONNECTION_AGE: Duration = Duration::from_secs(50);
/// Retries a schedule may hold.
pub const MAX_RETRIES: usize = 64;
/// Longest delay in a schedule.
pub const MAX_RETRY_DELAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Retries after which a delivery counts as failed in its subscription's health, though it goes on.
pub const QUICK_RETRIES: u32 = 3;

// --- Health ---

/// Failed deliveries in a row that trip a subscription, unless configured otherwise.
pub const DEFAULT_CIRCUIT_THRESHOLD: u32 = 5;
/// First wait before a tripped subscription is probed.
pub const MIN_PROBE_DELAY: Duration = Duration::from_secs(30);
/// Longest wait between two probes.
pub const MAX_PROBE_DELAY: Duration = Duration::from_secs(15 * 60);

// --- Access to the HTTP API ---

/// API tokens in a catalog, revoked ones too; beyond them the one revoked first goes.
pub const MAX_API_TOKENS: usize = 1000;
/// Shortest time between two notes of a token's last use, so that use costs the disk nothing.
pub const TOKEN_USE_INTERVAL: Duration = Duration::from_secs(60);
/// Shortest secret for DECNET's session tokens, in characters (RFC 7518 section 3.2).
pub const MIN_JWT_SECRET_CHARS: usize = 32;
/// Different characters in a secret below which it is reported as guessable. Of 32 random hexadecimal digits fewer than 8
/// are different in one of ten million.
pub const MIN_JWT_SECRET_SYMBOLS: usize = 8;
/// Longest session token of DECNET's, in bytes; its own have about 400.
pub const MAX_JWT_BYTES: usize = 4096;
/// Longest id of a user or a session in such a token, in bytes.
pub const MAX_JWT_ID_BYTES: usize = 256;
/// How far in the future such a token may have been issued: clocks differ.
pub const JWT_CLOCK_SKEW: Duration = Duration::from_secs(30);
/// Requests with wrong credentials from one address in [`FAILED_ACCESS_WINDOW`]; further ones are answered 429.
pub const MAX_FAILED_ACCESS: u32 = 30;
/// See [`MAX_FAILED_ACCESS`].
pub const FAILED_ACCESS_WINDOW: Duration = Duration::from_secs(60);
/// Requests of one token in [`API_RATE_WINDOW`]; whoever publishes more sends batches.
pub const MAX_TOKEN_REQUESTS: u32 = 2000;
/// Requests from one address in [`API_RATE_WINDOW`] that show no good credential: a proxy speaks for several.
pub const MAX_ADDRESS_REQUESTS: u32 = 4000;
/// See [`MAX_TOKEN_REQUESTS`]: short, so that nobody who went too far waits for long.
pub const API_RATE_WINDOW: Duration = Duration::from_secs(1);
/// Tokens or addresses that are counted at once; beyond them all others share one count.
pub const MAX_COUNTED_CLIENTS: usize = 16_384;
/// How long a browser may remember which pages are allowed to ask (CORS).
pub const CORS_MAX_AGE: Duration = Duration::from_secs(3600);
/// How long the link that makes the first token can be used.
pub const SETUP_LINK_AGE: Duration = Duration::from_secs(15 * 60);

// --- Being watched ---

/// Bytes of events that `decnet watch` has read and not yet printed; further ones are dropped and counted.
pub const MAX_WATCH_BYTES: usize = 64 * 1024 * 1024;
/// Subscriptions that are counted and shown one by one; the others are counted together.
pub const MAX_SHOWN_SUBSCRIPTIONS: usize = 500;
/// Rows that one step of counting what waits looks at; a step is one short read transaction.
pub const CENSUS_STEP_ROWS: u32 = 10_000;
/// Retries of one subscription among which its oldest waiting delivery is looked for.
pub const OLDEST_RETRIES: u32 = 1000;
/// Shortest time between two countings of what waits.
pub const CENSUS_INTERVAL: Duration = Duration::from_secs(60);
/// Time between two looks for the oldest waiting deliveries.
pub const OLDEST_INTERVAL: Duration = Duration::from_secs(5);
/// Connections that the worker's own endpoint serves at once; further ones wait.
pub const MAX_ENDPOINT_CONNECTIONS: usize = 32;
/// What a client of that endpoint gets for its request, and for reading the reply.
pub const ENDPOINT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long `decnet check --service` waits for an answer.
pub const SERVICE_CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the same waits for a frame of a bus: DECNET's, which answers nothing, has a heartbeat every 10 s.
pub const BUS_CHECK_TIMEOUT: Duration = Duration::from_secs(12);
/// Largest reply of that endpoint that its clients read, in bytes.
pub const MAX_ENDPOINT_BYTES: usize = 8 * 1024 * 1024;
/// Deliveries waiting for one subscription that count as a backlog, unless configured otherwise.
pub const DEFAULT_BACKLOG_THRESHOLD: u64 = 10_000;
/// Events about its own work that the worker makes in a minute; further ones are counted only.
pub const MAX_OWN_EVENTS_PER_MINUTE: u32 = 600;
/// Shortest time between two events about dead deliveries of one subscription.
pub const DEAD_EVENT_INTERVAL: Duration = Duration::from_secs(60);
/// Such events that wait to be published on the bus; the bus gets no further ones then, but subscriptions do.
pub const MAX_UNPUBLISHED: usize = 1024;

// --- Life ---

/// Reload in case the signal was lost.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(60);
/// Time between two heartbeats on the bus.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);
/// What requests in flight get when the worker stops.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// What the last commits, and the last write to the catalog, get after that when the disk does not answer or the catalog
/// is in use.
pub const LAST_COMMIT_GRACE: Duration = Duration::from_secs(3);
/// What a service manager gives a daemon to stop, before it kills it (`TimeoutStopSec=` of the units).
pub const SERVICE_STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a loop may go without a sign of life until the service manager starts the daemon anew (`WatchdogSec=` of the
/// units). Long enough for a disk that stalls, which is no reason to be killed.
pub const SERVICE_WATCHDOG: Duration = Duration::from_secs(60);
/// Memory of the worker as a service, in GiB: some 400 MiB for events, deliveries and connections, and 4 KiB a subscription.
pub const WORKER_SERVICE_GIB: u64 = 4;
/// Memory of the API as a service, in GiB: each of its redeliveries may hold [`MAX_REDELIVERY`] ids of 16 bytes.
pub const API_SERVICE_GIB: u64 = 2;
/// Templates of units that `decnet init` takes from a directory; DECNET has some twenty.
pub const MAX_UNIT_TEMPLATES: usize = 100;
/// Largest of them, in bytes.
pub const MAX_UNIT_TEMPLATE_BYTES: u64 = 64 * 1024;
/// Longest name of a unit, in bytes (systemd.unit(5)).
pub const MAX_UNIT_NAME_BYTES: usize = 255;
/// Bytes of a file with settings: the INI file, `.env.local`, `.env` or one that a unit names. A larger one is a slip.
pub const MAX_SETTINGS_FILE_BYTES: u64 = 1024 * 1024;
/// Longest time between two beats of a loop that lives.
pub const PULSE_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two lines that tell the service manager what the daemon is doing.
pub const STATUS_INTERVAL: Duration = Duration::from_secs(10);

const _: () = assert!(
    WORKER_SERVICE_GIB << 30
        > (MAX_INTAKE_BYTES
            + MAX_HELD_BYTES
            + HELD_RESERVE_BYTES
            + MAX_IDLE_CONNECTIONS * MAX_REPLY_HEADER_BYTES) as u64
);
const _: () = assert!(
    API_SERVICE_GIB << 30
        > (MAX_API_REDELIVERIES * MAX_REDELIVERY * 16
            + MAX_API_SUBMITTING_BYTES
            + MAX_API_CONNECTIONS * MAX_API_HEAD_BYTES) as u64
);
const _: () = assert!(MAX_PATTERN_BYTES + "UNSUB \r\n".len() <= MAX_HEADER_BYTES);
const _: () = assert!(MAX_SUBSCRIPTIONS <= MAX_FAN_OUT as usize);
const _: () = assert!(CATALOG_BUSY_TIMEOUT.as_secs() < MAX_CHANGE_HOLD.as_secs());
const _: () = assert!(MAX_PATTERNS_PER_SUBSCRIPTION * (MAX_PATTERN_BYTES + 4) <= MAX_CATALOG_VALUE_BYTES);
const _: () = assert!(LANE_CAPACITY <= PROVEN_LANE_CAPACITY && PROVEN_LANE_CAPACITY <= MAX_HELD);
const _: () = assert!(LANE_BYTES <= MAX_HELD_BYTES);
// A few lanes that hang must not fill memory for all.
const _: () = assert!(8 * LANE_FLIGHT <= MAX_HELD && 8 * LANE_FLIGHT_BYTES <= MAX_HELD_BYTES);
const _: () = assert!(MAX_BODY_BYTES <= HELD_RESERVE_BYTES && DEFAULT_TOTAL_CONCURRENCY <= HELD_RESERVE);
const _: () = assert!(MAX_BODY_BYTES <= LANE_BYTES && MAX_BODY_BYTES <= MAX_INTAKE_BYTES);
const _: () =
    assert!(CHECKPOINT_WRITER_BYTES <= CHECKPOINT_WAL_BYTES && CHECKPOINT_WAL_BYTES <= MAX_WAL_BYTES);
// Erasing does not fill the log by itself.
const _: () = assert!(4 * (ERASURE_STEP_BYTES + MAX_BODY_BYTES) as u64 <= MAX_WAL_BYTES.unsigned_abs());
// What the intake may hold, it may hold of submissions too; and a whole submission fits where nothing waits.
const _: () = assert!(SUBMITTED_STEP_BYTES + MAX_BODY_BYTES <= MAX_INTAKE_BYTES);
const _: () =
    assert!(SUBMITTED_STEP_EVENTS <= MAX_COMMIT_ROWS && MAX_SUBMISSION_EVENTS <= MAX_SUBMITTED_EVENTS);
const _: () = assert!(MAX_BODY_BYTES <= MAX_SUBMITTED_BYTES);
const _: () = assert!(MAX_REMEMBERED_KEYS <= MAX_REMEMBERED_IDS);
const _: () = assert!(LIST_STEP_ROWS as usize <= PAGE_LOOK_ROWS);
const _: () = assert!(MIN_COMMIT_BACKOFF.as_millis() <= MAX_COMMIT_BACKOFF.as_millis());
const _: () = assert!(MAX_IDLE_PER_RECEIVER <= MAX_IDLE_CONNECTIONS && MAX_IDLE_CONNECTIONS >= 8);
// Fewer would be closed and dialled again and again while many subscriptions share a receiver.
const _: () = assert!(MAX_IDLE_PER_RECEIVER >= DEFAULT_TOTAL_CONCURRENCY);
const _: () = assert!(
    UNANSWERED_CONCURRENCY <= MAX_ADAPTIVE_CONCURRENCY
        // So that one lane alone gets its maximum where slots are shared.
        && 3 * MAX_ADAPTIVE_CONCURRENCY <= DEFAULT_TOTAL_CONCURRENCY
);
const _: () = assert!(MAX_ADAPTIVE_CONCURRENCY <= LANE_CAPACITY);
const _: () = assert!(MAX_ADAPTIVE_CONCURRENCY <= MAX_CONCURRENCY && MAX_CONCURRENCY <= LANE_CAPACITY);
const _: () = assert!(
    MIN_DEADLINE.as_millis() <= DEFAULT_DEADLINE.as_millis()
        && DEFAULT_DEADLINE.as_secs() <= MAX_DEADLINE.as_secs()
);
const _: () =
    assert!(MAX_CUSTOM_HEADER_NAME_BYTES + MAX_CUSTOM_HEADER_VALUE_BYTES <= MAX_CUSTOM_HEADERS_BYTES);
const _: () = assert!(DEFAULT_SECRET_OVERLAP.as_secs() <= MAX_SECRET_OVERLAP.as_secs());
const _: () = assert!(MAX_BATCH_EVENTS <= LANE_CAPACITY && MAX_BATCH_BODY_BYTES <= LANE_BYTES);
const _: () = assert!(LATENCY_FLOOR.as_millis() < DEFAULT_DEADLINE.as_millis());
const _: () = assert!(MIN_PROBE_DELAY.as_secs() <= MAX_PROBE_DELAY.as_secs());
const _: () = assert!(SHUTDOWN_GRACE.as_secs() >= DEFAULT_DEADLINE.as_secs());
// A loop that lives has turned before it is given up.
const _: () = assert!(4 * PULSE_INTERVAL.as_secs() <= SERVICE_CHECK_TIMEOUT.as_secs());
// One after the other, they end before the manager loses patience. Then the queue's log is emptied, which waits for nobody.
const _: () = assert!(
    SHUTDOWN_GRACE.as_secs() + LAST_COMMIT_GRACE.as_secs() + LAST_EXPORT_TIMEOUT.as_secs()
        < SERVICE_STOP_TIMEOUT.as_secs()
);
const _: () = assert!(
    8 * PULSE_INTERVAL.as_secs() <= SERVICE_WATCHDOG.as_secs()
        && 4 * STATUS_INTERVAL.as_secs() <= SERVICE_WATCHDOG.as_secs()
);
