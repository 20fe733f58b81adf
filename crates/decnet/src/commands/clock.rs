//! `decnet clock`: whether the system clock shows the time that the queue expects.

use decnet_core::clock::{Agreement, Reading};
use decnet_store::clock::Clock;
use decnet_store::queue::{Operator, Reader};
use serde_json::json;

use super::status::show_age;
use crate::context::Context;
use crate::failure::Said;
use crate::output;

/// Compares the system clock with the time that is expected.
///
/// While a worker trusts the clock it notes the time in the queue. Where the clock has been set since, or the machine was off
/// for more than a day, the worker removes nothing by age until the clock agrees again or is confirmed. The exit code
/// is then 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet clock
  decnet clock --confirm     # the clock is right: removal by age continues")]
pub(crate) struct Args {
    /// The system clock is right, whatever the queue expects: go on from it
    #[arg(long)]
    confirm: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// The system clock, and the time that the queue expects.
struct Compared {
    now: Reading,
    /// What it is compared with.
    expected: Reading,
    agreement: Agreement,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let data_dir = &context.config.data_dir;
    let now = Clock::default().reading();
    let known = Reader::open(data_dir)?.known_times()?;
    let expected = Reading::last_known(known.trusted, known.newest, &now);
    let compared = Compared { now, expected, agreement: expected.agreement(&now) };
    let confirms = args.confirm && compared.agreement != Agreement::Agrees;
    if confirms {
        Operator::open(data_dir)?.confirm_clock(&now)?;
    }
    compared.print(args.json, confirms)?;
    if confirms || compared.agreement == Agreement::Agrees { Ok(()) } else { Err(Said.into()) }
}

impl Compared {
    fn print(&self, as_json: bool, confirmed: bool) -> anyhow::Result<()> {
        let (system, expected) = (self.now.wall, self.expected.expected_at(&self.now));
        if as_json {
            return output::json(&json!({
                "system_time": system.to_iso8601(),
                "expected_time": expected.to_iso8601(),
                "agrees": self.agreement == Agreement::Agrees,
                "ahead_seconds": self.ahead_seconds(),
                "confirmed": confirmed,
            }));
        }
        output::line(&format!("system time    {}", system.to_sqlite()))?;
        output::line(&format!("expected time  {}", expected.to_sqlite()))?;
        output::line(&self.sentence(confirmed))
    }

    fn sentence(&self, confirmed: bool) -> String {
        let (by, how) = match self.agreement {
            Agreement::Agrees => return "the system clock agrees with what the queue expects".into(),
            Agreement::Ahead(by) => (by, "ahead of"),
            Agreement::Behind(by) => (by, "behind"),
        };
        let by = show_age(by.as_secs_f64().round());
        let then = if confirmed {
            "it is confirmed: removal by age continues from it"
        } else {
            "nothing is removed by age until it agrees again; if the clock is right, add --confirm"
        };
        format!("the system clock is {by} {how} the expected time; {then}")
    }

    /// 0 where it agrees.
    fn ahead_seconds(&self) -> f64 {
        match self.agreement {
            Agreement::Agrees => 0.0,
            Agreement::Ahead(by) => by.as_secs_f64(),
            Agreement::Behind(by) => -by.as_secs_f64(),
        }
    }
}
