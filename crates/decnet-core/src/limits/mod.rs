//! The bounds of the dispatcher. Relations between them are checked at compile time.

mod access;
mod api;
mod audit;
mod bus;
mod clock;
mod credentials;
mod otlp;
mod queue_files;
mod replies;
mod sockets;
mod traffic;

use std::time::Duration;

pub use self::access::*;
pub use self::api::*;
pub use self::audit::*;
pub use self::bus::*;
pub use self::clock::*;
pub use self::credentials::*;
pub use self::otlp::*;
pub use self::queue_files::*;
pub use self::replies::*;
pub use self::sockets::*;
pub use self::traffic::*;

// --- Topics ---

/// Maximum length of a pattern, in bytes: it fits a `SUB` frame.
pub const MAX_PATTERN_BYTES: usize = 1024;
/// Maximum number of tokens in a pattern; also bounds the depth of the routing recursion.
pub const MAX_PATTERN_TOKENS: usize = 64;
/// Maximum number of patterns of one subscription.
pub const MAX_PATTERNS_PER_SUBSCRIPTION: usize = 1024;

// --- Subscriptions ---

/// Maximum length of a subscription's name, in characters.
pub const MAX_NAME_CHARS: usize = 64;
/// Minimum length of a secret that a user enters, in characters.
pub const MIN_SECRET_CHARS: usize = 16;
/// Maximum length of a secret, in characters.
pub const MAX_SECRET_CHARS: usize = 256;
/// Maximum length of a URL, in bytes: the limit of DECNET's tables and API.
pub const MAX_URL_BYTES: usize = 2083;
/// Maximum length of `last_error` in a subscription's row, in characters.
pub const MAX_ERROR_CHARS: usize = 512;

/// Maximum number of headers that one subscription adds to its requests.
pub const MAX_CUSTOM_HEADERS: usize = 32;
/// Maximum length of a custom header's name, in bytes.
pub const MAX_CUSTOM_HEADER_NAME_BYTES: usize = 128;
/// Maximum length of a custom header's value, in bytes: enough for a signed token.
pub const MAX_CUSTOM_HEADER_VALUE_BYTES: usize = 4096;
/// Maximum size of the names and values of all custom headers, in bytes. Together with the standard headers they stay within
/// the 8 KiB that servers commonly accept.
pub const MAX_CUSTOM_HEADERS_BYTES: usize = 6 * 1024;
/// Maximum number of replaced secrets that still sign in addition to the current secret: each costs one signature per request.
pub const MAX_OLD_SECRETS: usize = 2;
/// Default time for which a replaced secret signs in addition to the new secret.
pub const DEFAULT_SECRET_OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);
/// Maximum time for which a replaced secret signs: a replaced secret must become invalid eventually.
pub const MAX_SECRET_OVERLAP: Duration = Duration::from_secs(30 * 24 * 60 * 60);

// --- The catalog ---

/// Maximum number of subscriptions read from a catalog; further rows are skipped and reported.
pub const MAX_SUBSCRIPTIONS: usize = 1_000_000;
/// Maximum length of a value in a column of the catalog, in bytes; a longer value is invalid.
pub const MAX_CATALOG_VALUE_BYTES: usize = 2 * 1024 * 1024;
/// Maximum number of keys in a key file: the key that encrypts, and older keys.
pub const MAX_ENCRYPTION_KEYS: usize = 16;
/// Maximum wait for another process's write to the catalog.
pub const CATALOG_BUSY_TIMEOUT: Duration = Duration::from_secs(5);

// --- Intake ---

/// Maximum size of events read from the bus and not yet committed, in bytes; beyond it the socket is not read.
pub const MAX_INTAKE_BYTES: usize = 64 * 1024 * 1024;
/// Maximum time that events wait for a reload after a change. After that, the previous subscriptions route them.
pub const MAX_RELOAD_HOLD: Duration = Duration::from_secs(10);
/// Number of event ids that are kept so that a redelivered event is admitted once.
pub const DEDUP_WINDOW_EVENTS: usize = 262_144;

// --- The queue ---

/// Maximum number of delivery and event rows written by one commit.
pub const MAX_COMMIT_ROWS: usize = 4096;
/// Number of rows in a commit at which the next commit is delayed to collect more rows.
pub const GROUP_COMMIT_MIN_ROWS: usize = 256;
/// Minimum time between the ends of two commits under load.
pub const GROUP_COMMIT_INTERVAL: Duration = Duration::from_millis(2);
/// Maximum number of attempts that one commit settles.
pub const MAX_SETTLE_BATCH: usize = 1024;
/// Maximum time that a finished attempt waits to be settled together with other attempts.
pub const MAX_SETTLE_DELAY: Duration = Duration::from_millis(5);
/// Maximum number of event and delivery rows of admissions that wait for their commit; beyond it the intake waits.
pub const MAX_UNCOMMITTED_ROWS: usize = 262_144;
/// Maximum number of subscriptions of one event: the number of values of a delivery's number within its event.
pub const MAX_FAN_OUT: u32 = 1 << 20;
/// Number of rows that one retention step reads; a step is one short transaction.
pub const RETENTION_STEP_ROWS: usize = 100;
/// Maximum number of commands that wait for the queue's writer; beyond it callers wait.
pub const MAX_QUEUE_COMMANDS: usize = 1024;
/// First delay before a failed commit is retried.
pub const MIN_COMMIT_BACKOFF: Duration = Duration::from_millis(50);
/// Maximum delay between two retries of a commit.
pub const MAX_COMMIT_BACKOFF: Duration = Duration::from_secs(2);
/// Size of the write-ahead log at which it is copied into the database, in bytes.
pub const CHECKPOINT_WAL_BYTES: i64 = 16 * 1024 * 1024;
/// Maximum number of bytes that the writer itself copies between two commits so that the log can restart.
pub const CHECKPOINT_WRITER_BYTES: i64 = 4 * 1024 * 1024;
/// Size of the write-ahead log, in bytes, at which the writer itself copies all of it. When the log restarts, its file
/// is truncated to this size.
pub const MAX_WAL_BYTES: i64 = 64 * 1024 * 1024;
/// Number of deliveries that one listing step reads; a step is one short read transaction.
pub const LIST_STEP_ROWS: u32 = 10_000;

/// Number of deliveries that are scanned for one page of a list; a page of rare matches may be short and has a cursor to
/// continue.
pub const PAGE_SCAN_ROWS: usize = 100_000;
/// Maximum number of deliveries that a filter selects for one redelivery: each takes 16 bytes of memory.
pub const MAX_REDELIVERY_DELIVERIES: usize = 10_000_000;
/// Maximum number of deliveries per second that one redelivery creates.
pub const MAX_REDELIVERY_RATE: u32 = 100_000;
/// Number of deliveries that one transaction of a redelivery or an erasure changes, so that it is as short as the worker's.
pub const OPERATOR_STEP_ROWS: usize = 200;
/// Size of bodies, in bytes, after which one transaction of an erasure ends: each body is overwritten with zeros.
pub const ERASURE_STEP_BYTES: usize = 4 * 1024 * 1024;

// --- Submitted events ---

/// Maximum number of events in one submission.
pub const MAX_SUBMISSION_EVENTS: usize = 1000;
/// Maximum number of submitted events that no worker has admitted yet; beyond it submissions are rejected.
pub const MAX_SUBMITTED_EVENTS: usize = 100_000;
/// Maximum size of the bodies of submitted events that no worker has admitted yet, in bytes.
pub const MAX_SUBMITTED_BYTES: usize = 256 * 1024 * 1024;
/// Maximum number of submitted events that the worker takes in one step.
pub const SUBMITTED_STEP_EVENTS: usize = 1024;
/// Maximum size of the bodies that the worker takes in one step beyond the first body, in bytes.
pub const SUBMITTED_STEP_BYTES: usize = 4 * 1024 * 1024;
/// Maximum time for which ids and idempotency keys of submissions are kept.
pub const SUBMISSION_DEDUP_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);
/// Maximum number of ids of submitted events that are kept, of all clients; beyond it the oldest are removed early.
pub const MAX_DEDUP_IDS: usize = 10_000_000;
/// Maximum number of idempotency keys that are kept, of all clients; beyond it the oldest are removed early.
pub const MAX_IDEMPOTENCY_KEYS: usize = 1_000_000;
/// Approximate size of a kept id in the queue, in bytes: its row and its index entry.
pub const DEDUP_ID_BYTES: u64 = 120;
/// Approximate size of a kept idempotency key in the queue, in bytes, however many events it was used for.
pub const IDEMPOTENCY_KEY_BYTES: u64 = 160;
/// Divisor that gives the maximum size of the kept ids, and of the kept keys, from the queue's maximum size; beyond it the oldest
/// are removed early.
pub const DEDUP_QUEUE_FRACTION: u64 = 8;
/// Maximum length of an idempotency key, in bytes.
pub const MAX_IDEMPOTENCY_KEY_BYTES: usize = 255;

// --- Lanes ---

/// Maximum number of deliveries of one subscription in memory; the others wait in the queue.
pub const LANE_CAPACITY: usize = 256;
/// The capacity of a lane whose receiver answers well and quickly, while the memory budget allows it.
pub const PROVEN_LANE_CAPACITY: usize = 4096;
/// Maximum size of the bodies of one subscription in memory, beyond its first delivery, in bytes.
pub const LANE_BYTES: usize = 4 * 1024 * 1024;
/// Number of deliveries in flight at which a subscription starts no further request; only batches reach it.
pub const MAX_LANE_IN_FLIGHT: usize = 8192;
/// Size of the bodies in flight at which a subscription starts no further request, in bytes.
pub const MAX_LANE_IN_FLIGHT_BYTES: usize = 8 * 1024 * 1024;
/// Maximum number of deliveries of all subscriptions in memory.
pub const MEMORY_BUDGET_DELIVERIES: usize = 65_536;
/// Maximum size of the bodies of all subscriptions in memory, in bytes.
pub const MEMORY_BUDGET_BYTES: usize = 64 * 1024 * 1024;
/// Number of deliveries beyond the budget that are reserved for subscriptions without any in memory.
pub const MEMORY_RESERVE_DELIVERIES: usize = 8192;
/// Size of bodies beyond the budget that is reserved for subscriptions without any in memory, in bytes.
pub const MEMORY_RESERVE_BYTES: usize = 16 * 1024 * 1024;
/// Maximum number of requests in flight to a receiver that is new or whose last attempt failed.
pub const INITIAL_CONCURRENCY: usize = 2;
/// Default maximum number of requests in flight across all subscriptions.
pub const DEFAULT_TOTAL_CONCURRENCY: usize = 256;

/// Default maximum number of requests in flight to one subscription whose receiver keeps up.
pub const MAX_ADAPTIVE_CONCURRENCY: usize = 64;
/// Largest value that can be configured as the maximum number of requests in flight to one subscription.
pub const MAX_CONCURRENCY: usize = 256;
/// Latency below which differences are noise of the machine or the network, and do not indicate a queue at the receiver.
pub const LATENCY_FLOOR: Duration = Duration::from_millis(10);

// --- Batches ---

/// Maximum number of events in one batch.
pub const MAX_BATCH_EVENTS: usize = 256;
/// Maximum size of a batch's body beyond its first event, in bytes.
pub const MAX_BATCH_BODY_BYTES: usize = 1024 * 1024;
/// Maximum time for which an event waits to be sent together with other events.
pub const MAX_BATCH_LINGER: Duration = Duration::from_secs(60);
/// Number of events that a digest lists by themselves, by default.
pub const DEFAULT_DIGEST_EVENTS: usize = 20;
/// Maximum size of the source of a filter, in bytes.
pub const MAX_FILTER_BYTES: usize = 2 * 1024;
/// Maximum number of rows of the table of severities: a topic is compared with each in turn.
pub const MAX_SEVERITY_ROWS: usize = 256;
/// Maximum size of the source of a template, in bytes.
pub const MAX_TEMPLATE_BYTES: usize = 16 * 1024;
/// Maximum size of the file with the table of severities, in bytes.
pub const MAX_SEVERITY_FILE_BYTES: u64 = 64 * 1024;
/// Maximum number of options of a format.
pub const MAX_FORMAT_OPTIONS: usize = 16;
/// Maximum size of the value of a format's option, in bytes.
pub const MAX_FORMAT_OPTION_BYTES: usize = 512;

// --- Attempts ---

/// Default timeout of an attempt: resolving, connecting, sending and reading the reply.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);
/// Minimum timeout that can be configured: shorter than a handshake with a distant receiver.
pub const MIN_DEADLINE: Duration = Duration::from_millis(100);
/// Maximum timeout that can be configured.
pub const MAX_DEADLINE: Duration = Duration::from_secs(5 * 60);
/// Delay after which the next address is dialled in parallel (Connection Attempt Delay, RFC 8305, section 5).
pub const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Maximum number of addresses of one host that are dialled for one connection; all addresses are checked.
pub const MAX_DIALLED_ADDRESSES: usize = 8;
/// Maximum number of idle connections to all receivers.
pub const MAX_IDLE_CONNECTIONS: usize = 4096;
/// Maximum number of idle connections to one receiver, shared by its subscriptions.
pub const MAX_IDLE_PER_RECEIVER: usize = 256;
/// Time after which an idle connection is closed.
pub const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(50);
/// Maximum number of retries in a schedule.
pub const MAX_RETRIES: usize = 64;
/// Maximum delay in a schedule.
pub const MAX_RETRY_DELAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Retries after which a delivery counts as failed in its subscription's health, although its schedule continues.
pub const RETRIES_BEFORE_FAILURE: u32 = 3;

// --- Health ---

/// Default number of consecutive failed deliveries that trip a subscription.
pub const DEFAULT_CIRCUIT_THRESHOLD: u32 = 5;
/// Delay before the first probe of a tripped subscription.
pub const MIN_PROBE_DELAY: Duration = Duration::from_secs(30);
/// Maximum delay between two probes.
pub const MAX_PROBE_DELAY: Duration = Duration::from_secs(15 * 60);

// --- Observation ---

/// Maximum size of events that `decnet watch` has read and not yet printed, in bytes; further events are dropped and counted.
pub const MAX_WATCH_BYTES: usize = 64 * 1024 * 1024;
/// Maximum number of subscriptions with metrics of their own; the others are aggregated.
pub const MAX_SUBSCRIPTION_SERIES: usize = 500;
/// Number of rows that one step of a census of the queue reads; a step is one short read transaction.
pub const CENSUS_STEP_ROWS: u32 = 10_000;
/// Maximum number of one subscription's retries that are scanned for its oldest pending delivery.
pub const OLDEST_SCAN_RETRIES: u32 = 1000;
/// Minimum time between two censuses of the queue.
pub const CENSUS_INTERVAL: Duration = Duration::from_secs(60);
/// Time between two scans for the oldest pending deliveries.
pub const OLDEST_SCAN_INTERVAL: Duration = Duration::from_secs(5);
/// Maximum number of connections to the worker's endpoint; further connections wait.
pub const MAX_ENDPOINT_CONNECTIONS: usize = 32;
/// Maximum time for a request to the worker's endpoint and its reply.
pub const ENDPOINT_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of `decnet check --service`.
pub const SERVICE_CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// Time that `decnet check --service` waits for a frame from a bus: DECNET's bus does not reply, but sends a heartbeat every 10
/// s.
pub const BUS_CHECK_TIMEOUT: Duration = Duration::from_secs(12);
/// Maximum size of a reply that clients of the worker's endpoint read, in bytes.
pub const MAX_ENDPOINT_REPLY_BYTES: usize = 8 * 1024 * 1024;
/// Default number of pending deliveries of one subscription that count as a backlog.
pub const DEFAULT_BACKLOG_THRESHOLD: u64 = 10_000;
/// Maximum number of operational events of the worker per minute; further events are only counted.
pub const MAX_OPERATIONAL_EVENTS_PER_MINUTE: u32 = 600;
/// Minimum time between two events about dead deliveries of one subscription.
pub const DEAD_EVENT_INTERVAL: Duration = Duration::from_secs(60);
/// Maximum number of operational events that wait for the bus; beyond it only subscriptions get them, not the bus.
pub const MAX_UNPUBLISHED_EVENTS: usize = 1024;

// --- Lifecycle ---

/// Time between two reloads without a signal, in case a signal was lost.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(60);
/// Time between two heartbeats on the bus.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);
/// Time for requests in flight to finish when the worker stops.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// Time for the final commits and the final write to the catalog after [`SHUTDOWN_GRACE`], if the disk does not respond or the
/// catalog is busy.
pub const FINAL_COMMIT_GRACE: Duration = Duration::from_secs(3);
/// Time after which a service manager kills a stopping daemon (`TimeoutStopSec=` of the units).
pub const SERVICE_STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// Time without a sign of life from a loop after which the service manager restarts the daemon (`WatchdogSec=` of the
/// units). Longer than a stall of the disk, which is not a reason for a restart.
pub const SERVICE_WATCHDOG: Duration = Duration::from_secs(60);
/// Memory limit of the worker service, in GiB: about 400 MiB for events, deliveries and connections, and 4 KiB per subscription.
pub const WORKER_SERVICE_GIB: u64 = 4;
/// Memory limit of the API service, in GiB: each redelivery may hold [`MAX_REDELIVERY_DELIVERIES`] ids of 16 bytes.
pub const API_SERVICE_GIB: u64 = 2;
/// Maximum number of unit templates that `decnet init` reads from a directory; DECNET has about twenty.
pub const MAX_UNIT_TEMPLATES: usize = 100;
/// Maximum size of a unit template, in bytes.
pub const MAX_UNIT_TEMPLATE_BYTES: u64 = 64 * 1024;
/// Maximum length of a unit's name, in bytes (systemd.unit(5)).
pub const MAX_UNIT_NAME_BYTES: usize = 255;
/// Maximum size of a file with settings (the INI file, `.env.local`, `.env`, or a file that a unit names), in bytes. A larger
/// file is a mistake.
pub const MAX_SETTINGS_FILE_BYTES: u64 = 1024 * 1024;
/// Maximum time between two iterations of a live loop.
pub const LIVENESS_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two status messages to the service manager.
pub const STATUS_INTERVAL: Duration = Duration::from_secs(10);

const _: () = assert!(
    WORKER_SERVICE_GIB << 30
        > (MAX_INTAKE_BYTES
            + MEMORY_BUDGET_BYTES
            + MEMORY_RESERVE_BYTES
            + MAX_IDLE_CONNECTIONS * MAX_REPLY_HEADER_BYTES) as u64
);
const _: () = assert!(
    API_SERVICE_GIB << 30
        > (MAX_API_REDELIVERIES * MAX_REDELIVERY_DELIVERIES * 16
            + MAX_API_SUBMISSION_BYTES
            + MAX_API_CONNECTIONS * MAX_API_HEAD_BYTES) as u64
);
const _: () = assert!(MAX_PATTERN_BYTES + "UNSUB \r\n".len() <= MAX_HEADER_BYTES);
const _: () = assert!(MAX_SUBSCRIPTIONS <= MAX_FAN_OUT as usize);
const _: () = assert!(CATALOG_BUSY_TIMEOUT.as_secs() < MAX_RELOAD_HOLD.as_secs());
const _: () = assert!(MAX_PATTERNS_PER_SUBSCRIPTION * (MAX_PATTERN_BYTES + 4) <= MAX_CATALOG_VALUE_BYTES);
const _: () =
    assert!(LANE_CAPACITY <= PROVEN_LANE_CAPACITY && PROVEN_LANE_CAPACITY <= MEMORY_BUDGET_DELIVERIES);
const _: () = assert!(LANE_BYTES <= MEMORY_BUDGET_BYTES);
// A few unresponsive lanes must not use up the memory budget.
const _: () = assert!(
    8 * MAX_LANE_IN_FLIGHT <= MEMORY_BUDGET_DELIVERIES && 8 * MAX_LANE_IN_FLIGHT_BYTES <= MEMORY_BUDGET_BYTES
);
const _: () =
    assert!(MAX_BODY_BYTES <= MEMORY_RESERVE_BYTES && DEFAULT_TOTAL_CONCURRENCY <= MEMORY_RESERVE_DELIVERIES);
const _: () = assert!(MAX_BODY_BYTES <= LANE_BYTES && MAX_BODY_BYTES <= MAX_INTAKE_BYTES);
const _: () =
    assert!(CHECKPOINT_WRITER_BYTES <= CHECKPOINT_WAL_BYTES && CHECKPOINT_WAL_BYTES <= MAX_WAL_BYTES);
// Erasure alone does not fill the write-ahead log.
const _: () = assert!(4 * (ERASURE_STEP_BYTES + MAX_BODY_BYTES) as u64 <= MAX_WAL_BYTES.unsigned_abs());
// A step of submissions fits the intake, and a whole submission fits an empty queue.
const _: () = assert!(SUBMITTED_STEP_BYTES + MAX_BODY_BYTES <= MAX_INTAKE_BYTES);
const _: () =
    assert!(SUBMITTED_STEP_EVENTS <= MAX_COMMIT_ROWS && MAX_SUBMISSION_EVENTS <= MAX_SUBMITTED_EVENTS);
const _: () = assert!(MAX_BODY_BYTES <= MAX_SUBMITTED_BYTES);
const _: () = assert!(MAX_IDEMPOTENCY_KEYS <= MAX_DEDUP_IDS);
const _: () = assert!(LIST_STEP_ROWS as usize <= PAGE_SCAN_ROWS);
const _: () = assert!(MIN_COMMIT_BACKOFF.as_millis() <= MAX_COMMIT_BACKOFF.as_millis());
const _: () = assert!(MAX_IDLE_PER_RECEIVER <= MAX_IDLE_CONNECTIONS && MAX_IDLE_CONNECTIONS >= 8);
// With fewer, connections would repeatedly be closed and reopened while many subscriptions share a receiver.
const _: () = assert!(MAX_IDLE_PER_RECEIVER >= DEFAULT_TOTAL_CONCURRENCY);
const _: () = assert!(
    INITIAL_CONCURRENCY <= MAX_ADAPTIVE_CONCURRENCY
        // One lane alone gets its maximum while slots are shared.
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
// Credentials fit their column: three PEM texts and six texts in JSON, encrypted and in base64.
const _: () =
    assert!(2 * (3 * MAX_PEM_BYTES + 6 * MAX_AUTH_TEXT_BYTES + MAX_URL_BYTES) <= MAX_CATALOG_VALUE_BYTES);
const _: () = assert!(DEFAULT_SECRET_OVERLAP.as_secs() <= MAX_SECRET_OVERLAP.as_secs());
const _: () = assert!(MAX_BATCH_EVENTS <= LANE_CAPACITY && MAX_BATCH_BODY_BYTES <= LANE_BYTES);
const _: () = assert!(LATENCY_FLOOR.as_millis() < DEFAULT_DEADLINE.as_millis());
const _: () = assert!(MIN_PROBE_DELAY.as_secs() <= MAX_PROBE_DELAY.as_secs());
const _: () = assert!(SHUTDOWN_GRACE.as_secs() >= DEFAULT_DEADLINE.as_secs());
// A live loop iterates at least once before the check times out.
const _: () = assert!(4 * LIVENESS_INTERVAL.as_secs() <= SERVICE_CHECK_TIMEOUT.as_secs());
// The steps of a stop run in sequence and end before the timeout. The final checkpoint after them does not wait.
const _: () = assert!(
    SHUTDOWN_GRACE.as_secs() + FINAL_COMMIT_GRACE.as_secs() + FINAL_EXPORT_TIMEOUT.as_secs()
        < SERVICE_STOP_TIMEOUT.as_secs()
);
const _: () = assert!(
    8 * LIVENESS_INTERVAL.as_secs() <= SERVICE_WATCHDOG.as_secs()
        && 4 * STATUS_INTERVAL.as_secs() <= SERVICE_WATCHDOG.as_secs()
);
