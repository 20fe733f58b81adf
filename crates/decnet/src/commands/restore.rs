//! `decnet restore`: restores a backup into an empty data directory.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use decnet_store::backup;
use decnet_store::ownership::{chown_to_parent, directory_of};
use decnet_store::queue;
use serde_json::json;
use tempfile::{Builder, NamedTempFile};

use super::backup::{CATALOG, MANIFEST, QUEUE, needed_keys};
use crate::context::Context;
use crate::failure::Usage;
use crate::output;
use crate::store::create_data_dir;

/// Restores a backup into an empty data directory.
///
/// The directory must not contain a catalog or a queue, and no worker may use it. A catalog that DECNET_DB_URL
/// places outside of the data directory is kept if it exists: then only the queue is restored. The next start continues as
/// after a crash at the time of the backup: events delivered since then are sent again. If root restores, the files get the
/// owner of the directory.
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

/// A database to restore: a temporary file next to its target, deleted on drop unless the whole backup was read and verified.
struct Part {
    name: &'static str,
    target: PathBuf,
    file: NamedTempFile,
}

/// A handle to a part's temporary file, for the thread that reads the backup.
struct PartFile {
    name: &'static str,
    path: PathBuf,
    file: File,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let dir = &context.config.data_dir;
    let stdin = "a backup cannot be read from stdin; specify the file that `decnet backup` wrote";
    anyhow::ensure!(args.file.as_os_str() != "-", Usage::new(stdin));
    args.file.metadata().with_context(|| format!("cannot read {}", args.file.display()))?;
    create_data_dir(dir)?;
    let lock = queue::Lease::acquire(dir)?;
    let catalog = context.config.database.path()?.to_owned();
    let keep_catalog = is_elsewhere(&catalog, dir)?;
    let mut parts = vec![Part::create(QUEUE, dir.join(QUEUE))?];
    if !keep_catalog {
        parts.push(Part::create(CATALOG, catalog.clone())?);
    }
    let found = read(&args.file, &parts, keep_catalog.then_some(CATALOG), context).await;
    let found = found.with_context(|| format!("cannot restore {}", args.file.display()))?;
    let catalog_part = parts.iter().find(|part| part.name == CATALOG && found.contains(&CATALOG));
    // Read before the file gets its name: reading it in WAL mode would create further files.
    let keys = catalog_part.map_or(Ok(Vec::new()), |part| backup::encryption_keys(part.file.path()))?;
    let mut restored = Vec::new();
    for part in parts.into_iter().filter(|part| found.contains(&part.name)) {
        restored.push((part.name, part.persist()?));
    }
    drop(lock);
    let names: Vec<_> = restored.iter().map(|(name, _)| *name).collect();
    let what = format!("restored {} in {}", names.join(" and "), dir.display());
    output::done(&what, print(&args, &restored, keep_catalog.then_some(&*catalog), &keys))?;
    warn_of_missing(&keys, context);
    Ok(())
}

/// Warns if the configured key file does not have all keys of the restored catalog.
fn warn_of_missing(needed: &[String], context: &Context) {
    let known = context.config.keys.ids();
    let missing: Vec<_> = needed.iter().filter(|id| !known.contains(id)).map(String::as_str).collect();
    if !missing.is_empty() {
        output::warn(&format!(
            "DECNET_WEBHOOK_KEY_FILE does not have the key {}: the subscriptions that need it are held until it is added",
            missing.join(", ")
        ));
    }
}

/// Returns whether a catalog exists outside of the data directory. It is DECNET's and contains more than this program's tables.
fn is_elsewhere(catalog: &Path, dir: &Path) -> io::Result<bool> {
    Ok(catalog.try_exists()? && directory_of(catalog).canonicalize()? != dir.canonicalize()?)
}

fn print(
    args: &Args,
    restored: &[(&'static str, PathBuf)],
    kept_catalog: Option<&Path>,
    keys: &[String],
) -> anyhow::Result<()> {
    if args.json {
        let restored: Vec<_> =
            restored.iter().map(|(name, path)| json!({"name": name, "path": path})).collect();
        let kept: Vec<_> = kept_catalog.iter().map(|path| json!({"name": CATALOG, "path": path})).collect();
        return output::json(&json!({"restored": restored, "kept": kept, "encryption_keys": keys}));
    }
    for (name, path) in restored {
        output::line(&format!("{name} restored to {}", path.display()))?;
    }
    if !keys.is_empty() {
        output::line(&needed_keys(keys))?;
    }
    kept_catalog.map_or(Ok(()), |path| {
        output::line(&format!("{} was kept: {CATALOG} was not restored", path.display()))
    })
}

impl Part {
    /// Creates the temporary file next to `target`. Fails if `target` exists.
    fn create(name: &'static str, target: PathBuf) -> anyhow::Result<Self> {
        ensure_absent(&target)?;
        let place = directory_of(&target);
        let file = Builder::new().prefix(".decnet-restore-").tempfile_in(place);
        let file = file.with_context(|| format!("cannot write to {}", place.display()))?;
        chown_to_parent(file.as_file(), place)?;
        Ok(Self { name, target, file })
    }

    /// Syncs the file, then gives it its name.
    fn persist(self) -> anyhow::Result<PathBuf> {
        let Self { target, file, .. } = self;
        backup::set_wal_mode(file.as_file())?;
        file.as_file().sync_all()?;
        file.persist_noclobber(&target).with_context(|| format!("cannot write {}", target.display()))?;
        Ok(target)
    }
}

/// Reads and verifies the backup on a blocking thread, so that a signal interrupts it. Returns the names of the parts found.
async fn read(
    file: &Path,
    parts: &[Part],
    skip: Option<&'static str>,
    context: &Context,
) -> anyhow::Result<Vec<&'static str>> {
    let copy = |Part { name, file, .. }: &Part| {
        Ok(PartFile { name, path: file.path().to_owned(), file: file.as_file().try_clone()? })
    };
    let (file, copies) = (file.to_owned(), parts.iter().map(copy).collect::<io::Result<_>>()?);
    let read = tokio::task::spawn_blocking(move || unpack(&file, copies, skip));
    let read = context.shutdown.run_until_cancelled(read).await;
    read.context("interrupted; nothing was restored")??
}

/// Fails if the database exists, or a WAL file left by a removed database, which `SQLite` would apply to the new database.
fn ensure_absent(target: &Path) -> anyhow::Result<()> {
    for suffix in ["", "-wal", "-journal"] {
        let mut path = target.as_os_str().to_owned();
        path.push(suffix);
        let path = PathBuf::from(path);
        if path.try_exists()? {
            let path = path.display();
            anyhow::bail!("{path} already exists; move it away, or restore into another data directory");
        }
    }
    Ok(())
}

/// Extracts and verifies the parts in the backup, except the one to skip. Skips the manifest. Fails if the archive has any
/// other member.
fn unpack(
    file: &Path,
    mut missing: Vec<PartFile>,
    skip: Option<&'static str>,
) -> anyhow::Result<Vec<&'static str>> {
    let mut found = Vec::new();
    for entry in tar::Archive::new(File::open(file)?).entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let path = entry.path().map_err(unreadable)?.into_owned();
        if path == Path::new(MANIFEST) || skip.is_some_and(|name| path == Path::new(name)) {
            continue;
        }
        let index = missing.iter().position(|copy| path == Path::new(copy.name));
        let index = index
            .filter(|_| entry.header().entry_type().is_file())
            .with_context(|| format!("`{}` does not belong in a backup", path.display()))?;
        let mut copy = missing.swap_remove(index);
        let expected = entry.size();
        let read = io::copy(&mut entry.by_ref().take(expected), &mut copy.file)?;
        anyhow::ensure!(read == expected, "the archive is truncated");
        found.push(copy);
    }
    anyhow::ensure!(!found.is_empty(), "the file is not a backup: it contains nothing to restore");
    found.iter().try_for_each(verify)?;
    Ok(found.iter().map(|copy| copy.name).collect())
}

/// Keeps errors of the operating system. Replaces errors about the archive's format, whose text would contain raw bytes.
fn unreadable(error: io::Error) -> anyhow::Error {
    match error.raw_os_error() {
        Some(_) => error.into(),
        None => anyhow::anyhow!(
            "the file is not a tar archive or is damaged; specify an uncompressed file that `decnet backup` wrote"
        ),
    }
}

/// Verifies a copy and prepares it for use.
fn verify(copy: &PartFile) -> anyhow::Result<()> {
    backup::verify(&copy.path).with_context(|| format!("{} in the backup", copy.name))?;
    if copy.name == QUEUE {
        queue::verify_copy(&copy.path)?;
        queue::prepare_copy(&copy.path)?;
    }
    Ok(())
}
