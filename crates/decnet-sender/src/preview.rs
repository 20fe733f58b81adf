//! Requests as operators see them, before they are sent: with all headers, and without secrets.

use decnet_core::redact::EndpointUrl;
use decnet_core::settings::Settings;
use decnet_core::signature::OldSecret;
use decnet_core::subscription::Subscription;
use decnet_core::time::UnixMicros;
use decnet_runtime::clock::Clock;

use crate::destination::Destination;
use crate::headers::subscription_headers;
use crate::request::{Message, RequestContext, Target, TargetError, authority};

/// The text that replaces the value of a header that may be a secret.
const SECRET: &str = "[secret]";
/// The text that replaces an access token, which is not requested for a preview.
const TOKEN: &str = "Bearer [token]";

/// The head of a request. It shows the signatures, from which the secret cannot be computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The method.
    pub method: &'static str,
    /// The URL. The path and the query of the subscription's URL may be secret, and are replaced by `…`; those that the format defines
    /// are shown.
    pub url: String,
    /// The names and values of the headers, in the order in which they are sent over HTTP/1.1. `[secret]` replaces credentials and
    /// the values of the subscription's own headers.
    pub headers: Vec<(String, String)>,
}

impl Preview {
    /// Returns the head of the request that sends `message` at the time `at` to a subscription with these settings, replaced secrets
    /// and destination.
    ///
    /// # Errors
    /// [`TargetError`] if the URL or a header is not valid in an HTTP request.
    pub fn new(
        subscription: &Subscription,
        settings: &Settings,
        old_secrets: &[OldSecret],
        destination: Option<&Destination>,
        message: &Message<'_>,
        at: UnixMicros,
    ) -> Result<Self, TargetError> {
        let url = &subscription.url;
        let target = Target::for_subscription(subscription, settings, old_secrets, destination)?;
        let mut headers = vec![("host".to_owned(), authority(url))];
        for (name, value) in &subscription_headers(subscription, settings, destination)? {
            let value = if value.is_sensitive() { SECRET.as_bytes() } else { value.as_bytes() };
            headers.push((name.as_str().to_owned(), text(value)));
        }
        if target.token_client.is_some() {
            headers.push(("authorization".to_owned(), TOKEN.to_owned()));
        }
        let clock = Clock::default();
        let time = RequestContext { signed: at, clock: &clock, token: None };
        target.put_headers(message, time, |name, value| headers.push((name.to_owned(), text(value))));
        let method = settings.method.unwrap_or_default().as_str();
        Ok(Self { method, url: shown_url(url, destination), headers })
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

fn shown_url(url: &EndpointUrl, destination: Option<&Destination>) -> String {
    let redacted = url.to_string();
    match (destination, url.path_and_query()) {
        (Some(destination), "/") => {
            format!("{}{}", redacted.trim_end_matches('/'), destination.format().target("/"))
        }
        _ => redacted,
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use decnet_core::event::Event;
    use decnet_core::redact::Secret;
    use decnet_core::settings::{Change, HeaderChanges, SettingsPatch};
    use decnet_core::signature::SigningKey;
    use decnet_core::subscription::Activity;

    use super::*;

    const SIGNING_SECRET: &str = "a secret of the tests";

    fn preview(url: &str, settings: &Settings) -> Preview {
        let subscription = Subscription {
            uuid: "3f2b8c1d".into(),
            name: "soc".into(),
            url: EndpointUrl::new(url).unwrap(),
            secret: Secret::new(SIGNING_SECRET),
            patterns: Vec::new(),
            activity: Activity::Active,
            consecutive_failures: 0,
        };
        let destination = Destination::new(settings, &subscription.url, &Rc::default());
        let event = Event::new("e1", "a.b", "t", UnixMicros(0), "{}").unwrap();
        let message = Message::from(&event);
        Preview::new(&subscription, settings, &[], destination.as_ref(), &message, UnixMicros(0)).unwrap()
    }

    fn header<'p>(preview: &'p Preview, name: &str) -> &'p str {
        let found = preview.headers.iter().find(|(found, _)| found == name);
        found.map_or("", |(_, value)| value)
    }

    #[test]
    fn secrets_are_replaced_and_signatures_are_shown() {
        let headers = HeaderChanges::new([("x-api-key", Some("hunter2"))]).unwrap();
        let settings = SettingsPatch { headers: Change::To(headers), ..SettingsPatch::default() };
        let settings = settings.apply(&Settings::default()).unwrap();
        let preview = preview("https://user:hunter2@chat.example:8443/services/hunter2?k=hunter2", &settings);
        assert_eq!((preview.method, &*preview.url), ("POST", "https://chat.example:8443/…"));
        assert_eq!(header(&preview, "host"), "chat.example:8443");
        assert_eq!((header(&preview, "authorization"), header(&preview, "x-api-key")), (SECRET, SECRET));
        let key = SigningKey::new(&Secret::new(SIGNING_SECRET));
        let body =
            br#"{"id":"e1","payload":{},"topic":"a.b","ts":"1970-01-01T00:00:00+00:00","type":"t","v":1}"#;
        assert!(key.verify_decnet(body, header(&preview, "x-decnet-signature")));
        assert!(key.verify_standard("e1", 0, body, header(&preview, "webhook-signature")));
        assert_eq!(header(&preview, "content-length"), body.len().to_string());
        assert!(!format!("{preview:?}").contains("hunter2"));
    }

    #[test]
    fn credentials_are_replaced_and_no_token_is_requested() {
        for (auth, shown) in [
            (r#"{"type":"basic","user":"soc","password":"hunter2"}"#, SECRET),
            (r#"{"type":"bearer","token":"hunter2"}"#, SECRET),
            (
                r#"{"type":"oauth2","token_url":"https://login.example/hunter2","client_id":"soc","client_secret":"hunter2"}"#,
                TOKEN,
            ),
        ] {
            let patch: SettingsPatch = serde_json::from_str(&format!(r#"{{"auth":{auth}}}"#)).unwrap();
            let preview = preview("https://siem.example/", &patch.apply(&Settings::default()).unwrap());
            assert_eq!(header(&preview, "authorization"), shown);
            assert!(!format!("{preview:?}").contains("hunter2"), "{preview:?}");
        }
    }

    #[test]
    fn path_of_the_format_is_shown() {
        let settings: Settings = serde_json::from_str(r#"{"format":"elastic","method":"PUT"}"#).unwrap();
        let shown = preview("https://es.example:9200", &settings);
        assert_eq!(shown.method, "PUT");
        assert!(shown.url.starts_with("https://es.example:9200/_bulk?filter_path="), "{}", shown.url);
        assert_eq!(preview("https://es.example/secret", &settings).url, "https://es.example/…");
    }
}
