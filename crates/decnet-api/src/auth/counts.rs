//! How often somebody has asked, in windows of fixed length. Memory is bounded: beyond so many, all others share a count.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use decnet_core::limits::MAX_COUNTED_CLIENTS;

use crate::problem::{Kind, Problem};

/// How many requests are left (draft-ietf-httpapi-ratelimit-headers).
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// How many there are in all.
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Counts, one a key.
pub(crate) struct Counts<K> {
    most: u32,
    window: Duration,
    inner: Mutex<Inner<K>>,
}

struct Inner<K> {
    each: HashMap<K, Count>,
    /// Of all that find no room.
    others: Count,
    swept_at: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Count {
    since: Instant,
    number: u32,
}

/// Where somebody stands after one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    most: u32,
    left: u32,
    window: Duration,
    resets_in: Duration,
    is_over: bool,
}

/// An address as it is counted: who has an IPv6 address has a network of them.
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

impl<K: Eq + Hash> Counts<K> {
    /// At most `most` in each `window`.
    pub(crate) fn new(most: u32, window: Duration) -> Self {
        let others = Count { since: Instant::now(), number: 0 };
        Self { most, window, inner: Mutex::new(Inner { each: HashMap::new(), others, swept_at: None }) }
    }

    /// Counts one more.
    pub(crate) fn count(&self, key: K, now: Instant) -> Standing {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inner.find(key, now, self.window);
        if now.saturating_duration_since(count.since) >= self.window {
            *count = Count { since: now, number: 0 };
        }
        count.number = count.number.saturating_add(1);
        Standing {
            most: self.most,
            left: self.most.saturating_sub(count.number),
            window: self.window,
            resets_in: (count.since + self.window).saturating_duration_since(now),
            is_over: count.number > self.most,
        }
    }

    /// Would one more be too many? Whoever has no count of their own is judged by that of the others.
    pub(crate) fn is_used_up(&self, key: &K, now: Instant) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inner.each.get(key).unwrap_or(&inner.others);
        count.number >= self.most && now.saturating_duration_since(count.since) < self.window
    }
}

impl<K: Eq + Hash> Inner<K> {
    fn find(&mut self, key: K, now: Instant, window: Duration) -> &mut Count {
        if self.each.len() >= MAX_COUNTED_CLIENTS && !self.each.contains_key(&key) {
            self.sweep(now, window);
            if self.each.len() >= MAX_COUNTED_CLIENTS {
                return &mut self.others;
            }
        }
        self.each.entry(key).or_insert(Count { since: now, number: 0 })
    }

    /// Forgets those whose window is over; at most once a window, for it looks at all of them.
    fn sweep(&mut self, now: Instant, window: Duration) {
        if self.swept_at.is_some_and(|at| now.saturating_duration_since(at) < window) {
            return;
        }
        self.swept_at = Some(now);
        self.each.retain(|_, count| now.saturating_duration_since(count.since) < window);
    }
}

impl Standing {
    /// Refuses whoever went too far.
    ///
    /// # Errors
    /// 429, with when to come back.
    pub(crate) fn check(self, what: &str) -> Result<Self, Problem> {
        if !self.is_over {
            return Ok(self);
        }
        let Self { most, window, .. } = self;
        let told = format!("more than {most} {what} in {} s; try again later", window.as_secs());
        let problem = Problem::new(Kind::TooMany, told).with(RETRY_AFTER, HeaderValue::from(self.seconds()));
        Err(self.headers().into_iter().fold(problem, |problem, (name, value)| problem.with(name, value)))
    }

    /// Says in a reply how many requests are left, unless it tells already of a narrower count that refused it.
    pub(crate) fn describe(self, headers: &mut HeaderMap) {
        for (name, value) in self.headers() {
            headers.entry(name).or_insert(value);
        }
    }

    fn headers(self) -> [(HeaderName, HeaderValue); 2] {
        let Self { most, left, window, .. } = self;
        let policy = format!("\"default\";q={most};w={}", window.as_secs());
        let limit = format!("\"default\";r={left};t={}", self.seconds());
        let value = |text: String| HeaderValue::try_from(text).expect("quotes, digits and letters");
        [(RATE_LIMIT_POLICY, value(policy)), (RATE_LIMIT, value(limit))]
    }

    /// Whole seconds until the window is over, at least one.
    fn seconds(self) -> u64 {
        self.resets_in.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    #[test]
    fn whoever_goes_too_far_waits_for_the_next_window_and_nobody_else_does() {
        let (counts, start) = (Counts::new(3, WINDOW), Instant::now());
        for left in [2, 1, 0] {
            let standing = counts.count("a", start);
            assert_eq!((standing.left, standing.check("requests").is_ok()), (left, true));
            assert_eq!(counts.is_used_up(&"a", start), left == 0);
        }
        assert!(!counts.is_used_up(&"a", start + WINDOW) && !counts.is_used_up(&"b", start));
        let refused = counts.count("a", start + Duration::from_secs(4));
        assert!(refused.check("requests").is_err());
        assert_eq!(refused.seconds(), 6);
        assert!(counts.count("b", start).check("requests").is_ok());
        assert!(counts.count("a", start + WINDOW).check("requests").is_ok());
    }

    #[test]
    fn memory_is_bounded_and_what_finds_no_room_shares_a_count() {
        let (counts, start) = (Counts::new(1, WINDOW), Instant::now());
        for key in 0..MAX_COUNTED_CLIENTS {
            assert!(counts.count(key, start).check("requests").is_ok());
        }
        assert!(counts.count(MAX_COUNTED_CLIENTS, start).check("requests").is_ok());
        assert!(counts.count(MAX_COUNTED_CLIENTS + 1, start).check("requests").is_err());
        assert_eq!(counts.inner.lock().unwrap().each.len(), MAX_COUNTED_CLIENTS);
        // Once the windows are over there is room again.
        assert!(counts.count(MAX_COUNTED_CLIENTS + 1, start + WINDOW).check("requests").is_ok());
        assert_eq!(counts.inner.lock().unwrap().each.len(), 1);
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let network = |text: &str| Network::of(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.2"), network("192.0.2.1"));
    }
}
