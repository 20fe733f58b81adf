//! The steps, carried out one by one. One that fails says why and hides none of the others.

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

/// Directories of the programs that are run as root. `PATH` is not used, since the caller controls it.
const PROGRAMS: [&str; 5] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/run/current-system/sw/bin"];

/// Who carries out.
pub(super) struct Hand<'a> {
    pub(super) accounts: Accounts<'a>,
    pub(super) root: Root,
    /// Says what it would do.
    pub(super) dry_run: bool,
}

type Result = io::Result<Outcome>;

impl Hand<'_> {
    /// Carries a step out.
    pub(super) fn carry_out(&self, step: &Step) -> Outcome {
        let result = match &step.action {
            Action::MakeAccounts => self.accounts.make(self.dry_run),
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
            Some(FileType::Directory) => return Ok(Outcome::Skipped("is there".into())),
            Some(_) => return Err(io::Error::other("is not a directory; move it away, then run this again")),
            None if self.dry_run => return Ok(Outcome::Done(format!("would be made, mode {mode:04o}"))),
            None => {}
        }
        self.root.make_directory(path, mode, self.ownership(owner)?)?;
        Ok(Outcome::Done(format!("made, mode {mode:04o}")))
    }

    fn write(&self, path: &Path, text: &str, mode: u32, owner: Owner, existing: Existing) -> Result {
        let done = match self.standing(path)? {
            None => "written".to_owned(),
            Some(found) if found == text => return Ok(Outcome::Skipped("is as it should be".into())),
            Some(found) => match kept(existing, templates::is_ours(&found)) {
                Some(why) => return Ok(Outcome::Skipped(why.into())),
                None if templates::is_ours(&found) => "renewed".to_owned(),
                None => self.save(path, &found)?,
            },
        };
        if self.dry_run {
            return Ok(Outcome::Done(format!("would be {done}")));
        }
        self.root.put(path, text, mode, self.ownership(owner)?)?;
        Ok(Outcome::Done(done))
    }

    /// Keeps another's file beside ours. Where an earlier one is kept there, this is its successor.
    fn save(&self, path: &Path, text: &str) -> io::Result<String> {
        let kept = saved(path);
        if !self.dry_run {
            let mode = self.root.stat(path)?.map_or(0o644, |found| found.st_mode & 0o777);
            self.root.put(&kept, text, mode, Ownership::default())?;
        }
        let was = units::value(text, "ExecStart").map_or(String::new(), |start| format!(" `{start}`;"));
        Ok(format!("put in the place of{was} what was there is kept as {}", kept.display()))
    }

    /// In an image the accounts may come with its first boot only, and a package is owned by root.
    fn ownership(&self, owner: Owner) -> io::Result<Ownership> {
        Ok(match owner {
            Owner::Root => Ownership::default(),
            Owner::Group => Ownership { user: None, group: self.accounts.group()? },
            Owner::Service => Ownership { user: self.accounts.user()?, group: self.accounts.group()? },
        })
    }

    fn remove(&self, path: &Path) -> Result {
        let kept = saved(path);
        match self.standing(path)? {
            None => return Ok(Outcome::Skipped("is not there".into())),
            Some(found) if !templates::is_ours(&found) => {
                return Ok(Outcome::Skipped("is another's, and kept".into()));
            }
            Some(_) => {}
        }
        let restores = self.root.stat(&kept)?.is_some();
        if !self.dry_run {
            if restores { self.root.rename(&kept, path)? } else { self.root.remove(path)? }
        }
        let would = if self.dry_run { "would be " } else { "" };
        let back = if restores { "removed; what was there before is back" } else { "removed" };
        Ok(Outcome::Done(format!("{would}{back}")))
    }

    fn remove_tree(&self, path: &Path) -> Result {
        if self.root.stat(path)?.is_none() {
            return Ok(Outcome::Skipped("is not there".into()));
        }
        if self.dry_run {
            return Ok(Outcome::Done("would be removed with all that is in it".into()));
        }
        self.root.remove_tree(path)?;
        Ok(Outcome::Done("removed with all that was in it".into()))
    }

    /// What stands there now. A link (a masked unit, for instance) is nobody's text and is not followed.
    fn standing(&self, path: &Path) -> io::Result<Option<String>> {
        match self.root.stat(path)?.map(|found| FileType::from_raw_mode(found.st_mode)) {
            None => Ok(None),
            Some(FileType::RegularFile) => self.root.read(path),
            Some(FileType::Symlink) => Err(io::Error::other(
                "is a link (a masked unit is one); remove the link or unmask the unit first",
            )),
            Some(_) => Err(io::Error::other("is not a file; move it away, then run this again")),
        }
    }

    fn run(&self, program: &str, arguments: &[String]) -> Result {
        if self.dry_run {
            return Ok(Outcome::Done("would be run".into()));
        }
        run(program, arguments)
    }
}

/// Why a file that is there and differs is left, where it is.
fn kept(existing: Existing, is_ours: bool) -> Option<&'static str> {
    match (existing, is_ours) {
        (Existing::Settings, _) => Some("is yours, and kept"),
        (Existing::Shared, true) => Some("is other services' too, and kept"),
        (Existing::Shared | Existing::Keep, false) => Some("is another's, and kept"),
        (Existing::Keep | Existing::TakeOver, true) => Some("differs; --force renews it"),
        (Existing::TakeOver, false) | (Existing::Renew, _) => None,
    }
}

/// Runs a program of the system without the caller's environment. What it writes to stderr is the reason if it fails.
pub(super) fn run(program: &str, arguments: &[String]) -> Result {
    let Some(path) = find(program) else {
        let places = PROGRAMS.join(", ");
        return Ok(Outcome::Failed(format!(
            "{program} is in none of {places}; install it, then run this again"
        )));
    };
    let mut command = Command::new(path);
    command.args(arguments).env_clear().env("PATH", PROGRAMS.join(":")).stdin(Stdio::null());
    let output = command.output()?;
    if output.status.success() {
        return Ok(Outcome::Done("run".into()));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().lines().collect::<Vec<_>>().join("; ");
    Ok(Outcome::Failed(format!("{}: {said}", output.status)))
}

fn find(program: &str) -> Option<PathBuf> {
    PROGRAMS.iter().map(|place| Path::new(place).join(program)).find(|path| path.is_file())
}

fn advice(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => format!("{error}; run this as root"),
        ErrorKind::ReadOnlyFilesystem => format!("{error}; where /etc is fixed, use --prefix for the image"),
        ErrorKind::StorageFull => format!("{error}; free some space, then run this again"),
        _ => error.to_string(),
    }
}
