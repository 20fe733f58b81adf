//! The socket file: created with the right mode, never taken from a running bus, removed only by its owner.
//!
//! The directory is opened once and checked, since another user that can write to it could replace the socket. After
//! `bind`, the socket's path is not resolved again: mode, group and removal use descriptors.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use decnet_runtime::accounts::group_id;
use decnet_runtime::foreign_access::ForeignAccess;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, chmod, chmodat, chownat, fchmod, fstat, openat, statat,
    unlinkat,
};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::geteuid;

use super::Error;

const SOCKET_MODE: u32 = 0o660;
/// The number of connections that the kernel queues until they are accepted.
const BACKLOG: i32 = 1024;
/// The only directory that is created if it is missing.
const HOME_DIR: &str = ".decnet";
const HOME_DIR_MODE: u32 = 0o755;
/// The number of attempts to lock the directory, which another bus holds while it starts.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The socket's location: a directory that only root and this process's user can write to, and a name in it.
#[derive(Debug)]
struct SocketPath {
    path: PathBuf,
    directory: File,
    name: OsString,
}

/// The socket file of this bus. On drop it is removed, unless it has been replaced.
#[derive(Debug)]
pub(super) struct SocketFile {
    location: SocketPath,
    /// The file itself (`O_PATH`). While it is open, its inode number is not reused.
    file: OwnedFd,
}

/// Binds and listens at `path`.
pub(super) fn bind(path: &Path, group: Option<&str>) -> Result<(UnixListener, SocketFile), Error> {
    let address = SocketAddrUnix::new(path).map_err(|_| Error::BadPath(path.to_owned()))?;
    let location = SocketPath::open(path)?;
    location.lock()?;
    location.remove_stale(&address)?;
    let socket = stream_socket(SocketFlags::CLOEXEC).map_err(failed("create", path))?;
    // Linux creates the file with the socket's own mode less the umask, so that it is never more permissive than intended.
    fchmod(&socket, Mode::from_raw_mode(SOCKET_MODE)).map_err(failed("restrict", path))?;
    rustix::net::bind(&socket, &address).map_err(failed("bind", path))?;
    let file = location.open_socket().map_err(failed("open the new", path))?;
    group.into_iter().for_each(|group| set_group(&file, group));
    set_mode(&file, &location).map_err(failed("chmod", path))?;
    rustix::net::listen(&socket, BACKLOG).map_err(failed("listen on", path))?;
    location.directory.unlock().map_err(failed("unlock the directory of", path))?;
    Ok((socket.into(), SocketFile { location, file }))
}

fn failed<E: Into<io::Error>>(what: &'static str, path: &Path) -> impl Fn(E) -> Error {
    move |error| Error::Io { what, path: path.to_owned(), source: error.into() }
}

fn stream_socket(flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

impl SocketPath {
    fn open(path: &Path) -> Result<Self, Error> {
        let name = path.file_name().ok_or_else(|| Error::BadPath(path.to_owned()))?.to_owned();
        let parent = parent(path)?;
        let opened = openat(rustix::fs::CWD, parent, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let directory = File::from(opened.map_err(failed("open the directory of", path))?);
        let found = directory.metadata().map_err(failed("inspect the directory of", path))?;
        // A sticky bit does not help: it keeps others from removing the socket, but not from creating it first.
        ForeignAccess::check(found.uid(), found.mode(), geteuid().as_raw())
            .map_err(|why| Error::ForeignDirectory { path: parent.to_owned(), why })?;
        Ok(Self { path: path.to_owned(), directory, name })
    }

    /// Locks the directory, so that a second bus that starts now does not take the new socket for a stale socket. The lock is
    /// released when the directory is unlocked or closed.
    fn lock(&self) -> Result<(), Error> {
        for _ in 0..LOCK_TRIES {
            match self.directory.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(error)) => {
                    return Err(failed("lock the directory of", &self.path)(error));
                }
            }
        }
        Err(Error::Starting(self.path.clone()))
    }

    /// Removes a stale socket; any other file is an error.
    fn remove_stale(&self, address: &SocketAddrUnix) -> Result<(), Error> {
        let path = &self.path;
        match statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(failed("inspect", path)(error)),
            Ok(found) if !is_socket(&found) => return Err(Error::NotASocket(path.clone())),
            Ok(_) => {}
        }
        if is_answered(address).map_err(failed("connect to", path))? {
            return Err(Error::InUse(path.clone()));
        }
        match unlinkat(&self.directory, &self.name, AtFlags::empty()) {
            Err(error) if error != Errno::NOENT => Err(failed("remove the stale", path)(error)),
            _ => {
                tracing::info!(socket = %path.display(), "removed a stale socket");
                Ok(())
            }
        }
    }

    /// Opens the socket that was just bound. Only this process's user and root can have created it.
    fn open_socket(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.directory, &self.name, flags, Mode::empty())?;
        if is_socket(&fstat(&file)?) { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

/// Returns the directory of the socket; creates `~/.decnet` if it is missing.
fn parent(path: &Path) -> Result<&Path, Error> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if parent.is_dir() {
        return Ok(parent);
    }
    let is_home = parent.ends_with(HOME_DIR) && parent.parent().is_some_and(Path::is_dir);
    if !is_home {
        return Err(Error::NoDirectory(parent.to_owned()));
    }
    match DirBuilder::new().mode(HOME_DIR_MODE).create(parent) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(failed("create the directory of", path)(error))
        }
        _ => Ok(parent),
    }
}

fn is_socket(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::Socket
}

/// Returns whether a process listens there. A full backlog and a socket of another type count too.
fn is_answered(address: &SocketAddrUnix) -> Result<bool, Errno> {
    let probe = stream_socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    match rustix::net::connect(&probe, address) {
        Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS | Errno::PROTOTYPE) => Ok(true),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Sets the mode, which the umask may have reduced. `fchmod` does not accept `O_PATH` descriptors; their name in `/proc`
/// refers to the file itself even if its path has been replaced. Where `/proc` is not mounted, as in a chroot, the name in the
/// directory is used: `location` was checked, so only root and this user can replace it.
fn set_mode(file: &OwnedFd, location: &SocketPath) -> rustix::io::Result<()> {
    let mode = Mode::from_raw_mode(SOCKET_MODE);
    if Mode::from_raw_mode(fstat(file)?.st_mode) == mode {
        return Ok(());
    }
    match chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), mode) {
        Err(Errno::NOENT) => chmodat(&location.directory, OsStr::new(&location.name), mode, AtFlags::empty()),
        result => result,
    }
}

/// Lets the group connect. On failure the socket still serves its owner, so a failure is only logged.
fn set_group(file: &OwnedFd, name: &str) {
    let changed = match group_id(name) {
        Ok(Some(group)) => {
            chownat(file, "", None, Some(Gid::from_raw(group)), AtFlags::EMPTY_PATH).map_err(io::Error::from)
        }
        Ok(None) => {
            tracing::debug!(group = name, "the group does not exist: the bus socket keeps its group");
            return;
        }
        Err(error) => Err(error),
    };
    if let Err(error) = changed {
        tracing::warn!(%error, group = name, "cannot set the group of the bus socket: only its owner can connect");
    }
}

impl SocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.location.path
    }

    fn is_current(&self) -> bool {
        let SocketPath { directory, name, .. } = &self.location;
        let found = statat(directory, OsStr::new(name), AtFlags::SYMLINK_NOFOLLOW);
        let ours = fstat(&self.file);
        matches!((found, ours), (Ok(found), Ok(ours)) if (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if !self.is_current() {
            return;
        }
        if let Err(error) = unlinkat(&self.location.directory, &self.location.name, AtFlags::empty()) {
            tracing::warn!(%error, socket = %self.path().display(), "cannot remove the bus socket");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    /// A file that replaces the socket at any moment is never touched.
    #[test]
    fn mode_and_removal_apply_to_the_file_not_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("bus.sock"), dir.path().join("moved.sock"));
        let victim = dir.path().join("victim");
        fs::write(&victim, "").unwrap();
        fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
        let (_listener, file) = bind(&path, None).unwrap();
        fs::rename(&path, &moved).unwrap();
        fs::set_permissions(&moved, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&victim, &path).unwrap();
        set_mode(&file.file, &file.location).unwrap();
        let mode = |path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&moved), mode(&victim)), (SOCKET_MODE, 0o600));
        drop(file);
        assert!(path.is_symlink() && victim.exists());
    }
}
