//! The socket file: made with the right mode, never taken from a living bus, removed only if it is ours.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, chown, fchmod, flock};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::{Error, group};

const SOCKET_MODE: u32 = 0o660;
/// Connections that the kernel holds until they are accepted.
const BACKLOG: i32 = 1024;
/// The one directory that is created where it is missing.
const HOME_DIR: &str = ".decnet";
/// How long another bus may take over its own start before this one gives up.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Our socket in the file system; dropped, it is removed if it is still ours.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Binds and listens at `path`.
pub(super) fn bind(path: &Path, group: Option<&str>) -> Result<(UnixListener, SocketFile), Error> {
    let address = SocketAddrUnix::new(path).map_err(|_| Error::BadPath(path.to_owned()))?;
    let _lock = lock(directory(path)?, path)?;
    clear(path, &address)?;
    let socket = stream_socket(SocketFlags::CLOEXEC).map_err(failed("create", path))?;
    // Linux gives the file the socket's own mode less the umask, so that it is never wider than wanted.
    fchmod(&socket, Mode::from_raw_mode(SOCKET_MODE)).map_err(failed("restrict", path))?;
    rustix::net::bind(&socket, &address).map_err(failed("bind", path))?;
    let file = SocketFile::of(path).map_err(failed("inspect", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE)).map_err(failed("chmod", path))?;
    group.into_iter().for_each(|group| give_to(path, group));
    rustix::net::listen(&socket, BACKLOG).map_err(failed("listen on", path))?;
    Ok((socket.into(), file))
}

fn failed<E: Into<io::Error>>(what: &'static str, path: &Path) -> impl Fn(E) -> Error {
    move |error| Error::Io { what, path: path.to_owned(), source: error.into() }
}

fn stream_socket(flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// The directory that the socket goes to.
fn directory(path: &Path) -> Result<&Path, Error> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if parent.is_dir() {
        return Ok(parent);
    }
    let is_home = parent.ends_with(HOME_DIR) && parent.parent().is_some_and(Path::is_dir);
    if !is_home {
        return Err(Error::NoDirectory(parent.to_owned()));
    }
    match fs::create_dir(parent) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(failed("create the directory of", path)(error))
        }
        _ => Ok(parent),
    }
}

/// Keeps a second bus that starts at this moment from taking our new socket for a stale one. Without a file:
/// the lock is on the directory, until the answer is dropped.
fn lock(directory: &Path, path: &Path) -> Result<File, Error> {
    let directory = File::open(directory).map_err(failed("open the directory of", path))?;
    for _ in 0..LOCK_TRIES {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(directory),
            Err(Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
            Err(error) => return Err(failed("lock the directory of", path)(error)),
        }
    }
    Err(Error::Starting(path.to_owned()))
}

/// Removes what an earlier bus left, and nothing else.
fn clear(path: &Path, address: &SocketAddrUnix) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("inspect", path)(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(Error::NoSocket(path.to_owned())),
        Ok(_) => {}
    }
    if is_answered(address).map_err(failed("try", path))? {
        return Err(Error::InUse(path.to_owned()));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove the stale", path)(error)),
        _ => {
            tracing::info!(socket = %path.display(), "removed a socket that nobody listened on");
            Ok(())
        }
    }
}

/// Does anybody listen there? A full backlog, or a socket of another type, is somebody.
fn is_answered(address: &SocketAddrUnix) -> Result<bool, Errno> {
    let probe = stream_socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    match rustix::net::connect(&probe, address) {
        Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS | Errno::PROTOTYPE) => Ok(true),
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Lets the group connect. Without it the socket still serves its owner, so a failure is only said.
fn give_to(path: &Path, name: &str) {
    let given = match group::find(name) {
        Ok(Some(group)) => chown(path, None, Some(group)).map_err(io::Error::from),
        Ok(None) => {
            tracing::debug!(group = name, "no such group: the bus socket keeps its own");
            return;
        }
        Err(error) => Err(error),
    };
    if let Err(error) = given {
        tracing::warn!(%error, group = name, "cannot give the bus socket to the group: only its owner can connect");
    }
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: found.dev(), inode: found.ino() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.path)
            .is_ok_and(|found| found.dev() == self.device && found.ino() == self.inode)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if !self.is_ours() {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, socket = %self.path.display(), "cannot remove the bus socket");
        }
    }
}
