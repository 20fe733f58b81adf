//! Bounds on the data that a receiver sends, and on the consequences of its misbehaviour.

use std::time::Duration;

use super::{MAX_DEADLINE, MAX_RETRY_DELAY};

/// Maximum number of bytes of a reply's body that are stored with the attempt.
pub const MAX_STORED_REPLY_BYTES: usize = 4 * 1024;
/// Maximum number of bytes of a reply's body that are read before the connection is closed instead of reused.
pub const MAX_REPLY_BYTES: usize = 64 * 1024;
/// Maximum size of a reply's status line and headers, including interim replies (1xx), in bytes.
pub const MAX_REPLY_HEADER_BYTES: usize = 32 * 1024;
/// Maximum size of the head of a proxy's reply to `CONNECT`, in bytes.
pub const MAX_PROXY_REPLY_BYTES: usize = 8 * 1024;
/// Maximum length of the line with the size and the extensions of a reply's chunk, in bytes.
pub const MAX_CHUNK_LINE_BYTES: usize = 1024;
/// Maximum number of bytes that a receiver may send for one reply, counted on the socket. Includes interim replies, chunk
/// sizes and extensions, trailers and TLS records. The limit of a TLS handshake is the same.
pub const MAX_REPLY_WIRE_BYTES: usize = 128 * 1024;
/// Maximum number of bytes that an HTTP/2 exchange may receive beyond the reply's body: frame headers, header blocks,
/// control frames, TLS records. The unused part carries over to later exchanges; an idle connection keeps at
/// most [`MAX_REPLY_WIRE_BYTES`].
pub const HTTP2_OVERHEAD_BYTES: usize = 4 * 1024;
/// Bytes of a request for which an HTTP/2 exchange may receive one more byte of overhead, since a receiver acknowledges what
/// it reads (`WINDOW_UPDATE`).
pub const HTTP2_BYTES_PER_ACKNOWLEDGEMENT: usize = 16;
/// Maximum memory for the unread bytes of all replies on one HTTP/2 connection, in bytes.
pub const HTTP2_CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Time for which precautions apply to an origin that misbehaved: HTTP/1.1 after a flood on HTTP/2, no keep-alive after
/// bytes that do not belong to a reply.
pub const PRECAUTION_TTL: Duration = Duration::from_secs(10 * 60);
/// Maximum number of requests that one attempt sends while the receiver refuses them unprocessed, including the first request.
pub const MAX_SENDS_PER_ATTEMPT: u8 = 16;
/// Margin by which an idle connection is closed before its receiver's `Keep-Alive: timeout=` ends; a quarter of the timeout if
/// that is shorter.
pub const KEEP_ALIVE_MARGIN: Duration = Duration::from_secs(1);
/// Maximum time for which a `Retry-After` is respected. A longer wait is usually a mistake (milliseconds, a point in time), and
/// delays all deliveries to its receiver.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);
/// Delay before the first poll for an acknowledgement. Each further delay is twice as long, up to [`MAX_POLL_DELAY`].
pub const FIRST_POLL_DELAY: Duration = Duration::from_millis(200);
/// Maximum delay between two polls for an acknowledgement.
pub const MAX_POLL_DELAY: Duration = Duration::from_secs(2);
/// Maximum number of polls for an acknowledgement. Usually the timeout of the attempt ends first.
pub const MAX_POLLS_PER_ATTEMPT: u32 = 160;

const _: () = assert!(MAX_STORED_REPLY_BYTES <= MAX_REPLY_BYTES);
const _: () = assert!(MAX_REPLY_HEADER_BYTES <= MAX_REPLY_BYTES && MAX_REPLY_BYTES >= 8192);
// A reply with headers and body of maximum size fits, including the bytes around them.
const _: () = assert!(MAX_REPLY_HEADER_BYTES + MAX_REPLY_BYTES + 16 * 1024 <= MAX_REPLY_WIRE_BYTES);
const _: () = assert!(MAX_REPLY_BYTES <= HTTP2_CONNECTION_WINDOW as usize);
const _: () = assert!(MAX_RETRY_AFTER.as_secs() <= MAX_RETRY_DELAY.as_secs());
const _: () = assert!(MAX_POLL_DELAY.as_secs() * MAX_POLLS_PER_ATTEMPT as u64 >= MAX_DEADLINE.as_secs());
