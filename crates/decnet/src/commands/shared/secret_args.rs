//! `--secret` and `--secret-file`, for commands that need a secret.

use std::convert::Infallible;
use std::path::PathBuf;

use decnet_core::limits::MAX_SECRET_CHARS;
use decnet_core::redact::Secret;
use decnet_core::subscription::check_secret_form;
use decnet_store::catalog::generate_secret;

use super::file_args;
use crate::failure::Usage;
use crate::output;

/// The maximum number of bytes read from a secret file: the longest secret in four-byte characters, and a few for line ends.
const MAX_FILE_BYTES: u64 = MAX_SECRET_CHARS as u64 * 4 + 4;

/// Wraps an argument that may be a secret, so that it is not printed with the other arguments.
///
/// # Errors
/// Never; clap needs a result.
pub(crate) fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

/// The source of a secret.
#[derive(Debug, clap::Args)]
pub(crate) struct SecretArgs {
    /// The secret; visible in the process list, so prefer --secret-file
    #[arg(long, value_name = "SECRET", conflicts_with = "secret_file", hide_env_values = true, value_parser = secret)]
    secret: Option<Secret>,
    /// A file with the secret on its first line, or - for stdin
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl SecretArgs {
    /// Returns the secret, if one was given. Warns if it was given as an argument, which all users of this host can read.
    ///
    /// # Errors
    /// The file cannot be read, or has no secret.
    pub(crate) fn read(&self) -> anyhow::Result<Option<Secret>> {
        if let Some(secret) = &self.secret {
            output::warn("other users can read --secret in the process list; use --secret-file");
            return Ok(Some(secret.clone()));
        }
        let Some(path) = &self.secret_file else { return Ok(None) };
        Ok(Some(Secret::new(file_args::read_line(path, MAX_FILE_BYTES, "secret")?)))
    }

    /// Returns a new secret for a subscription, if one was given.
    ///
    /// # Errors
    /// As [`SecretArgs::read`]; also if receivers would decode the secret in different ways.
    pub(crate) fn read_new(&self) -> anyhow::Result<Option<Secret>> {
        let secret = self.read()?;
        let form = secret.as_ref().map_or(Ok(()), |secret| check_secret_form(secret.expose()));
        form.map_err(|problem| Usage::new(problem.to_string()))?;
        Ok(secret)
    }

    /// Returns the given secret, or generates one and also returns its text, to be shown once.
    ///
    /// # Errors
    /// As [`SecretArgs::read_new`].
    pub(crate) fn read_or_generate(&self) -> anyhow::Result<(Secret, Option<String>)> {
        if let Some(given) = self.read_new()? {
            return Ok((given, None));
        }
        let generated = generate_secret();
        Ok((Secret::new(generated.as_str()), Some(generated)))
    }
}
