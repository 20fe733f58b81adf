//! Opens a path one component at a time, and checks each component by its descriptor.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, StatVfsMountFlags, fstat, fstatvfs, openat, readlinkat};
use rustix::io::Errno;

use super::{Given, Refused, STICKY, Trust, Untrusted, WRITABLE, Why};

/// Symbolic links that a path may lead over (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// What a path is to lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    File,
    Directory,
}

/// What a path has led to.
pub(super) enum Reached {
    /// A file, open for reading.
    File(File),
    Directory,
    /// Nothing: a component does not exist.
    Nothing,
}

/// A directory on the way.
struct Directory {
    fd: OwnedFd,
    stat: Stat,
    place: PathBuf,
}

/// Follows a path from the root directory.
///
/// The first problem is kept until the end is reached: a path that leads to nothing is not reported.
struct Walk<'a> {
    trust: &'a Trust,
    given: Given,
    /// From the root directory to where the walk has come.
    way: Vec<Directory>,
    /// Components that are still to be followed.
    rest: VecDeque<OsString>,
    links: usize,
    doubt: Option<Untrusted>,
}

/// Follows a path to its end.
///
/// # Errors
/// See [`Refused`].
pub(super) fn walk(trust: &Trust, path: &Path, given: Given, goal: Goal) -> Result<Reached, Refused> {
    let path = std::path::absolute(path)?;
    let root = openat(CWD, "/", DIRECTORY, Mode::empty()).map_err(io::Error::from)?;
    let (way, rest) = (Vec::new(), parts(&path));
    let mut walk = Walk { trust, given, way, rest, links: 0, doubt: None };
    walk.enter(root, PathBuf::from("/"))?;
    walk.run(goal)
}

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Walk<'_> {
    fn run(mut self, goal: Goal) -> Result<Reached, Refused> {
        while let Some(name) = self.rest.pop_front() {
            if name == ".." {
                self.way.truncate(self.way.len().saturating_sub(1).max(1));
                continue;
            }
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let found = match openat(&self.here().fd, &name, flags, Mode::empty()) {
                Ok(found) => found,
                Err(Errno::NOENT) if goal == Goal::Directory => return self.end(Reached::Nothing),
                Err(error) => return Err(io::Error::from(error).into()),
            };
            let stat = fstat(&found).map_err(io::Error::from)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => self.enter(found, self.here().place.join(&name))?,
                FileType::Symlink => self.follow(&name, &found, &stat)?,
                FileType::RegularFile if self.rest.is_empty() && goal == Goal::File => {
                    return self.open(&name);
                }
                _ if !self.rest.is_empty() => {
                    return Err(io::Error::from(io::ErrorKind::NotADirectory).into());
                }
                _ => return Err(self.of_another_kind(&name, goal)),
            }
        }
        match goal {
            Goal::File => Err(self.of_another_kind(OsStr::new(""), goal)),
            Goal::Directory => self.end(Reached::Directory),
        }
    }

    /// Where the walk has come.
    fn here(&self) -> &Directory {
        self.way.last().expect("the way begins at the root directory")
    }

    /// Enters a directory. One with the sticky bit may be on the way, see [`Walk::check_here`].
    fn enter(&mut self, fd: OwnedFd, place: PathBuf) -> io::Result<()> {
        let stat = fstat(&fd)?;
        self.check_owner(&stat, &place);
        if stat.st_mode & STICKY == 0 {
            self.check_mode(&fd, &stat, &place);
        }
        self.way.push(Directory { fd, stat, place });
        Ok(())
    }

    /// Follows a symbolic link.
    fn follow(&mut self, name: &OsStr, link: &OwnedFd, stat: &Stat) -> Result<(), Refused> {
        let place = self.here().place.join(name);
        if self.given == Given::Found && self.rest.is_empty() {
            self.note(&place, Why::Link);
        }
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(io::Error::from(Errno::LOOP).into());
        }
        self.check_owner(stat, &place);
        self.check_here();
        let target = readlinkat(link, "", Vec::new()).map_err(io::Error::from)?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        if target.is_absolute() {
            self.way.truncate(1);
        }
        for part in parts(&target).into_iter().rev() {
            self.rest.push_front(part);
        }
        Ok(())
    }

    /// Opens the file that the path names.
    fn open(mut self, name: &OsStr) -> Result<Reached, Refused> {
        // Not to wait for the other end, should it be a pipe by now.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.here().fd, name, flags, Mode::empty()).map_err(io::Error::from)?;
        let stat = fstat(&file).map_err(io::Error::from)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.of_another_kind(name, Goal::File));
        }
        let place = self.here().place.join(name);
        self.check_owner(&stat, &place);
        self.check_mode(&file, &stat, &place);
        self.end(Reached::File(file.into()))
    }

    fn end(mut self, reached: Reached) -> Result<Reached, Refused> {
        self.check_here();
        self.doubt.map_or(Ok(reached), |doubt| Err(doubt.into()))
    }

    /// Checks that nobody else can make or rename anything but a directory of a trusted user here.
    fn check_here(&mut self) {
        let here = self.here();
        let found = self.writable(&here.fd, &here.stat).then(|| (here.place.clone(), here.stat.st_mode));
        if let Some((place, mode)) = found {
            self.note(&place, Why::Writable(mode));
        }
    }

    fn check_owner(&mut self, stat: &Stat, place: &Path) {
        if let Err(doubt) = self.trust.owner(stat.st_uid, place) {
            self.doubt.get_or_insert(doubt);
        }
    }

    fn check_mode(&mut self, fd: impl AsFd, stat: &Stat, place: &Path) {
        if self.writable(fd, stat) {
            self.note(place, Why::Writable(stat.st_mode));
        }
    }

    fn writable(&self, fd: impl AsFd, stat: &Stat) -> bool {
        let is_read_only = || fstatvfs(fd).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::RDONLY));
        stat.st_mode & WRITABLE != 0 && !(self.given == Given::Named && is_read_only())
    }

    fn note(&mut self, place: &Path, why: Why) {
        self.doubt.get_or_insert_with(|| Untrusted { place: place.to_owned(), why });
    }

    /// Reports that the path leads to something else, unless more is wrong.
    fn of_another_kind(mut self, name: &OsStr, goal: Goal) -> Refused {
        let place = self.here().place.join(name);
        let expected = if goal == Goal::File { "regular file" } else { "directory" };
        self.note(&place, Why::Kind(expected));
        self.doubt.map_or_else(|| io::Error::from(io::ErrorKind::InvalidInput).into(), Refused::from)
    }
}

/// The names in a path, `..` among them.
fn parts(path: &Path) -> VecDeque<OsString> {
    let named = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().filter_map(named).collect()
}
