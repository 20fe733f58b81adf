//! Bounds of the connections to receivers, and of what they may take of this host.

use std::time::Duration;

/// Age at which a connection gets no further request, however busy it is: the receiver's name may resolve to another
/// address by then. A connection's own limit lies between three quarters of this and this, so that connections that
/// were made together are not replaced together.
pub const MAX_CONNECTION_AGE: Duration = Duration::from_secs(60);
/// Shortest time between two readings of the trusted root certificates, which an unknown issuer causes.
pub const ROOTS_INTERVAL: Duration = Duration::from_secs(60);
/// Pause of a subscription after this host lacked a descriptor, a local port or the like for one of its requests.
pub const LOCAL_FAULT_PAUSE: Duration = Duration::from_secs(1);
/// Shortest time between two warnings about that.
pub const LOCAL_FAULT_LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Descriptors that requests leave to the process's files, databases and event loops: an idle `serve` has about 45, and
/// the API's and the worker's database connections take three each.
pub const RESERVED_DESCRIPTORS: usize = 128;
/// Part of the descriptor limit (one in so many) that requests may take where the limit is below all that others may
/// take. At 64, the lowest limit that is supported, it is 8.
pub const LEAST_SOCKETS_FRACTION: usize = 8;
