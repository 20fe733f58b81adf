//! `decnet restore`: what `decnet backup` wrote, into a data directory where nothing is.

use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use decnet_store::backup;
use serde_json::json;
use tempfile::{Builder, NamedTempFile};

use super::backup::{CATALOG, QUEUE};
use super::ownership;
use crate::context::Context;
use crate::output;

/// Puts a backup into a data directory, where nothing is yet.
///
/// Nothing is overwritten, and nothing is done while a worker runs there. A catalog that DECNET_DB_URL places outside of the
/// data directory stays as it is, where there is one: only the queue is restored. The next start goes on as after a crash
/// at the moment of the backup: what was delivered since is sent again. What root restores belongs to the owner of the
/// directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet restore /var/backups/decnet-2026-11-25.tar --data-dir /srv/decnet
  decnet --data-dir /srv/decnet restore decnet.tar --json")]
pub(crate) struct Args {
    /// The backup
    file: PathBuf,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Where a file of the backup goes.
struct Target {
    name: &'static str,
    path: PathBuf,
    /// It is there, and stays.
    kept: bool,
}

/// A file that was read from the backup, and where it goes.
struct Unpacked {
    name: &'static str,
    file: NamedTempFile,
    target: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let dir = &context.config.data_dir;
    let archive =
        File::open(&args.file).with_context(|| format!("{} cannot be read", args.file.display()))?;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("the data directory {} cannot be made", dir.display()))?;
    let held = backup::hold(dir)?;
    let targets = targets(dir, context.config.database.path()?)?;
    let unpacked =
        unpack(archive, &targets).with_context(|| format!("{} cannot be restored", args.file.display()))?;
    for one in &unpacked {
        verify(one)?;
    }
    let made: Vec<_> =
        unpacked.iter().map(|one| one.target.clone()).chain([dir.join("queue.lock")]).collect();
    let restored = unpacked.into_iter().map(put).collect::<anyhow::Result<Vec<_>>>()?;
    ownership::settle(made.iter().map(PathBuf::as_path))?;
    drop(held);
    tell(args, &restored, &targets)
}

/// Refuses what is there already, but for a catalog elsewhere: it is DECNET's, and holds more than ours.
fn targets(dir: &Path, catalog: &Path) -> anyhow::Result<[Target; 2]> {
    let queue = Target { name: QUEUE, path: dir.join(QUEUE), kept: false };
    let kept = catalog.try_exists()? && !is_in(catalog, dir)?;
    let catalog = Target { name: CATALOG, path: catalog.to_owned(), kept };
    let targets = [queue, catalog];
    targets.iter().filter(|target| !target.kept).try_for_each(|target| refuse_what_is_there(&target.path))?;
    Ok(targets)
}

fn is_in(file: &Path, dir: &Path) -> anyhow::Result<bool> {
    Ok(file.canonicalize()?.parent() == Some(&dir.canonicalize()?))
}

/// Puts it in place. Its name, and where it is.
fn put(Unpacked { name, file, target }: Unpacked) -> anyhow::Result<(&'static str, PathBuf)> {
    backup::to_wal(file.path())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(&target).with_context(|| format!("{} cannot be written", target.display()))?;
    Ok((name, target))
}

fn tell(args: &Args, restored: &[(&'static str, PathBuf)], targets: &[Target]) -> anyhow::Result<()> {
    let kept = targets.iter().filter(|target| target.kept);
    if args.json {
        let object = |name: &str, path: &Path| json!({"name": name, "path": path});
        let restored: Vec<_> = restored.iter().map(|(name, path)| object(name, path)).collect();
        let kept: Vec<_> = kept.map(|target| object(target.name, &target.path)).collect();
        return output::json(&json!({"restored": restored, "kept": kept}));
    }
    for (name, path) in restored {
        output::line(&format!("{name} restored to {}", path.display()))?;
    }
    for target in kept {
        output::line(&format!("{} stays as it is, and was not restored", target.path.display()))?;
    }
    Ok(())
}

/// The database, and the log of one that was removed, which would be taken for the new one's.
fn refuse_what_is_there(target: &Path) -> anyhow::Result<()> {
    for suffix in ["", "-wal", "-journal"] {
        let mut path = target.as_os_str().to_owned();
        path.push(suffix);
        let path = PathBuf::from(path);
        if path.try_exists()? {
            let path = path.display();
            anyhow::bail!("{path} is there already; move it away, or restore into another data directory");
        }
    }
    Ok(())
}

/// Reads both files beside where they go, unless one is kept. Whatever else is in the archive is refused.
fn unpack(archive: File, targets: &[Target]) -> anyhow::Result<Vec<Unpacked>> {
    let mut unpacked = Vec::<Unpacked>::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let known = targets.iter().find(|target| path == Path::new(target.name));
        let is_new = |name| !unpacked.iter().any(|one| one.name == name);
        let target = known
            .filter(|target| entry.header().entry_type().is_file() && is_new(target.name))
            .with_context(|| format!("`{}` does not belong into a backup of decnet", path.display()))?;
        if target.kept {
            continue;
        }
        let place = target.path.parent().unwrap_or(Path::new("."));
        let mut file = Builder::new().prefix(".decnet-restore-").tempfile_in(place)?;
        let expected = entry.size();
        let read = io::copy(&mut entry.by_ref().take(expected), &mut file)?;
        anyhow::ensure!(read == expected, "it ends too early");
        unpacked.push(Unpacked { name: target.name, file, target: target.path.clone() });
    }
    anyhow::ensure!(!unpacked.is_empty(), "there is nothing in it to restore");
    Ok(unpacked)
}

fn verify(one: &Unpacked) -> anyhow::Result<()> {
    backup::verify(one.file.path()).with_context(|| format!("{} in the backup", one.name))?;
    if one.name == QUEUE {
        backup::verify_queue(one.file.path())?;
    }
    Ok(())
}
