//! Bounds of the connections to receivers, and of the resources of this host that they use.

use std::time::Duration;

/// Age at which a connection gets no further request, however busy it is: the receiver's name may resolve to another
/// address by then. Each connection has its own limit between three quarters of this age and this age, so that connections
/// that were opened together are not replaced together.
pub const MAX_CONNECTION_AGE: Duration = Duration::from_secs(60);
/// Minimum time between two reloads of the trusted root certificates. An unknown issuer triggers a reload.
pub const ROOT_RELOAD_INTERVAL: Duration = Duration::from_secs(60);
/// Pause of a subscription after this host lacked a resource, such as a descriptor or a local port, for one of its requests.
pub const LOCAL_FAULT_PAUSE: Duration = Duration::from_secs(1);
/// Minimum time between two log messages about a resource that this host lacks.
pub const LOCAL_FAULT_LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Descriptors reserved for the process's files, databases and event loops. An idle `serve` has about 45, and the database
/// connections of the API and the worker need three each.
pub const RESERVED_DESCRIPTORS: usize = 128;
/// Divisor of the descriptor limit that gives the number of descriptors for requests if the limit is below all other needs. With
/// a limit of 64, the lowest that is supported, requests get 8.
pub const MIN_SOCKETS_FRACTION: usize = 8;
