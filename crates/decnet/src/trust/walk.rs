//! Path resolution that opens one component at a time and checks each by its descriptor.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use decnet_runtime::foreign_access::{ForeignAccess, STICKY};
use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, StatVfsMountFlags, fstat, fstatvfs, openat, readlinkat};
use rustix::io::Errno;

use super::{Given, Refused, Trust, Untrusted, Why};

/// The maximum number of symbolic links in a path (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// The expected type of the path's last component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    File,
    Directory,
}

/// A directory of the path.
struct Directory {
    fd: OwnedFd,
    stat: Stat,
    place: PathBuf,
}

/// The resolution of a path from the root directory.
///
/// The first problem is reported only at the end, and only if the file exists.
struct Walk<'a> {
    trust: &'a Trust,
    given: Given,
    /// The directories from the root to the current directory.
    directories: Vec<Directory>,
    /// The components that remain.
    rest: VecDeque<OsString>,
    links: usize,
    problem: Option<Untrusted>,
}

/// Resolves a path and checks all its components. Returns the file, open for reading, if that is the goal. A missing
/// directory is not an error.
///
/// # Errors
/// See [`Refused`].
pub(super) fn walk(trust: &Trust, path: &Path, given: Given, goal: Goal) -> Result<Option<File>, Refused> {
    let path = std::path::absolute(path)?;
    let root = openat(CWD, "/", DIRECTORY, Mode::empty()).map_err(io::Error::from)?;
    let (directories, rest) = (Vec::new(), parts(&path));
    let mut walk = Walk { trust, given, directories, rest, links: 0, problem: None };
    walk.enter(root, PathBuf::from("/"))?;
    walk.run(goal)
}

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Walk<'_> {
    fn run(mut self, goal: Goal) -> Result<Option<File>, Refused> {
        while let Some(name) = self.rest.pop_front() {
            if name == ".." {
                self.directories.truncate(self.directories.len().saturating_sub(1).max(1));
                continue;
            }
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let found = match openat(&self.current().fd, &name, flags, Mode::empty()) {
                Ok(found) => found,
                Err(Errno::NOENT) if goal == Goal::Directory => return self.end(None),
                Err(error) => return Err(io::Error::from(error).into()),
            };
            let stat = fstat(&found).map_err(io::Error::from)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => self.enter(found, self.current().place.join(&name))?,
                FileType::Symlink => self.follow(&name, &found, &stat)?,
                FileType::RegularFile if self.rest.is_empty() && goal == Goal::File => {
                    return self.open(&name);
                }
                _ if !self.rest.is_empty() => {
                    return Err(io::Error::from(io::ErrorKind::NotADirectory).into());
                }
                _ => return Err(self.wrong_kind(&name, goal)),
            }
        }
        match goal {
            Goal::File => Err(self.wrong_kind(OsStr::new(""), goal)),
            Goal::Directory => self.end(None),
        }
    }

    /// Returns the current directory.
    fn current(&self) -> &Directory {
        self.directories.last().expect("the walk begins at the root directory")
    }

    /// Enters a directory. A sticky directory is allowed if it is not the last, see [`Walk::check_current`].
    fn enter(&mut self, fd: OwnedFd, place: PathBuf) -> io::Result<()> {
        let stat = fstat(&fd)?;
        self.check_owner(&stat, &place);
        if stat.st_mode & STICKY == 0 {
            self.check_mode(&fd, &stat, &place);
        }
        self.directories.push(Directory { fd, stat, place });
        Ok(())
    }

    /// Follows a symbolic link.
    fn follow(&mut self, name: &OsStr, link: &OwnedFd, stat: &Stat) -> Result<(), Refused> {
        let place = self.current().place.join(name);
        if self.given == Given::Found && self.rest.is_empty() {
            self.note(&place, Why::Link);
        }
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(io::Error::from(Errno::LOOP).into());
        }
        self.check_owner(stat, &place);
        self.check_current();
        let target = readlinkat(link, "", Vec::new()).map_err(io::Error::from)?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        if target.is_absolute() {
            self.directories.truncate(1);
        }
        for part in parts(&target).into_iter().rev() {
            self.rest.push_front(part);
        }
        Ok(())
    }

    /// Opens the file that the path names.
    fn open(mut self, name: &OsStr) -> Result<Option<File>, Refused> {
        // Without NONBLOCK, opening a pipe that has replaced the file would block.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.current().fd, name, flags, Mode::empty()).map_err(io::Error::from)?;
        let stat = fstat(&file).map_err(io::Error::from)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.wrong_kind(name, Goal::File));
        }
        let place = self.current().place.join(name);
        self.check_owner(&stat, &place);
        self.check_mode(&file, &stat, &place);
        self.end(Some(file.into()))
    }

    fn end(mut self, reached: Option<File>) -> Result<Option<File>, Refused> {
        self.check_current();
        self.problem.map_or(Ok(reached), |problem| Err(problem.into()))
    }

    /// Checks that no other user can create entries in the current directory.
    fn check_current(&mut self) {
        let Directory { fd, stat, place } = self.current();
        if let Err(why) = self.mode(fd, stat) {
            let (place, why) = (place.clone(), why.into());
            self.problem.get_or_insert(Untrusted { place, why });
        }
    }

    fn check_owner(&mut self, stat: &Stat, place: &Path) {
        if let Err(problem) = self.trust.owner(stat.st_uid, place) {
            self.problem.get_or_insert(problem);
        }
    }

    fn check_mode(&mut self, fd: impl AsFd, stat: &Stat, place: &Path) {
        if let Err(why) = self.mode(fd, stat) {
            self.note(place, why.into());
        }
    }

    fn mode(&self, fd: impl AsFd, stat: &Stat) -> Result<(), ForeignAccess> {
        let is_read_only = || fstatvfs(fd).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::RDONLY));
        ForeignAccess::check_mode(stat.st_mode).or_else(|why| {
            match self.given == Given::Named && is_read_only() {
                true => Ok(()),
                false => Err(why),
            }
        })
    }

    fn note(&mut self, place: &Path, why: Why) {
        self.problem.get_or_insert_with(|| Untrusted { place: place.to_owned(), why });
    }

    /// Returns the error for a component of the wrong type, unless an earlier problem was found.
    fn wrong_kind(mut self, name: &OsStr, goal: Goal) -> Refused {
        let place = self.current().place.join(name);
        let expected = if goal == Goal::File { "regular file" } else { "directory" };
        self.note(&place, Why::Kind(expected));
        self.problem.map_or_else(|| io::Error::from(io::ErrorKind::InvalidInput).into(), Refused::from)
    }
}

/// Returns the names in a path, including `..`.
fn parts(path: &Path) -> VecDeque<OsString> {
    let named = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(named).collect()
}
