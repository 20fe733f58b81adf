//! Access to the HTTP API: DECNET's session secret and the CORS origins.

use std::path::{Path, PathBuf};

use decnet_core::access::JwtKey;
use decnet_core::redact::Secret;

use super::Inputs;
use super::keys;
use super::layers::Layers;
use super::secret_file;

/// The name of the secret in `$CREDENTIALS_DIRECTORY` (systemd.exec(5), `LoadCredential=`).
const CREDENTIAL: &str = "decnet-jwt-secret";

/// Access to the HTTP API in addition to the tokens in the catalog.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    /// The key that signs DECNET's sessions, if they are accepted.
    pub(crate) jwt_secret: Option<Secret>,
    /// The origins of web pages whose scripts may read responses.
    pub(crate) cors_origins: Vec<String>,
}

impl Access {
    pub(super) fn read(layers: &mut Layers, inputs: &Inputs) -> Self {
        let (secret, file) = (layers.find(&keys::JWT_SECRET), layers.find(&keys::JWT_SECRET_FILE));
        let cors_origins = layers.read(&keys::CORS_ORIGINS);
        let is_set = layers.text(keys::JWT_SECRET.info.name).is_some();
        if is_set && file.is_some() {
            let (one, other) = (keys::JWT_SECRET.info.name, keys::JWT_SECRET_FILE.info.name);
            layers.warnings.push(format!("{one} is set, so {other} is not read"));
        }
        let file = file.or_else(|| credential(inputs, CREDENTIAL)).filter(|_| !is_set);
        let place = match &file {
            Some(file) => file.display().to_string(),
            None => format!("{} ({})", keys::JWT_SECRET.info.name, layers.source(keys::JWT_SECRET.info.name)),
        };
        let secret = secret.or_else(|| {
            let read = from_file(layers, &file?);
            read.map_err(|problem| layers.problems.push(problem)).ok()
        });
        if let Some(weakness) = secret.as_ref().and_then(JwtKey::weakness) {
            layers.warnings.push(format!(
                "{place}: the secret {weakness}, and anyone who guesses it is an admin; generate a secret with `openssl rand -hex 32` \
                 and set it in DECNET too"
            ));
        }
        Self { jwt_secret: secret, cors_origins }
    }
}

/// Returns the path of a secret that systemd passes to the service, if it exists.
pub(super) fn credential(inputs: &Inputs, name: &str) -> Option<PathBuf> {
    let directory = inputs.environment.get("CREDENTIALS_DIRECTORY").filter(|path| !path.is_empty())?;
    Some(Path::new(directory).join(name)).filter(|path| path.exists())
}

/// Reads the secret on the first line of a file.
///
/// # Errors
/// The problem, without the secret.
fn from_file(layers: &mut Layers, path: &Path) -> Result<Secret, String> {
    let name = keys::JWT_SECRET_FILE.info.name;
    let secret = secret_file::read(layers, name, path)?;
    JwtKey::new(&secret).map_err(|weak| {
        format!("{name}: the secret in {} {weak}; use a longer secret here and in DECNET", path.display())
    })?;
    Ok(secret)
}
