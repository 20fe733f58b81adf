//! Execution of the steps, one by one. A failed step does not stop the others.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
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
    pub(super) root: Root,
    /// Whether steps are only described.
    pub(super) dry_run: bool,
}

type Result = io::Result<Outcome>;

impl Executor<'_> {
    /// Executes a step.
    pub(super) fn execute(&self, step: &Step) -> Outcome {
        let result = match &step.action {
            Action::CreateAccounts => self.accounts.create(self.dry_run),
            Action::Directory { path, mode, owner } => self.directory(path, *mode, *owner),
            Action::Write { path, text, mode, owner, existing } => {
                self.write(path, text, *mode, *owner, *existing)
            }
            Action::Remove { path } => self.remove(path),
            Action::RemoveTree { path } => self.remove_tree(path),
            Action::RemoveAccounts => self.accounts.remove(self.dry_run),
            Action::Run { program, arguments } => self.run(program, arguments),
            Action::Skip(why) => Ok(Outcome::Skipped(why.clone())),
            Action::Fail(why) => Ok(Outcome::Failed(why.clone())),
        };
        result.unwrap_or_else(|error| Outcome::Failed(advice(&error)))
    }

    fn directory(&self, path: &Path, mode: u32, owner: Owner) -> Result {
        match self.root.stat(path)?.map(|found| FileType::from_raw_mode(found.st_mode)) {
            Some(FileType::Directory) => return Ok(Outcome::Skipped("exists already".into())),
            Some(_) => return Err(io::Error::other("is not a directory; move it away, then run this again")),
            None if self.dry_run => return Ok(Outcome::Done(format!("would be created, mode {mode:04o}"))),
            None => {}
        }
        self.root.make_directory(path, mode, self.ownership(owner)?)?;
        Ok(Outcome::Done(format!("created, mode {mode:04o}")))
    }

    fn write(&self, path: &Path, text: &str, mode: u32, owner: Owner, existing: Existing) -> Result {
        let done = match self.current_text(path)? {
            None => "written".to_owned(),
            Some(found) if found == text => return Ok(Outcome::Skipped("is up to date".into())),
            Some(found) => match reason_to_keep(existing, templates::is_ours(&found)) {
                Some(why) => return Ok(Outcome::Skipped(why.into())),
                None if templates::is_ours(&found) => "updated".to_owned(),
                None => self.save(path, &found)?,
            },
        };
        if self.dry_run {
            return Ok(Outcome::Done(format!("would be {done}")));
        }
        self.root.put(path, text, mode, self.ownership(owner)?)?;
        Ok(Outcome::Done(done))
    }

    /// Saves a file that init did not write, replacing an earlier saved one. Returns the description of the step.
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
        let kept = saved(path);
        match self.current_text(path)? {
            None => return Ok(Outcome::Skipped("does not exist".into())),
            Some(found) if !templates::is_ours(&found) => {
                return Ok(Outcome::Skipped("was not written by decnet init; kept".into()));
            }
            Some(_) => {}
        }
        let restores = self.root.stat(&kept)?.is_some();
        if !self.dry_run {
            if restores { self.root.rename(&kept, path)? } else { self.root.remove(path)? }
        }
        let would = if self.dry_run { "would be " } else { "" };
        let back = if restores { "removed; the previous file is restored" } else { "removed" };
        Ok(Outcome::Done(format!("{would}{back}")))
    }

    fn remove_tree(&self, path: &Path) -> Result {
        if self.root.stat(path)?.is_none() {
            return Ok(Outcome::Skipped("does not exist".into()));
        }
        if self.dry_run {
            return Ok(Outcome::Done("would be removed with its contents".into()));
        }
        self.root.remove_tree(path)?;
        Ok(Outcome::Done("removed with its contents".into()))
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

    fn run(&self, program: &str, arguments: &[String]) -> Result {
        if self.dry_run {
            return Ok(Outcome::Done("would be run".into()));
        }
        run(program, arguments)
    }
}

/// Returns why an existing file that differs is kept, if it is.
fn reason_to_keep(existing: Existing, is_ours: bool) -> Option<&'static str> {
    match (existing, is_ours) {
        (Existing::Settings, _) => Some("belongs to the operator; kept"),
        (Existing::Shared, true) => Some("is shared with other services; kept"),
        (Existing::Shared | Existing::Keep, false) => Some("was not written by decnet init; kept"),
        (Existing::Keep | Existing::TakeOver, true) => Some("differs; --force overwrites it"),
        (Existing::TakeOver, false) | (Existing::Renew, _) => None,
    }
}

/// Runs a system program without the caller's environment. If it fails, the outcome contains its stderr.
pub(super) fn run(program: &str, arguments: &[String]) -> Result {
    let Some(path) = find(program) else {
        let places = PROGRAMS.join(", ");
        return Ok(Outcome::Failed(format!(
            "{program} was not found in {places}; install it, then run this again"
        )));
    };
    let mut command = Command::new(path);
    command.args(arguments).env_clear().env("PATH", PROGRAMS.join(":")).stdin(Stdio::null());
    let output = command.output()?;
    if output.status.success() {
        return Ok(Outcome::Done("run".into()));
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stderr = stderr.trim().lines().collect::<Vec<_>>().join("; ");
    Ok(Outcome::Failed(format!("{}: {stderr}", output.status)))
}

fn find(program: &str) -> Option<PathBuf> {
    PROGRAMS.iter().map(|place| Path::new(place).join(program)).find(|path| path.is_file())
}

fn advice(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => format!("{error}; run this as root"),
        ErrorKind::ReadOnlyFilesystem => format!("{error}; if /etc is immutable, use --prefix for the image"),
        ErrorKind::StorageFull => format!("{error}; free some space, then run this again"),
        _ => error.to_string(),
    }
}
