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
/// Nothing is overwritten, and nothing is done while a worker runs there. The next start goes on as after a crash at the
/// moment of the backup: what was delivered since is sent again. What root restores belongs to the owner of the directory.
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

/// A file that was read from the backup, and where it goes.
struct Unpacked {
    name: &'static str,
    file: NamedTempFile,
    target: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let dir = &context.config.data_dir;
    let targets = [(QUEUE, dir.join(QUEUE)), (CATALOG, context.config.database.path()?.to_owned())];
    let archive =
        File::open(&args.file).with_context(|| format!("{} cannot be read", args.file.display()))?;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("the data directory {} cannot be made", dir.display()))?;
    let held = backup::hold(dir)?;
    for (_, target) in &targets {
        refuse_what_is_there(target)?;
    }
    let unpacked =
        unpack(archive, &targets).with_context(|| format!("{} cannot be restored", args.file.display()))?;
    for one in &unpacked {
        verify(one)?;
    }
    let mut names = Vec::new();
    let made: Vec<_> =
        unpacked.iter().map(|one| one.target.clone()).chain([dir.join("queue.lock")]).collect();
    for Unpacked { name, file, target } in unpacked {
        file.as_file().sync_all()?;
        file.persist_noclobber(&target).with_context(|| format!("{} cannot be written", target.display()))?;
        names.push(json!({"name": name, "path": target}));
        if !args.json {
            output::line(&format!("{name} restored to {}", target.display()))?;
        }
    }
    ownership::settle(made.iter().map(PathBuf::as_path))?;
    drop(held);
    if args.json { output::json(&json!({"restored": names})) } else { Ok(()) }
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

/// Reads both files beside where they go. Whatever else is in the archive is refused.
fn unpack(archive: File, targets: &[(&'static str, PathBuf)]) -> anyhow::Result<Vec<Unpacked>> {
    let mut unpacked = Vec::<Unpacked>::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let known = targets.iter().find(|(name, _)| path == Path::new(name));
        let is_new = |name| !unpacked.iter().any(|one| one.name == name);
        let (name, target) = known
            .filter(|(name, _)| entry.header().entry_type().is_file() && is_new(*name))
            .with_context(|| format!("`{}` does not belong into a backup of decnet", path.display()))?;
        let place = target.parent().unwrap_or(Path::new("."));
        let mut file = Builder::new().prefix(".decnet-restore-").tempfile_in(place)?;
        let expected = entry.size();
        let read = io::copy(&mut entry.by_ref().take(expected), &mut file)?;
        anyhow::ensure!(read == expected, "it ends too early");
        unpacked.push(Unpacked { name, file, target: target.clone() });
    }
    anyhow::ensure!(!unpacked.is_empty(), "it is empty");
    Ok(unpacked)
}

fn verify(one: &Unpacked) -> anyhow::Result<()> {
    backup::verify(one.file.path()).with_context(|| format!("{} in the backup", one.name))?;
    if one.name == QUEUE {
        backup::verify_queue(one.file.path())?;
    }
    Ok(())
}
