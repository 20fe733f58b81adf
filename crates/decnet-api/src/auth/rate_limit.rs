//! Rate limits in fixed windows. Memory is bounded: beyond `MAX_RATE_LIMITED_CLIENTS` clients, all other clients share one
//! window.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use decnet_core::limits::MAX_RATE_LIMITED_CLIENTS;
use decnet_runtime::sync::lock;

use crate::problem::Problem;

/// The header with the number of remaining requests (draft-ietf-httpapi-ratelimit-headers).
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// The header with the limit and its window.
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A rate limiter with one fixed window per key.
pub(crate) struct RateLimiter<K> {
    most: u32,
    window: Duration,
    inner: Mutex<Inner<K>>,
}

struct Inner<K> {
    each: HashMap<K, Window>,
    /// The window that all keys beyond the first `MAX_RATE_LIMITED_CLIENTS` keys share.
    others: Window,
    swept_at: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Window {
    since: Instant,
    requests: u32,
}

/// The state of a key's limit after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RateLimit {
    most: u32,
    requests: u32,
    window: Duration,
    resets_in: Duration,
}

/// An address as it is counted: IPv6 addresses count by their /64 network, all of which belongs to one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(u64, bool);

impl Network {
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u32::from(address).into(), false),
            IpAddr::V6(address) => Self(u64::try_from(u128::from(address) >> 64).unwrap_or_default(), true),
        }
    }
}

impl<K: Eq + Hash> RateLimiter<K> {
    /// Creates a limiter of `most` requests per `window`.
    pub(crate) fn new(most: u32, window: Duration) -> Self {
        let others = Window { since: Instant::now(), requests: 0 };
        Self { most, window, inner: Mutex::new(Inner { each: HashMap::new(), others, swept_at: None }) }
    }

    /// Counts one request.
    pub(crate) fn count(&self, key: K, now: Instant) -> RateLimit {
        let mut inner = lock(&self.inner);
        let current = inner.find(key, now, self.window);
        if now.saturating_duration_since(current.since) >= self.window {
            *current = Window { since: now, requests: 0 };
        }
        current.requests = current.requests.saturating_add(1);
        RateLimit {
            most: self.most,
            requests: current.requests,
            window: self.window,
            resets_in: (current.since + self.window).saturating_duration_since(now),
        }
    }

    /// Returns whether the next request would exceed the limit. A key without a window of its own uses the shared window.
    pub(crate) fn is_exhausted(&self, key: &K, now: Instant) -> bool {
        let inner = lock(&self.inner);
        let current = inner.each.get(key).unwrap_or(&inner.others);
        current.requests >= self.most && now.saturating_duration_since(current.since) < self.window
    }
}

impl<K: Eq + Hash> Inner<K> {
    fn find(&mut self, key: K, now: Instant, window: Duration) -> &mut Window {
        if self.each.len() >= MAX_RATE_LIMITED_CLIENTS && !self.each.contains_key(&key) {
            self.sweep(now, window);
            if self.each.len() >= MAX_RATE_LIMITED_CLIENTS {
                return &mut self.others;
            }
        }
        self.each.entry(key).or_insert(Window { since: now, requests: 0 })
    }

    /// Removes expired windows, at most once per window, since it visits all of them.
    fn sweep(&mut self, now: Instant, window: Duration) {
        if self.swept_at.is_some_and(|at| now.saturating_duration_since(at) < window) {
            return;
        }
        self.swept_at = Some(now);
        self.each.retain(|_, current| now.saturating_duration_since(current.since) < window);
    }
}

impl RateLimit {
    /// Rejects the request if it exceeds the limit.
    ///
    /// # Errors
    /// 429 with `Retry-After`.
    pub(crate) fn check(self, what: &str) -> Result<Self, Problem> {
        if self.requests <= self.most {
            return Ok(self);
        }
        let Self { most, window, .. } = self;
        let detail = format!("more than {most} {what} in {} s; try again later", window.as_secs());
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
            .with(RETRY_AFTER, HeaderValue::from(self.seconds()));
        Err(self.headers().into_iter().fold(problem, |problem, (name, value)| problem.with(name, value)))
    }

    /// Writes the limit and the remaining requests into a reply's headers. If a narrower limit has rejected the request, its
    /// headers are kept.
    pub(crate) fn write_headers(self, headers: &mut HeaderMap) {
        for (name, value) in self.headers() {
            headers.entry(name).or_insert(value);
        }
    }

    fn headers(self) -> [(HeaderName, HeaderValue); 2] {
        let Self { most, requests, window, .. } = self;
        let policy = format!("\"default\";q={most};w={}", window.as_secs());
        let limit = format!("\"default\";r={};t={}", most.saturating_sub(requests), self.seconds());
        let value = |text: String| HeaderValue::try_from(text).expect("quotes, digits and letters");
        [(RATE_LIMIT_POLICY, value(policy)), (RATE_LIMIT, value(limit))]
    }

    /// Returns the whole seconds until the window ends, at least one.
    fn seconds(self) -> u64 {
        self.resets_in.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    #[test]
    fn exceeded_limit_blocks_one_key_until_the_next_window() {
        let (limiter, start) = (RateLimiter::new(3, WINDOW), Instant::now());
        for left in [2, 1, 0] {
            let rate = limiter.count("a", start);
            assert_eq!((rate.most - rate.requests, rate.check("requests").is_ok()), (left, true));
            assert_eq!(limiter.is_exhausted(&"a", start), left == 0);
        }
        assert!(!limiter.is_exhausted(&"a", start + WINDOW) && !limiter.is_exhausted(&"b", start));
        let refused = limiter.count("a", start + Duration::from_secs(4));
        assert!(refused.check("requests").is_err());
        assert_eq!(refused.seconds(), 6);
        assert!(limiter.count("b", start).check("requests").is_ok());
        assert!(limiter.count("a", start + WINDOW).check("requests").is_ok());
    }

    #[test]
    fn keys_beyond_the_memory_bound_share_a_window() {
        let (limiter, start) = (RateLimiter::new(1, WINDOW), Instant::now());
        for key in 0..MAX_RATE_LIMITED_CLIENTS {
            assert!(limiter.count(key, start).check("requests").is_ok());
        }
        assert!(limiter.count(MAX_RATE_LIMITED_CLIENTS, start).check("requests").is_ok());
        assert!(limiter.count(MAX_RATE_LIMITED_CLIENTS + 1, start).check("requests").is_err());
        assert_eq!(limiter.inner.lock().unwrap().each.len(), MAX_RATE_LIMITED_CLIENTS);
        // Expired windows free their memory.
        assert!(limiter.count(MAX_RATE_LIMITED_CLIENTS + 1, start + WINDOW).check("requests").is_ok());
        assert_eq!(limiter.inner.lock().unwrap().each.len(), 1);
    }

    #[test]
    fn ipv6_network_counts_as_one_client() {
        let network = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.2"), network("192.0.2.1"));
    }
}
