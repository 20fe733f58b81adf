//! The settings of a sender.

use std::time::Duration;

use decnet_core::limits::{
    DEFAULT_DEADLINE, IDLE_CONNECTION_TIMEOUT, MAX_CONNECTION_AGE, MAX_IDLE_PER_RECEIVER,
    ROOT_RELOAD_INTERVAL,
};
use decnet_runtime::clock::Clock;
use rustls::pki_types::CertificateDer;

use crate::egress::EgressGuard;
use crate::proxy::Proxy;
use crate::resolve::Resolver;
use crate::tls::Roots;

/// The settings of a [`Sender`](crate::Sender).
#[derive(Debug, Clone)]
pub struct Options {
    /// The deadline of an attempt, from the lookup of the host name to the last byte of the reply, unless a target has
    /// its own deadline.
    pub deadline: Duration,
    /// The addresses to which requests may be sent.
    pub guard: EgressGuard,
    /// The maximum number of idle HTTP/1.1 connections kept per receiver.
    pub max_idle_per_receiver: usize,
    /// The time for which an idle connection is kept open.
    pub idle_age: Duration,
    /// The age at which a connection gets no further request. Each connection has a limit of its own, up to a quarter
    /// lower.
    pub max_connection_age: Duration,
    /// The maximum number of sockets open at once, including idle connections and name lookups.
    pub max_sockets: usize,
    /// The source of the addresses of host names.
    pub resolver: Resolver,
    /// The proxy through which receivers are reached, if there is one.
    pub proxy: Option<Proxy>,
    /// The source of the trusted root certificates.
    pub roots: Roots,
    /// Root certificates (DER) that are trusted in addition.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// The shortest time between two loads of the trusted roots. An unknown issuer causes a load.
    pub roots_interval: Duration,
    /// The clock that decides until when replaced secrets sign and access tokens are used.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: DEFAULT_DEADLINE,
            guard: EgressGuard::default(),
            max_idle_per_receiver: MAX_IDLE_PER_RECEIVER,
            idle_age: IDLE_CONNECTION_TIMEOUT,
            max_connection_age: MAX_CONNECTION_AGE,
            max_sockets: usize::MAX,
            resolver: Resolver::System,
            proxy: None,
            roots: Roots::System,
            extra_roots: Vec::new(),
            roots_interval: ROOT_RELOAD_INTERVAL,
            clock: Clock::default(),
        }
    }
}
