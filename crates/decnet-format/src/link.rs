//! Links to the dashboard. Formats write them only if they get a base: the origin under which people reach the dashboard.

/// The path and the query of the page that shows the deliveries of an event, up to the id of the event.
const EVENT_PAGE: &str = "/deliveries?event_id=";

/// Returns the link to the page of an event; `base` is for instance `https://decnet.example`.
pub(crate) fn to_event(base: &str, id: &str) -> String {
    let mut link = String::with_capacity(base.len() + EVENT_PAGE.len() + id.len());
    link.push_str(base.trim_end_matches('/'));
    link.push_str(EVENT_PAGE);
    for byte in id.bytes() {
        // The unreserved characters of RFC 3986, section 2.3.
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            link.push(char::from(byte));
        } else {
            link.push_str(&format!("%{byte:02X}"));
        }
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_cannot_leave_their_parameter() {
        assert_eq!(to_event("https://d.example/", "e-1"), "https://d.example/deliveries?event_id=e-1");
        assert_eq!(
            to_event("https://d.example/x", "../a?b#c\"é"),
            "https://d.example/x/deliveries?event_id=..%2Fa%3Fb%23c%22%C3%A9"
        );
    }
}
