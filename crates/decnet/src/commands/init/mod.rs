//! `decnet init`: makes this host run decnet as services, and takes it back.
//!
//! In the order of a run: the arguments are judged ([`names`]), the host is looked at ([`host`], [`layout`]), files are
//! rendered ([`templates`], [`sweep`]), what is to be done is planned as values ([`plan`]), carried out step by step
//! ([`carry_out`], [`accounts`]) and told ([`report`]).

mod accounts;
mod carry_out;
mod host;
mod layout;
mod names;
mod plan;
mod report;
mod sweep;
mod templates;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use self::accounts::{Accounts, is_hidden, is_root};
use self::carry_out::Hand;
use self::host::Host;
use self::layout::Layout;
use self::plan::{Action, Step, Wanted};
use self::templates::{Templates, Variables};
use super::confirm;
use crate::context::Context;
use crate::failure::{Said, Usage};
use crate::output;

/// Installs and starts the systemd units, or takes them away.
///
/// The units are those of bus, webhook worker and API, and with them comes all that they need: user, directories, settings. Needs root. May be run again at any time: what is as it should be is skipped, what an operator has changed is kept
/// (`--force` renews it). With `--only webhook` it replaces the worker of a DECNET that is there and touches
/// nothing else of it; `--deinit` puts back what was replaced. Exit code 1 where a step failed.
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
    /// Also render every decnet-*.service.j2 in this directory
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
    /// Write below this directory, for an image or a test; nothing is started and no user made
    #[arg(long, value_name = "DIR")]
    prefix: Option<PathBuf>,
    /// Where .env.local is, and the catalog of a DECNET that is there [else that of the unit replaced, or /opt/decnet]
    #[arg(long, value_name = "DIR")]
    install_dir: Option<PathBuf>,
    /// The virtual environment that templates of --templates name [else .venv in the installation directory]
    #[arg(long, value_name = "DIR")]
    venv_dir: Option<PathBuf>,
    /// The services' user [else that of the unit replaced, or decnet]
    #[arg(long)]
    user: Option<String>,
    /// The services' group [else that of the unit replaced, or decnet]
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
    let templates = Templates::load(args.templates.as_deref())?;
    let wanted = wanted(&args, layout, &templates)?;
    let host = Host::look(&wanted.layout);
    if args.purge && !args.yes && !args.dry_run {
        ask(&wanted.layout, context).await?;
    }
    let mut steps =
        if args.deinit { plan::remove(&wanted, &host) } else { plan::install(&wanted, &host, &templates) };
    if !args.deinit {
        steps.extend(unreachable(&wanted.variables));
    }
    let context = context.clone();
    // On a thread of its own, so that a signal is heard while a step waits for another program.
    tokio::task::spawn_blocking(move || work_off(&steps, &wanted, &args, &context)).await?
}

fn work_off(steps: &[Step], wanted: &Wanted, args: &Args, context: &Context) -> anyhow::Result<()> {
    let Variables { user, group, .. } = &wanted.variables;
    let accounts = Accounts { layout: &wanted.layout, user, group };
    let hand = Hand { accounts, dry_run: args.dry_run };
    let mut failures = 0;
    for step in steps {
        let is_called_off = context.shutdown.is_cancelled();
        anyhow::ensure!(!is_called_off, "ended before {}; what was done stays", step.what);
        let outcome = hand.carry_out(step);
        failures += usize::from(outcome.is_failure());
        if args.json {
            output::json(&outcome.json(&step.what))?;
        } else {
            output::line(&outcome.line(&step.what, context.paint))?;
        }
    }
    if failures == 0 {
        return Ok(());
    }
    output::say(&format!("decnet: {}", report::failed(failures)));
    Err(Said.into())
}

/// The prefix, absolute, so that what is said about a path is where it is.
fn prefix(args: &Args) -> anyhow::Result<PathBuf> {
    let Some(prefix) = &args.prefix else { return Ok("/".into()) };
    std::path::absolute(prefix).with_context(|| format!("--prefix {} cannot be used", prefix.display()))
}

fn wanted(args: &Args, layout: Layout, templates: &Templates) -> anyhow::Result<Wanted> {
    let only = services(&args.only, templates)?;
    let replaced = match only.as_slice() {
        [] => String::new(),
        [first, ..] => std::fs::read_to_string(layout.unit(first)).unwrap_or_default(),
    };
    let inherited =
        |key: &str, default: &str| host::value_in(&replaced, key).unwrap_or_else(|| default.into());
    let install_dir = args.install_dir.clone();
    let install_dir = install_dir.unwrap_or_else(|| inherited("WorkingDirectory", "/opt/decnet").into());
    let venv_dir = args.venv_dir.clone().unwrap_or_else(|| install_dir.join(".venv"));
    let binary = match &args.binary {
        Some(binary) => binary.clone(),
        None => {
            std::env::current_exe().context("where this program is cannot be told; name it with --binary")?
        }
    };
    let user = args.user.clone().unwrap_or_else(|| inherited("User", "decnet"));
    let group = args.group.clone().unwrap_or_else(|| inherited("Group", "decnet"));
    let mut variables = judge(&install_dir, &venv_dir, &user, &group, &binary).map_err(Usage)?;
    variables.catalog = host::catalog(&layout, &variables.install_dir);
    variables.names_catalog = !host::names_catalog(&layout);
    Ok(Wanted { layout, variables, only, force: args.force, start: !args.no_start, purge: args.purge })
}

/// All that is wrong with what was given, at once.
fn judge(
    install_dir: &Path,
    venv_dir: &Path,
    user: &str,
    group: &str,
    binary: &Path,
) -> Result<Variables, Vec<String>> {
    let results = [
        names::path("--install-dir", install_dir),
        names::path("--venv-dir", venv_dir),
        names::account("--user", user),
        names::account("--group", group),
        names::path("--binary", binary),
    ];
    let problems: Vec<_> = results.iter().filter_map(|result| result.clone().err()).collect();
    let [Ok(install_dir), Ok(venv_dir), Ok(user), Ok(group), Ok(binary)] = results else {
        return Err(problems);
    };
    Ok(Variables::new(install_dir, venv_dir, user, group, binary))
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
            format!("--only {}: there is no such service; there are {names}", name.escape_debug())
        })
    };
    let (found, missing): (Vec<_>, Vec<_>) = only.iter().map(find).partition(Result::is_ok);
    let problems: Vec<_> = missing.into_iter().filter_map(Result::err).collect();
    if problems.is_empty() { Ok(found.into_iter().flatten().collect()) } else { Err(Usage(problems)) }
}

/// What the services could not get at.
fn unreachable(variables: &Variables) -> Option<Step> {
    let Variables { decnet, .. } = variables;
    let why = format!(
        "it is in a home, which the services do not see; install it elsewhere (install -m 755 {decnet} \
         /usr/local/bin/decnet), then run that one's init with --force"
    );
    is_hidden(decnet).then(|| Step { what: decnet.clone(), action: Action::Fail(why) })
}

async fn ask(layout: &Layout, context: &Context) -> anyhow::Result<()> {
    let (settings, data) = (layout.settings.display(), layout.data.display());
    let what = format!("{settings} and {data} with every subscription and every undelivered event");
    let problem = format!("this would remove {what}; where nobody can be asked, --yes allows it");
    if confirm::ask(format!("This removes {what}. Go on? [y/N] "), problem, context).await? {
        return Ok(());
    }
    output::say("nothing was removed");
    Err(Said.into())
}
