//! The HTTP API of the real binary, as a program or a person uses it. One file a property.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails that test")]

mod a_full_disk_loses_nothing;
mod a_queue_that_vanishes_is_saved;
mod a_restored_queue_is_the_one_that_is_used;
mod client;
mod decnets_routes_are_decnets;
mod deliveries_tell_what_happened;
mod errors_are_problem_details;
mod events_are_taken_once;
mod half_closed_clients_are_answered;
#[path = "../cli/http.rs"]
mod http;
mod slow_clients_hold_nothing;
mod subscriptions_change_as_asked;
#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "shared with the tests of the command line")]
mod support;
