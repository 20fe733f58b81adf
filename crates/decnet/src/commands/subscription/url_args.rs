//! `--url` and `--url-file`: where a subscription's events go.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use decnet_core::limits::MAX_URL_BYTES;
use decnet_core::redact::{EndpointUrl, UrlError};
use decnet_core::text::BYTE_ORDER_MARK;

use crate::failure::Usage;

/// Bytes of a file that should hold a URL: the longest, and a line end.
const MAX_FILE_BYTES: u64 = MAX_URL_BYTES as u64 + 2;

/// Where a URL comes from.
#[derive(clap::Args)]
pub(super) struct UrlArgs {
    /// Where its events go: http or https; the process list shows it, so prefer --url-file for one that is a secret, as those of
    /// chats are
    #[arg(long, conflicts_with = "url_file")]
    url: Option<String>,
    /// A file with that URL on its first line; - for stdin
    #[arg(long, value_name = "FILE")]
    url_file: Option<PathBuf>,
}

impl std::fmt::Debug for UrlArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UrlArgs").field("url_file", &self.url_file).finish_non_exhaustive()
    }
}

impl UrlArgs {
    /// The URL, if one was given.
    ///
    /// # Errors
    /// One that is refused, without the text, which may hold a secret; a file that cannot be read or is empty.
    pub(super) fn read(&self) -> anyhow::Result<Option<EndpointUrl>> {
        let (text, from) = match (&self.url, &self.url_file) {
            (Some(url), _) => (url.clone(), "--url"),
            (None, Some(path)) => (read_file(path)?, "--url-file"),
            (None, None) => return Ok(None),
        };
        let url = EndpointUrl::new(&text).map_err(|error| {
            let hint = if matches!(error, UrlError::Syntax(_)) { "; write https://host/path" } else { "" };
            Usage::new(format!("{from}: {error}{hint}"))
        });
        Ok(Some(url?))
    }

    /// The URL.
    ///
    /// # Errors
    /// As [`UrlArgs::read`], and none.
    pub(super) fn required(&self) -> anyhow::Result<EndpointUrl> {
        Ok(self.read()?.ok_or_else(|| Usage::new("give --url or --url-file: where its events go"))?)
    }
}

fn read_file(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let bound = MAX_FILE_BYTES + 1;
    let read = if path == Path::new("-") {
        std::io::stdin().take(bound).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(bound).read_to_string(&mut text))
    };
    read.with_context(|| format!("the URL could not be read from {}", path.display()))?;
    let mark = "begins with a byte order mark (U+FEFF); save it without one";
    anyhow::ensure!(!text.starts_with(BYTE_ORDER_MARK), "{} {mark}", path.display());
    let url = text.lines().next().unwrap_or_default().trim();
    anyhow::ensure!(!url.is_empty(), "{} holds no URL on its first line", path.display());
    Ok(url.to_owned())
}
