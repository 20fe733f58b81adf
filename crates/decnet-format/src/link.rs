//! Links to this program's pages. Formats write them only if they get a base; no subscription sets one, because this version has no
//! pages of events.

/// The path of the page that shows an event.
const EVENT_PAGE: &str = "/events/";

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
    fn ids_cannot_leave_their_segment_of_the_path() {
        assert_eq!(to_event("https://d.example/", "e-1"), "https://d.example/events/e-1");
        assert_eq!(
            to_event("https://d.example/x", "../a?b#c\"é"),
            "https://d.example/x/events/..%2Fa%3Fb%23c%22%C3%A9"
        );
    }
}
