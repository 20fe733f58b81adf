//! How many subscriptions an address may make: DECNET allows 20 a minute.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use decnet_core::limits::{MAX_API_CREATING_ADDRESSES, MAX_API_CREATIONS_PER_MINUTE};

use crate::problem::{Kind, Problem};

const MINUTE: Duration = Duration::from_secs(60);

/// When which address has made subscriptions, within the last minute.
#[derive(Default)]
pub(crate) struct Creations(Mutex<HashMap<IpAddr, VecDeque<Instant>>>);

impl Creations {
    /// Counts one more.
    ///
    /// # Errors
    /// There were too many within a minute.
    pub(crate) fn count(&self, address: IpAddr, now: Instant) -> Result<(), Problem> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_API_CREATING_ADDRESSES {
            all.retain(|_, times| times.back().is_some_and(|at| now - *at < MINUTE));
        }
        if all.len() >= MAX_API_CREATING_ADDRESSES && !all.contains_key(&address) {
            return Err(too_many(MINUTE));
        }
        let times = all.entry(address).or_default();
        while times.front().is_some_and(|at| now - *at >= MINUTE) {
            times.pop_front();
        }
        match times.front() {
            Some(first) if times.len() >= MAX_API_CREATIONS_PER_MINUTE => {
                Err(too_many(*first + MINUTE - now))
            }
            _ => {
                times.push_back(now);
                Ok(())
            }
        }
    }
}

fn too_many(wait: Duration) -> Problem {
    let what =
        format!("at most {MAX_API_CREATIONS_PER_MINUTE} webhooks a minute can be made; try again later");
    Problem::new(Kind::TooMany, what).with(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const OTHER: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    #[test]
    fn an_address_makes_twenty_a_minute_and_the_others_feel_nothing() {
        let (creations, now) = (Creations::default(), Instant::now());
        for _ in 0..MAX_API_CREATIONS_PER_MINUTE {
            creations.count(ONE, now).unwrap();
        }
        assert_eq!(creations.count(ONE, now).unwrap_err().kind(), Kind::TooMany);
        creations.count(OTHER, now).unwrap();
        creations.count(ONE, now + MINUTE).unwrap();
    }
}
