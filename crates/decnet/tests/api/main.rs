//! The HTTP API of the real binary, as programs and people use it. One file per property.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails that test")]

mod access_is_recorded;
mod client;
mod credentials_are_never_shown;
mod dashboard_is_protected;
mod dashboard_lists_and_explains;
mod dashboard_lists_every_subscription;
mod decnet_routes_match_decnet;
mod deliveries_are_shown_in_full;
mod errors_are_problem_details;
mod events_are_accepted_once;
mod full_disk_loses_no_event;
mod half_closed_clients_are_answered;
#[path = "../cli/http.rs"]
mod http;
mod open_pages_are_refreshed;
mod removed_queue_is_rescued;
mod restored_files_are_used;
mod slow_clients_do_not_block_others;
mod subscriptions_are_edited_in_forms;
mod subscriptions_change_as_requested;
#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "shared with the tests of the command line")]
mod support;
mod traffic_is_counted;
