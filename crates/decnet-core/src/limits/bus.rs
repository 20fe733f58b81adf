//! Bounds of the bus; the protocol's own come from DECNET's wire format.

use std::time::Duration;

/// Longest header line of a bus frame, with its newline, in bytes.
pub const MAX_HEADER_BYTES: usize = 4096;
/// Largest body of a bus frame, in bytes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Bytes of an `EVT` body beside the JSON texts of its topic, its type and its payload: keys, version, id and time.
/// A `PUB` is refused by its sender and dropped by the bus if the `EVT` that follows from it would be too large.
pub const EVENT_ENVELOPE_BYTES: usize = 102;
/// The same of a `PUB` body, which holds type and payload only.
pub const PUBLICATION_ENVELOPE_BYTES: usize = 20;
/// Bytes that one read from a bus socket asks for at most, unless a single frame is larger.
pub const MAX_READ_BYTES: usize = 128 * 1024;
/// Frames that wait for one ordinary connection before its oldest is dropped.
pub const MAX_OUTBOUND_FRAMES: usize = 1024;
/// Bytes that wait for one ordinary connection or are being written to it, with 128 for each frame, before its oldest
/// frame is dropped.
pub const MAX_OUTBOUND_BYTES: usize = 16 * 1024 * 1024;
/// The same of all ordinary connections together; beyond it the oldest frames of the user and connection with most go. A
/// frame that waits for several counts for each.
pub const MAX_TOTAL_OUTBOUND_BYTES: usize = 128 * 1024 * 1024;
/// Bytes that wait for one lossless connection before its oldest frame is dropped.
pub const MAX_LOSSLESS_OUTBOUND_BYTES: usize = 256 * 1024 * 1024;
/// Connections with a lossless queue at once; further ones get an ordinary queue.
pub const MAX_LOSSLESS_CONNECTIONS: usize = 4;
/// Those of them that only root and the bus's own user can have.
pub const RESERVED_LOSSLESS_CONNECTIONS: usize = 2;
/// Longest time that a publisher is left unread because a lossless connection has no room for its event.
pub const MAX_PUBLISHER_PAUSE: Duration = Duration::from_secs(10);
/// How long a lossless connection that has gone is remembered, and its events are kept.
pub const LOSSLESS_MEMORY_AGE: Duration = Duration::from_secs(60);
/// Send buffer that the kernel is asked for on a lossless connection, in bytes: what is in it when the reader
/// is killed is lost.
pub const LOSSLESS_SOCKET_BYTES: usize = 64 * 1024;
/// Deepest nesting of lists and objects in a body that a bus relays; what it relays, the worker reads.
pub const MAX_JSON_DEPTH: usize = 254;
/// Deepest nesting of lists and objects in a payload: each body that carries one is an object around it.
pub const MAX_PAYLOAD_DEPTH: usize = MAX_JSON_DEPTH - 1;
/// Frames larger than the usual read buffer that a bus reads at once, half of them for root and its own user; further ones
/// are left unread.
pub const MAX_LARGE_FRAMES: usize = 64;
/// How long such a frame may take to arrive once it is read: its publisher is on this host.
pub const LARGE_FRAME_TIMEOUT: Duration = Duration::from_secs(10);
/// Patterns one connection may hold.
pub const MAX_PATTERNS_PER_CONNECTION: usize = 100_000;
/// Memory of the patterns of one connection, in bytes: 128 for each, 128 for each of its tokens, and its text.
pub const MAX_PATTERN_BYTES_PER_CONNECTION: usize = 64 * 1024 * 1024;
/// Memory of the patterns of all connections, in bytes.
pub const MAX_BUS_PATTERN_BYTES: usize = 128 * 1024 * 1024;
/// What of that only root and the bus's own user can take.
pub const RESERVED_BUS_PATTERN_BYTES: usize = 64 * 1024 * 1024;
/// Connections a bus serves at once.
pub const MAX_BUS_CONNECTIONS: usize = 1024;
/// What of that only root and the bus's own user can take. Of the rest, any other user may have as many as are still free.
pub const RESERVED_BUS_CONNECTIONS: usize = 128;
/// How long a connection may stay without a frame of its client; every client greets when it connects.
pub const SILENT_BUS_CONNECTION_AGE: Duration = Duration::from_secs(10);
/// Patterns the worker subscribes to; beyond them it takes wider ones.
pub const MAX_COVER_PATTERNS: usize = 64;
/// Longest wait between two tries to reach the bus.
pub const MAX_BUS_BACKOFF: Duration = Duration::from_secs(5);
/// Longest wait of a publisher for the bus to read on, which may take [`MAX_PUBLISHER_PAUSE`] more than once.
pub const PUBLISH_CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest delay of the answer to a change of the subscriptions while the bus does not confirm the signal.
pub const CHANGE_CONFIRM_TIMEOUT: Duration = Duration::from_secs(1);
/// Memory of the bus as a service, in GiB (`MemoryMax=` of its unit): what it bounds stays below.
pub const BUS_SERVICE_GIB: u64 = 2;

// Whatever fits an `EVT` fits the `PUB` that it is made of.
const _: () = assert!(PUBLICATION_ENVELOPE_BYTES <= EVENT_ENVELOPE_BYTES);
// A single frame always has room, and one connection alone does not make others lose anything.
const _: () = assert!(
    MAX_BODY_BYTES + MAX_HEADER_BYTES < MAX_OUTBOUND_BYTES
        && 2 * MAX_OUTBOUND_BYTES <= MAX_TOTAL_OUTBOUND_BYTES
);
// Lossless queues, ordinary queues, patterns while they are compiled anew, read buffers with a frame that has begun, and
// large frames.
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
