//! Tests of the real binary, run as an operator or a unit would. One file per property.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails that test")]

mod a_service_is_asked_whether_it_is_well;
mod bench_measures_and_leaves_nothing;
mod decnets_options_are_accepted;
mod decnets_sessions_have_decnets_rights;
mod deliveries_are_shown_and_sent_again;
mod erased_is_gone_and_backups_are_whole;
mod events_reach_who_watches;
mod failed_output_is_reported;
mod few_descriptors_are_shared;
mod http;
mod image;
mod init_installs_and_removes;
mod init_opens_the_catalog_to_the_services;
mod no_route_answers_without_its_scope;
mod only_trusted_files_are_used;
mod publications_are_confirmed;
mod receiver_knows_who_signed;
mod says_what_is_wrong;
mod settings_change_one_by_one;
mod signals_end_what_waits;
mod subscriptions_ask_for_more;
mod subscriptions_keep_their_secrets;
mod support;
mod terminal_output_is_escaped;
mod the_first_token_is_made_on_this_host;
mod the_service_manager_hears_of_it;
mod the_worker_shows_itself;
