//! `decnet check`: prints the settings in effect and reports all problems at once.

mod probe;
mod service;
mod units;

use serde_json::json;

use self::probe::{Health, Probe};
use self::service::Service;
use crate::config::{Found, Setting};
use crate::context::Context;
use crate::failure::{Exit, Usage};
use crate::output::{self, Paint, Table};

/// Prints the settings in effect and checks the environment.
///
/// Prints every setting with its source. Then checks whether the data directory can be written, the catalog and the queue
/// can be opened, the bus answers and the proxy accepts connections, and which units are installed. Changes nothing. The exit code is 2 if the
/// configuration is invalid and 1 if something is unusable. With `--service` only that service is checked, and the
/// exit code is 1 if it does not run or hangs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet check
  decnet check --service webhook        # for a container's health check
  decnet check --json | jq '.settings[] | select(.source != \"default\")'")]
pub(crate) struct Args {
    /// Check only whether this service responds
    #[arg(long, value_name = "SERVICE")]
    service: Option<Service>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Returns whether everything is checked, not only one service.
    pub(crate) fn includes_everything(&self) -> bool {
        self.service.is_none()
    }

    /// Returns whether the API is checked.
    pub(crate) fn includes_api(&self) -> bool {
        self.service.is_none_or(|service| service == Service::Api)
    }
}

pub(crate) async fn run(args: &Args, found: Found, context: &Context) -> anyhow::Result<()> {
    let probes = match args.service {
        Some(service) => vec![service::probe(service, &context.config).await],
        None => probe::all(&context.config).await,
    };
    if args.json {
        output::json(&json!({
            "settings": found.settings,
            "problems": found.problems,
            "warnings": found.warnings,
            "checks": probes.iter().map(Probe::json).collect::<Vec<_>>(),
        }))?;
    } else {
        if args.service.is_none() {
            print(&found.settings, context.paint)?;
        }
        probes.iter().try_for_each(|probe| output::print(&probe.human(context.paint)))?;
    }
    if !found.problems.is_empty() {
        return Err(Usage(found.problems).into());
    }
    anyhow::ensure!(probes.iter().all(|probe| probe.health != Health::Unusable), Exit::FAILURE);
    Ok(())
}

fn print(settings: &[Setting], paint: Paint) -> anyhow::Result<()> {
    let row = |Setting { name, value, source }: &Setting| {
        let value = if value.is_empty() { "-" } else { value };
        [(*name).to_owned(), value.to_owned(), source.clone()]
    };
    Table::new(["SETTING", "VALUE", "SOURCE"], settings.iter().map(row)).print(paint)?;
    output::line("")
}
