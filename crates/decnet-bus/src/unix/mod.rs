//! The UNIX-socket bus: a stream of frames, each a header line, a length and a JSON body.

pub mod client;
pub mod codec;
mod read_buffer;
pub mod reconnect;
pub mod server;
