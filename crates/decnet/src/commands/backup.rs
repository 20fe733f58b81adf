//! `decnet backup`: catalog and queue in one file, while everything runs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use decnet_store::backup;
use decnet_store::ownership::directory_of;
use serde_json::json;
use tempfile::{Builder, TempDir};

use super::progress::Progress;
use crate::context::Context;
use crate::failure::Usage;
use crate::output;

/// The names in a backup.
pub(super) const QUEUE: &str = "queue.db";
pub(super) const CATALOG: &str = "catalog.db";
/// Time between two looks at how far a copy is.
const LOOK: Duration = Duration::from_millis(100);
const MIB: f64 = 1024.0 * 1024.0;

/// Writes catalog and queue into one file, while everything runs.
///
/// FILE becomes a tar archive with queue.db and catalog.db, readable by its owner alone: it holds the subscriptions' secrets
/// and the payloads. Beside it there must be room for twice its size. `decnet restore` puts it back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet backup /var/backups/decnet-2026-11-25.tar
  decnet backup /var/backups/decnet.tar --json")]
pub(crate) struct Args {
    /// Where it goes; must not be there yet
    file: PathBuf,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let file = &args.file;
    if file.as_os_str() == "-" {
        return Err(Usage::new("a backup is not written to stdout; name a file, such as decnet.tar").into());
    }
    if file.try_exists()? {
        return Err(Usage::new(format!("{} is there already; name another file", file.display())).into());
    }
    let place = directory_of(file);
    let beside = |error| format!("nothing can be written in {}: {error}", place.display());
    let copies = Builder::new().prefix(".decnet-backup-").tempdir_in(place);
    let copies = copies.map_err(|error| anyhow::anyhow!(beside(error)))?;
    let names = copy_all(&copies, context).await?;
    let (file, target) = (file.clone(), place.to_owned());
    let packed = {
        let (copies, names) = (copies.path().to_owned(), names.clone());
        tokio::task::spawn_blocking(move || pack(&copies, &names, &target, &file)).await??
    };
    let file = args.file.display().to_string();
    let what = format!("{file}: {:.1} MiB, holds {}", packed as f64 / MIB, names.join(" and "));
    let json = || output::json(&json!({"file": file, "bytes": packed, "holds": names}));
    output::done(&format!("wrote {what}"), if args.json { json() } else { output::line(&what) })
}

/// The queue first, then the catalog: what the queue has is then in the catalog, unless it was deleted.
async fn copy_all(copies: &TempDir, context: &Context) -> anyhow::Result<Vec<&'static str>> {
    let sources =
        [(QUEUE, context.config.data_dir.join(QUEUE)), (CATALOG, context.config.database.path()?.to_owned())];
    let mut names = Vec::new();
    for (name, source) in sources {
        if source.try_exists().with_context(|| format!("{} cannot be looked at", source.display()))? {
            copy(&source, copies.path().join(name), context).await?;
            names.push(name);
        }
    }
    if names.is_empty() {
        let dir = context.config.data_dir.display();
        anyhow::bail!(
            "there is nothing to back up in {dir}; say with --data-dir where catalog and queue are"
        );
    }
    Ok(names)
}

/// On a thread of its own, so that a bar moves and a signal ends it.
async fn copy(source: &Path, target: PathBuf, context: &Context) -> anyhow::Result<()> {
    let total = backup::size(source)?;
    let progress = Progress::new(Some(total / 1024), "KiB");
    let mut copying = tokio::task::spawn_blocking({
        let (source, target) = (source.to_owned(), target.clone());
        move || backup::copy(&source, &target)
    });
    loop {
        tokio::select! {
            done = &mut copying => break done??,
            () = tokio::time::sleep(LOOK) => {
                progress.set_position(std::fs::metadata(&target).map_or(0, |file| file.len() / 1024));
            }
            () = context.shutdown.cancelled() => anyhow::bail!("ended before it was complete; nothing was written"),
        }
    }
    progress.finish();
    Ok(())
}

/// Into a file that has its name only once it is whole and on the disk. Its bytes.
fn pack(copies: &Path, names: &[&str], place: &Path, file: &Path) -> anyhow::Result<u64> {
    let packed = Builder::new().prefix(".decnet-backup-").tempfile_in(place)?;
    let mut archive = tar::Builder::new(packed);
    for name in names {
        let mut copy = File::open(copies.join(name))?;
        let mut header = tar::Header::new_gnu();
        header.set_size(copy.metadata()?.len());
        header.set_mode(0o600);
        archive.append_data(&mut header, name, &mut copy)?;
    }
    let packed = archive.into_inner()?;
    packed.as_file().sync_all()?;
    let bytes = packed.as_file().metadata()?.len();
    packed.persist_noclobber(file).with_context(|| format!("{} cannot be written", file.display()))?;
    File::open(place)?.sync_all()?;
    Ok(bytes)
}
