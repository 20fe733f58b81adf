//! The credentials of a subscription, as arguments. Secrets are read from files, since all users of this host can read arguments.

use std::path::{Path, PathBuf};

use decnet_core::limits::{MAX_AUTH_TEXT_BYTES, MAX_PEM_BYTES};
use decnet_core::redact::Secret;
use decnet_core::settings::{
    Auth, Change, ClientCertificate, Credentials, CredentialsError, OAuth2, PrivateKey, SettingsPatch,
    TrustRoots,
};
use decnet_sender::check_credentials;

use crate::commands::shared::secret_args::secret;
use crate::commands::shared::{file_args, receiver_url};
use crate::failure::Usage;

/// The maximum bytes read from a file with one line: a user name, a password, a colon and a line end.
const MAX_LINE_FILE_BYTES: u64 = 2 * MAX_AUTH_TEXT_BYTES as u64 + 3;

/// The credentials to change. Others are kept.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Credentials")]
pub(super) struct CredentialArgs {
    /// Authenticate with HTTP Basic: a file with `user:password` on its first line, or - for stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["bearer_file", "oauth2_token_url"])]
    basic_auth_file: Option<PathBuf>,
    /// Authenticate with a bearer token: a file with the token on its first line, or - for stdin
    #[arg(long, value_name = "FILE", conflicts_with = "oauth2_token_url")]
    bearer_file: Option<PathBuf>,
    /// Authenticate with tokens that this token endpoint issues for client credentials (OAuth 2.0)
    #[arg(long, value_name = "URL", value_parser = secret,
          requires_all = ["oauth2_client_id", "oauth2_client_secret_file"])]
    oauth2_token_url: Option<Secret>,
    /// The identifier of the client
    #[arg(long, value_name = "ID", requires = "oauth2_token_url")]
    oauth2_client_id: Option<String>,
    /// A file with the secret of the client on its first line, or - for stdin
    #[arg(long, value_name = "FILE", requires = "oauth2_token_url")]
    oauth2_client_secret_file: Option<PathBuf>,
    /// The requested scopes, separated by spaces
    #[arg(long, value_name = "SCOPE", requires = "oauth2_token_url")]
    oauth2_scope: Option<String>,
    /// The requested audience
    #[arg(long, value_name = "AUDIENCE", requires = "oauth2_token_url")]
    oauth2_audience: Option<String>,
    /// Send the client credentials in the body of token requests instead of a header
    #[arg(long, requires = "oauth2_token_url")]
    oauth2_in_body: bool,
    /// Send no credentials in the header `authorization`
    #[arg(long, conflicts_with_all = ["basic_auth_file", "bearer_file", "oauth2_token_url"])]
    no_auth: bool,
    /// A file with the client certificate of TLS and its chain, leaf first (PEM)
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// A file with the private key of the client certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// Use no client certificate
    #[arg(long, conflicts_with = "client_cert")]
    no_client_cert: bool,
    /// A file with the only root certificates that are trusted, instead of those of the system (PEM)
    #[arg(long, value_name = "FILE")]
    trust_roots: Option<PathBuf>,
    /// Trust the root certificates of the system
    #[arg(long, conflicts_with = "trust_roots")]
    no_trust_roots: bool,
    /// Also sign requests with this Ed25519 key: a file with the key on its first line, from `decnet subscription key`
    #[arg(long, value_name = "FILE")]
    private_key_file: Option<PathBuf>,
    /// Do not sign requests with an Ed25519 key
    #[arg(long, conflicts_with = "private_key_file")]
    no_private_key: bool,
}

impl CredentialArgs {
    /// Sets the changes that the arguments describe.
    ///
    /// # Errors
    /// A file cannot be read, or a value is invalid. Errors do not contain values.
    pub(super) fn apply(&self, patch: &mut SettingsPatch) -> anyhow::Result<()> {
        patch.auth = change(self.auth()?, self.no_auth);
        patch.client_certificate = change(self.client_certificate()?, self.no_client_cert);
        let roots = self.trust_roots.as_deref().map(|path| -> anyhow::Result<_> {
            let pem = read_pem(path, "root certificates")?;
            TrustRoots::new(pem.expose()).map_err(|error| usage("--trust-roots", &error))
        });
        patch.trust_roots = change(roots.transpose()?, self.no_trust_roots);
        let key = self.private_key_file.as_deref().map(|path| -> anyhow::Result<_> {
            let key = PrivateKey::new(read_line(path, "private key")?);
            key.map_err(|error| usage("--private-key-file", &error))
        });
        patch.private_key = change(key.transpose()?, self.no_private_key);
        Ok(check_credentials(&patch.new_credentials()).map_err(|problem| Usage::new(problem.to_string()))?)
    }

    fn auth(&self) -> anyhow::Result<Option<Auth>> {
        if let Some(path) = &self.basic_auth_file {
            let line = read_line(path, "user name and password")?;
            let form = || Usage::new("--basic-auth-file: the first line must be `user:password`");
            let (user, password) = line.expose().split_once(':').ok_or_else(form)?;
            let auth = Auth::basic(user, Secret::new(password));
            return auth.map(Some).map_err(|error| usage("--basic-auth-file", &error));
        }
        if let Some(path) = &self.bearer_file {
            let auth = Auth::bearer(read_line(path, "token")?);
            return auth.map(Some).map_err(|error| usage("--bearer-file", &error));
        }
        self.oauth2()
    }

    fn oauth2(&self) -> anyhow::Result<Option<Auth>> {
        let (Some(url), Some(id), Some(secret)) =
            (&self.oauth2_token_url, &self.oauth2_client_id, &self.oauth2_client_secret_file)
        else {
            return Ok(None);
        };
        let oauth2 = OAuth2 {
            token_url: receiver_url::parse(url.expose(), "--oauth2-token-url")?,
            client_id: id.as_str().into(),
            client_secret: read_line(secret, "client secret")?,
            scope: self.oauth2_scope.as_deref().map(Into::into),
            audience: self.oauth2_audience.as_deref().map(Into::into),
            in_body: self.oauth2_in_body,
        };
        let oauth2 = oauth2.validated().map_err(|error| usage("--oauth2-token-url", &error))?;
        Ok(Some(Auth::OAuth2(Box::new(oauth2))))
    }

    fn client_certificate(&self) -> anyhow::Result<Option<ClientCertificate>> {
        let (Some(chain), Some(key)) = (&self.client_cert, &self.client_key) else { return Ok(None) };
        let (chain, key) =
            (read_pem(chain, "client certificate")?, read_pem(key, "key of the client certificate")?);
        let certificate = ClientCertificate::new(chain.expose(), key);
        certificate.map(Some).map_err(|error| usage("--client-cert", &error))
    }
}

fn change<T>(value: Option<T>, is_removed: bool) -> Change<T> {
    match value {
        Some(value) => Change::To(value),
        None if is_removed => Change::Reset,
        None => Change::Keep,
    }
}

fn read_line(path: &Path, what: &str) -> anyhow::Result<Secret> {
    Ok(Secret::new(file_args::read_line(path, MAX_LINE_FILE_BYTES, what)?))
}

fn read_pem(path: &Path, what: &str) -> anyhow::Result<Secret> {
    Ok(Secret::new(file_args::read(path, MAX_PEM_BYTES as u64 + 1, what)?))
}

fn usage(argument: &str, error: &CredentialsError) -> anyhow::Error {
    Usage::new(format!("{argument}: {error}")).into()
}

/// Describes the credentials in a few words each, without secrets.
pub(super) fn summary(credentials: &Credentials) -> impl Iterator<Item = String> {
    let Credentials { auth, client_certificate, trust_roots, private_key } = credentials;
    let auth = auth.as_ref().map(|auth| match auth {
        Auth::Basic { user, .. } => format!("basic authentication as {user}"),
        Auth::Bearer(_) => "bearer token".to_owned(),
        Auth::OAuth2(oauth2) => format!("OAuth 2.0 client {} of {}", oauth2.client_id, oauth2.token_url),
    });
    let certificate = client_certificate.as_ref().map(|_| "client certificate".to_owned());
    let roots = trust_roots.as_ref().map(|_| "own root certificates".to_owned());
    let key = private_key.as_ref().map(|key| format!("signs with {}", super::key_pair::public_key(key)));
    [auth, certificate, roots, key].into_iter().flatten()
}
