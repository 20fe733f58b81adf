//! Settings without secrets.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::credentials::count_certificates;
use super::{Auth, Credentials, Settings, UnknownSettings};

/// The text that replaces a secret.
const SECRET: &str = "[secret]";

/// Serializes settings without secrets, for people and the API: headers, passwords, tokens and keys have the value `"[secret]"`,
/// certificates are counted, and unknown and unset settings are absent.
#[derive(Debug, Clone, Copy)]
pub struct RedactedSettings<'a>(pub &'a Settings);

#[derive(Serialize)]
struct RedactedFields<'a> {
    #[serde(flatten)]
    settings: Settings,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, &'static str>,
    #[serde(flatten)]
    credentials: BTreeMap<&'static str, Value>,
}

impl Serialize for RedactedSettings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let settings = Settings { unknown: UnknownSettings::default(), ..self.0.clone() };
        let headers = self.0.headers.names().map(|name| (name, SECRET)).collect();
        RedactedFields { settings, headers, credentials: redacted(&self.0.credentials) }.serialize(serializer)
    }
}

fn redacted(credentials: &Credentials) -> BTreeMap<&'static str, Value> {
    let Credentials { auth, client_certificate, trust_roots, private_key } = credentials;
    let certificate = client_certificate
        .as_ref()
        .map(|certificate| json!({"certificates": count(certificate.chain()), "key": SECRET}));
    let fields = [
        ("auth", auth.as_ref().map(redacted_auth)),
        ("client_certificate", certificate),
        ("trust_roots", trust_roots.as_ref().map(|roots| count(roots.as_str()).into())),
        ("private_key", private_key.as_ref().map(|_| SECRET.into())),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn redacted_auth(auth: &Auth) -> Value {
    match auth {
        Auth::Basic { user, .. } => json!({"type": "basic", "user": user, "password": SECRET}),
        Auth::Bearer(_) => json!({"type": "bearer", "token": SECRET}),
        Auth::OAuth2(oauth2) => {
            let mut fields = json!({"type": "oauth2", "token_url": oauth2.token_url.to_string(),
                "client_id": oauth2.client_id, "client_secret": SECRET});
            if let Some(scope) = &oauth2.scope {
                fields["scope"] = json!(scope);
            }
            if let Some(audience) = &oauth2.audience {
                fields["audience"] = json!(audience);
            }
            if oauth2.in_body {
                fields["in_body"] = json!(true);
            }
            fields
        }
    }
}

/// Describes the certificates of a PEM text.
fn count(pem: &str) -> String {
    match count_certificates(pem) {
        1 => "[1 certificate]".to_owned(),
        certificates => format!("[{certificates} certificates]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Headers, SettingsPatch};

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

    #[test]
    fn credentials_are_shown_without_secrets() {
        let pem = "-----BEGIN CERTIFICATE-----hunter2";
        let patch = json!({
            "auth": {"type": "oauth2", "token_url": "https://login.example/hunter2", "client_id": "id",
                     "client_secret": "hunter2", "scope": "s"},
            "client_certificate": {"certificates": format!("{pem}\n{pem}"), "key": "-----BEGIN PRIVATE KEY-----hunter2"},
            "trust_roots": pem,
            "private_key": "whsk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        });
        let patch: SettingsPatch = serde_json::from_value(patch).unwrap();
        let settings = patch.apply(&Settings::default()).unwrap();
        let expected = json!({
            "auth": {"type": "oauth2", "token_url": "https://login.example/…", "client_id": "id",
                     "client_secret": "[secret]", "scope": "s"},
            "client_certificate": {"certificates": "[2 certificates]", "key": "[secret]"},
            "trust_roots": "[1 certificate]",
            "private_key": "[secret]",
        });
        assert_eq!(serde_json::to_value(RedactedSettings(&settings)).unwrap(), expected);
        let basic: Auth =
            serde_json::from_str(r#"{"type":"basic","user":"x","password":"hunter2"}"#).unwrap();
        assert_eq!(redacted_auth(&basic), json!({"type": "basic", "user": "x", "password": "[secret]"}));
        assert!(!format!("{settings:?} {basic:?}").contains("hunter2"));
    }
}
