//! The worker as a whole: a real bus socket, real SQLite files, real HTTP receivers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod batches;
mod circuit;
mod clock;
mod concurrency;
mod delivery;
mod destinations;
mod digests;
mod erasure;
mod freshness;
mod isolation;
mod lifecycle;
mod local_faults;
mod memory;
mod operational_events;
mod own_network;
mod pacing;
mod reload;
mod retry_after;
mod rig;
mod selection;
mod settings;
mod submissions;
mod subscription_metrics;
