//! The JSON form of credentials: in the catalog and in changes. Only [`Credentials::to_stored`] writes secrets.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Auth, ClientCertificate, Credentials, CredentialsError, OAuth2, PrivateKey, TrustRoots};
use crate::redact::{EndpointUrl, Secret};

/// The fields of stored credentials.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    auth: Option<AuthForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_certificate: Option<CertificateForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trust_roots: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    private_key: Option<String>,
}

/// The fields of an [`Auth`] before validation.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum AuthForm {
    Basic {
        user: String,
        password: String,
    },
    Bearer {
        token: String,
    },
    OAuth2 {
        token_url: String,
        client_id: String,
        client_secret: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audience: Option<String>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        in_body: bool,
    },
}

/// The fields of a [`ClientCertificate`] before validation.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateForm {
    certificates: String,
    key: String,
}

impl Credentials {
    /// Parses the output of [`Self::to_stored`].
    ///
    /// # Errors
    /// The text is not a JSON object of credentials, or one of them is invalid.
    pub fn from_stored(json: &str) -> Result<Self, CredentialsError> {
        let fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(json).map_err(|_| CredentialsError::Json)?;
        let form =
            StoredForm::deserialize(serde_json::Value::Object(fields)).map_err(|_| CredentialsError::Json)?;
        Ok(Self {
            auth: form.auth.map(Auth::try_from).transpose()?,
            client_certificate: form.client_certificate.map(ClientCertificate::try_from).transpose()?,
            trust_roots: form.trust_roots.map(TrustRoots::try_from).transpose()?,
            private_key: form.private_key.map(PrivateKey::try_from).transpose()?,
        })
    }

    /// Returns the form in which the catalog stores the credentials, including their secrets: a JSON object.
    #[must_use]
    pub fn to_stored(&self) -> Secret {
        let form = StoredForm {
            auth: self.auth.as_ref().map(AuthForm::from),
            client_certificate: self.client_certificate.as_ref().map(CertificateForm::from),
            trust_roots: self.trust_roots.as_ref().map(|roots| roots.as_str().to_owned()),
            private_key: self.private_key.as_ref().map(|key| key.as_secret().expose().to_owned()),
        };
        Secret::new(serde_json::to_string(&form).expect("texts and flags are valid JSON"))
    }
}

impl From<&Auth> for AuthForm {
    fn from(auth: &Auth) -> Self {
        match auth {
            Auth::Basic { user, password } => {
                Self::Basic { user: user.to_string(), password: password.expose().to_owned() }
            }
            Auth::Bearer(token) => Self::Bearer { token: token.expose().to_owned() },
            Auth::OAuth2(oauth2) => Self::OAuth2 {
                token_url: oauth2.token_url.expose().to_owned(),
                client_id: oauth2.client_id.to_string(),
                client_secret: oauth2.client_secret.expose().to_owned(),
                scope: oauth2.scope.as_deref().map(str::to_owned),
                audience: oauth2.audience.as_deref().map(str::to_owned),
                in_body: oauth2.in_body,
            },
        }
    }
}

impl TryFrom<AuthForm> for Auth {
    type Error = CredentialsError;

    fn try_from(form: AuthForm) -> Result<Self, CredentialsError> {
        match form {
            AuthForm::Basic { user, password } => Self::basic(&user, Secret::new(password)),
            AuthForm::Bearer { token } => Self::bearer(Secret::new(token)),
            AuthForm::OAuth2 { token_url, client_id, client_secret, scope, audience, in_body } => {
                let oauth2 = OAuth2 {
                    token_url: EndpointUrl::new(&token_url).map_err(|_| CredentialsError::TokenUrl)?,
                    client_id: client_id.into(),
                    client_secret: Secret::new(client_secret),
                    scope: scope.map(Into::into),
                    audience: audience.map(Into::into),
                    in_body,
                };
                Ok(Self::OAuth2(Box::new(oauth2.validated()?)))
            }
        }
    }
}

impl From<&ClientCertificate> for CertificateForm {
    fn from(certificate: &ClientCertificate) -> Self {
        Self { certificates: certificate.chain().to_owned(), key: certificate.key().expose().to_owned() }
    }
}

impl TryFrom<CertificateForm> for ClientCertificate {
    type Error = CredentialsError;

    fn try_from(form: CertificateForm) -> Result<Self, CredentialsError> {
        Self::new(&form.certificates, Secret::new(form.key))
    }
}

impl TryFrom<String> for TrustRoots {
    type Error = CredentialsError;

    fn try_from(pem: String) -> Result<Self, CredentialsError> {
        Self::new(&pem)
    }
}

impl TryFrom<String> for PrivateKey {
    type Error = CredentialsError;

    fn try_from(text: String) -> Result<Self, CredentialsError> {
        Self::new(Secret::new(text))
    }
}

/// Deserializes the fields `F` and validates them. Errors do not contain the input, which may be a misplaced secret; `form`
/// describes the expected fields.
fn validated<'de, F, T, D>(deserializer: D, form: &'static str) -> Result<T, D::Error>
where
    F: DeserializeOwned,
    T: TryFrom<F, Error = CredentialsError>,
    D: Deserializer<'de>,
{
    let json = serde_json::Value::deserialize(deserializer)?;
    let fields = F::deserialize(json).map_err(|_| D::Error::custom(form))?;
    T::try_from(fields).map_err(D::Error::custom)
}

impl<'de> Deserialize<'de> for Auth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = "auth must be an object with `type` and its fields: `basic` with `user` and `password`, `bearer` with \
                    `token`, or `oauth2` with `token_url`, `client_id`, `client_secret` and optionally `scope`, `audience` \
                    and `in_body`";
        validated::<AuthForm, _, _>(deserializer, form)
    }
}

impl<'de> Deserialize<'de> for ClientCertificate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = "client_certificate must be an object with `certificates` and `key`, both PEM texts";
        validated::<CertificateForm, _, _>(deserializer, form)
    }
}

impl<'de> Deserialize<'de> for TrustRoots {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        validated::<String, _, _>(deserializer, "trust_roots must be a PEM text")
    }
}

impl<'de> Deserialize<'de> for PrivateKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        validated::<String, _, _>(deserializer, "private_key must be a text that starts with `whsk_`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";

    fn oauth2(token_url: &str) -> String {
        format!(
            r#"{{"type":"oauth2","token_url":"{token_url}","client_id":"decnet","client_secret":"hunter2","scope":"a b","in_body":true}}"#
        )
    }

    fn stored(auth: &str) -> String {
        let (pem, seed) = (serde_json::json!(PEM), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        format!(
            r#"{{"auth":{auth},"client_certificate":{{"certificates":{pem},"key":{pem}}},"trust_roots":{pem},"private_key":"whsk_{seed}"}}"#
        )
    }

    #[test]
    fn stored_form_round_trips() {
        let oauth2 = oauth2("https://login.example/token?tenant=1");
        for auth in [
            r#"{"type":"basic","user":"x","password":"a:b"}"#,
            r#"{"type":"bearer","token":"hunter2"}"#,
            &oauth2,
        ] {
            let json = stored(auth);
            let credentials = Credentials::from_stored(&json).unwrap();
            assert_eq!(credentials.to_stored().expose(), json);
            assert_eq!(Credentials::from_stored(credentials.to_stored().expose()), Ok(credentials.clone()));
            assert!(!format!("{credentials:?}").contains("hunter2"), "{credentials:?}");
        }
        assert_eq!(Credentials::from_stored("{}"), Ok(Credentials::default()));
        assert_eq!(Credentials::default().to_stored().expose(), "{}");
    }

    #[test]
    fn invalid_stored_credentials_are_rejected() {
        for bad in [
            "",
            "[]",
            r#"{"auth":"hunter2"}"#,
            r#"{"auth":{"type":"hunter2"}}"#,
            r#"{"auth":{"type":"bearer","token":"x","scope":"y"}}"#,
            r#"{"hunter2":1}"#,
            r#"{"client_certificate":{"certificates":"-----BEGIN CERTIFICATE-----"}}"#,
        ] {
            assert_eq!(Credentials::from_stored(bad), Err(CredentialsError::Json), "{bad}");
        }
        let token_url = stored(&oauth2("https://a:hunter2@login.example/"));
        assert_eq!(Credentials::from_stored(&token_url), Err(CredentialsError::TokenUrl));
    }

    #[test]
    fn errors_of_changes_do_not_contain_the_input() {
        for bad in [
            r#""hunter2""#,
            r#"{"type":"hunter2"}"#,
            r#"{"type":"basic","user":"hunter2"}"#,
            r#"{"type":"basic","user":"hun:ter2","password":"hunter2"}"#,
            r#"{"type":"bearer","token":"hunter2\n"}"#,
            r#"{"type":"bearer","token":"x","hunter2":1}"#,
        ] {
            let error = serde_json::from_str::<Auth>(bad).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && !error.is_empty(), "{bad}: {error}");
        }
        let certificate =
            serde_json::from_str::<ClientCertificate>(r#"{"certificates":"hunter2","key":"hunter2"}"#);
        assert!(!certificate.unwrap_err().to_string().contains("hunter2"));
        let key = serde_json::from_str::<PrivateKey>(r#""whsk_hunter2""#).unwrap_err().to_string();
        assert!(!key.contains("hunter2") && key.contains("decnet subscription key"), "{key}");
        assert!(
            !serde_json::from_str::<TrustRoots>("[\"hunter2\"]").unwrap_err().to_string().contains("hunter2")
        );
    }
}
