//! `decnet backup`: writes catalog and queue into one file while the services run.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use decnet_store::backup;
use decnet_store::ownership::directory_of;
use indicatif::HumanBytes;
use serde_json::{Value, json};
use tempfile::{Builder, TempDir};

use super::shared::progress;
use crate::context::Context;
use crate::failure::Usage;
use crate::output::{self, Text};
use crate::receiver::now;

/// The names of the archive's members.
pub(super) const QUEUE: &str = "queue.db";
pub(super) const CATALOG: &str = "catalog.db";
/// The first member, a JSON object that describes the others.
pub(super) const MANIFEST: &str = "manifest.json";
/// The interval at which the progress of a copy is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Writes catalog and queue into one file while the services run.
///
/// FILE becomes a tar archive with queue.db, catalog.db and manifest.json. Only its owner can read it: it contains the
/// subscriptions' secrets and the payloads. It does not contain the key file (DECNET_WEBHOOK_KEY_FILE); the output and the
/// manifest name the keys that it needs. Its directory needs free space of twice its size. `decnet restore` restores it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet backup /var/backups/decnet-2026-11-25.tar
  decnet backup /var/backups/decnet.tar --json")]
pub(crate) struct Args {
    /// The file to write; it must not exist
    file: PathBuf,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let file = &args.file;
    let (is_stdout, shown) = (file.as_os_str() == "-", file.display());
    let stdout = "a backup cannot be written to stdout; specify a file, such as decnet.tar";
    anyhow::ensure!(!is_stdout, Usage::new(stdout));
    anyhow::ensure!(!file.try_exists()?, Usage::new(format!("{shown} already exists; specify another file")));
    let place = directory_of(file);
    let copies = Builder::new().prefix(".decnet-backup-").tempdir_in(place);
    let copies = copies.with_context(|| format!("cannot write to {}", place.display()))?;
    let names = copy_all(&copies, context).await?;
    let keys = if names.contains(&CATALOG) {
        backup::encryption_keys(&copies.path().join(CATALOG))?
    } else {
        Vec::new()
    };
    let manifest = json!({"decnet": env!("CARGO_PKG_VERSION"), "created_at": now().to_iso8601(), "holds": names, "encryption_keys": keys});
    let packed = tokio::task::spawn_blocking({
        let (copies, names, file) = (copies.path().to_owned(), names.clone(), file.clone());
        move || pack(&manifest, &copies, &names, &file)
    });
    let (packed, file) = (packed.await??, file.display().to_string());
    let what = format!("{file}: {}, contains {}", HumanBytes(packed), names.join(" and "));
    let json =
        || output::json(&json!({"file": file, "bytes": packed, "holds": names, "encryption_keys": keys}));
    let print = || {
        let mut text = Text::from(&*what);
        text.end_line();
        if !keys.is_empty() {
            text.line(format!(
                "{}; the key file is not in the backup: keep a copy of it",
                needed_keys(&keys)
            ));
        }
        output::print(&text)
    };
    output::done(&format!("wrote {what}"), if args.json { json() } else { print() })
}

/// Describes the keys that a catalog needs.
pub(super) fn needed_keys(keys: &[String]) -> String {
    let noun = if keys.len() == 1 { "key" } else { "keys" };
    format!("{CATALOG} needs the encryption {noun} {}", keys.join(", "))
}

/// Copies the queue, then the catalog. In this order the catalog has every subscription of the queue, unless it was deleted.
async fn copy_all(copies: &TempDir, context: &Context) -> anyhow::Result<Vec<&'static str>> {
    let sources =
        [(QUEUE, context.config.data_dir.join(QUEUE)), (CATALOG, context.config.database.path()?.to_owned())];
    let mut names = Vec::new();
    for (name, source) in sources {
        if source.try_exists().with_context(|| format!("cannot access {}", source.display()))? {
            copy(&source, copies.path().join(name), context).await?;
            names.push(name);
        }
    }
    if names.is_empty() {
        let dir = context.config.data_dir.display();
        anyhow::bail!(
            "there is nothing to back up in {dir}; specify the directory of catalog and queue with --data-dir"
        );
    }
    Ok(names)
}

/// Copies a database on a blocking thread, so that progress is shown and a signal interrupts the command.
async fn copy(source: &Path, target: PathBuf, context: &Context) -> anyhow::Result<()> {
    let total = backup::size(source)?;
    let bar = progress::bar(Some(total / 1024), "KiB");
    let mut copying = tokio::task::spawn_blocking({
        let (source, target) = (source.to_owned(), target.clone());
        move || backup::copy(&source, &target)
    });
    loop {
        tokio::select! {
            done = &mut copying => break done??,
            () = tokio::time::sleep(POLL_INTERVAL) => {
                bar.set_position(std::fs::metadata(&target).map_or(0, |file| file.len() / 1024));
            }
            () = context.shutdown.cancelled() => anyhow::bail!("interrupted; no backup was written"),
        }
    }
    Ok(())
}

/// Writes the archive and returns its size in bytes. The file gets its name only when it is complete and synced.
fn pack(manifest: &Value, copies: &Path, names: &[&str], file: &Path) -> anyhow::Result<u64> {
    let place = directory_of(file);
    let packed = Builder::new().prefix(".decnet-backup-").tempfile_in(place)?;
    let mut archive = tar::Builder::new(packed);
    let manifest = manifest.to_string() + "\n";
    archive.append_data(&mut header(manifest.len() as u64), MANIFEST, manifest.as_bytes())?;
    for name in names {
        let copy = File::open(copies.join(name))?;
        archive.append_data(&mut header(copy.metadata()?.len()), name, copy)?;
    }
    let packed = archive.into_inner()?;
    packed.as_file().sync_all()?;
    let bytes = packed.as_file().metadata()?.len();
    packed.persist_noclobber(file).with_context(|| format!("cannot write {}", file.display()))?;
    File::open(place)?.sync_all()?;
    Ok(bytes)
}

fn header(bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o600);
    header
}
