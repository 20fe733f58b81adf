//! Versions of subscriptions, so that a change does not overwrite another one that its author has not seen (RFC 9110, sections
//! 8.8.3 and 13.1.1).

use axum::http::StatusCode;
use axum::http::header::{ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH};
use decnet_core::settings::RedactedSettings;
use decnet_store::catalog::Row;
use sha2::{Digest as _, Sha256};

use crate::problem::Problem;

/// The number of hash bytes in a version.
const HASH_BYTES: usize = 8;

/// Returns the version of the values that operators set, as an entity tag. Health does not change it, and secrets do not enter it:
/// it is not secret.
pub(crate) fn version(row: &Row) -> String {
    let settings = serde_json::to_string(&RedactedSettings(&row.settings)).unwrap_or_default();
    let values = (&row.name, row.redacted_url(), &row.topic_patterns, row.paused, settings);
    let digest = Sha256::digest(format!("{values:?}"));
    let digits: String = digest[..HASH_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

/// Returns the header with the version.
pub(super) fn header(row: &Row) -> [(HeaderName, HeaderValue); 1] {
    [(ETAG, HeaderValue::try_from(version(row)).expect("hexadecimal digits in plain ASCII"))]
}

/// The versions that a request allows; all without `If-Match`.
#[derive(Default)]
pub(super) struct Expected(Option<String>);

impl Expected {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self(headers.get(IF_MATCH).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()))
    }

    /// Checks the version of a row.
    ///
    /// # Errors
    /// The request does not allow the version (412).
    pub(super) fn check(&self, row: &Row) -> Result<(), Problem> {
        let Some(expected) = &self.0 else { return Ok(()) };
        let current = version(row);
        if expected.split(',').any(|tag| matches!(tag.trim(), "*") || tag.trim() == current) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "the subscription was changed in the meantime; read it again and repeat the change",
        ))
    }
}

#[cfg(test)]
mod tests {
    use decnet_core::redact::{EndpointUrl, Secret};
    use decnet_core::settings::Settings;
    use decnet_core::time::UnixMicros;
    use decnet_core::topic::Pattern;
    use decnet_store::catalog::{Catalog, Create, NewSubscription, Patch};

    use super::*;

    #[test]
    fn version_changes_with_the_settings_and_not_with_the_health() {
        let dir = tempfile::tempdir().unwrap();
        let mut catalog = Catalog::open(&dir.path().join("decnet.db"), Create::IfMissing).unwrap();
        let new = NewSubscription {
            name: "a".into(),
            url: EndpointUrl::new("https://a.example/").unwrap(),
            secret: Secret::new("a secret of the tests"),
            patterns: vec![Pattern::new("a").unwrap()],
            enabled: true,
            settings: Settings::default(),
        };
        let uuid = catalog.create(&new, UnixMicros(0)).unwrap();
        let row = |catalog: &Catalog| catalog.get(&uuid).unwrap().unwrap().0;
        let first = row(&catalog);
        let check = |expected: &str, row: &Row| Expected(Some(expected.into())).check(row).is_ok();
        catalog.update(&uuid, &Patch { enabled: Some(false), ..Patch::default() }, UnixMicros(1)).unwrap();
        assert!(check(&version(&first), &row(&catalog)) && check("*", &first));
        catalog.update(&uuid, &Patch { paused: Some(true), ..Patch::default() }, UnixMicros(2)).unwrap();
        assert!(!check(&version(&first), &row(&catalog)) && Expected(None).check(&first).is_ok());
    }
}
