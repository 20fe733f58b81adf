//! One process owns the queue: a lock on `queue.lock` that the kernel drops with its process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::Error;

const FILE: &str = "queue.lock";

/// Held as long as this lives. The file itself stays: removing it would let two processes lock two files.
#[derive(Debug)]
pub(super) struct Lease(#[expect(dead_code, reason = "its lock is its use")] File);

impl Lease {
    pub(super) fn take(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(FILE);
        let io = |error| Error::io(&path, error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { pid: read_pid(&mut file) }),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(io)?;
        Ok(Self(file))
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
