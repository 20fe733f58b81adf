//! Command-line options.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::cases::{ROWS, Row};
use crate::plan::Size;

/// Options of a run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Rows:
   1 fan-out-1       2 fan-out-10      3 cpu            4 latency         5 burst
   6 isolation       7 neighbour       8 receivers      9 routing        10 subscriptions
  11 memory         12 restart        13 linear        14 tls            15 destination
  16 dashboard

Examples:
  cargo xtask bench --quick
  cargo xtask bench --only 6 --only routing
  cargo xtask bench --full --only 13
  cargo xtask bench --json > figures.json
  cargo xtask bench --write-docs --only 1    # the other rows keep their figures")]
pub(crate) struct Options {
    /// Use small sizes: all rows in less than two minutes
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Use the sizes for which the targets are stated: a million events, ten million settled deliveries
    #[arg(long)]
    full: bool,
    /// Measure only this row, by number or name; may be repeated
    #[arg(long, value_name = "ROW", value_delimiter = ',')]
    only: Vec<String>,
    /// Number of events, or of pending or settled deliveries, in the rows that count them
    #[arg(long, value_name = "N")]
    pub(crate) events: Option<u64>,
    /// Rounds of reference and subject; the report shows medians
    #[arg(long, value_name = "N")]
    pub(crate) rounds: Option<usize>,
    /// Number of events that the publisher may be ahead of the receiver; with a few hundred, all of them remain in memory
    #[arg(long, value_name = "N")]
    pub(crate) ahead: Option<u64>,
    /// Directory for the queues; must be on a disk [default: the directory of the program]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print the results as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write docs/benchmarks.md with its charts; rows that are not measured now keep their results
    #[arg(long)]
    pub(crate) write_docs: bool,
}

impl Options {
    pub(crate) fn size(&self) -> Size {
        match (self.quick, self.full) {
            (true, _) => Size::Quick,
            (_, true) => Size::Full,
            _ => Size::Default,
        }
    }

    /// Returns the selected rows in table order.
    pub(crate) fn rows(&self) -> Result<Vec<&'static Row>> {
        for name in &self.only {
            let is_known = ROWS.iter().any(|row| row.is_called(name));
            ensure!(is_known, "no row has the name or number {name}; --help lists the rows");
        }
        let is_wanted = |row: &&Row| self.only.is_empty() || self.only.iter().any(|name| row.is_called(name));
        Ok(ROWS.iter().filter(is_wanted).collect())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn rows(arguments: &[&str]) -> Result<Vec<u8>> {
        let cli = Cli::try_parse_from([&["bench"], arguments].concat())?;
        Ok(cli.options.rows()?.iter().map(|row| row.number).collect())
    }

    #[test]
    fn rows_are_selected_by_number_or_name_in_table_order() {
        assert_eq!(rows(&[]).unwrap(), (1..=16).collect::<Vec<_>>());
        assert_eq!(rows(&["--only", "routing", "--only", "6", "--only", "isolation"]).unwrap(), [6, 9]);
        assert_eq!(rows(&["--only", "1,2"]).unwrap(), [1, 2]);
        assert!(rows(&["--only", "17"]).is_err());
        assert!(rows(&["--quick", "--full"]).is_err());
    }
}
