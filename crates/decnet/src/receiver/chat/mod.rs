//! Chat services, as `decnet receive --as` imitates them: their replies, and their messages as text.
//!
//! The messages are those of the formats of decnet, also with a template. Other messages are read as far as they have the same form.

mod discord;
mod markup;
mod mattermost;
mod slack;
mod teams;

use hyper::StatusCode;

/// A chat service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Chat {
    /// Replies 200 with `ok`
    Slack,
    /// Replies 204
    Discord,
    /// Replies 202
    Teams,
    /// Replies 200 with `ok`
    Mattermost,
}

/// A message as its readers see it, without markup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ChatMessage {
    /// The first line.
    pub(crate) title: String,
    /// The lines below the title: facts, text, links and the footer.
    pub(crate) lines: Vec<String>,
}

impl Chat {
    /// Returns the message in the body of a request; `None` if the service would refuse it.
    pub(crate) fn read(self, body: &[u8]) -> Option<ChatMessage> {
        let message = match self {
            Self::Slack => slack::read(body),
            Self::Discord => discord::read(body),
            Self::Teams => teams::read(body),
            Self::Mattermost => mattermost::read(body),
        };
        message.filter(|message| *message != ChatMessage::default())
    }

    /// Returns status and body of the reply to a message that is accepted.
    pub(super) fn accepted(self) -> (StatusCode, &'static str) {
        match self {
            Self::Slack | Self::Mattermost => (StatusCode::OK, "ok"),
            Self::Discord => (StatusCode::NO_CONTENT, ""),
            Self::Teams => (StatusCode::ACCEPTED, ""),
        }
    }

    /// Returns status and body of the reply to a request without a message.
    pub(super) fn refused(self) -> (StatusCode, &'static str) {
        let body = match self {
            Self::Slack => "no_text",
            Self::Discord => r#"{"message": "Cannot send an empty message", "code": 50006}"#,
            Self::Teams => {
                r#"{"error": {"code": "TriggerInputSchemaMismatch", "message": "The input has no card."}}"#
            }
            Self::Mattermost => {
                r#"{"id": "web.incoming_webhook.text.app_error", "message": "No text specified."}"#
            }
        };
        (StatusCode::BAD_REQUEST, body)
    }
}

impl ChatMessage {
    /// Creates a message from text with several lines, of which the first is the title.
    fn from_text(text: &str) -> Self {
        let mut lines = text.lines().map(str::to_owned).filter(|line| !line.is_empty());
        Self { title: lines.next().unwrap_or_default(), lines: lines.collect() }
    }

    /// Adds the lines of a text.
    fn add(&mut self, text: &str) {
        self.lines.extend(text.lines().map(str::to_owned).filter(|line| !line.is_empty()));
    }

    fn add_fact(&mut self, name: &str, value: &str) {
        self.add(&format!("{name}: {value}"));
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use decnet_core::event::Event;
    use decnet_core::redact::EndpointUrl;
    use decnet_core::settings::Settings;
    use decnet_core::time::UnixMicros;
    use decnet_sender::Destination;

    use super::*;

    const ALL: [(Chat, &str); 4] = [
        (Chat::Slack, "slack"),
        (Chat::Discord, "discord"),
        (Chat::Teams, "teams"),
        (Chat::Mattermost, "mattermost"),
    ];

    fn event(id: &str, user: &str) -> Event {
        let payload =
            serde_json::json!({"attacker_ip": "203.0.113.9", "decky": "decky-03", "username": user});
        let at = UnixMicros(1_777_033_800_000_000);
        Event::new(id, "credential.captured", "captured", at, &payload.to_string()).unwrap()
    }

    fn read(chat: Chat, format: &str, events: &[Event]) -> ChatMessage {
        let settings: Settings = serde_json::from_value(serde_json::json!({ "format": format })).unwrap();
        let url = EndpointUrl::new("http://chat.example/").unwrap();
        let destination = Destination::new(&settings, &url, &Rc::default()).unwrap();
        let body = destination.render(events.iter()).unwrap().body;
        chat.read(&body).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&body)))
    }

    #[test]
    fn message_of_each_service_has_title_facts_and_footer() {
        for (chat, format) in ALL {
            let message = read(chat, format, &[event("e1", "root")]);
            let lines = message.lines.join("\n");
            assert!(message.title.starts_with("HIGH") && message.title.contains("decky-03"), "{message:?}");
            assert!(lines.contains("User: root") && lines.contains("203.0.113.9"), "{message:?}");
            assert!(lines.contains("credential.captured · event e1"), "{message:?}");
        }
    }

    #[test]
    fn digest_of_each_service_has_its_heading_and_events() {
        for (chat, format) in ALL {
            let message = read(chat, format, &[event("e1", "root"), event("e2", "admin")]);
            assert_eq!(message.title, "2 events: 2 high", "{format}");
            let listed = message.lines.iter().filter(|line| line.starts_with("12:30:00 HIGH ")).count();
            assert_eq!(listed, 2, "{message:?}");
        }
    }

    #[test]
    fn escapes_of_the_markup_are_undone() {
        for (chat, format) in ALL {
            let message = read(chat, format, &[event("e1", "a<b> & #c_d_ \\ |e|")]);
            let user = message.lines.iter().find_map(|line| line.strip_prefix("User: ")).unwrap();
            assert!(user.starts_with("a<b> & ") && user.ends_with("\\ |e|"), "{format}: {user}");
        }
    }

    /// Slack shows them as they are in `plain_text`, Discord has no entities, and the others escape them.
    #[test]
    fn text_of_an_attacker_is_shown_as_the_service_shows_it() {
        for (chat, format) in ALL {
            let message = read(chat, format, &[event("e1", "*a* `b` &lt;c&gt; <!channel>")]);
            let user = message.lines.iter().find_map(|line| line.strip_prefix("User: ")).unwrap();
            let mention = if chat == Chat::Teams { "[<]!channel>" } else { "<!channel>" };
            assert_eq!(user, format!("*a* `b` &lt;c&gt; {mention}"), "{format}");
        }
    }

    #[test]
    fn plain_events_and_other_bodies_are_refused() {
        for (chat, format) in ALL {
            let plain = event("e1", "root").body;
            for body in [&*plain, b"", b"{}", b"[]", b"null", b"{\"attachments\":[]}", b"\xff"] {
                assert_eq!(chat.read(body), None, "{format}: {}", String::from_utf8_lossy(body));
            }
        }
    }
}
