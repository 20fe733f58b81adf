//! `--url` and `--url-file`: the URL of a subscription.

use std::path::PathBuf;

use decnet_core::limits::MAX_URL_BYTES;
use decnet_core::redact::{EndpointUrl, Secret, UrlError};

use crate::commands::shared::file_args;
use crate::commands::shared::secret_args::secret;
use crate::failure::Usage;

/// The maximum bytes of a URL file: the longest URL and a line end.
const MAX_FILE_BYTES: u64 = MAX_URL_BYTES as u64 + 2;

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
        let (text, from) = match (&self.url, &self.url_file) {
            (Some(url), _) => (url.expose().to_owned(), "--url"),
            (None, Some(path)) => (file_args::read_line(path, MAX_FILE_BYTES + 1, "URL")?, "--url-file"),
            (None, None) => return Ok(None),
        };
        let url = EndpointUrl::new(text.trim()).map_err(|error| {
            let hint = if matches!(error, UrlError::Syntax(_)) { "; write https://host/path" } else { "" };
            Usage::new(format!("{from}: {error}{hint}"))
        });
        Ok(Some(url?))
    }
}
