//! `decnet init`: installs decnet as services on this host, and removes it.
//!
//! A run inspects the host ([`host`], [`layout`]), validates the arguments and completes them from existing units
//! ([`validate`], [`settings`]), rejects configurations that cannot work ([`preflight`]) and renders files ([`templates`],
//! [`template_dir`]). It plans the steps as values ([`plan`]), executes them one by one ([`execute`], [`accounts`]) below the
//! prefix ([`root`]) and prints the results ([`report`]).

mod accounts;
mod execute;
mod host;
mod layout;
mod plan;
mod preflight;
mod report;
mod root;
mod settings;
mod template_dir;
mod templates;
mod validate;

use std::path::PathBuf;

use anyhow::Context as _;

use self::accounts::{Accounts, is_root};
use self::execute::Executor;
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

/// Installs and starts the systemd units, or removes them.
///
/// Installs the units of the bus, the webhook worker and the API together with their user, directories and settings.
/// Requires root. The command can be repeated at any time: files that are up to date are skipped, an operator's changes
/// are kept (`--force` overwrites them), and existing services are neither enabled nor started again. `--only webhook`
/// replaces the worker of an existing DECNET and changes nothing else of it; `--deinit` restores what was replaced. Exit
/// code 1 if a step failed; 2, without any change, if the services could not run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo decnet init --dry-run                # show the steps without executing them
  sudo decnet init
  sudo decnet init --only webhook           # beside DECNET in Python: only the worker
  sudo decnet init --deinit                 # remove the units, keep the data
  decnet init --prefix ./image --no-start   # install into an image")]
pub(crate) struct Args {
    /// Remove what init installed; keep settings and data
    #[arg(long)]
    deinit: bool,
    /// With --deinit: also remove settings, catalog, queue and user
    #[arg(long, requires = "deinit")]
    purge: bool,
    /// Do not ask for confirmation of --purge
    #[arg(long, requires = "purge")]
    yes: bool,
    /// Show the steps; run and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Overwrite files that differ; a unit that init did not write is saved
    #[arg(long, conflicts_with = "deinit")]
    force: bool,
    /// Do not enable or start any unit
    #[arg(long)]
    no_start: bool,
    /// Only this service: webhook, bus, api or one of --templates; can be repeated
    #[arg(long, value_name = "SERVICE")]
    only: Vec<String>,
    /// Also render every decnet-*.service.j2 in this directory, which only root may be able to write unless --prefix is given
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
    /// Write below this directory, for an image or a test; start nothing and create no user
    #[arg(long, value_name = "DIR")]
    prefix: Option<PathBuf>,
    /// The directory of .env.local and of an existing DECNET's catalog [else that of the existing unit, or /opt/decnet]
    #[arg(long, value_name = "DIR")]
    install_dir: Option<PathBuf>,
    /// The virtual environment for templates of --templates [else the first of venv, .venv, .311, .312 and .313 in the
    /// installation directory that has a bin/decnet]
    #[arg(long, value_name = "DIR")]
    venv_dir: Option<PathBuf>,
    /// The services' user [else that of the existing unit, or decnet]
    #[arg(long)]
    user: Option<String>,
    /// The services' group [else that of the existing unit, or decnet]
    #[arg(long)]
    group: Option<String>,
    /// The program that the units start [else this one]
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Use the directories of packages: /usr/lib instead of /etc
    #[arg(long, hide = true, requires = "prefix")]
    vendor: bool,
    /// Print one JSON object per step
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    if args.prefix.is_none() && !args.dry_run && !is_root() {
        output::say(
            "decnet: init changes the system and must run as root: use sudo decnet init, or --dry-run to preview it",
        );
        return Err(Said.into());
    }
    let layout = Layout::new(&prefix(&args)?, args.vendor);
    // Root's service manager executes the units of this system, so templates must be root's own.
    let trust = layout.is_live().then(|| Trust::default().without_services());
    let templates = Templates::load(args.templates.as_deref(), trust.as_ref())?;
    let host = Host::inspect(&layout);
    let wanted = wanted(&args, layout, &host, &templates)?;
    if args.purge && !args.yes && !args.dry_run {
        ask(&wanted.layout, context).await?;
    }
    if !args.deinit {
        preflight::check(&wanted)?;
        for warning in preflight::warnings(&wanted) {
            output::say(&format!("decnet: warning: {warning}"));
        }
    }
    let steps =
        if args.deinit { plan::remove(&wanted, &host) } else { plan::install(&wanted, &host, &templates) };
    let context = context.clone();
    // A separate thread, so that signals are handled while a step waits for another program.
    tokio::task::spawn_blocking(move || execute_steps(&steps, &wanted, &args, &context)).await?
}

fn execute_steps(steps: &[Step], wanted: &Wanted, args: &Args, context: &Context) -> anyhow::Result<()> {
    let Variables { user, group, .. } = &wanted.variables;
    let accounts = Accounts { layout: &wanted.layout, user, group };
    let executor = Executor { accounts, root: wanted.layout.root(), dry_run: args.dry_run };
    let (mut failures, mut written) = (0, Ok(()));
    for step in steps {
        let is_cancelled = context.shutdown.is_cancelled();
        anyhow::ensure!(!is_cancelled, "stopped before {}; completed steps are kept", step.what);
        let outcome = executor.execute(step);
        failures += usize::from(outcome.is_failure());
        // Finish the remaining steps even if the output can no longer be written.
        if written.is_ok() {
            written = show(&outcome, step, args, context);
        }
    }
    if failures == 0 {
        return if args.dry_run { written } else { output::done("every step was completed", written) };
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

/// Returns the prefix as an absolute path, so that messages name absolute paths.
fn prefix(args: &Args) -> anyhow::Result<PathBuf> {
    let Some(prefix) = &args.prefix else { return Ok("/".into()) };
    std::path::absolute(prefix).with_context(|| format!("--prefix {} cannot be used", prefix.display()))
}

fn wanted(args: &Args, layout: Layout, host: &Host, templates: &Templates) -> anyhow::Result<Wanted> {
    let only = services(&args.only, templates)?;
    let binary = match &args.binary {
        Some(binary) => binary.clone(),
        None => std::env::current_exe()
            .context("cannot determine the path of this program; set it with --binary")?,
    };
    let touched = templates.services.iter().map(|(name, _)| name);
    let touched: Vec<_> = touched.filter(|name| only.is_empty() || only.contains(name)).collect();
    let inherited = Inherited { host, takes_over: !only.is_empty() };
    let shared = inherited.shared(&touched);
    let resolve = |unit| settings::resolve(args, &layout, &binary, unit).map_err(Usage);
    let variables = resolve(shared)?;
    let of = |name: &&String| anyhow::Ok(((*name).clone(), resolve(inherited.unit(name).unwrap_or(shared))?));
    let services = touched.iter().map(of).collect::<Result<_, _>>()?;
    let (force, start, purge) = (args.force, !args.no_start, args.purge);
    Ok(Wanted { layout, variables, services, only, force, start, purge })
}

/// Returns the unit names of the services that `--only` names.
fn services(only: &[String], templates: &Templates) -> Result<Vec<String>, Usage> {
    let known: Vec<_> = templates.services.iter().map(|(name, _)| name.as_str()).collect();
    let find = |name: &String| {
        let unit = format!("decnet-{name}.service");
        let found = known.iter().find(|known| **known == unit || *known == name);
        found.map(ToString::to_string).ok_or_else(|| {
            let short =
                |name: &&str| name.trim_start_matches("decnet-").trim_end_matches(".service").to_owned();
            let names = known.iter().map(short).collect::<Vec<_>>().join(", ");
            format!("--only {name}: no such service; the services are {names}")
        })
    };
    let (found, missing): (Vec<_>, Vec<_>) = only.iter().map(find).partition(Result::is_ok);
    let problems: Vec<_> = missing.into_iter().filter_map(Result::err).collect();
    if problems.is_empty() { Ok(found.into_iter().flatten().collect()) } else { Err(Usage(problems)) }
}

async fn ask(layout: &Layout, context: &Context) -> anyhow::Result<()> {
    let (settings, data, logs) = (layout.settings.display(), layout.data.display(), layout.logs.display());
    let what = format!("{settings}, {logs} and {data} with every subscription and every undelivered event");
    let problem = format!("this would remove {what}; without a terminal to confirm it, use --yes");
    if confirm::ask(format!("This removes {what}. Continue? [y/N] "), problem, context).await? {
        return Ok(());
    }
    output::say("nothing was removed");
    Err(Said.into())
}
