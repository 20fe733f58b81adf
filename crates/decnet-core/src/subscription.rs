//! Subscriptions and the validation of their stored rows.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use unicode_normalization::UnicodeNormalization as _;

use crate::limits::{MAX_NAME_CHARS, MAX_PATTERNS_PER_SUBSCRIPTION, MAX_SECRET_CHARS, MIN_SECRET_CHARS};
use crate::redact::{EndpointUrl, Secret, UrlError};
use crate::settings::SettingsError;
use crate::signature::{BASE64_PREFIX, lenient};
use crate::text::{BYTE_ORDER_MARK, is_hidden};
use crate::topic::{Pattern, PatternError};

/// A subscription whose row is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The row's key, a UUID with dashes.
    pub uuid: Box<str>,
    /// The unique name.
    pub name: Box<str>,
    /// The receiver's URL.
    pub url: EndpointUrl,
    /// The secret that signs requests.
    pub secret: Secret,
    /// The patterns of the subscribed topics, at least one.
    pub patterns: Vec<Pattern>,
    /// Whether events are delivered now.
    pub activity: Activity,
    /// The row's number of consecutive failed deliveries.
    pub consecutive_failures: u32,
}

/// The meaning of the columns `enabled` and `auto_disabled_at` together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// `enabled = 1`.
    Active,
    /// `enabled = 0` with a time: the circuit breaker has tripped. Pending deliveries are parked, and the receiver is probed.
    Tripped,
    /// `enabled = 0` without a time: an operator has disabled the subscription. Pending deliveries are parked, and new events
    /// are not admitted.
    Disabled,
}

/// The reason why a row, or a request to create or change a subscription, is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A column has an invalid value.
    #[error("column `{column}` {what}")]
    Column {
        /// The column's name.
        column: &'static str,
        /// The error, without the value.
        what: &'static str,
    },
    /// The value of a column is encrypted and cannot be decrypted, so deliveries wait.
    #[error("column `{column}` {what}")]
    Encrypted {
        /// The column's name.
        column: &'static str,
        /// The reason, with the key's id.
        what: Box<str>,
    },
    /// The URL is invalid.
    #[error("url: {0}")]
    Url(#[from] UrlError),
    /// `topic_patterns` is not a JSON array of strings.
    #[error("topic_patterns is not a JSON array of strings; write it as [\"attacker.>\"]")]
    PatternList,
    /// A pattern is invalid.
    #[error("pattern {index}: {error}")]
    Pattern {
        /// The index of the pattern in the list, from 0.
        index: usize,
        /// The error.
        error: PatternError,
    },
    /// There is no valid pattern, so nothing would be delivered.
    #[error("no usable pattern")]
    NoPattern,
    /// There are too many patterns.
    #[error("more than {MAX_PATTERNS_PER_SUBSCRIPTION} patterns")]
    TooManyPatterns,
    /// The name has an invalid length or contains control characters.
    #[error("a name must have 1 to {MAX_NAME_CHARS} characters, none of them a control character")]
    Name,
    /// The name begins or ends with whitespace.
    #[error("a name must not begin or end with whitespace")]
    NameWhitespace,
    /// The name has a character that is invisible or changes the direction of the text around it.
    #[error("a name cannot contain U+{:04X}, which is invisible or changes the direction of text", u32::from(*.0))]
    NameInvisible(char),
    /// The secret has an invalid length.
    #[error("a secret must have {MIN_SECRET_CHARS} to {MAX_SECRET_CHARS} characters")]
    Secret,
    /// Receivers would not use the expected bytes of the secret. DECNET's table may contain such secrets, whose receivers
    /// may use their bytes unchanged.
    #[error("the secret {0}")]
    SecretForm(&'static str),
    /// The settings are invalid, or contradict the URL.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The filter does not compile, so nothing is sent: it is not known which events are wanted.
    #[error("filter: {0}")]
    Filter(Box<str>),
    /// The format or its template cannot be used, so nothing is sent.
    #[error("format: {0}")]
    Format(Box<str>),
    /// Settings with these names are unknown, since a newer version has written them.
    #[error("the settings {0} are unknown to this version of decnet; they are kept and have no effect")]
    UnknownSettings(Box<str>),
    /// The friendly event name does not exist.
    #[error("unknown event `{0}`; use AttackerDetail, DeckyStatus or SystemStatus")]
    UnknownEvent(Box<str>),
}

/// Parses the column `topic_patterns`. Returns the valid patterns, and the problems with the other patterns.
///
/// # Errors
/// The text is not a JSON array, or has no valid pattern.
pub fn stored_patterns(json: &str) -> Result<(Vec<Pattern>, Vec<Problem>), Problem> {
    let list: Vec<serde_json::Value> = serde_json::from_str(json).map_err(|_| Problem::PatternList)?;
    let (mut patterns, mut problems) = (Vec::new(), Vec::new());
    for (index, item) in list.iter().enumerate().take(MAX_PATTERNS_PER_SUBSCRIPTION) {
        match item.as_str().map(Pattern::stored) {
            Some(Ok(pattern)) => patterns.push(pattern),
            Some(Err(error)) => problems.push(Problem::Pattern { index, error }),
            None => problems.push(Problem::PatternList),
        }
    }
    if list.len() > MAX_PATTERNS_PER_SUBSCRIPTION {
        problems.push(Problem::TooManyPatterns);
    }
    if patterns.is_empty() {
        return Err(problems.into_iter().next().unwrap_or(Problem::NoPattern));
    }
    Ok((patterns, problems))
}

/// Returns the patterns of a friendly event name.
///
/// # Errors
/// [`Problem::UnknownEvent`].
fn expand_event(name: &str) -> Result<&'static [&'static str], Problem> {
    match name {
        "AttackerDetail" => Ok(&["attacker.>"]),
        "DeckyStatus" => Ok(&["decky.*.state", "decky.*.traffic"]),
        "SystemStatus" => Ok(&["system.>"]),
        other => Err(Problem::UnknownEvent(other.into())),
    }
}

/// Returns the patterns of the friendly names, then the raw patterns, in order and without duplicates.
///
/// # Errors
/// A name is unknown, a pattern is invalid, or there are no patterns or too many.
pub fn requested_patterns(events: &[String], raw: &[String]) -> Result<Vec<Pattern>, Problem> {
    let mut texts = Vec::<&str>::new();
    for event in events {
        texts.extend(expand_event(event)?);
    }
    texts.extend(raw.iter().map(String::as_str));
    let mut patterns = Vec::<Pattern>::new();
    for (index, text) in texts.into_iter().enumerate() {
        let pattern = Pattern::new(text).map_err(|error| Problem::Pattern { index, error })?;
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    match patterns.len() {
        0 => Err(Problem::NoPattern),
        n if n > MAX_PATTERNS_PER_SUBSCRIPTION => Err(Problem::TooManyPatterns),
        _ => Ok(patterns),
    }
}

/// Validates a name as DECNET's routes do: only its length, and no control characters.
///
/// # Errors
/// [`Problem::Name`].
pub fn check_name(name: &str) -> Result<(), Problem> {
    let length = name.chars().count();
    let printable = !name.chars().any(char::is_control);
    if (1..=MAX_NAME_CHARS).contains(&length) && printable { Ok(()) } else { Err(Problem::Name) }
}

/// Validates a new name at decnet's own routes and commands: no two names may look the same.
///
/// # Errors
/// [`Problem::Name`], [`Problem::NameWhitespace`], [`Problem::NameInvisible`].
pub fn check_new_name(name: &str) -> Result<(), Problem> {
    check_name(name)?;
    if name.trim() != name {
        return Err(Problem::NameWhitespace);
    }
    name.chars().find(|c| is_hidden(*c)).map_or(Ok(()), |c| Err(Problem::NameInvisible(c)))
}

/// Returns whether two names look the same: whether they are equal in Unicode's normalization form C (UAX #15).
#[must_use]
pub fn is_same_name(a: &str, b: &str) -> bool {
    a == b || (!(a.is_ascii() && b.is_ascii()) && a.nfc().eq(b.nfc()))
}

/// Validates the length of a new secret.
///
/// # Errors
/// [`Problem::Secret`].
pub fn check_secret(secret: &str) -> Result<(), Problem> {
    let length = secret.chars().count();
    if (MIN_SECRET_CHARS..=MAX_SECRET_CHARS).contains(&length) { Ok(()) } else { Err(Problem::Secret) }
}

/// Checks that receivers use the expected bytes of a secret (Standard Webhooks 1.0, "Signature scheme": base64 after
/// `whsec_`).
///
/// # Errors
/// [`Problem::SecretForm`].
pub fn check_secret_form(secret: &str) -> Result<(), Problem> {
    let is_blank = |letter: char| letter.is_whitespace() || is_hidden(letter);
    let form = if [secret.chars().next(), secret.chars().next_back()].contains(&Some(BYTE_ORDER_MARK)) {
        Some("begins or ends with a byte order mark, which its receiver does not have; remove it")
    } else if secret.starts_with(is_blank) || secret.ends_with(is_blank) {
        Some(
            "begins or ends with whitespace or an invisible character, which receivers commonly strip; remove it",
        )
    } else {
        secret.strip_prefix(BASE64_PREFIX).and_then(base64_form)
    };
    form.map_or(Ok(()), |form| Err(Problem::SecretForm(form)))
}

/// Returns the error in the base64 (RFC 4648, sections 4 and 5) of a secret, if there is one.
fn base64_form(text: &str) -> Option<&'static str> {
    let decodes = |alphabet| lenient(alphabet).decode(text).is_ok();
    if STANDARD.decode(text).is_ok() {
        None
    } else if decodes(&alphabet::STANDARD) {
        Some(
            "begins with whsec_ followed by base64 without padding, which not every Standard Webhooks library accepts; \
             add the missing =",
        )
    } else if decodes(&alphabet::URL_SAFE) {
        Some(
            "begins with whsec_ followed by base64url, which no Standard Webhooks library accepts; \
             write + for - and / for _, or omit whsec_",
        )
    } else {
        Some(
            "begins with whsec_ not followed by base64, so that no Standard Webhooks library accepts it; \
             encode the secret, or omit whsec_",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(patterns: &[Pattern]) -> Vec<&str> {
        patterns.iter().map(Pattern::as_str).collect()
    }

    #[test]
    fn friendly_names_expand_before_raw_patterns() {
        let events = ["DeckyStatus".to_owned()];
        let raw = ["a.b".to_owned(), "decky.*.state".to_owned()];
        let patterns = requested_patterns(&events, &raw).unwrap();
        assert_eq!(texts(&patterns), ["decky.*.state", "decky.*.traffic", "a.b"]);
        assert_eq!(requested_patterns(&[], &[]), Err(Problem::NoPattern));
        assert_eq!(requested_patterns(&["X".into()], &[]), Err(Problem::UnknownEvent("X".into())));
    }

    #[test]
    fn valid_patterns_of_a_stored_list_are_kept() {
        let (patterns, problems) = stored_patterns(r#"["a.>", "", 7, "b"]"#).unwrap();
        assert_eq!(texts(&patterns), ["a.>", "b"]);
        assert_eq!(problems.len(), 2);
        for bad in [r#""attacker.>""#, r#"{"a":1}"#, "not json", "[]", r#"[""]"#, "[7]", ""] {
            assert!(stored_patterns(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lengths_of_names_and_secrets_are_checked() {
        assert!(check_name("siem").is_ok() && check_name("").is_err() && check_name("a\nb").is_err());
        assert!(check_secret("sixteen characters").is_ok() && check_secret("short").is_err());
    }

    #[test]
    fn ambiguous_secrets_are_rejected() {
        let form = |secret: &str| match check_secret_form(secret) {
            Ok(()) => None,
            Err(Problem::SecretForm(form)) => Some(form),
            Err(other) => panic!("{other}"),
        };
        for good in [
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_c2l4dGVlbiBjaGFyYWN0ZXJz",
            "whsec_c2l4dGVlbiBjaGFyYWN0ZXI=",
            "b4cnN2ogJLNpAWlL8lqXDKsW3J7Em_rqHg8Nju_f0hE",
            "a secret with blanks inside",
            "WHSEC_not*base64",
            "ünïcödé söcrét öf sömé",
        ] {
            assert_eq!(form(good), None, "{good}");
        }
        for (bad, expected) in [
            ("\u{feff}abcdefghijklmnop0123456789", "with a byte order mark,"),
            ("abcdefghijklmnop0123456789\u{feff}", "with a byte order mark,"),
            ("\u{200b}abcdefghijklmnop0123456789", "with whitespace or an invisible character,"),
            ("abcdefghijklmnop0123456789  ", "with whitespace or an invisible character,"),
            ("\tabcdefghijklmnop0123456789", "with whitespace or an invisible character,"),
            ("abcdefghijklmnop0123456789\n", "with whitespace or an invisible character,"),
            ("abcdefghijklmnop0123456789\u{a0}", "with whitespace or an invisible character,"),
            ("whsec_not*base64*at*all*xx", "not followed by base64,"),
            ("whsec_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_", "followed by base64url,"),
            ("whsec_c2l4dGVlbiBjaGFyYWN0ZXI", "base64 without padding,"),
            ("whsec_c2l4dGVlbiBjaGFyYWN0ZXI==", "not followed by base64,"),
            ("whsec_c2l4dGVlbi BjaGFyYWN0ZXJz", "not followed by base64,"),
        ] {
            assert!(form(bad).is_some_and(|form| form.contains(expected)), "{bad:?}");
        }
    }

    #[test]
    fn new_names_have_no_outer_whitespace_or_hidden_characters() {
        for good in ["siem", "größe 1", "名前", "a b", "x\u{301}"] {
            assert_eq!(check_new_name(good), Ok(()), "{good:?}");
        }
        for blank in [" siem", "siem ", "\u{a0}siem", "siem\u{3000}", " "] {
            assert_eq!(check_new_name(blank), Err(Problem::NameWhitespace), "{blank:?}");
        }
        for invisible in [
            '\u{ad}', '\u{34f}', '\u{115f}', '\u{3164}', '\u{200b}', '\u{200d}', '\u{202e}', '\u{2066}',
            '\u{2060}', '\u{feff}',
        ] {
            let refused = check_new_name(&format!("si{invisible}em")).unwrap_err();
            assert_eq!(refused, Problem::NameInvisible(invisible));
            assert!(check_name(&format!("si{invisible}em")).is_ok(), "DECNET accepts it");
        }
        let refused = check_new_name("a\u{202e}b").unwrap_err().to_string();
        assert!(refused.starts_with("a name cannot contain U+202E,"), "{refused}");
        assert_eq!(check_new_name("a\nb"), Err(Problem::Name));
    }

    #[test]
    fn names_are_compared_in_normalization_form_c() {
        assert!(is_same_name("gr\u{f6}\u{df}e", "gro\u{308}\u{df}e") && is_same_name("a", "a"));
        assert!(is_same_name("\u{212a}", "K"), "the kelvin sign");
        assert!(!is_same_name("a", "A") && !is_same_name("\u{f6}", "o") && !is_same_name("ﬁ", "fi"));
    }
}
