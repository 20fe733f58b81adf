//! The few patterns a worker subscribes to so that every subscription gets its events.

use std::collections::BTreeSet;

use super::Pattern;

/// A minimal set of patterns that covers all of `patterns`: none that another covers, and at most `max`
/// (at least one). Beyond `max`, patterns are widened, longest first, by cutting tokens from their end to
/// `>`; in the extreme the answer is `>` alone.
///
/// A bus tests every pattern of a connection for every event, so few wide patterns cost it less than many
/// narrow ones, and the events that come too many are dropped by the local trie.
#[must_use]
pub fn minimal_cover<'a>(patterns: impl IntoIterator<Item = &'a Pattern>, max: usize) -> Vec<Pattern> {
    let max = max.max(1);
    let mut distinct: BTreeSet<Pattern> = patterns.into_iter().cloned().collect();
    let mut depth = distinct.iter().map(|pattern| pattern.tokens().count()).max().unwrap_or(0);
    // Pattern against pattern is quadratic: what cannot fit in the end is widened before it is compared.
    while distinct.len() > MANY * max && depth > 0 {
        depth -= 1;
        distinct = distinct.iter().map(|pattern| widened(pattern, depth)).collect();
    }
    let mut cover = uncovered(distinct);
    while cover.len() > max && depth > 0 {
        depth -= 1;
        cover = uncovered(cover.iter().map(|pattern| widened(pattern, depth)).collect());
    }
    cover
}

/// Patterns, as a multiple of the bound, of which some may still be covered by others.
const MANY: usize = 16;

/// Keeps `depth` tokens of `pattern` and stands `>` for the rest, if there is any.
fn widened(pattern: &Pattern, depth: usize) -> Pattern {
    let tokens: Vec<&str> = pattern.tokens().collect();
    if tokens.len() <= depth {
        return pattern.clone();
    }
    let mut kept = tokens[..depth].to_vec();
    kept.push(">");
    Pattern::stored(&kept.join(".")).unwrap_or_else(|_| pattern.clone())
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
        minimal_cover(&patterns, max).iter().map(ToString::to_string).collect()
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
