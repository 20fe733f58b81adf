//! The few patterns a worker subscribes to so that every subscription gets its events.

use std::collections::BTreeSet;

use super::node::{NodeId, ROOT};
use super::{Pattern, PatternTrie};
use crate::limits::MAX_PATTERN_TOKENS;

/// Patterns, as a multiple of the bound, of which some may still be covered by others: pattern against pattern is
/// quadratic.
const MANY: usize = 4;

/// Patterns of the trie, those with more than `depth` tokens cut to so many and `>`.
struct Widened {
    patterns: BTreeSet<Pattern>,
    depth: usize,
    limit: usize,
    /// One was cut.
    is_cut: bool,
}

impl PatternTrie {
    /// A minimal set of patterns that covers all of the trie's: none that another covers, and at most `max`
    /// (at least one). Beyond `max`, patterns are widened, longest first, by cutting tokens from their end to
    /// `>`; in the extreme the answer is `>` alone.
    ///
    /// A bus tests every pattern of a connection for every event, so few wide patterns cost it less than many
    /// narrow ones, and the events that come too many are dropped by the local trie.
    ///
    /// Costs as much as `max` asks for, however many patterns there are.
    #[must_use]
    pub fn cover(&self, max: usize) -> Vec<Pattern> {
        let max = max.max(1);
        let mut widened = self.narrowest(MANY * max);
        loop {
            let depth = widened.depth;
            let cover = uncovered(widened.patterns);
            if cover.len() <= max || depth == 0 {
                return cover;
            }
            widened = self.widened(depth - 1, usize::MAX);
        }
    }

    /// The longest patterns that are not too many.
    fn narrowest(&self, limit: usize) -> Widened {
        let mut narrowest = self.widened(0, limit);
        while narrowest.is_cut && narrowest.depth < MAX_PATTERN_TOKENS {
            let narrower = self.widened(narrowest.depth + 1, limit);
            if narrower.patterns.len() > limit {
                break;
            }
            narrowest = narrower;
        }
        narrowest
    }

    /// Stops once there are more than `limit`.
    fn widened(&self, depth: usize, limit: usize) -> Widened {
        let mut widened = Widened { patterns: BTreeSet::new(), depth, limit, is_cut: false };
        self.widen(ROOT, None, 0, &mut widened);
        widened
    }

    fn widen(&self, at: NodeId, prefix: Option<&str>, depth: usize, into: &mut Widened) {
        let node = &self.nodes[at as usize];
        if !node.here.is_none() {
            into.add(prefix, None);
        }
        let is_deep = depth == into.depth;
        if if is_deep { self.goes_on(at) } else { !node.below.is_none() } {
            into.add(prefix, Some(">"));
        }
        for child in self.children(at) {
            if is_deep || into.patterns.len() > into.limit {
                into.is_cut = true;
                return;
            }
            let token = String::from_utf8_lossy(self.nodes[child as usize].token());
            self.widen(child, Some(&joined(prefix, &token)), depth + 1, into);
        }
    }
}

impl Widened {
    fn add(&mut self, prefix: Option<&str>, last: Option<&str>) {
        let text = last.map_or_else(|| prefix.unwrap_or_default().to_owned(), |last| joined(prefix, last));
        let pattern = Pattern::stored(&text).unwrap_or_else(|_| everything());
        self.patterns.insert(pattern);
    }
}

fn joined(prefix: Option<&str>, token: &str) -> String {
    prefix.map_or_else(|| token.to_owned(), |prefix| format!("{prefix}.{token}"))
}

/// What a pattern at the bound of its length is widened to, should `>` make it longer than may be.
fn everything() -> Pattern {
    Pattern::stored(">").expect("the widest pattern is one")
}

/// Drops every pattern that another covers.
///
/// Exact patterns are looked up in the wildcard ones only, which are few in practice.
fn uncovered(distinct: BTreeSet<Pattern>) -> Vec<Pattern> {
    let (wild, exact): (Vec<Pattern>, Vec<Pattern>) = distinct.into_iter().partition(Pattern::has_wildcard);
    let mut kept = Vec::<Pattern>::new();
    for pattern in wild {
        if !kept.iter().any(|other| other.covers(&pattern)) {
            kept.retain(|other| !pattern.covers(other));
            kept.push(pattern);
        }
    }
    let covered = |pattern: &Pattern| kept.iter().any(|other| other.covers(pattern));
    let exact: Vec<Pattern> = exact.into_iter().filter(|pattern| !covered(pattern)).collect();
    kept.extend(exact);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cover(patterns: &[&str], max: usize) -> Vec<String> {
        let patterns: Vec<Pattern> = patterns.iter().map(|p| Pattern::new(p).unwrap()).collect();
        let trie = PatternTrie::new(patterns.iter().map(|pattern| (pattern, 1)));
        trie.cover(max).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn drops_what_another_covers() {
        assert_eq!(cover(&["a.b", "a.>", "a.*", "b.c", "b.c"], 64), ["a.>", "b.c"]);
        assert_eq!(cover(&[">", "a.b", "*.c"], 64), [">"]);
        assert_eq!(cover(&[], 64), Vec::<String>::new());
    }

    #[test]
    fn very_many_patterns_end_in_few() {
        let many: Vec<String> = (0..20_000).map(|n| format!("a.b{}.*.{n}", n % 3)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(cover(&many, 64), ["a.b0.*.>", "a.b1.*.>", "a.b2.*.>"]);
    }

    #[test]
    fn widens_beyond_the_bound() {
        assert_eq!(cover(&["a.b.1", "a.b.2", "a.c.1", "d"], 3), ["a.b.>", "a.c.>", "d"]);
        assert_eq!(cover(&["a.b.1", "a.b.2", "a.c.1", "d"], 2), ["a.>", "d"]);
        assert_eq!(cover(&["a.1", "b.1", "c.1"], 2), [">"]);
    }
}
