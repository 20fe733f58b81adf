//! The ceilings in `xtask/cost.toml`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use toml_edit::{DocumentMut, Item};

use super::Figure;

const TABLE: &str = "ceilings";
const ADVICE: &str = "\
A ceiling was exceeded: each delivery now does more than before. Find the cause (the message of the commit that set the
ceiling, `strace -f`, `perf`, `cargo xtask cost --only ...` on the commit before), and remove it. If the change is worth its
cost, raise the ceiling in xtask/cost.toml by hand and give the reason in the commit.";

/// The ceilings by name, in the order of the file.
pub(super) struct Ceilings {
    path: PathBuf,
    document: DocumentMut,
}

impl Ceilings {
    pub(super) fn load() -> Result<Self> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cost.toml");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { path, document: text.parse()? })
    }

    fn of(&self, name: &str) -> Option<f64> {
        let item = self.document.get(TABLE)?.get(name)?;
        item.as_float().or_else(|| item.as_integer().map(|whole| whole as f64))
    }

    /// Returns whether no figure exceeds its ceiling.
    pub(super) fn permit(&self, figures: &[Figure]) -> bool {
        figures.iter().all(|Figure { name, value }| self.of(name).is_none_or(|ceiling| *value <= ceiling))
    }

    /// Writes each figure with its ceiling and returns whether all are within their ceilings.
    pub(super) fn compare(&self, figures: &[Figure], out: &mut impl Write) -> Result<bool> {
        let mut is_good = true;
        for Figure { name, value } in figures {
            let ceiling =
                self.of(name).with_context(|| format!("xtask/cost.toml has no ceiling for {name}"))?;
            let verdict = if *value > ceiling { "  ABOVE CEILING" } else { "" };
            is_good &= *value <= ceiling;
            writeln!(out, "{name:<32} {value:>12.3}  of {ceiling}{verdict}")?;
        }
        if !is_good {
            writeln!(out, "\n{ADVICE}")?;
        }
        Ok(is_good)
    }

    /// Lowers each ceiling to slightly above its figure, and writes the file.
    pub(super) fn lower(&mut self, figures: &[Figure]) -> Result<()> {
        for Figure { name, value } in figures {
            let lowered = rounded(value * margin(name));
            if self.of(name).is_none_or(|ceiling| lowered < ceiling)
                && let Some(table) = self.document.get_mut(TABLE).and_then(Item::as_table_mut)
            {
                table[name] = toml_edit::value(lowered);
            }
        }
        Ok(std::fs::write(&self.path, self.document.to_string())?)
    }
}

/// Returns the ratio of a ceiling to the largest counted value. Instructions and allocations hardly vary. The
/// size of a commit, a wake-up or a wait depends on timing; a doubling is still detected.
fn margin(name: &str) -> f64 {
    match name {
        name if name.ends_with("instructions") || name.contains("allocat") => 1.1,
        "delivery.syscalls" | "delivery.syscalls.socket_read" | "delivery.syscalls.socket_write" => 1.25,
        _ => 1.75,
    }
}

/// Rounds up to three significant digits.
fn rounded(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let unit = 10f64.powf(value.log10().floor() - 2.0);
    let rounded = (value / unit).ceil() * unit;
    format!("{rounded:.6}").parse().unwrap_or(rounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ceilings(text: &str) -> (tempfile::TempDir, Ceilings) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cost.toml");
        (dir, Ceilings { path, document: text.parse().unwrap() })
    }

    #[test]
    fn figure_above_its_ceiling_is_reported_with_advice() {
        let (_dir, ceilings) = ceilings("[ceilings]\n\"a.b\" = 2.5\nc = 3\n");
        let mut output = Vec::new();
        assert!(ceilings.compare(&[Figure::new("a.b", 2.5), Figure::new("c", 1.0)], &mut output).unwrap());
        assert!(!ceilings.compare(&[Figure::new("a.b", 2.6)], &mut output).unwrap());
        let output = String::from_utf8(output).unwrap();
        assert!(output.contains("ABOVE CEILING") && output.contains("xtask/cost.toml"), "{output}");
        assert!(ceilings.compare(&[Figure::new("unknown", 1.0)], &mut Vec::new()).is_err());
    }

    #[test]
    fn ceilings_are_lowered_with_their_margin_and_never_raised() {
        let (_dir, mut ceilings) =
            ceilings("# Why.\n[ceilings]\n\"x.instructions\" = 900.0\n\"y.instructions\" = 900.0\n");
        ceilings
            .lower(&[Figure::new("x.instructions", 500.4), Figure::new("y.instructions", 5000.0)])
            .unwrap();
        let written = std::fs::read_to_string(&ceilings.path).unwrap();
        assert_eq!(written, "# Why.\n[ceilings]\n\"x.instructions\" = 551.0\n\"y.instructions\" = 900.0\n");
    }

    #[test]
    fn rounding_is_up_to_three_digits() {
        for (value, expected) in
            [(0.0, 0.0), (0.012_34, 0.0124), (1.0, 1.0), (12.31, 12.4), (20_011.0, 20_100.0)]
        {
            assert!((rounded(value) - expected).abs() < 1e-9, "{value}: {}", rounded(value));
        }
    }
}
