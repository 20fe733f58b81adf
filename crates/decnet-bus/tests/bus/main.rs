//! The broker and the client, over real sockets: one file for each topic.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod any_split_gives_the_same_frames;
mod bad_frames_close_only_their_connection;
mod changes_widen_lossless_readers;
mod common;
mod each_event_goes_once_to_each_reader;
mod events_at_the_limits_are_relayed_or_refused;
mod full_lossless_readers_pause_their_publishers;
mod publications_are_confirmed;
mod second_user;
mod sessions_are_resumed;
mod slow_readers_affect_only_themselves;
mod socket_file;
mod source_reconnects;
mod start_and_stop;
mod users_share_the_bus;
