//! `--secret` and `--secret-file`, wherever a command needs a secret from its caller.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use decnet_core::limits::MAX_SECRET_CHARS;
use decnet_core::redact::Secret;
use decnet_core::subscription::check_secret_form;
use decnet_store::catalog::generate_secret;

use crate::failure::Usage;
use crate::output;

/// Bytes read of a file that should hold a secret: a whole one in four-byte characters, and a newline or two.
const MAX_FILE_BYTES: u64 = MAX_SECRET_CHARS as u64 * 4 + 4;

/// Where a secret comes from.
#[derive(clap::Args)]
pub(crate) struct SecretArgs {
    /// The secret; the process list shows it, so prefer --secret-file
    #[arg(long, value_name = "SECRET", conflicts_with = "secret_file", hide_env_values = true)]
    secret: Option<String>,
    /// A file with the secret on its first line; - for stdin
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl std::fmt::Debug for SecretArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretArgs").field("secret_file", &self.secret_file).finish_non_exhaustive()
    }
}

impl SecretArgs {
    /// The secret, if one was given. Warns of one that everybody on this host can read.
    ///
    /// # Errors
    /// A file that cannot be read, or is empty.
    pub(crate) fn read(&self) -> anyhow::Result<Option<Secret>> {
        if let Some(secret) = &self.secret {
            output::say("decnet: warning: other users see --secret in the process list; use --secret-file");
            return Ok(Some(Secret::new(secret.as_str())));
        }
        self.secret_file.as_deref().map(read_file).transpose()
    }

    /// The same for a secret that a subscription is to have.
    ///
    /// # Errors
    /// As [`SecretArgs::read`], and a secret that its receiver would not use as it looks.
    pub(crate) fn read_new(&self) -> anyhow::Result<Option<Secret>> {
        let secret = self.read()?;
        let form = secret.as_ref().map_or(Ok(()), |secret| check_secret_form(secret.expose()));
        form.map_err(|problem| Usage::new(problem.to_string()))?;
        Ok(secret)
    }

    /// The secret that was given, else a new one, then with its text, to be shown this once.
    ///
    /// # Errors
    /// As [`SecretArgs::read_new`].
    pub(crate) fn read_or_make(&self) -> anyhow::Result<(Secret, Option<String>)> {
        if let Some(given) = self.read_new()? {
            return Ok((given, None));
        }
        let made = generate_secret();
        Ok((Secret::new(made.as_str()), Some(made)))
    }
}

fn read_file(path: &Path) -> anyhow::Result<Secret> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(MAX_FILE_BYTES).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("the secret could not be read from {}", path.display()))?;
    let not_text = || Usage::new(format!("{} is not UTF-8 text; save it as UTF-8", path.display()));
    let text = String::from_utf8(bytes).map_err(|_| not_text())?;
    let secret = text.lines().next().unwrap_or_default();
    anyhow::ensure!(!secret.is_empty(), "{} holds no secret on its first line", path.display());
    Ok(Secret::new(secret))
}
