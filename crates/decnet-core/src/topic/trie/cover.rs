//! The cover: a few patterns to which a worker subscribes so that every subscription gets its events.

use std::collections::BTreeSet;

use super::node::{NodeId, ROOT};
use super::{Pattern, PatternTrie};
use crate::limits::MAX_PATTERN_TOKENS;

/// The maximum number of candidate patterns, as a multiple of the maximum size of the cover. Candidates may cover each other;
/// comparing them takes quadratic time.
const CANDIDATES_FACTOR: usize = 4;

/// The patterns of the trie; longer patterns are truncated to `depth` tokens and `>`.
struct Widened {
    patterns: BTreeSet<Pattern>,
    depth: usize,
    limit: usize,
    /// Whether a pattern was truncated.
    is_truncated: bool,
}

impl PatternTrie {
    /// Returns a set of patterns that covers all patterns of the trie: at most `max` (at least one) patterns, none of which
    /// covers another. If there are more, they are widened, longest first, by replacing their last tokens by `>`; in the extreme
    /// case the result is `>` alone.
    ///
    /// A bus tests every pattern of a connection for every event. A few wide patterns therefore cost less than many narrow
    /// patterns, and the local trie drops the additional events.
    ///
    /// The cost depends on `max`, not on the number of patterns.
    #[must_use]
    pub fn cover(&self, max: usize) -> Vec<Pattern> {
        let max = max.max(1);
        let mut widened = self.narrowest(CANDIDATES_FACTOR * max);
        loop {
            let depth = widened.depth;
            let cover = without_covered(widened.patterns);
            if cover.len() <= max || depth == 0 {
                return cover;
            }
            widened = self.widened(depth - 1, usize::MAX);
        }
    }

    /// Returns the patterns truncated to the greatest depth at which there are at most `limit` of them.
    fn narrowest(&self, limit: usize) -> Widened {
        let mut narrowest = self.widened(0, limit);
        while narrowest.is_truncated && narrowest.depth < MAX_PATTERN_TOKENS {
            let narrower = self.widened(narrowest.depth + 1, limit);
            if narrower.patterns.len() > limit {
                break;
            }
            narrowest = narrower;
        }
        narrowest
    }

    /// Returns the patterns truncated to `depth` tokens. Stops at more than `limit` patterns.
    fn widened(&self, depth: usize, limit: usize) -> Widened {
        let mut widened = Widened { patterns: BTreeSet::new(), depth, limit, is_truncated: false };
        self.widen(ROOT, None, 0, &mut widened);
        widened
    }

    fn widen(&self, at: NodeId, prefix: Option<&str>, depth: usize, into: &mut Widened) {
        let node = &self.nodes[at as usize];
        if !node.exact.is_empty() {
            into.add(prefix, None);
        }
        let is_deep = depth == into.depth;
        if if is_deep { self.has_longer_patterns(at) } else { !node.tail.is_empty() } {
            into.add(prefix, Some(">"));
        }
        for child in self.children(at) {
            if is_deep || into.patterns.len() > into.limit {
                into.is_truncated = true;
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

/// Returns the pattern that replaces a pattern that `>` would make too long.
fn everything() -> Pattern {
    Pattern::stored(">").expect("a valid pattern")
}

/// Removes every pattern that another pattern covers.
///
/// Exact patterns are compared only with wildcard patterns, which are few in practice.
fn without_covered(distinct: BTreeSet<Pattern>) -> Vec<Pattern> {
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
    fn covered_patterns_are_removed() {
        assert_eq!(cover(&["a.b", "a.>", "a.*", "b.c", "b.c"], 64), ["a.>", "b.c"]);
        assert_eq!(cover(&[">", "a.b", "*.c"], 64), [">"]);
        assert_eq!(cover(&[], 64), Vec::<String>::new());
    }

    #[test]
    fn many_patterns_have_a_small_cover() {
        let many: Vec<String> = (0..20_000).map(|n| format!("a.b{}.*.{n}", n % 3)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(cover(&many, 64), ["a.b0.*.>", "a.b1.*.>", "a.b2.*.>"]);
    }

    #[test]
    fn patterns_are_widened_to_fit_the_bound() {
        assert_eq!(cover(&["a.b.1", "a.b.2", "a.c.1", "d"], 3), ["a.b.>", "a.c.>", "d"]);
        assert_eq!(cover(&["a.b.1", "a.b.2", "a.c.1", "d"], 2), ["a.>", "d"]);
        assert_eq!(cover(&["a.1", "b.1", "c.1"], 2), [">"]);
    }
}
