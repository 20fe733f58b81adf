//! The sender against real receivers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access_tokens;
mod acknowledgements;
mod client_certificates;
mod connections;
mod early_replies;
mod egress;
mod faults;
mod framing;
mod http2;
mod own_network;
mod proxies;
mod repeats;
mod request;
mod settings;
mod support;
mod tls;
