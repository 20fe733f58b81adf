//! Bounds of the bus. DECNET's wire format determines the bounds of the protocol.

use std::time::Duration;

/// Maximum length of the header line of a bus frame, including its newline, in bytes.
pub const MAX_HEADER_BYTES: usize = 4096;
/// Maximum size of the body of a bus frame, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Bytes of an `EVT` body apart from the JSON texts of its topic, type and payload: keys, version, id and time.
/// If the `EVT` for a `PUB` would be too large, the client rejects the `PUB` and the bus drops it.
pub const EVENT_ENVELOPE_BYTES: usize = 102;
/// Bytes of a `PUB` body apart from the JSON texts of its type and payload.
pub const PUBLICATION_ENVELOPE_BYTES: usize = 20;
/// Maximum number of bytes that one read of a bus socket requests, unless a single frame is larger.
pub const MAX_READ_BYTES: usize = 128 * 1024;
/// Maximum number of frames in the queue of an ordinary connection; beyond it the oldest frame is dropped.
pub const MAX_OUTBOUND_FRAMES: usize = 1024;
/// Maximum size of the queue of an ordinary connection, including frames being written, in bytes plus 128 per frame. Beyond
/// it the oldest frame is dropped.
pub const MAX_OUTBOUND_BYTES: usize = 16 * 1024 * 1024;
/// Maximum size of the queues of all ordinary connections, in bytes. Beyond it the oldest frames of the largest user and
/// connection are dropped. A frame counts once for each connection.
pub const MAX_TOTAL_OUTBOUND_BYTES: usize = 128 * 1024 * 1024;
/// Maximum size of the queue of a lossless connection, in bytes; beyond it the oldest frame is dropped.
pub const MAX_LOSSLESS_OUTBOUND_BYTES: usize = 256 * 1024 * 1024;
/// Maximum number of connections with a lossless queue; further connections get an ordinary queue.
pub const MAX_LOSSLESS_CONNECTIONS: usize = 4;
/// Part of [`MAX_LOSSLESS_CONNECTIONS`] that is reserved for root and the user of the bus.
pub const RESERVED_LOSSLESS_CONNECTIONS: usize = 2;
/// Maximum time for which the bus stops reading from a publisher because the queue of a lossless connection is full.
pub const MAX_PUBLISHER_PAUSE: Duration = Duration::from_secs(10);
/// Time for which the queue of a disconnected lossless client is kept, so that the client can resume its session.
pub const LOSSLESS_SESSION_TTL: Duration = Duration::from_secs(60);
/// Requested size of the kernel's send buffer of a lossless connection, in bytes. Its contents are lost if the reader is
/// killed.
pub const LOSSLESS_SOCKET_BYTES: usize = 64 * 1024;
/// Maximum nesting of arrays and objects in a body that a bus relays. The worker can read every body that the bus relays.
pub const MAX_JSON_DEPTH: usize = 254;
/// Maximum nesting of arrays and objects in a payload: the body around it is an object.
pub const MAX_PAYLOAD_DEPTH: usize = MAX_JSON_DEPTH - 1;
/// Maximum number of frames larger than the read buffer that a bus reads at once, half of them reserved for root and the
/// user of the bus. Further large frames are not read.
pub const MAX_LARGE_FRAMES: usize = 64;
/// Maximum time for a large frame to arrive: its publisher is on this host.
pub const LARGE_FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of patterns of one connection.
pub const MAX_PATTERNS_PER_CONNECTION: usize = 100_000;
/// Maximum memory for the patterns of one connection, in bytes: 128 per pattern, 128 per token, and the text.
pub const MAX_PATTERN_BYTES_PER_CONNECTION: usize = 64 * 1024 * 1024;
/// Maximum memory for the patterns of all connections, in bytes.
pub const MAX_BUS_PATTERN_BYTES: usize = 128 * 1024 * 1024;
/// Part of [`MAX_BUS_PATTERN_BYTES`] that is reserved for root and the user of the bus.
pub const RESERVED_BUS_PATTERN_BYTES: usize = 64 * 1024 * 1024;
/// Maximum number of connections to a bus.
pub const MAX_BUS_CONNECTIONS: usize = 1024;
/// Part of [`MAX_BUS_CONNECTIONS`] that is reserved for root and the user of the bus. Of the rest, any other user may
/// have at most as many connections as are still free.
pub const RESERVED_BUS_CONNECTIONS: usize = 128;
/// Maximum time until the first frame of a connection; every client sends a greeting when it connects.
pub const BUS_FIRST_FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of patterns that the worker subscribes to; if it needs more, it uses wider patterns.
pub const MAX_COVER_PATTERNS: usize = 64;
/// Maximum time between two attempts to connect to the bus.
pub const MAX_BUS_BACKOFF: Duration = Duration::from_secs(5);
/// Maximum time that a publisher waits for a confirmation from the bus, which may include [`MAX_PUBLISHER_PAUSE`] more than once.
pub const PUBLISH_CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum time that the response to a change of the subscriptions waits for the bus to confirm the signal.
pub const CHANGE_CONFIRM_TIMEOUT: Duration = Duration::from_secs(1);
/// Memory limit of the bus service, in GiB (`MemoryMax=` of its unit). The bounds above stay below it.
pub const BUS_SERVICE_GIB: u64 = 2;

// If an `EVT` fits, so does the `PUB` from which it is made.
const _: () = assert!(PUBLICATION_ENVELOPE_BYTES <= EVENT_ENVELOPE_BYTES);
// A single frame always fits, and one connection alone does not cause others to lose frames.
const _: () = assert!(
    MAX_BODY_BYTES + MAX_HEADER_BYTES < MAX_OUTBOUND_BYTES
        && 2 * MAX_OUTBOUND_BYTES <= MAX_TOTAL_OUTBOUND_BYTES
);
// Lossless queues, ordinary queues, patterns during recompilation, read buffers with a partial frame, and large frames.
const _: () = assert!(
    BUS_SERVICE_GIB << 30
        > (MAX_LOSSLESS_CONNECTIONS * MAX_LOSSLESS_OUTBOUND_BYTES
            + MAX_TOTAL_OUTBOUND_BYTES
            + 2 * MAX_BUS_PATTERN_BYTES
            + MAX_BUS_CONNECTIONS * 2 * MAX_READ_BYTES
            + MAX_LARGE_FRAMES * (MAX_BODY_BYTES + MAX_READ_BYTES)) as u64
);
const _: () = assert!(RESERVED_LOSSLESS_CONNECTIONS < MAX_LOSSLESS_CONNECTIONS);
const _: () = assert!(RESERVED_BUS_CONNECTIONS < MAX_BUS_CONNECTIONS);
const _: () = assert!(
    MAX_PATTERN_BYTES_PER_CONNECTION <= RESERVED_BUS_PATTERN_BYTES
        && RESERVED_BUS_PATTERN_BYTES < MAX_BUS_PATTERN_BYTES
);
const _: () = assert!(2 * MAX_PUBLISHER_PAUSE.as_secs() < PUBLISH_CONFIRM_TIMEOUT.as_secs());
