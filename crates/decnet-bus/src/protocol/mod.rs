//! The wire format, as pure functions on bytes.
//!
//! One frame is
//!
//! ```text
//! <VERB>[ <args>]\n          ASCII, at most MAX_HEADER_BYTES with the newline; a trailing \r is tolerated
//! <4 bytes, big-endian>      the body's length, at most MAX_BODY_BYTES
//! <body>                     a JSON object, or nothing
//! ```
//!
//! - [`decode()`], [`locate`]: read the first frame of a buffer without copying;
//! - [`encode()`]: appends a frame to a buffer;
//! - [`Publication`]: the validated body of a `PUB`, borrowed.

mod decode;
mod encode;
mod json;
mod publication;
mod verb;

pub use decnet_core::limits::MAX_READ_BYTES;
pub use decode::{Frame, FrameError, Layout, decode, locate, missing};
pub use encode::{EncodeError, Envelope, check_args, encode, encode_event, encode_publication};
pub use json::{JsonError, check_payload};
pub use publication::{BodyError, Publication, is_truthy};
pub use verb::Verb;
