//! Bounds for monitoring and saving the files of an open queue.

use std::time::Duration;

use super::{SERVICE_STOP_TIMEOUT, STATUS_INTERVAL};

/// Time for which the write-ahead log stays at [`MAX_WAL_BYTES`](super::MAX_WAL_BYTES) before a reader is reported as the cause.
/// Copying the whole log takes less.
pub const WAL_HELD_GRACE: Duration = Duration::from_secs(30);
/// Maximum time between two checks whether the files of an open queue are still in place.
pub const QUEUE_FILES_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Extension beyond [`SERVICE_STOP_TIMEOUT`] that a worker repeatedly requests from the service manager while it saves its
/// queue. If the worker is killed before that is done, undelivered events are lost.
pub const STOP_TIMEOUT_EXTENSION: Duration = Duration::from_secs(60);

// Each extension is requested before the previous timeout ends.
const _: () = assert!(
    STATUS_INTERVAL.as_secs() < SERVICE_STOP_TIMEOUT.as_secs()
        && STATUS_INTERVAL.as_secs() < STOP_TIMEOUT_EXTENSION.as_secs()
);
