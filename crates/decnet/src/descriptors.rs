//! The limit on open file descriptors, and the number of connections that it allows.

use decnet_core::limits::{MAX_ENDPOINT_CONNECTIONS, MIN_SOCKETS_FRACTION, RESERVED_DESCRIPTORS};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit on open files to the hard limit, and returns it. The usual soft limit of 1,024 exists only for
/// programs that use `select`.
fn raise_limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    if before != limit.maximum {
        limit.current = limit.maximum;
        match setrlimit(Resource::Nofile, limit) {
            Ok(()) => tracing::debug!(?before, now = ?limit.current, "raised the limit on open files"),
            Err(error) => {
                tracing::warn!(%error, ?before, "cannot raise the limit on open files; raise it with ulimit -n");
                limit.current = before;
            }
        }
    }
    limit.current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Raises the limit on open files. Returns the number of `connections` that it allows in addition to the files of the
/// process and the `other_connections` of its other parts: at least a fraction of the limit. Warns if this is less than `connections`.
pub(crate) fn allow_connections(connections: usize, other_connections: usize) -> usize {
    let limit = raise_limit();
    let allowed = share(limit, other_connections);
    if allowed < connections {
        tracing::warn!(
            limit,
            needed = needed(connections, other_connections),
            allowed,
            connections,
            "the limit on open files is too low for the maximum number of connections, so fewer can be open at once; raise \
             LimitNOFILE= of the unit (ulimit -n)"
        );
    }
    allowed
}

fn share(limit: usize, other_connections: usize) -> usize {
    limit.saturating_sub(needed(0, other_connections)).max(limit / MIN_SOCKETS_FRACTION).max(1)
}

fn needed(connections: usize, other_connections: usize) -> usize {
    RESERVED_DESCRIPTORS + MAX_ENDPOINT_CONNECTIONS + other_connections + connections
}

#[cfg(test)]
mod tests {
    use decnet_core::limits::{DEFAULT_TOTAL_CONCURRENCY, MAX_API_CONNECTIONS, MAX_BUS_CONNECTIONS};

    use super::*;

    #[test]
    fn requests_leave_descriptors_for_other_parts() {
        let other_connections = MAX_BUS_CONNECTIONS + MAX_API_CONNECTIONS;
        for (limit, expected) in
            [(64, 8), (1024, 128), (4096, 2400), (65_536, 63_840), (usize::MAX, usize::MAX - 1696)]
        {
            assert_eq!(share(limit, other_connections), expected, "{limit}");
        }
        assert_eq!(share(1024, 0), 864, "a worker alone");
        assert_eq!(share(0, 0), 1);
        let least = needed(DEFAULT_TOTAL_CONCURRENCY, other_connections);
        assert_eq!(share(least, other_connections), DEFAULT_TOTAL_CONCURRENCY);
        assert!(share(least - 1, other_connections) < DEFAULT_TOTAL_CONCURRENCY);
    }
}
