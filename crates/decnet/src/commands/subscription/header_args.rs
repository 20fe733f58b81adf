//! `--header` and `--header-file`: additional headers of a subscription's requests.

use std::path::{Path, PathBuf};

use decnet_core::limits::{MAX_CUSTOM_HEADERS, MAX_CUSTOM_HEADERS_BYTES};
use decnet_core::redact::Secret;
use decnet_core::settings::{Change, HeaderChanges, HeaderError};
use decnet_core::text::BYTE_ORDER_MARK;

use crate::commands::shared::file_args;
use crate::commands::shared::secret_args::secret;
use crate::failure::Usage;
use crate::output;

/// The maximum bytes of a file of headers: the limit of the headers, plus colons, spaces and line ends.
const MAX_FILE_BYTES: u64 = (MAX_CUSTOM_HEADERS_BYTES + 16 * MAX_CUSTOM_HEADERS) as u64;

/// The headers to set and to remove. Others are kept.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Custom headers")]
pub(super) struct HeaderArgs {
    /// A header of every request; visible in the process list, so prefer --header-file for secrets
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = secret)]
    headers: Vec<Secret>,
    /// A file with one header per line, or - for stdin
    #[arg(long, value_name = "FILE")]
    header_file: Option<PathBuf>,
    /// Remove this header
    #[arg(long = "no-header", value_name = "NAME")]
    removed: Vec<String>,
    /// Remove all custom headers
    #[arg(long, conflicts_with_all = ["headers", "header_file", "removed"])]
    no_headers: bool,
}

impl HeaderArgs {
    /// Returns the change of the headers. Warns if values were given as arguments, which all users of this host can read.
    ///
    /// # Errors
    /// A header is invalid, or the file cannot be read.
    pub(super) fn read(&self) -> anyhow::Result<Change<HeaderChanges>> {
        if self.no_headers {
            return Ok(Change::Reset);
        }
        if !self.headers.is_empty() {
            output::warn("other users can read --header in the process list; use --header-file for secrets");
        }
        let file = self.header_file.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let lines = self.headers.iter().map(Secret::expose).chain(file.lines());
        let set = lines.filter(|line| !line.trim().is_empty()).map(|line| {
            let (name, value) = HeaderChanges::split(line)?;
            Ok((name.trim(), Some(value)))
        });
        let removed = self.removed.iter().map(|name| Ok((name.as_str(), None)));
        let changes = set.chain(removed).collect::<Result<Vec<_>, HeaderError>>();
        let changes = changes.and_then(HeaderChanges::new).map_err(|error| Usage::new(error.to_string()))?;
        Ok(if changes == HeaderChanges::default() { Change::Keep } else { Change::To(changes) })
    }
}

fn read_file(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let text = file_args::read(path, MAX_FILE_BYTES + 1, "headers")?;
    anyhow::ensure!(
        text.len() as u64 <= MAX_FILE_BYTES,
        "{shown} is longer than the maximum size of headers"
    );
    anyhow::ensure!(!text.trim().is_empty(), "{shown} contains no header; write one header per line");
    // Some editors write a byte order mark.
    Ok(text.strip_prefix(BYTE_ORDER_MARK).map(str::to_owned).unwrap_or(text))
}
