//! `--url` and `--url-file`: the URL of a subscription.

use std::path::PathBuf;

use decnet_core::redact::{EndpointUrl, Secret};

use crate::commands::shared::receiver_url;
use crate::commands::shared::secret_args::secret;

/// The source of a URL.
#[derive(Debug, clap::Args)]
pub(super) struct UrlArgs {
    /// The URL of the receiver, http or https; visible in the process list, so prefer --url-file for secret URLs, such as those
    /// of chat services
    #[arg(long, conflicts_with = "url_file", value_parser = secret)]
    url: Option<Secret>,
    /// A file with the URL on its first line, or - for stdin
    #[arg(long, value_name = "FILE")]
    url_file: Option<PathBuf>,
}

impl UrlArgs {
    /// Returns the URL, if one was given.
    ///
    /// # Errors
    /// The URL is invalid, or the file cannot be read or is empty. The error does not contain the URL, which may be a secret.
    pub(super) fn read(&self) -> anyhow::Result<Option<EndpointUrl>> {
        match (&self.url, &self.url_file) {
            (Some(url), _) => receiver_url::parse(url.expose(), "--url").map(Some),
            (None, Some(path)) => receiver_url::read(path, "--url-file").map(Some),
            (None, None) => Ok(None),
        }
    }
}
