//! Who is owed: a subscription, and what a stored row must satisfy to be one.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use icu_normalizer::ComposingNormalizerBorrowed;

use crate::limits::{MAX_NAME_CHARS, MAX_PATTERNS_PER_SUBSCRIPTION, MAX_SECRET_CHARS, MIN_SECRET_CHARS};
use crate::redact::{EndpointUrl, Secret, UrlError};
use crate::settings::SettingsError;
use crate::signature::BASE64_PREFIX;
use crate::text::is_hidden;
use crate::topic::{Pattern, PatternError};

/// A subscription whose row is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The row's key, a dashed UUID.
    pub uuid: Box<str>,
    /// Unique, for people.
    pub name: Box<str>,
    /// Where its events go.
    pub url: EndpointUrl,
    /// What its events are signed with.
    pub secret: Secret,
    /// Which topics it gets; at least one pattern.
    pub patterns: Vec<Pattern>,
    /// Does it get events now?
    pub activity: Activity,
    /// The row's counter of deliveries failed in a row.
    pub consecutive_failures: u32,
}

/// What the columns `enabled` and `auto_disabled_at` say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// `enabled = 1`.
    Active,
    /// `enabled = 0` with a stamp: the circuit tripped; what waits is parked and probed.
    Tripped,
    /// `enabled = 0` without one: an operator's wish; what waits is parked, nothing new is admitted.
    Disabled,
}

/// Why a row is no subscription, or a request for one is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A column that holds something else than it should.
    #[error("column `{column}` {what}")]
    Column {
        /// The column's name.
        column: &'static str,
        /// What is wrong with it; never its value.
        what: &'static str,
    },
    /// The URL cannot be used.
    #[error("url: {0}")]
    Url(#[from] UrlError),
    /// `topic_patterns` is no JSON list.
    #[error("topic_patterns is no JSON list of texts; write it as [\"attacker.>\"]")]
    PatternList,
    /// A pattern that cannot be subscribed to.
    #[error("pattern {index}: {error}")]
    Pattern {
        /// Its place in the list, from 0.
        index: usize,
        /// What is wrong with it.
        error: PatternError,
    },
    /// Nothing would ever be sent.
    #[error("no usable pattern")]
    NoPattern,
    /// More than one row can reasonably carry.
    #[error("more than {MAX_PATTERNS_PER_SUBSCRIPTION} patterns")]
    TooManyPatterns,
    /// A name outside its bounds.
    #[error("a name has 1 to {MAX_NAME_CHARS} characters, none of them a control character")]
    Name,
    /// A name that begins or ends with a blank.
    #[error("a name has no blanks at its beginning or end")]
    NameBlank,
    /// A name with a character that is invisible or changes the direction of the text around it.
    #[error("a name cannot contain U+{:04X}, which is invisible or changes the direction of text", u32::from(*.0))]
    NameInvisible(char),
    /// A secret outside its bounds.
    #[error("a secret has {MIN_SECRET_CHARS} to {MAX_SECRET_CHARS} characters")]
    Secret,
    /// A secret that receivers would not use as it looks.
    #[error("the secret {0}")]
    SecretForm(SecretForm),
    /// Settings out of bounds, or that contradict the URL.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Settings that this program does not know: their names.
    #[error(
        "the settings {0} are unknown to this decnet, perhaps an older one: they are kept and not obeyed"
    )]
    UnknownSettings(Box<str>),
    /// A friendly event name that does not exist.
    #[error("unknown event `{0}`; known are AttackerDetail, DeckyStatus and SystemStatus")]
    UnknownEvent(Box<str>),
}

/// Why a receiver would not use a secret as it looks. DECNET's table may hold such secrets, and its receivers may use
/// them by their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretForm {
    /// It begins with U+FEFF, which editors on Windows write into files.
    #[error("begins with a byte order mark, which its receiver does not have; remove it")]
    ByteOrderMark,
    /// A blank at either end.
    #[error("begins or ends with a blank, which receivers commonly strip; remove it")]
    OuterBlank,
    /// `whsec_` and then the alphabet of base64url (RFC 4648 section 5).
    #[error(
        "begins with whsec_ and goes on in base64url, which no Standard Webhooks library accepts; \
         write + for - and / for _, or leave whsec_ out"
    )]
    Base64Url,
    /// `whsec_` and then base64 without its `=`.
    #[error(
        "begins with whsec_ and goes on in base64 without padding, which not every Standard Webhooks library accepts; \
         add the missing ="
    )]
    Unpadded,
    /// `whsec_` and then anything else.
    #[error(
        "begins with whsec_ and does not go on in base64, so that no Standard Webhooks library accepts it; \
         encode it, or leave whsec_ out"
    )]
    NotBase64,
}

/// Reads the column `topic_patterns`: the usable patterns, and what is wrong with the others.
///
/// # Errors
/// A text that is no JSON list, or a list with no usable pattern.
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

/// The patterns of a friendly event name.
///
/// # Errors
/// A name that is not one of the three.
pub fn expand_event(name: &str) -> Result<&'static [&'static str], Problem> {
    match name {
        "AttackerDetail" => Ok(&["attacker.>"]),
        "DeckyStatus" => Ok(&["decky.*.state", "decky.*.traffic"]),
        "SystemStatus" => Ok(&["system.>"]),
        other => Err(Problem::UnknownEvent(other.into())),
    }
}

/// Friendly names expanded, then raw patterns; the first occurrence of each is kept, in order.
///
/// # Errors
/// An unknown name, an invalid pattern, too many of them, or none at all.
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

/// Checks a name that DECNET's routes may write: they accept all but what no table shows.
///
/// # Errors
/// [`Problem::Name`].
pub fn check_name(name: &str) -> Result<(), Problem> {
    let length = name.chars().count();
    let printable = !name.chars().any(char::is_control);
    if (1..=MAX_NAME_CHARS).contains(&length) && printable { Ok(()) } else { Err(Problem::Name) }
}

/// Checks a name that somebody chooses at a route or command of ours: two names that look the same are the same.
///
/// # Errors
/// [`Problem::Name`], [`Problem::NameBlank`], [`Problem::NameInvisible`].
pub fn check_new_name(name: &str) -> Result<(), Problem> {
    check_name(name)?;
    if name.trim() != name {
        return Err(Problem::NameBlank);
    }
    name.chars().find(|c| is_hidden(*c)).map_or(Ok(()), |c| Err(Problem::NameInvisible(c)))
}

/// Returns whether two names are the same to whoever reads them: equal in Unicode's normalization form C (UAX #15).
#[must_use]
pub fn is_same_name(a: &str, b: &str) -> bool {
    let nfc = ComposingNormalizerBorrowed::new_nfc();
    a == b || (!(a.is_ascii() && b.is_ascii()) && nfc.normalize(a) == nfc.normalize(b))
}

/// Checks the length of a secret that somebody writes now.
///
/// # Errors
/// [`Problem::Secret`].
pub fn check_secret(secret: &str) -> Result<(), Problem> {
    let length = secret.chars().count();
    if (MIN_SECRET_CHARS..=MAX_SECRET_CHARS).contains(&length) { Ok(()) } else { Err(Problem::Secret) }
}

/// Checks that a receiver can use a secret as it looks (Standard Webhooks 1.0, "Signature scheme": base64 after `whsec_`).
///
/// # Errors
/// [`Problem::SecretForm`].
pub fn check_secret_form(secret: &str) -> Result<(), Problem> {
    let is_blank = |letter: char| letter.is_whitespace() || letter.is_control();
    let form = if secret.starts_with('\u{feff}') {
        Some(SecretForm::ByteOrderMark)
    } else if secret.starts_with(is_blank) || secret.ends_with(is_blank) {
        Some(SecretForm::OuterBlank)
    } else {
        secret.strip_prefix(BASE64_PREFIX).and_then(base64_form)
    };
    form.map_or(Ok(()), |form| Err(Problem::SecretForm(form)))
}

/// What is wrong with the base64 of a secret, if anything is.
fn base64_form(text: &str) -> Option<SecretForm> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decodes = |alphabet| GeneralPurpose::new(alphabet, config).decode(text).is_ok();
    if STANDARD.decode(text).is_ok() {
        None
    } else if decodes(&alphabet::STANDARD) {
        Some(SecretForm::Unpadded)
    } else if decodes(&alphabet::URL_SAFE) {
        Some(SecretForm::Base64Url)
    } else {
        Some(SecretForm::NotBase64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(patterns: &[Pattern]) -> Vec<&str> {
        patterns.iter().map(Pattern::as_str).collect()
    }

    #[test]
    fn names_expand_before_raw_patterns_without_repeats() {
        let events = ["DeckyStatus".to_owned()];
        let raw = ["a.b".to_owned(), "decky.*.state".to_owned()];
        let patterns = requested_patterns(&events, &raw).unwrap();
        assert_eq!(texts(&patterns), ["decky.*.state", "decky.*.traffic", "a.b"]);
        assert_eq!(requested_patterns(&[], &[]), Err(Problem::NoPattern));
        assert_eq!(requested_patterns(&["X".into()], &[]), Err(Problem::UnknownEvent("X".into())));
    }

    #[test]
    fn a_stored_list_keeps_what_is_usable() {
        let (patterns, problems) = stored_patterns(r#"["a.>", "", 7, "b"]"#).unwrap();
        assert_eq!(texts(&patterns), ["a.>", "b"]);
        assert_eq!(problems.len(), 2);
        for bad in [r#""attacker.>""#, r#"{"a":1}"#, "not json", "[]", r#"[""]"#, "[7]", ""] {
            assert!(stored_patterns(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_and_secrets_have_bounds() {
        assert!(check_name("siem").is_ok() && check_name("").is_err() && check_name("a\nb").is_err());
        assert!(check_secret("sixteen characters").is_ok() && check_secret("short").is_err());
    }

    #[test]
    fn secrets_that_receivers_read_otherwise_are_named() {
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
            ("\u{feff}abcdefghijklmnop0123456789", SecretForm::ByteOrderMark),
            ("abcdefghijklmnop0123456789  ", SecretForm::OuterBlank),
            ("\tabcdefghijklmnop0123456789", SecretForm::OuterBlank),
            ("abcdefghijklmnop0123456789\n", SecretForm::OuterBlank),
            ("abcdefghijklmnop0123456789\u{a0}", SecretForm::OuterBlank),
            ("whsec_not*base64*at*all*xx", SecretForm::NotBase64),
            ("whsec_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_", SecretForm::Base64Url),
            ("whsec_c2l4dGVlbiBjaGFyYWN0ZXI", SecretForm::Unpadded),
            ("whsec_c2l4dGVlbiBjaGFyYWN0ZXI==", SecretForm::NotBase64),
            ("whsec_c2l4dGVlbi BjaGFyYWN0ZXJz", SecretForm::NotBase64),
        ] {
            assert_eq!(form(bad), Some(expected), "{bad:?}");
        }
    }

    #[test]
    fn a_chosen_name_looks_like_no_other() {
        for good in ["siem", "größe 1", "名前", "a b", "x\u{301}"] {
            assert_eq!(check_new_name(good), Ok(()), "{good:?}");
        }
        for blank in [" siem", "siem ", "\u{a0}siem", "siem\u{3000}", " "] {
            assert_eq!(check_new_name(blank), Err(Problem::NameBlank), "{blank:?}");
        }
        for invisible in ['\u{ad}', '\u{200b}', '\u{200d}', '\u{202e}', '\u{2066}', '\u{2060}', '\u{feff}'] {
            let refused = check_new_name(&format!("si{invisible}em")).unwrap_err();
            assert_eq!(refused, Problem::NameInvisible(invisible));
            assert!(check_name(&format!("si{invisible}em")).is_ok(), "DECNET takes it");
        }
        let refused = check_new_name("a\u{202e}b").unwrap_err().to_string();
        assert!(refused.starts_with("a name cannot contain U+202E,"), "{refused}");
        assert_eq!(check_new_name("a\nb"), Err(Problem::Name));
    }

    #[test]
    fn names_are_compared_in_normalization_form_c() {
        assert!(is_same_name("gr\u{f6}\u{df}e", "gro\u{308}\u{df}e") && is_same_name("a", "a"));
        assert!(is_same_name("\u{212a}", "K"), "the sign of the unit kelvin");
        assert!(!is_same_name("a", "A") && !is_same_name("\u{f6}", "o") && !is_same_name("ﬁ", "fi"));
    }
}
