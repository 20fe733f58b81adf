//! `decnet init`: makes this host run decnet as services, and takes it back.
//!
//! In the order of a run: the host is looked at ([`host`], [`layout`]), the arguments are judged and completed by what is
//! there ([`names`], [`settings`]), what would fail is refused ([`foreseen`]), files are rendered ([`templates`],
//! [`sweep`]), what is to be done is planned as values ([`plan`]), carried out step by step ([`carry_out`], [`accounts`])
//! below the prefix ([`root`]), and told ([`report`]).

mod accounts;
mod carry_out;
mod foreseen;
mod host;
mod layout;
mod names;
mod plan;
mod report;
mod root;
mod settings;
mod sweep;
mod templates;

use std::path::PathBuf;

use anyhow::Context as _;

use self::accounts::{Accounts, is_root};
use self::carry_out::Hand;
use self::host::Host;
use self::layout::Layout;
use self::plan::{Step, Wanted};
use self::report::Outcome;
use self::settings::Inherited;
use self::templates::{Templates, Variables};
use super::confirm;
use crate::context::Context;
use crate::failure::{Said, Usage};
use crate::output;
use crate::trust::Trust;

/// Installs and starts the systemd units, or takes them away.
///
/// The units are those of bus, webhook worker and API, and with them comes all that they need: user, directories, settings.
/// Needs root. May be run again at any time: what is as it should be is skipped, what an operator has changed is kept
/// (`--force` renews it), and a service that is there is neither enabled nor started again. With `--only webhook` it
/// replaces the worker of a DECNET that is there and touches nothing else of it; `--deinit` puts back what was
/// replaced. Exit code 1 where a step failed; 2, with nothing touched, where the services could not run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo decnet init --dry-run                # say what would be done, do nothing
  sudo decnet init
  sudo decnet init --only webhook           # beside a DECNET in Python: the worker alone
  sudo decnet init --deinit                 # units away, data kept
  decnet init --prefix ./image --no-start   # into the image of another system")]
pub(crate) struct Args {
    /// Remove what init installed; settings and data stay
    #[arg(long)]
    deinit: bool,
    /// With --deinit: remove settings, catalog, queue and user too
    #[arg(long, requires = "deinit")]
    purge: bool,
    /// Do not ask before a purge
    #[arg(long, requires = "purge")]
    yes: bool,
    /// Say what would be done; run and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Renew files that differ from what would be written; another's unit is kept beside
    #[arg(long, conflicts_with = "deinit")]
    force: bool,
    /// Neither enable nor start anything
    #[arg(long)]
    no_start: bool,
    /// Only this service: webhook, bus, api or one of --templates; may be repeated
    #[arg(long, value_name = "SERVICE")]
    only: Vec<String>,
    /// Also render every decnet-*.service.j2 in this directory, which must be root's own unless --prefix is given
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
    /// Write below this directory, for an image or a test; nothing is started and no user made
    #[arg(long, value_name = "DIR")]
    prefix: Option<PathBuf>,
    /// Where .env.local is, and the catalog of a DECNET that is there [else that of the unit that is there, or /opt/decnet]
    #[arg(long, value_name = "DIR")]
    install_dir: Option<PathBuf>,
    /// The virtual environment that templates of --templates name [else the first of venv, .venv, .311, .312 and .313 in
    /// the installation directory with a bin/decnet]
    #[arg(long, value_name = "DIR")]
    venv_dir: Option<PathBuf>,
    /// The services' user [else that of the unit that is there, or decnet]
    #[arg(long)]
    user: Option<String>,
    /// The services' group [else that of the unit that is there, or decnet]
    #[arg(long)]
    group: Option<String>,
    /// The program that the units start [else this one]
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Use a package's directories: /usr/lib instead of /etc
    #[arg(long, hide = true, requires = "prefix")]
    vendor: bool,
    /// Print a JSON object a step
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    if args.prefix.is_none() && !args.dry_run && !is_root() {
        output::say(
            "decnet: init changes the system and must run as root: sudo decnet init (or look with --dry-run)",
        );
        return Err(Said.into());
    }
    let layout = Layout::new(&prefix(&args)?, args.vendor);
    // What is in a unit of this system runs with the rights of its manager, who is root.
    let trust = layout.is_live().then(|| Trust::default().without_services());
    let templates = Templates::load(args.templates.as_deref(), trust.as_ref())?;
    let host = Host::look(&layout);
    let wanted = wanted(&args, layout, &host, &templates)?;
    if args.purge && !args.yes && !args.dry_run {
        ask(&wanted.layout, context).await?;
    }
    if !args.deinit {
        foreseen::judge(&wanted)?;
        for warning in foreseen::warnings(&wanted) {
            output::say(&format!("decnet: warning: {warning}"));
        }
    }
    let steps =
        if args.deinit { plan::remove(&wanted, &host) } else { plan::install(&wanted, &host, &templates) };
    let context = context.clone();
    // On a thread of its own, so that a signal is heard while a step waits for another program.
    tokio::task::spawn_blocking(move || work_off(&steps, &wanted, &args, &context)).await?
}

fn work_off(steps: &[Step], wanted: &Wanted, args: &Args, context: &Context) -> anyhow::Result<()> {
    let Variables { user, group, .. } = &wanted.variables;
    let accounts = Accounts { layout: &wanted.layout, user, group };
    let hand = Hand { accounts, root: wanted.layout.root(), dry_run: args.dry_run };
    let (mut failures, mut written) = (0, Ok(()));
    for step in steps {
        let is_called_off = context.shutdown.is_cancelled();
        anyhow::ensure!(!is_called_off, "ended before {}; what was done stays", step.what);
        let outcome = hand.carry_out(step);
        failures += usize::from(outcome.is_failure());
        // What was begun is finished, whether somebody still reads or not.
        if written.is_ok() {
            written = show(&outcome, step, args, context);
        }
    }
    if failures == 0 {
        return if args.dry_run { written } else { output::done("every step was carried out", written) };
    }
    output::say(&format!("decnet: {}", report::failed(failures)));
    Err(Said.into())
}

fn show(outcome: &Outcome, step: &Step, args: &Args, context: &Context) -> anyhow::Result<()> {
    if args.json {
        output::json(&outcome.json(&step.what))
    } else {
        output::print(&outcome.line(&step.what, context.paint))
    }
}

/// The prefix, absolute, so that what is said about a path is where it is.
fn prefix(args: &Args) -> anyhow::Result<PathBuf> {
    let Some(prefix) = &args.prefix else { return Ok("/".into()) };
    std::path::absolute(prefix).with_context(|| format!("--prefix {} cannot be used", prefix.display()))
}

fn wanted(args: &Args, layout: Layout, host: &Host, templates: &Templates) -> anyhow::Result<Wanted> {
    let only = services(&args.only, templates)?;
    let binary = match &args.binary {
        Some(binary) => binary.clone(),
        None => {
            std::env::current_exe().context("where this program is cannot be told; name it with --binary")?
        }
    };
    let touched = templates.services.iter().map(|(name, _)| name);
    let touched: Vec<_> = touched.filter(|name| only.is_empty() || only.contains(name)).collect();
    let inherited = Inherited { host, takes_over: !only.is_empty() };
    let shared = inherited.shared(&touched);
    let settle = |unit| settings::settle(args, &layout, &binary, unit).map_err(Usage);
    let variables = settle(shared)?;
    let of = |name: &&String| anyhow::Ok(((*name).clone(), settle(inherited.unit(name).unwrap_or(shared))?));
    let services = touched.iter().map(of).collect::<Result<_, _>>()?;
    let (force, start, purge) = (args.force, !args.no_start, args.purge);
    Ok(Wanted { layout, variables, services, only, force, start, purge })
}

/// The services that were named, as unit names.
fn services(only: &[String], templates: &Templates) -> Result<Vec<String>, Usage> {
    let known: Vec<_> = templates.services.iter().map(|(name, _)| name.as_str()).collect();
    let find = |name: &String| {
        let unit = format!("decnet-{name}.service");
        let found = known.iter().find(|known| **known == unit || *known == name);
        found.map(ToString::to_string).ok_or_else(|| {
            let short =
                |name: &&str| name.trim_start_matches("decnet-").trim_end_matches(".service").to_owned();
            let names = known.iter().map(short).collect::<Vec<_>>().join(", ");
            format!("--only {name}: there is no such service; there are {names}")
        })
    };
    let (found, missing): (Vec<_>, Vec<_>) = only.iter().map(find).partition(Result::is_ok);
    let problems: Vec<_> = missing.into_iter().filter_map(Result::err).collect();
    if problems.is_empty() { Ok(found.into_iter().flatten().collect()) } else { Err(Usage(problems)) }
}

async fn ask(layout: &Layout, context: &Context) -> anyhow::Result<()> {
    let (settings, data, logs) = (layout.settings.display(), layout.data.display(), layout.logs.display());
    let what = format!("{settings}, {logs} and {data} with every subscription and every undelivered event");
    let problem = format!("this would remove {what}; where nobody can be asked, --yes allows it");
    if confirm::ask(format!("This removes {what}. Go on? [y/N] "), problem, context).await? {
        return Ok(());
    }
    output::say("nothing was removed");
    Err(Said.into())
}
