//! The lease of the queue: a lock on `queue.lock`, which the kernel releases when the process ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::OFlags;

use super::error::Error;
use crate::ownership::create_private;

const FILE: &str = "queue.lock";
/// The number of times that the lock is tried while another process holds it.
const TRIES: u32 = 4;
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// Exclusive ownership of a queue, released on drop. The lock file is not removed: otherwise two processes could lock two
/// different files.
#[derive(Debug)]
pub struct Lease(#[expect(dead_code, reason = "holds the lock")] File);

impl Lease {
    /// Takes the lease of the data directory `dir`, so that no worker starts there.
    ///
    /// # Errors
    /// A worker is running there, or the lock file cannot be used.
    pub fn acquire(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(FILE);
        let io = |error| Error::io(&path, error);
        let mut file = open_or_create(&path).map_err(io)?;
        match try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { pid: read_pid(&mut file) }),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(io)?;
        Ok(Self(file))
    }
}

/// Opens or creates the lock file without following a symbolic link. Otherwise the owner of the directory could make a process of
/// root write to another file.
fn open_or_create(path: &Path) -> io::Result<File> {
    match create_private(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let flags = OFlags::NOFOLLOW.bits().cast_signed();
            OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
        }
        created => created,
    }
}

/// Tries the lock several times, because [`is_owned`] in another process also holds it for a moment.
fn try_lock(file: &File) -> Result<(), TryLockError> {
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(RETRY_PAUSE),
            result => return result,
        }
    }
    file.try_lock()
}

/// Returns whether a worker has ever run in `dir`.
pub(super) fn was_used(dir: &Path) -> bool {
    dir.join(FILE).exists()
}

/// Returns whether a worker owns the queue in `dir`.
///
/// # Errors
/// The lock file cannot be opened or locked.
pub fn is_owned(dir: &Path) -> Result<bool, Error> {
    let path = dir.join(FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io(&path, error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(Error::io(&path, error)),
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
