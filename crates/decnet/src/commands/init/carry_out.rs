//! The steps, carried out one by one. One that fails says why and hides none of the others.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{Gid, Uid, chown};

use super::accounts::Accounts;
use super::layout::saved;
use super::plan::{Action, Existing, Owner, Step};
use super::report::Outcome;
use super::templates;
use crate::units;

/// Who carries out.
pub(super) struct Hand<'a> {
    pub(super) accounts: Accounts<'a>,
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
        if path.is_dir() {
            return Ok(Outcome::Skipped("is there".into()));
        }
        if self.dry_run {
            return Ok(Outcome::Done(format!("would be made, mode {mode:04o}")));
        }
        if let Some(above) = path.parent() {
            fs::create_dir_all(above)?;
        }
        fs::DirBuilder::new().mode(0o700).create(path)?;
        self.give(path, owner)?;
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        Ok(Outcome::Done(format!("made, mode {mode:04o}")))
    }

    fn write(&self, path: &Path, text: &str, mode: u32, owner: Owner, existing: Existing) -> Result {
        let done = match standing(path)? {
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
        self.put(path, text, mode, owner)?;
        Ok(Outcome::Done(done))
    }

    /// Keeps another's file beside ours. Where an earlier one is kept there, this is its successor.
    fn save(&self, path: &Path, text: &str) -> io::Result<String> {
        let kept = saved(path);
        if !self.dry_run {
            self.put(&kept, text, path.metadata()?.mode() & 0o777, Owner::Root)?;
        }
        let was = units::value(text, "ExecStart").map_or(String::new(), |start| format!(" `{start}`;"));
        Ok(format!("put in the place of{was} what was there is kept as {}", kept.display()))
    }

    /// Writes a file in one step: a reader sees the old one or the new one.
    fn put(&self, path: &Path, text: &str, mode: u32, owner: Owner) -> io::Result<()> {
        let above = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(above)?;
        let mut file = tempfile::NamedTempFile::new_in(above)?;
        file.write_all(text.as_bytes())?;
        self.give(file.path(), owner)?;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        fs::File::open(above)?.sync_all()
    }

    /// In an image the accounts may come with its first boot only, and a package is owned by root.
    fn give(&self, path: &Path, owner: Owner) -> io::Result<()> {
        let (user, group) = match owner {
            Owner::Root => return Ok(()),
            Owner::Group => (None, self.accounts.group()?),
            Owner::Service => (self.accounts.user()?, self.accounts.group()?),
        };
        if user.is_none() && group.is_none() {
            return Ok(());
        }
        Ok(chown(path, user.map(Uid::from_raw), group.map(Gid::from_raw))?)
    }

    fn remove(&self, path: &Path) -> Result {
        let kept = saved(path);
        match standing(path)? {
            None => return Ok(Outcome::Skipped("is not there".into())),
            Some(found) if !templates::is_ours(&found) => {
                return Ok(Outcome::Skipped("is another's, and kept".into()));
            }
            Some(_) => {}
        }
        let restores = kept.exists();
        if !self.dry_run {
            if restores { fs::rename(&kept, path)? } else { fs::remove_file(path)? }
        }
        let would = if self.dry_run { "would be " } else { "" };
        let back = if restores { "removed; what was there before is back" } else { "removed" };
        Ok(Outcome::Done(format!("{would}{back}")))
    }

    fn remove_tree(&self, path: &Path) -> Result {
        if !path.exists() {
            return Ok(Outcome::Skipped("is not there".into()));
        }
        if self.dry_run {
            return Ok(Outcome::Done("would be removed with all that is in it".into()));
        }
        fs::remove_dir_all(path)?;
        Ok(Outcome::Done("removed with all that was in it".into()))
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

/// Runs a program; what it says is the reason where it fails.
pub(super) fn run(program: &str, arguments: &[String]) -> Result {
    let ran = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = match ran {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Outcome::Failed(format!(
                "{program} is not on the PATH; install it, then run this again"
            )));
        }
        other => other?,
    };
    if output.status.success() {
        return Ok(Outcome::Done("run".into()));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().lines().collect::<Vec<_>>().join("; ");
    Ok(Outcome::Failed(format!("{}: {said}", output.status)))
}

/// What stands there now. A link (a masked unit, for instance) is nobody's text and is not followed.
fn standing(path: &Path) -> io::Result<Option<String>> {
    match path.symlink_metadata() {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_file() => {
            Ok(Some(String::from_utf8_lossy(&fs::read(path)?).into_owned()))
        }
        Ok(metadata) if metadata.is_symlink() => Err(io::Error::other(
            "is a link (a masked unit is one); remove the link or unmask the unit first",
        )),
        Ok(_) => Err(io::Error::other("is no file; move it away, then run this again")),
    }
}

fn advice(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => format!("{error}; run this as root"),
        ErrorKind::ReadOnlyFilesystem => format!("{error}; where /etc is fixed, use --prefix for the image"),
        ErrorKind::StorageFull => format!("{error}; free some space, then run this again"),
        _ => error.to_string(),
    }
}
