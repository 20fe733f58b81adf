//! Settings as people and the API see them.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::{Headers, Settings, Unknown};

/// Serialises settings without a secret: of headers the names, each with `"[secret]"`, and nothing that is unknown.
/// What is not set is absent.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(pub &'a Settings);

#[derive(Serialize)]
struct Fields<'a> {
    #[serde(flatten)]
    settings: Settings,
    #[serde(skip_serializing_if = "Names::is_empty")]
    headers: Names<'a>,
}

struct Names<'a>(&'a Headers);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let settings = Settings { unknown: Unknown::default(), ..self.0.clone() };
        Fields { settings, headers: Names(&self.0.headers) }.serialize(serializer)
    }
}

impl Names<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Names<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for name in self.0.names() {
            map.serialize_entry(name, "[secret]")?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_headers_value_nor_what_is_unknown_is_shown() {
        let mut settings: Settings =
            serde_json::from_str(r#"{"timeout": "5s", "credentials": "hunter2"}"#).unwrap();
        settings.headers = Headers::new([("Authorization", "Bearer hunter2")]).unwrap();
        let shown = serde_json::to_string(&Shown(&settings)).unwrap();
        assert_eq!(shown, r#"{"timeout":"5s","headers":{"authorization":"[secret]"}}"#);
        let debugged = format!("{settings:?} {:?}", Shown(&settings));
        assert!(debugged.contains("credentials") && !debugged.contains("hunter2"), "{debugged}");
        assert_eq!(serde_json::to_string(&Shown(&Settings::default())).unwrap(), "{}");
    }
}
