//! How many files and sockets the process may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one: a worker with a thousand receivers has more connections
/// than the usual soft limit of 1,024 allows, which is that low only for programs that use `select`.
pub(super) fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    if before == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => tracing::debug!(?before, now = ?limit.current, "open files allowed"),
        Err(error) => {
            tracing::warn!(%error, ?before, "the limit of open files stays low; raise it with ulimit -n");
        }
    }
}
