//! Bounds of how the files of an open queue are watched and saved.

use std::time::Duration;

use super::{SERVICE_STOP_TIMEOUT, STATUS_INTERVAL};

/// How long the write-ahead log stays at [`MAX_WAL_BYTES`](super::MAX_WAL_BYTES) before a reader is blamed for it: copying all of
/// it takes less.
pub const LOG_HELD_PATIENCE: Duration = Duration::from_secs(30);
/// Longest time between two looks at whether the files of an open queue are still in their place.
pub const QUEUE_FILES_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// What a worker that saves its queue asks the service manager for, again and again, beyond [`SERVICE_STOP_TIMEOUT`]: being
/// killed before that is done loses what is owed.
pub const RESCUE_EXTENSION: Duration = Duration::from_secs(60);

// The first extension is asked for in time, and so is each next one.
const _: () = assert!(
    STATUS_INTERVAL.as_secs() < SERVICE_STOP_TIMEOUT.as_secs()
        && STATUS_INTERVAL.as_secs() < RESCUE_EXTENSION.as_secs()
);
