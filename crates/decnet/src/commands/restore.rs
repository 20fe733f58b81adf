//! `decnet restore`: what `decnet backup` wrote, into a data directory where nothing is.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use decnet_store::backup;
use decnet_store::ownership::{directory_of, hand_over};
use serde_json::json;
use tempfile::{Builder, NamedTempFile};

use super::backup::{CATALOG, QUEUE};
use super::catalog::make_data_dir;
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

/// Where a file of the backup goes. Until all of it is read and checked it is beside that, in a file that goes when this does.
struct Part {
    name: &'static str,
    target: PathBuf,
    file: NamedTempFile,
}

/// A part, for the thread that reads the backup.
struct Copy {
    name: &'static str,
    path: PathBuf,
    file: File,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let dir = &context.config.data_dir;
    args.file.metadata().with_context(|| format!("{} cannot be read", args.file.display()))?;
    make_data_dir(dir)?;
    let held = backup::hold(dir)?;
    let parts = [
        Part::beside(QUEUE, dir.join(QUEUE))?,
        Part::beside(CATALOG, context.config.database.path()?.to_owned())?,
    ];
    let found = read(&args.file, &parts, context).await;
    let found = found.with_context(|| format!("{} cannot be restored", args.file.display()))?;
    let mut names = Vec::new();
    for part in parts.into_iter().filter(|part| found.contains(&part.name)) {
        let (name, target) = (part.name, part.put()?);
        if !args.json {
            output::line(&format!("{name} restored to {}", target.display()))?;
        }
        names.push(json!({"name": name, "path": target}));
    }
    drop(held);
    if args.json { output::json(&json!({"restored": names})) } else { Ok(()) }
}

impl Part {
    /// Refuses a place that is taken.
    fn beside(name: &'static str, target: PathBuf) -> anyhow::Result<Self> {
        refuse_what_is_there(&target)?;
        let place = directory_of(&target);
        let file = Builder::new().prefix(".decnet-restore-").tempfile_in(place);
        let file = file.with_context(|| format!("nothing can be written in {}", place.display()))?;
        hand_over(file.as_file(), place)?;
        Ok(Self { name, target, file })
    }

    fn copy(&self) -> io::Result<Copy> {
        let (path, file) = (self.file.path().to_owned(), self.file.as_file().try_clone()?);
        Ok(Copy { name: self.name, path, file })
    }

    /// Gives the file its name, once its bytes are on the disk.
    fn put(self) -> anyhow::Result<PathBuf> {
        let Self { target, file, .. } = self;
        file.as_file().sync_all()?;
        file.persist_noclobber(&target).with_context(|| format!("{} cannot be written", target.display()))?;
        Ok(target)
    }
}

/// Reads and checks on a thread of its own, so that a signal ends it. The names of what was there.
async fn read(file: &Path, parts: &[Part], context: &Context) -> anyhow::Result<Vec<&'static str>> {
    let (file, copies) = (file.to_owned(), parts.iter().map(Part::copy).collect::<Result<_, _>>()?);
    tokio::select! {
        read = tokio::task::spawn_blocking(move || unpack(&file, copies)) => read?,
        () = context.shutdown.cancelled() => anyhow::bail!("ended before it was complete; nothing was restored"),
    }
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

/// Reads the backup into the parts that it has. Whatever else is in it is refused.
fn unpack(file: &Path, mut missing: Vec<Copy>) -> anyhow::Result<Vec<&'static str>> {
    let mut found = Vec::new();
    for entry in tar::Archive::new(File::open(file)?).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let known = missing.iter().position(|copy| path == Path::new(copy.name));
        let known = known
            .filter(|_| entry.header().entry_type().is_file())
            .with_context(|| format!("`{}` does not belong into a backup of decnet", path.display()))?;
        let mut copy = missing.swap_remove(known);
        let expected = entry.size();
        let read = io::copy(&mut entry.by_ref().take(expected), &mut copy.file)?;
        anyhow::ensure!(read == expected, "it ends too early");
        found.push(copy);
    }
    anyhow::ensure!(!found.is_empty(), "it is empty");
    found.iter().try_for_each(verify)?;
    Ok(found.iter().map(|copy| copy.name).collect())
}

fn verify(copy: &Copy) -> anyhow::Result<()> {
    backup::verify(&copy.path).with_context(|| format!("{} in the backup", copy.name))?;
    if copy.name == QUEUE {
        backup::verify_queue(&copy.path)?;
    }
    Ok(())
}
