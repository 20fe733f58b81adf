//! Bounds on what a receiver sends, and on what follows when it misbehaves.

use std::time::Duration;

use super::MAX_RETRY_DELAY;

/// Bytes of a reply's body kept with the attempt.
pub const KEPT_REPLY_BYTES: usize = 4 * 1024;
/// Bytes of a reply's body read before the connection is closed rather than reused.
pub const MAX_REPLY_BYTES: usize = 64 * 1024;
/// Bytes of a reply's status line and header lines, interim replies (1xx) included.
pub const MAX_REPLY_HEADER_BYTES: usize = 32 * 1024;
/// Line with the size and the extensions of a reply's chunk, in bytes.
pub const MAX_CHUNK_LINE_BYTES: usize = 1024;
/// Bytes that a receiver may send for one reply, counted on the socket: everything around the body too, such as
/// interim replies, chunk sizes and extensions, trailers and TLS records. A TLS handshake may take as many.
pub const MAX_REPLY_WIRE_BYTES: usize = 128 * 1024;
/// Bytes that an HTTP/2 exchange may bring on top of the reply's body: frame headers, header blocks, control frames,
/// TLS records. What is left over is saved up to [`MAX_REPLY_WIRE_BYTES`], which an idle connection may use up.
pub const HTTP2_OVERHEAD_BYTES: usize = 4 * 1024;
/// An HTTP/2 exchange may bring one more such byte for this many bytes of its request, since a receiver acknowledges
/// what it reads (`WINDOW_UPDATE`).
pub const HTTP2_BYTES_PER_ACKNOWLEDGEMENT: usize = 16;
/// Unread bytes that the replies on one HTTP/2 connection may hold in memory.
pub const HTTP2_CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How long an origin is spoken to in a more careful way after it misbehaved: over HTTP/1.1 after a flood on HTTP/2,
/// without keep-alive after bytes that belong to no reply.
pub const CAUTION_AGE: Duration = Duration::from_secs(10 * 60);
/// Requests that one attempt sends, the first included, while the receiver refuses them unprocessed.
pub const MAX_SENDS_PER_ATTEMPT: u8 = 16;
/// Longest time by which a connection is closed before its receiver's `Keep-Alive: timeout=` ends; it is a quarter of
/// that timeout otherwise.
pub const KEEP_ALIVE_MARGIN: Duration = Duration::from_secs(1);
/// Longest time for which a `Retry-After` is observed. What asks for more is more often a mistake (milliseconds, a point in
/// time) than a wish, and holds back everything that is owed to its receiver.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

const _: () = assert!(KEPT_REPLY_BYTES <= MAX_REPLY_BYTES);
const _: () = assert!(MAX_REPLY_HEADER_BYTES <= MAX_REPLY_BYTES && MAX_REPLY_BYTES >= 8192);
// A reply at both bounds fits, with room for what is around it.
const _: () = assert!(MAX_REPLY_HEADER_BYTES + MAX_REPLY_BYTES + 16 * 1024 <= MAX_REPLY_WIRE_BYTES);
const _: () = assert!(MAX_REPLY_BYTES <= HTTP2_CONNECTION_WINDOW as usize);
const _: () = assert!(MAX_RETRY_AFTER.as_secs() <= MAX_RETRY_DELAY.as_secs());
