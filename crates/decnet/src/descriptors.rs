//! How many descriptors the process may have open, and how many of them requests may take.

use decnet_core::limits::{LEAST_SOCKETS_FRACTION, MAX_ENDPOINT_CONNECTIONS, RESERVED_DESCRIPTORS};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one, and returns it. The usual soft limit of 1,024 is that low only
/// for programs that use `select`.
pub(crate) fn raise_limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    if before != limit.maximum {
        limit.current = limit.maximum;
        match setrlimit(Resource::Nofile, limit) {
            Ok(()) => tracing::debug!(?before, now = ?limit.current, "open files allowed"),
            Err(error) => {
                tracing::warn!(%error, ?before, "the limit of open files stays low; raise it with ulimit -n");
                limit.current = before;
            }
        }
    }
    limit.current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Returns the sockets that requests may have open at once: what is left of the limit beside the files of the process
/// and the `beside` connections that others in it may take, but at least a part of it. Warns if that is less than the
/// `requests` that are configured.
pub(crate) fn sockets_for(requests: usize, beside: usize) -> usize {
    let limit = raise_limit();
    let sockets = share(limit, beside);
    if sockets < requests {
        tracing::warn!(
            limit,
            needed = needed(requests, beside),
            requests = sockets,
            configured = requests,
            "the limit of open files is too low for what is configured, so fewer requests are in flight at once; \
             raise LimitNOFILE= of the unit (ulimit -n)"
        );
    }
    sockets
}

/// Raises the limit of open files, and warns if it is too low for so many connections.
pub(crate) fn ensure_for(connections: usize) {
    let (limit, needed) = (raise_limit(), needed(connections, 0));
    if limit < needed {
        tracing::warn!(
            limit,
            needed,
            connections,
            "the limit of open files is too low for all connections that may come; raise LimitNOFILE= of the unit \
             (ulimit -n)"
        );
    }
}

fn share(limit: usize, beside: usize) -> usize {
    limit.saturating_sub(needed(0, beside)).max(limit / LEAST_SOCKETS_FRACTION).max(1)
}

fn needed(connections: usize, beside: usize) -> usize {
    RESERVED_DESCRIPTORS + MAX_ENDPOINT_CONNECTIONS + beside + connections
}

#[cfg(test)]
mod tests {
    use decnet_core::limits::{DEFAULT_TOTAL_CONCURRENCY, MAX_API_CONNECTIONS, MAX_BUS_CONNECTIONS};

    use super::*;

    #[test]
    fn requests_never_take_what_others_need() {
        let beside = MAX_BUS_CONNECTIONS + MAX_API_CONNECTIONS;
        for (limit, expected) in
            [(64, 8), (1024, 128), (4096, 2400), (65_536, 63_840), (usize::MAX, usize::MAX - 1696)]
        {
            assert_eq!(share(limit, beside), expected, "{limit}");
        }
        assert_eq!(share(1024, 0), 864, "a worker alone");
        assert_eq!(share(0, 0), 1);
        let least = needed(DEFAULT_TOTAL_CONCURRENCY, beside);
        assert_eq!(share(least, beside), DEFAULT_TOTAL_CONCURRENCY);
        assert!(share(least - 1, beside) < DEFAULT_TOTAL_CONCURRENCY);
    }
}
