//! Functions and files stay short. What is longer already stands in `xtask/ratchet.toml` with its size, which
//! may shrink but never grow.

use std::path::Path;

use anyhow::{Context, Result};
use toml_edit::{DocumentMut, Item, Table};

use super::lengths::{self, Length, Lengths};
use crate::tidy::source::Sources;
use crate::tidy::violation::Violation;

const RULE: &str = "length";
const PATH: &str = "xtask/ratchet.toml";

/// The recorded exceptions: the tables `files` and `functions`, from key to lines.
#[derive(Default)]
pub(crate) struct Baseline(DocumentMut);

impl Baseline {
    /// Reads the record; none is an empty one.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let path = root.join(PATH);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {PATH}"))?;
        Ok(Self(text.parse().with_context(|| format!("{PATH} is not TOML"))?))
    }

    fn recorded(&self, kind: &Kind, key: &str) -> Option<usize> {
        lines(self.0.get(kind.table)?.get(key)?)
    }

    /// The keys of a table with their sizes.
    fn entries(&self, kind: &Kind) -> Vec<(String, usize)> {
        let table = self.0.get(kind.table).and_then(Item::as_table).into_iter().flat_map(Table::iter);
        table.map(|(key, item)| (key.to_owned(), lines(item).unwrap_or(0))).collect()
    }

    fn line_of(&self, key: &str) -> usize {
        let quoted = format!("\"{key}\"");
        self.0.to_string().lines().position(|line| line.starts_with(&quoted)).map_or(1, |index| index + 1)
    }

    /// Lowers what has shrunk and drops what needs no exception any more.
    fn lower(&mut self, kind: &Kind, measured: &Lengths) {
        for (key, recorded) in self.entries(kind) {
            let lines = measured.get(&key).map_or(0, |length| length.lines);
            let Some(table) = self.0.get_mut(kind.table).and_then(Item::as_table_mut) else { return };
            if lines <= kind.limit {
                table.remove(&key);
            } else if lines < recorded {
                table[&key] = toml_edit::value(i64::try_from(lines).unwrap_or(i64::MAX));
            }
        }
    }
}

fn lines(item: &Item) -> Option<usize> {
    usize::try_from(item.as_integer()?).ok()
}

struct Kind {
    table: &'static str,
    limit: usize,
    measure: fn(&Sources) -> Lengths,
}

const KINDS: [Kind; 2] = [
    Kind { table: "files", limit: lengths::FILE, measure: lengths::files },
    Kind { table: "functions", limit: lengths::FUNCTION, measure: lengths::functions },
];

pub(super) fn check(sources: &Sources, baseline: &Baseline) -> Vec<Violation> {
    let mut violations = Vec::new();
    for kind in &KINDS {
        let measured = (kind.measure)(sources);
        violations.extend(measured.iter().filter_map(|(key, length)| too_long(kind, key, length, baseline)));
        violations.extend(slack(kind, &measured, baseline));
    }
    violations
}

fn too_long(kind: &Kind, key: &str, length: &Length, baseline: &Baseline) -> Option<Violation> {
    let allowed = baseline.recorded(kind, key).unwrap_or(kind.limit).max(kind.limit);
    let message = || format!("{key} has {} lines, {allowed} are allowed: split it", length.lines);
    (length.lines > allowed).then(|| Violation::new(&length.path, length.line, RULE, message()))
}

/// Entries that allow more than is needed: left alone, they would let it grow again.
fn slack(kind: &Kind, measured: &Lengths, baseline: &Baseline) -> Vec<Violation> {
    let entries = baseline.entries(kind).into_iter().filter_map(|(key, recorded)| {
        let lines = measured.get(&key).map_or(0, |length| length.lines);
        let message =
            format!("{key} has shrunk from {recorded} lines to {lines}: run `cargo xtask tidy --bless`");
        let is_slack = lines < recorded || lines <= kind.limit;
        is_slack.then(|| Violation::new(PATH, baseline.line_of(&key), RULE, message))
    });
    entries.collect()
}

/// Rewrites the record in `root` with today's sizes where they are lower; comments stay.
pub(crate) fn bless(root: &Path, sources: &Sources) -> Result<()> {
    let mut baseline = Baseline::load(root)?;
    let before = baseline.0.to_string();
    for kind in &KINDS {
        baseline.lower(kind, &(kind.measure)(sources));
    }
    let after = baseline.0.to_string();
    if after != before {
        std::fs::write(root.join(PATH), after).with_context(|| format!("cannot write {PATH}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function_of(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    ();\n".repeat(lines - 2))
    }

    fn baseline(text: &str) -> Baseline {
        Baseline(text.parse().unwrap())
    }

    fn found(lines: usize, record: &str) -> Vec<String> {
        let sources = Sources::of(&[("a.rs", &function_of(lines))]);
        check(&sources, &baseline(record)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_limit_itself_is_allowed_and_one_more_is_not() {
        assert!(found(60, "").is_empty());
        assert_eq!(found(61, ""), ["a.rs:1: length: a.rs::long has 61 lines, 60 are allowed: split it"]);
        let long_file = "\n".repeat(401);
        let sources = Sources::of(&[("a.rs", &long_file)]);
        assert_eq!(check(&sources, &Baseline::default()).len(), 1);
    }

    #[test]
    fn a_recorded_size_may_stay_but_neither_grow_nor_go_stale() {
        let record = "[functions]\n\"a.rs::long\" = 70\n";
        assert!(found(70, record).is_empty());
        assert!(found(71, record)[0].contains("71 lines, 70 are allowed"));
        assert!(found(65, record)[0].starts_with("xtask/ratchet.toml:2: length: a.rs::long has shrunk"));
        assert!(found(60, "[functions]\n\"a.rs::long\" = 60\n")[0].contains("--bless"));
    }

    #[test]
    fn blessing_lowers_and_drops_but_never_raises_or_adds() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(PATH);
        std::fs::create_dir(root.path().join("xtask")).unwrap();
        let record = "# Why.\n[functions]\n\"a.rs::long\" = 90\n\"b.rs::long\" = 61\n\"gone.rs::f\" = 99\n";
        std::fs::write(&path, record).unwrap();
        let long = function_of(80);
        bless(root.path(), &Sources::of(&[("a.rs", &long), ("b.rs", &long), ("c.rs", &long)])).unwrap();
        let lowered = "# Why.\n[functions]\n\"a.rs::long\" = 80\n\"b.rs::long\" = 61\n";
        assert_eq!(std::fs::read_to_string(&path).unwrap(), lowered);
    }
}
