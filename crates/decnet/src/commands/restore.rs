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
use crate::failure::Usage;
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
    if args.file.as_os_str() == "-" {
        return Err(
            Usage::new("a backup is not read from stdin; name the file that `decnet backup` wrote").into()
        );
    }
    args.file.metadata().with_context(|| format!("{} cannot be read", args.file.display()))?;
    make_data_dir(dir)?;
    let held = backup::hold(dir)?;
    let catalog = context.config.database.path()?.to_owned();
    let stays = is_elsewhere(&catalog, dir)?;
    let mut parts = vec![Part::beside(QUEUE, dir.join(QUEUE))?];
    if !stays {
        parts.push(Part::beside(CATALOG, catalog.clone())?);
    }
    let found = read(&args.file, &parts, stays.then_some(CATALOG), context).await;
    let found = found.with_context(|| format!("{} cannot be restored", args.file.display()))?;
    let mut restored = Vec::new();
    for part in parts.into_iter().filter(|part| found.contains(&part.name)) {
        restored.push((part.name, part.put()?));
    }
    drop(held);
    let names: Vec<_> = restored.iter().map(|(name, _)| *name).collect();
    let what = format!("restored {} in {}", names.join(" and "), dir.display());
    output::done(&what, tell(&args, &restored, stays.then_some(&*catalog)))
}

/// Is there a catalog outside of the data directory? It is DECNET's, and holds more than ours.
fn is_elsewhere(catalog: &Path, dir: &Path) -> io::Result<bool> {
    Ok(catalog.try_exists()? && directory_of(catalog).canonicalize()? != dir.canonicalize()?)
}

fn tell(
    args: &Args,
    restored: &[(&'static str, PathBuf)],
    catalog_stays: Option<&Path>,
) -> anyhow::Result<()> {
    if args.json {
        let restored: Vec<_> =
            restored.iter().map(|(name, path)| json!({"name": name, "path": path})).collect();
        let kept: Vec<_> = catalog_stays.iter().map(|path| json!({"name": CATALOG, "path": path})).collect();
        return output::json(&json!({"restored": restored, "kept": kept}));
    }
    for (name, path) in restored {
        output::line(&format!("{name} restored to {}", path.display()))?;
    }
    catalog_stays.map_or(Ok(()), |path| {
        output::line(&format!("{} stays as it is: {CATALOG} was not restored", path.display()))
    })
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
        backup::to_wal(file.as_file())?;
        file.as_file().sync_all()?;
        file.persist_noclobber(&target).with_context(|| format!("{} cannot be written", target.display()))?;
        Ok(target)
    }
}

/// Reads and checks on a thread of its own, so that a signal ends it. The names of what was there.
async fn read(
    file: &Path,
    parts: &[Part],
    skip: Option<&'static str>,
    context: &Context,
) -> anyhow::Result<Vec<&'static str>> {
    let (file, copies) = (file.to_owned(), parts.iter().map(Part::copy).collect::<Result<_, _>>()?);
    tokio::select! {
        read = tokio::task::spawn_blocking(move || unpack(&file, copies, skip)) => read?,
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

/// Reads the backup into the parts that it has, but for the one to skip. Whatever else is in it is refused.
fn unpack(
    file: &Path,
    mut missing: Vec<Copy>,
    skip: Option<&'static str>,
) -> anyhow::Result<Vec<&'static str>> {
    let mut found = Vec::new();
    for entry in tar::Archive::new(File::open(file)?).entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let path = entry.path().map_err(unreadable)?.into_owned();
        if skip.is_some_and(|name| path == Path::new(name)) {
            continue;
        }
        let known = missing.iter().position(|copy| path == Path::new(copy.name));
        let known = known
            .filter(|_| entry.header().entry_type().is_file())
            .with_context(|| format!("`{}` is not part of a backup of decnet", path.display()))?;
        let mut copy = missing.swap_remove(known);
        let expected = entry.size();
        let read = io::copy(&mut entry.by_ref().take(expected), &mut copy.file)?;
        anyhow::ensure!(read == expected, "it ends too early");
        found.push(copy);
    }
    anyhow::ensure!(!found.is_empty(), "it is not a backup of decnet: there is nothing in it to restore");
    found.iter().try_for_each(verify)?;
    Ok(found.iter().map(|copy| copy.name).collect())
}

/// What the operating system refused stays as it is. The rest is a file that is not an archive, of which the error would show raw
/// bytes.
fn unreadable(error: io::Error) -> anyhow::Error {
    match error.raw_os_error() {
        Some(_) => error.into(),
        None => anyhow::anyhow!(
            "it is not a tar archive, or it is damaged; name a file that `decnet backup` wrote, uncompressed"
        ),
    }
}

/// Checks a copy, and makes it ready to be used.
fn verify(copy: &Copy) -> anyhow::Result<()> {
    backup::verify(&copy.path).with_context(|| format!("{} in the backup", copy.name))?;
    if copy.name == QUEUE {
        backup::verify_queue(&copy.path)?;
        backup::prepare_queue(&copy.path)?;
    }
    Ok(())
}
