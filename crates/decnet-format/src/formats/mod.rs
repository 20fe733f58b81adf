//! The formats, one file each, and the table of all of them.

mod chat;
mod discord;
mod elastic;
mod loki;
mod mattermost;
mod siem;
mod slack;
mod splunk_hec;
mod teams;
pub(crate) mod template;

use crate::spec::Spec;

/// Every format, in the order of the documentation.
pub(crate) const ALL: &[&Spec] = &[
    &slack::SLACK,
    &discord::DISCORD,
    &teams::TEAMS,
    &mattermost::MATTERMOST,
    &splunk_hec::SPLUNK_HEC,
    &elastic::ELASTIC,
    &loki::LOKI,
    &template::TEMPLATE,
];

/// Returns the description of the format with this name.
pub(crate) fn find(name: &str) -> Option<&'static Spec> {
    ALL.iter().copied().find(|spec| spec.name == name)
}

/// Returns the format of the destination with this host; `None` for a host that may be anything.
pub(crate) fn guess(host: &str) -> Option<&'static Spec> {
    let is_known = |known: &&str| match known.strip_prefix('.') {
        Some(_) => host.ends_with(known),
        None => host == *known,
    };
    ALL.iter().copied().find(|spec| spec.hosts.iter().any(&is_known))
}

/// Returns the names of all formats, separated by commas.
pub(crate) fn names() -> String {
    ALL.iter().map(|spec| spec.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_guessed_by_known_hosts_only() {
        for (host, format) in [
            ("hooks.slack.com", Some("slack")),
            ("slack.com", None),
            ("hooks.slack.com.evil.example", None),
            ("evil-hooks.slack.com", None),
            ("discord.com", Some("discord")),
            ("canary.discord.com", Some("discord")),
            ("evildiscord.com", None),
            ("prod-01.westeurope.logic.azure.com", Some("teams")),
            ("127.0.0.1", None),
            ("", None),
        ] {
            assert_eq!(guess(host).map(|spec| spec.name), format, "{host}");
        }
    }
}
