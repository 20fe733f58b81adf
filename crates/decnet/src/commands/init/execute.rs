//! Execution of the steps, one by one. A failed step does not stop the others.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::FileType;

use super::accounts::Accounts;
use super::layout::saved;
use super::plan::{Action, Existing, Owner, Step};
use super::report::Outcome;
use super::root::{Ownership, Root};
use super::templates;
use crate::units;

/// The directories of programs that are run as root. `PATH` is not used because the caller controls it.
const PROGRAMS: [&str; 5] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/run/current-system/sw/bin"];

/// Executes steps.
pub(super) struct Executor<'a> {
    pub(super) accounts: Accounts<'a>,
    pub(super) root: &'a Root,
    /// Whether steps are only described.
    pub(super) dry_run: bool,
}

type Result = io::Result<Outcome>;

/// Returns the outcome of a step for which there is nothing to do.
pub(super) fn skip(why: &str) -> Result {
    Ok(Outcome::Skipped(why.to_owned()))
}

impl Executor<'_> {
    /// Executes a step.
    pub(super) fn execute(&self, step: &Step) -> Outcome {
        let result = match &step.action {
            Action::CreateAccounts => self.accounts.create(self),
            Action::Directory { path, mode, owner } => self.directory(path, *mode, *owner),
            Action::Write { path, text, existing } => self.write(path, text, *existing),
            Action::Remove(path) => self.remove(path),
            Action::RemoveTree(path) => self.remove_tree(path),
            Action::RemoveAccounts => self.accounts.remove(self),
            Action::Run(program, arguments) => self.act("run", || run(program, arguments)),
            Action::Skip(why) => skip(why),
            Action::Fail(why) => Ok(Outcome::Failed(why.clone())),
        };
        result.unwrap_or_else(|error| Outcome::Failed(advice(&error)))
    }

    /// Changes the system, unless steps are only described. `done` describes the change.
    pub(super) fn act(&self, done: &str, change: impl FnOnce() -> io::Result<()>) -> Result {
        if self.dry_run {
            return Ok(Outcome::Done(format!("would be {done}")));
        }
        change()?;
        Ok(Outcome::Done(done.to_owned()))
    }

    fn directory(&self, path: &Path, mode: u32, owner: Owner) -> Result {
        match self.root.stat(path)?.map(|found| FileType::from_raw_mode(found.st_mode)) {
            Some(FileType::Directory) => skip("exists already"),
            Some(_) => Err(io::Error::other("is not a directory; move it away, then run this again")),
            None => self.act(&format!("created, mode {mode:04o}"), || {
                self.root.make_directory(path, mode, self.ownership(owner)?)
            }),
        }
    }

    fn write(&self, path: &Path, text: &str, existing: Existing) -> Result {
        let done = match self.current_text(path)? {
            None => "written".to_owned(),
            Some(found) if found == text => return skip("is up to date"),
            Some(found) => match existing.reason_to_keep(templates::is_ours(&found)) {
                Some(why) => return skip(why),
                None if templates::is_ours(&found) => "updated".to_owned(),
                None => self.save(path, &found)?,
            },
        };
        let (mode, owner) = existing.access();
        self.act(&done, || self.root.put(path, text, mode, self.ownership(owner)?))
    }

    /// Saves a file that init did not write, replacing an earlier saved file. Returns the description of the step.
    fn save(&self, path: &Path, text: &str) -> io::Result<String> {
        let kept = saved(path);
        if !self.dry_run {
            let mode = self.root.stat(path)?.map_or(0o644, |found| found.st_mode & 0o777);
            self.root.put(&kept, text, mode, Ownership::default())?;
        }
        let was = units::value(text, "ExecStart").map_or(String::new(), |start| format!(" (`{start}`)"));
        Ok(format!("written; the existing file{was} is saved as {}", kept.display()))
    }

    /// Returns the owner's ids. They are unknown in an image whose accounts are created at its first boot.
    fn ownership(&self, owner: Owner) -> io::Result<Ownership> {
        Ok(match owner {
            Owner::Root => Ownership::default(),
            Owner::Group => Ownership { user: None, group: self.accounts.group()? },
            Owner::Service => Ownership { user: self.accounts.user()?, group: self.accounts.group()? },
        })
    }

    fn remove(&self, path: &Path) -> Result {
        match self.current_text(path)? {
            None => return skip("does not exist"),
            Some(found) if !templates::is_ours(&found) => {
                return skip("was not written by decnet init; kept");
            }
            Some(_) => {}
        }
        let kept = saved(path);
        match self.root.stat(&kept)? {
            Some(_) => self.act("removed; the previous file is restored", || self.root.rename(&kept, path)),
            None => self.act("removed", || self.root.remove(path)),
        }
    }

    fn remove_tree(&self, path: &Path) -> Result {
        if self.root.stat(path)?.is_none() {
            return skip("does not exist");
        }
        self.act("removed with its contents", || self.root.remove_tree(path))
    }

    /// Returns the file's current text, if it exists. A symbolic link, such as a masked unit, is an error.
    fn current_text(&self, path: &Path) -> io::Result<Option<String>> {
        match self.root.stat(path)?.map(|found| FileType::from_raw_mode(found.st_mode)) {
            None => Ok(None),
            Some(FileType::RegularFile) => self.root.read(path),
            Some(FileType::Symlink) => Err(io::Error::other(
                "is a symbolic link, as masked units are; remove the link or unmask the unit first",
            )),
            Some(_) => Err(io::Error::other("is not a regular file; move it away, then run this again")),
        }
    }
}

/// Runs a system program without the caller's environment.
///
/// # Errors
/// The program does not exist or fails. The error contains its stderr.
pub(super) fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> io::Result<()> {
    let path = PROGRAMS.iter().map(|place| Path::new(place).join(program)).find(|path| path.is_file());
    let path = path.ok_or_else(|| {
        let places = PROGRAMS.join(", ");
        io::Error::other(format!("{program} was not found in {places}; install it, then run this again"))
    })?;
    let mut command = Command::new(path);
    command.args(arguments).env_clear().env("PATH", PROGRAMS.join(":")).stdin(Stdio::null());
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stderr = stderr.trim().lines().collect::<Vec<_>>().join("; ");
    Err(io::Error::other(format!("{}: {stderr}", output.status)))
}

fn advice(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => format!("{error}; run this as root"),
        ErrorKind::ReadOnlyFilesystem => format!("{error}; if /etc is immutable, use --prefix for the image"),
        ErrorKind::StorageFull => format!("{error}; free some space, then run this again"),
        _ => error.to_string(),
    }
}
