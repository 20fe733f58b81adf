//! One process owns the queue: a lock on `queue.lock` that the kernel drops with its process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::OFlags;

use super::error::Error;
use crate::ownership::hand_over;

const FILE: &str = "queue.lock";
/// How often a lock that somebody holds is tried, and how far apart.
const TRIES: u32 = 4;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// Keeps every worker away from a queue, as long as this lives. The file itself stays: removing it would let two processes lock two files.
#[derive(Debug)]
pub struct Lease(#[expect(dead_code, reason = "its lock is its use")] File);

impl Lease {
    pub(crate) fn take(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(FILE);
        let io = |error| Error::io(&path, error);
        let mut file = open_or_make(dir, &path).map_err(io)?;
        match try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { pid: read_pid(&mut file) }),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(io)?;
        Ok(Self(file))
    }
}

/// Never through a link: root may be asked to put something into a directory of somebody else's, who could make it write
/// elsewhere.
fn open_or_make(dir: &Path, path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match options.clone().create_new(true).mode(0o600).open(path) {
        Ok(file) => hand_over(&file, dir).map(|()| file),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(path)
        }
        Err(error) => Err(error),
    }
}

/// Who only looks whether there is an owner holds the lock for a moment, too.
fn try_lock(file: &File) -> Result<(), TryLockError> {
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(BETWEEN_TRIES),
            decided => return decided,
        }
    }
    file.try_lock()
}

/// Returns whether a worker has ever run in `dir`.
pub(super) fn was_used(dir: &Path) -> bool {
    dir.join(FILE).exists()
}

/// Does a worker own the queue in `dir`?
///
/// # Errors
/// The lock cannot be looked at.
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
