//! Routing alone on one core: the trie of patterns, and a linear scan for comparison.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use decnet_core::topic::{Pattern, PatternTrie, matches};
use serde::{Deserialize, Serialize};

use crate::rig::machine::memory_of;

/// Topics between two readings of the clock.
const ROUND: usize = 10_000;
/// Topics between two readings of the clock in the scan, which is much slower.
const SCAN_ROUND: usize = 10;

/// The number of patterns and the duration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Options {
    pub(crate) patterns: u32,
    /// Seconds of routing, and as many seconds of scanning.
    pub(crate) seconds: u64,
}

/// Results of the router.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Routed {
    pub(crate) topics_per_second: f64,
    pub(crate) scanned_per_second: f64,
    pub(crate) build_ms: f64,
    /// Resident memory of the trie, in bytes.
    pub(crate) bytes: u64,
    /// Average number of subscriptions found per topic.
    pub(crate) found_per_topic: f64,
}

/// Measures routing and scanning.
pub(crate) fn run(options: &Options) -> Result<Routed> {
    let (patterns, topics) = (patterns(options.patterns)?, topics(options.patterns));
    let before = memory_of(std::process::id())?.now;
    let begun = Instant::now();
    let trie = PatternTrie::new(patterns.iter().zip(0..));
    let build_ms = begun.elapsed().as_secs_f64() * 1e3;
    let bytes = memory_of(std::process::id())?.now.saturating_sub(before);
    let time = Duration::from_secs(options.seconds);
    let (mut found, mut all) = (Vec::new(), 0);
    let (topics_per_second, routed) = rate(&topics, ROUND, time, |topic| {
        trie.route(topic, &mut found);
        all += found.len();
    });
    let (scanned_per_second, _) = rate(&topics, SCAN_ROUND, time, |topic| {
        black_box(patterns.iter().filter(|pattern| matches(pattern.as_str(), topic)).count());
    });
    let found_per_topic = all as f64 / routed as f64;
    Ok(Routed { topics_per_second, scanned_per_second, build_ms, bytes, found_per_topic })
}

/// Returns the topics per second and the total number of topics.
fn rate(topics: &[String], round: usize, time: Duration, mut each: impl FnMut(&str)) -> (f64, usize) {
    let (begun, mut done) = (Instant::now(), 0);
    let mut next = topics.iter().cycle();
    while begun.elapsed() < time {
        next.by_ref().take(round).for_each(|topic| each(topic));
        done += round;
    }
    let rate = done as f64 / begun.elapsed().as_secs_f64();
    (rate, done)
}

/// Returns the pattern of a number: hosts in a thousand organisations. One in ten ends in `>`, one in ten contains `*`.
pub(crate) fn pattern(number: u32) -> String {
    let (organisation, host, kind) = parts(number);
    match number % 10 {
        0 => format!("org{organisation}.host{host}.>"),
        5 => format!("org{organisation}.*.kind{kind}.state{number}"),
        _ => format!("org{organisation}.host{host}.kind{kind}.state{number}"),
    }
}

fn parts(number: u32) -> (u32, u32, u32) {
    (number % 1000, number / 1000 % 1000, number % 7)
}

fn patterns(count: u32) -> Result<Vec<Pattern>> {
    (0..count).map(|number| Ok(Pattern::new(&pattern(number))?)).collect()
}

/// Returns a topic for each pattern in a shuffled order, so that caches do not help; one in eight matches no pattern.
fn topics(count: u32) -> Vec<String> {
    let mut numbers: Vec<u32> = (0..count).collect();
    shuffle(&mut numbers);
    numbers.into_iter().map(topic).collect()
}

fn topic(number: u32) -> String {
    let (organisation, host, kind) = parts(number);
    let state = if number % 8 == 7 { "nobody" } else { "state" };
    format!("org{organisation}.host{host}.kind{kind}.{state}{number}")
}

/// Fisher-Yates shuffle with the same pseudo-random numbers in every run (Knuth's MMIX generator).
fn shuffle(numbers: &mut [u32]) {
    let mut state: u64 = 1;
    for last in (1..numbers.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let chosen = usize::try_from(state >> 33).unwrap_or(0) % (last + 1);
        numbers.swap(last, chosen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_patterns_has_wildcards_and_all_differ() {
        let mut patterns = patterns(10_000).unwrap();
        assert_eq!(patterns.iter().filter(|pattern| pattern.has_wildcard()).count(), 2_000);
        patterns.sort();
        patterns.dedup();
        assert!(patterns.len() >= 9_990, "{}", patterns.len());
    }

    #[test]
    fn trie_and_scan_find_the_same_subscriptions() {
        let patterns = patterns(2_000).unwrap();
        let (trie, mut found, mut routed) = (PatternTrie::new(patterns.iter().zip(0..)), Vec::new(), 0);
        for topic in topics(2_000) {
            trie.route(&topic, &mut found);
            let scanned = patterns.iter().filter(|pattern| matches(pattern.as_str(), &topic)).count();
            assert_eq!(found.len(), scanned, "{topic}");
            routed += usize::from(scanned > 0);
        }
        assert!((1_600..2_000).contains(&routed), "{routed}");
    }
}
