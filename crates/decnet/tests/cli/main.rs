//! Tests of the real binary, run as from a shell or a unit file. One file per property.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails that test")]

mod backfills_send_each_event_once;
mod bench_leaves_no_files;
mod credentials_stay_secret;
mod dashboard_sessions_have_their_rights;
mod decnet_options_are_accepted;
mod deliveries_are_listed_and_redelivered;
mod destinations_are_set_up_at_start;
mod erasures_and_backups_are_complete;
mod errors_are_reported;
mod events_reach_watchers;
mod failed_output_is_reported;
mod few_descriptors_are_shared;
mod filters_are_observable;
mod first_token_is_created_on_this_host;
mod http;
mod image;
mod init_installs_and_removes;
mod init_opens_the_catalog_to_the_services;
mod only_trusted_files_are_used;
mod publications_are_confirmed;
mod receiver_shows_chat_messages;
mod receiver_verifies_signatures;
mod receivers_are_reached_through_a_proxy;
mod routes_require_their_scope;
mod secrets_are_encrypted_at_rest;
mod service_health_is_checked;
mod service_manager_is_notified;
mod settings_change_one_by_one;
mod signals_end_waiting_commands;
mod subscription_settings_apply;
mod subscriptions_keep_their_secrets;
mod support;
mod terminal_output_is_escaped;
mod tries_show_the_request;
mod worker_is_observable;
