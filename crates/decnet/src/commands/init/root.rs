//! The root directory of an installation: `/`, or that of an image.
//!
//! Absolute symbolic links in an image would lead to files of this host. Below a prefix the kernel therefore resolves links as
//! the image's own system would (`RESOLVE_IN_ROOT`, openat2(2)), and every operation is relative to the opened directory.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Uid, fchmod, fchown, mkdirat, openat,
    openat2, renameat, statat, unlinkat,
};
use rustix::io::Errno;

/// The mode of parent directories that are created.
const PARENT_MODE: u32 = 0o755;
const NEW_FILE: OFlags = OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW);
/// Opens a directory itself, not the target of a link.
const OWN_DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The root directory of an installation.
#[derive(Debug, Clone)]
pub(super) struct Root {
    prefix: PathBuf,
}

/// The owner of a new file or directory; `None` keeps the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ownership {
    pub(super) user: Option<u32>,
    pub(super) group: Option<u32>,
}

/// A name in an opened directory.
struct Place {
    directory: OwnedFd,
    name: OsString,
}

impl Root {
    pub(super) fn new(prefix: &Path) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// Returns whether this is the root directory of the running system and not of an image.
    pub(super) fn is_live(&self) -> bool {
        self.prefix == Path::new("/")
    }

    /// Returns a path of the installed system, below the prefix.
    pub(super) fn below(&self, path: &str) -> PathBuf {
        self.prefix.join(path.trim_start_matches('/'))
    }

    /// Returns the metadata of a path without following a link at its end; `None` if it does not exist.
    pub(super) fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        let Some(place) = self.place(path)? else { return Ok(None) };
        optional(statat(&place.directory, &place.name, AtFlags::SYMLINK_NOFOLLOW))
    }

    /// Returns whether a path leads to a regular file.
    pub(super) fn is_file(&self, path: &Path) -> bool {
        let stat = self.open(path, OFlags::PATH).and_then(|file| Ok(rustix::fs::fstat(&file)?));
        stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
    }

    /// Reads the file at a path, replacing invalid UTF-8; `None` if it does not exist.
    pub(super) fn read(&self, path: &Path) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        let Some(file) = optional(self.open(path, OFlags::RDONLY | OFlags::NONBLOCK))? else {
            return Ok(None);
        };
        File::from(file).read_to_end(&mut bytes)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Returns the names in a directory; none if it cannot be read.
    pub(super) fn names(&self, directory: &Path) -> Vec<OsString> {
        let opened = self.open(directory, OFlags::RDONLY | OFlags::DIRECTORY);
        opened.and_then(|directory| names(directory.as_fd())).unwrap_or_default()
    }

    /// Creates a directory and its parents.
    pub(super) fn make_directory(&self, path: &Path, mode: u32, owner: Ownership) -> io::Result<()> {
        let place = self.make_place(path)?;
        mkdirat(&place.directory, &place.name, Mode::RWXU)?;
        let directory = openat(&place.directory, &place.name, OWN_DIRECTORY, Mode::empty())?;
        set_owner_and_mode(&directory, mode, owner)
    }

    /// Writes a file atomically and creates its parent directories.
    pub(super) fn put(&self, path: &Path, text: &str, mode: u32, owner: Ownership) -> io::Result<()> {
        let Place { directory, name } = self.make_place(path)?;
        let mut new = OsString::from(".");
        new.push(&name);
        new.push(".decnet-init");
        // A killed run may have left the temporary file behind.
        optional(unlinkat(&directory, &new, AtFlags::empty()))?;
        let mut file =
            File::from(openat(&directory, &new, NEW_FILE | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)?);
        file.write_all(text.as_bytes())?;
        set_owner_and_mode(&file, mode, owner)?;
        file.sync_all()?;
        renameat(&directory, &new, &directory, &name)?;
        Ok(rustix::fs::fsync(&self.open(path.parent().unwrap_or(Path::new("/")), OFlags::RDONLY)?)?)
    }

    /// Removes a file.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        let Place { directory, name } = self.place(path)?.ok_or(ErrorKind::NotFound)?;
        Ok(unlinkat(directory, name, AtFlags::empty())?)
    }

    /// Renames a file within its directory, replacing an existing file.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let place = self.place(from)?.ok_or(ErrorKind::NotFound)?;
        Ok(renameat(&place.directory, &place.name, &place.directory, to.file_name().unwrap_or_default())?)
    }

    /// Removes a directory with its contents. Links are removed, not followed.
    pub(super) fn remove_tree(&self, path: &Path) -> io::Result<()> {
        let place = self.place(path)?.ok_or(ErrorKind::NotFound)?;
        remove_tree(place.directory.as_fd(), &place.name)
    }

    /// Opens the file or directory at a path.
    fn open(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        if self.is_live() {
            return Ok(openat(CWD, path, flags, Mode::empty())?);
        }
        let root =
            openat(CWD, &self.prefix, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let below = path.strip_prefix(&self.prefix).map_err(io::Error::other)?;
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        match openat2(root, below, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            Err(Errno::NOSYS | Errno::INVAL) => Err(io::Error::other(
                "--prefix needs openat2(2), which this kernel or container does not support (Linux 5.6 does)",
            )),
            opened => Ok(opened?),
        }
    }

    /// Opens the parent directory of a path; `None` if it does not exist.
    fn place(&self, path: &Path) -> io::Result<Option<Place>> {
        let (above, name) = split(path)?;
        let directory = optional(self.open(above, OFlags::PATH | OFlags::DIRECTORY))?;
        Ok(directory.map(|directory| Place { directory, name }))
    }

    /// Opens the parent directory of a path, creating missing directories.
    fn make_place(&self, path: &Path) -> io::Result<Place> {
        std::fs::create_dir_all(&self.prefix)?;
        let (above, name) = split(path)?;
        let below = above.strip_prefix(&self.prefix).map_err(io::Error::other)?;
        let mut at = self.prefix.clone();
        let mut directory = self.open(&at, OFlags::PATH | OFlags::DIRECTORY)?;
        for part in below {
            at.push(part);
            let open = || self.open(&at, OFlags::PATH | OFlags::DIRECTORY);
            directory = match open() {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    mkdirat(&directory, part, Mode::from_raw_mode(PARENT_MODE))?;
                    open()?
                }
                opened => opened?,
            };
        }
        Ok(Place { directory, name })
    }
}

fn split(path: &Path) -> io::Result<(&Path, OsString)> {
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
    Ok((path.parent().unwrap_or(Path::new("/")), name))
}

/// Converts a "not found" error into `None`.
fn optional<T>(result: Result<T, impl Into<io::Error>>) -> io::Result<Option<T>> {
    match result.map_err(Into::into) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        found => found.map(Some),
    }
}

/// Sets the owner of a new file, then its mode, so that no other user can use it in between.
fn set_owner_and_mode(new: impl AsFd, mode: u32, owner: Ownership) -> io::Result<()> {
    let Ownership { user, group } = owner;
    if user.is_some() || group.is_some() {
        fchown(&new, user.map(Uid::from_raw), group.map(Gid::from_raw))?;
    }
    Ok(fchmod(&new, Mode::from_raw_mode(mode))?)
}

fn names(directory: BorrowedFd<'_>) -> io::Result<Vec<OsString>> {
    let names = Dir::read_from(directory)?
        .map(|entry| Ok(OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned()));
    names.filter(|name| !matches!(name, Ok(name) if name == "." || name == "..")).collect()
}

fn remove_tree(above: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    match unlinkat(above, name, AtFlags::empty()) {
        // For a directory Linux returns EISDIR; POSIX allows EPERM.
        Err(Errno::ISDIR | Errno::PERM) => {}
        done => return Ok(done?),
    }
    let directory = openat(above, name, OWN_DIRECTORY, Mode::empty())?;
    for inside in names(directory.as_fd())? {
        remove_tree(directory.as_fd(), &inside)?;
    }
    Ok(unlinkat(above, name, AtFlags::REMOVEDIR)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const NOBODY: Ownership = Ownership { user: None, group: None };

    /// Returns an image, and a directory of the host next to it.
    fn image() -> (tempfile::TempDir, Root, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (prefix, host) = (dir.path().join("image"), dir.path().join("host"));
        fs::create_dir_all(&host).unwrap();
        fs::create_dir_all(&prefix).unwrap();
        (dir, Root::new(&prefix), prefix)
    }

    #[test]
    fn symlinks_in_an_image_resolve_within_it() {
        let (dir, root, prefix) = image();
        let host = dir.path().join("host");
        fs::write(host.join("secret"), "the host's").unwrap();
        symlink(&host, prefix.join("absolute")).unwrap();
        symlink("../host", prefix.join("relative")).unwrap();
        for link in ["absolute", "relative"] {
            assert!(
                root.put(&prefix.join(link).join("a"), "text", 0o644, NOBODY).is_err(),
                "{link} has no target in the image"
            );
            assert_eq!(root.read(&prefix.join(link).join("secret")).unwrap(), None, "{link}");
            assert!(!root.is_file(&prefix.join(link).join("secret")), "{link}");
        }
        assert_eq!(fs::read_dir(&host).unwrap().count(), 1);
        // Links within the image are followed as in the image's own system.
        fs::create_dir_all(prefix.join("usr/lib")).unwrap();
        symlink("/usr/lib", prefix.join("lib")).unwrap();
        root.put(&prefix.join("lib/units/a"), "text", 0o644, NOBODY).unwrap();
        assert_eq!(fs::read_to_string(prefix.join("usr/lib/units/a")).unwrap(), "text");
        assert_eq!(root.read(&prefix.join("lib/units/a")).unwrap().as_deref(), Some("text"));
    }

    #[test]
    fn removing_a_tree_keeps_the_targets_of_symlinks() {
        let (dir, root, prefix) = image();
        let host = dir.path().join("host");
        fs::write(host.join("kept"), "").unwrap();
        fs::create_dir_all(prefix.join("var/data/deep")).unwrap();
        fs::write(prefix.join("var/data/deep/a"), "").unwrap();
        symlink(&host, prefix.join("var/data/link")).unwrap();
        symlink(&host, prefix.join("var/other")).unwrap();
        root.remove_tree(&prefix.join("var/data")).unwrap();
        root.remove_tree(&prefix.join("var/other")).unwrap();
        assert_eq!(fs::read_dir(prefix.join("var")).unwrap().count(), 0);
        assert!(host.join("kept").exists());
    }

    #[test]
    fn files_are_replaced_with_the_requested_mode() {
        let (_dir, root, prefix) = image();
        let path = prefix.join("etc/decnet/decnet.ini");
        assert!(root.stat(&path).unwrap().is_none() && root.read(&path).unwrap().is_none());
        for text in ["one", "two"] {
            root.put(&path, text, 0o640, NOBODY).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(root.names(&prefix.join("etc/decnet")), ["decnet.ini"]);
        root.make_directory(&prefix.join("var/log/decnet"), 0o750, NOBODY).unwrap();
        assert_eq!(fs::metadata(prefix.join("var/log/decnet")).unwrap().permissions().mode() & 0o7777, 0o750);
        root.rename(&path, &prefix.join("etc/decnet/other")).unwrap();
        root.remove(&prefix.join("etc/decnet/other")).unwrap();
        assert!(root.names(&prefix.join("etc/decnet")).is_empty());
    }
}
