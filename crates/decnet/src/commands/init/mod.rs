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

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::process::geteuid;

use self::accounts::Accounts;
use self::execute::Executor;
use self::host::Host;
use self::layout::Layout;
use self::plan::{Step, Wanted};
use self::report::Outcome;
use self::templates::{Templates, Variables};
use super::shared::confirm;
use crate::context::Context;
use crate::failure::Usage;
use crate::output::{self, pluralize};
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
  sudo decnet init --only webhook           # next to DECNET in Python: only the worker
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
    /// The directory of .env.local and of an existing DECNET's catalog [default: that of the existing unit, or /opt/decnet]
    #[arg(long, value_name = "DIR")]
    install_dir: Option<PathBuf>,
    /// The virtual environment for templates of --templates [default: the first of venv, .venv, .311, .312 and .313 in the
    /// installation directory that has a bin/decnet]
    #[arg(long, value_name = "DIR")]
    venv_dir: Option<PathBuf>,
    /// The services' user [default: that of the existing unit, or decnet]
    #[arg(long)]
    user: Option<String>,
    /// The services' group [default: that of the existing unit, or decnet]
    #[arg(long)]
    group: Option<String>,
    /// The program that the units start [else this program]
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
    anyhow::ensure!(
        args.prefix.is_some() || args.dry_run || geteuid().is_root(),
        "init changes the system and must run as root: use sudo decnet init, or --dry-run to preview it"
    );
    let prefix = args.prefix.as_deref().unwrap_or(Path::new("/"));
    // Messages name absolute paths.
    let absolute = std::path::absolute(prefix);
    let absolute = absolute.with_context(|| format!("--prefix {} cannot be used", prefix.display()))?;
    let layout = Layout::new(&absolute, args.vendor);
    // Root's service manager executes the units of this system, so templates must be root's own.
    let trust = layout.root.is_live().then(Trust::default);
    let templates = Templates::load(args.templates.as_deref(), trust.as_ref())?;
    let host = Host::inspect(&layout);
    let wanted = wanted(&args, layout, &host, &templates)?;
    if args.purge && !args.yes && !args.dry_run {
        ask(&wanted.layout, context).await?;
    }
    if !args.deinit {
        preflight::check(&wanted)?;
        preflight::warnings(&wanted).iter().for_each(|warning| output::warn(warning));
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
    let executor = Executor { accounts, root: &wanted.layout.root, dry_run: args.dry_run };
    let (mut failures, mut written) = (0, Ok(()));
    for step in steps {
        let is_cancelled = context.shutdown.is_cancelled();
        anyhow::ensure!(!is_cancelled, "stopped before {}; completed steps are kept", step.what);
        let outcome = executor.execute(step);
        failures += u64::from(matches!(outcome, Outcome::Failed(_)));
        // Finish the remaining steps even if the output can no longer be written.
        if written.is_ok() {
            written = outcome.print(&step.what, args.json, context.paint);
        }
    }
    if failures == 0 {
        return if args.dry_run { written } else { output::done("every step was completed", written) };
    }
    let failed = pluralize(failures, "step", "steps");
    anyhow::bail!(
        "{failed} failed; fix the reported problems and run this again: completed steps are skipped"
    )
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
    let takes_over = !only.is_empty();
    let shared = host.inherited_by_all(&touched, takes_over);
    let resolve = |unit| settings::resolve(args, &layout, &binary, unit).map_err(Usage);
    let variables = resolve(shared)?;
    let of = |name: &&String| {
        anyhow::Ok(((*name).clone(), resolve(host.inherited(name, takes_over).unwrap_or(shared))?))
    };
    let services = touched.iter().map(of).collect::<Result<_, _>>()?;
    let (force, start, purge) = (args.force, !args.no_start, args.purge);
    Ok(Wanted { layout, variables, services, only, force, start, purge })
}

/// Returns the unit names of the services that `--only` names.
fn services(only: &[String], templates: &Templates) -> Result<Vec<String>, Usage> {
    let known: Vec<_> = templates.services.iter().map(|(name, _)| name.as_str()).collect();
    let short = |name: &&str| name.trim_start_matches("decnet-").trim_end_matches(".service").to_owned();
    let names = known.iter().map(short).collect::<Vec<_>>().join(", ");
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for name in only {
        let unit = format!("decnet-{name}.service");
        match known.iter().find(|known| **known == unit || *known == name) {
            Some(known) => found.push((*known).to_owned()),
            None => problems.push(format!("--only {name}: no such service; the services are {names}")),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(Usage(problems)) }
}

async fn ask(layout: &Layout, context: &Context) -> anyhow::Result<()> {
    let (settings, data, logs) = (layout.settings.display(), layout.data.display(), layout.logs.display());
    let action =
        format!("remove {settings}, {logs} and {data} with every subscription and every undelivered event");
    confirm::ask(&action, "nothing was removed", context).await
}
