//! Settings without secrets.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::{Settings, UnknownSettings};

/// Serializes settings without secrets, for people and the API: headers have the value `"[secret]"`, and unknown and unset
/// settings are absent.
#[derive(Debug, Clone, Copy)]
pub struct RedactedSettings<'a>(pub &'a Settings);

#[derive(Serialize)]
struct RedactedFields<'a> {
    #[serde(flatten)]
    settings: Settings,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, &'static str>,
}

impl Serialize for RedactedSettings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let settings = Settings { unknown: UnknownSettings::default(), ..self.0.clone() };
        let headers = self.0.headers.names().map(|name| (name, "[secret]")).collect();
        RedactedFields { settings, headers }.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Headers;

    #[test]
    fn header_values_and_unknown_settings_are_hidden() {
        let mut settings: Settings =
            serde_json::from_str(r#"{"timeout": "5s", "credentials": "hunter2"}"#).unwrap();
        settings.headers = Headers::new([("Authorization", "Bearer hunter2")]).unwrap();
        let redacted = serde_json::to_string(&RedactedSettings(&settings)).unwrap();
        assert_eq!(redacted, r#"{"timeout":"5s","headers":{"authorization":"[secret]"}}"#);
        let debugged = format!("{settings:?} {:?}", RedactedSettings(&settings));
        assert!(debugged.contains("credentials") && !debugged.contains("hunter2"), "{debugged}");
        assert_eq!(serde_json::to_string(&RedactedSettings(&Settings::default())).unwrap(), "{}");
    }
}
