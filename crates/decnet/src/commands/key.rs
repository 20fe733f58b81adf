//! `decnet key`: manages the keys that encrypt secrets in the catalog. Needs no daemon.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, read_to_string};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use decnet_store::catalog::{Catalog, Encryption, Reencrypted};
use decnet_store::ownership::{chown_to_parent, directory_of};
use decnet_store::vault::{Keyring, generate_key};
use serde_json::json;

use super::shared::bus_client;
use crate::context::Context;
use crate::failure::Usage;
use crate::output::{self, Table, pluralize};
use crate::receiver::now;
use crate::store::{open_existing, read_if_exists};

/// The setting that names the key file.
const SETTING: &str = "DECNET_WEBHOOK_KEY_FILE";

/// Manages the keys that encrypt secrets in the catalog.
///
/// With a key file (DECNET_WEBHOOK_KEY_FILE), the headers, credentials and replaced secrets of subscriptions are stored
/// encrypted. DECNET's own columns, such as the URL and the secret, are not encrypted. Without its key, a secret cannot be
/// recovered: keep a copy of the key file.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  decnet key create /etc/decnet/webhook.key
  decnet key status
  decnet key rotate --new")]
pub(crate) enum Command {
    Create(CreateArgs),
    Rotate(RotateArgs),
    Status(StatusArgs),
}

/// Creates a key file with one new key, which only its owner can access.
///
/// If root creates the file, it gets the owner of the data directory, the user of the services. Set DECNET_WEBHOOK_KEY_FILE
/// to the file and restart the services. Then `decnet key rotate` encrypts the secrets that are stored already.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  decnet key create /etc/decnet/webhook.key")]
pub(crate) struct CreateArgs {
    /// The file to create; it must not exist
    file: PathBuf,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Encrypts all secrets with the first key of the key file.
///
/// Secrets that are not encrypted or are encrypted with another key are written again. Then the other keys of the file are
/// needed only for older backups. The services continue meanwhile.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet key rotate              # after a key was added as the first line, or the first time
  decnet key rotate --new        # create a key and use it
  decnet key rotate --decrypt    # stop using encryption; then unset DECNET_WEBHOOK_KEY_FILE")]
pub(crate) struct RotateArgs {
    /// First add a new key to the key file, as its first line
    #[arg(long)]
    new: bool,
    /// Store all secrets unencrypted instead
    #[arg(long, conflicts_with = "new")]
    decrypt: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Shows the keys and the number of secrets that each has encrypted.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  decnet key status\n  decnet key status --json")]
pub(crate) struct StatusArgs {
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(command: Command, context: &Context) -> anyhow::Result<()> {
    match command {
        Command::Create(args) => create(&args, context),
        Command::Rotate(args) => rotate(&args, context).await,
        Command::Status(args) => status(&args, context),
    }
}

fn create(args: &CreateArgs, context: &Context) -> anyhow::Result<()> {
    let (file, shown) = (&args.file, args.file.display());
    let exists =
        format!("{shown} already exists; `decnet key rotate --new` adds a key to the configured file");
    anyhow::ensure!(!file.try_exists()?, Usage::new(exists));
    let line = generate_key();
    let id = first_id(&line)?;
    write_new(file, &line, &context.config.data_dir).with_context(|| format!("cannot write {shown}"))?;
    let what = format!("created {shown} with the key {id}");
    if args.json {
        return output::done(&what, output::json(&json!({"file": file, "key": id})));
    }
    output::done(&what, output::line(&what))?;
    let path = std::path::absolute(file)?;
    output::note(&format!(
        "set {SETTING}={}, restart the services, run `decnet key rotate`, and keep a copy of the file elsewhere",
        path.display()
    ));
    Ok(())
}

/// Creates a file that only its owner can access, and syncs it. The owner is that of the data directory, if that exists.
fn write_new(path: &Path, line: &str, data_dir: &Path) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    if data_dir.is_dir() {
        chown_to_parent(&file, data_dir)?;
    }
    writeln!(file, "{line}")?;
    file.sync_all()?;
    File::open(directory_of(path))?.sync_all()
}

/// Returns the id of the first key of a key file.
fn first_id(text: &str) -> anyhow::Result<String> {
    let keyring = Keyring::parse(text)?;
    Ok(keyring.ids().next().unwrap_or_default().to_owned())
}

async fn rotate(args: &RotateArgs, context: &Context) -> anyhow::Result<()> {
    let keys = &context.config.keys;
    let path = keys.path().ok_or_else(|| {
        Usage::new(format!(
            "{SETTING} is not set; create a key file with `decnet key create FILE` and set it"
        ))
    })?;
    if args.new {
        add_key(path).with_context(|| format!("cannot add a key to {}", path.display()))?;
    }
    let mut catalog = open_existing(&context.config)?;
    let result = catalog.reencrypt(args.decrypt, now())?;
    bus_client::publish_entries(&context.config, catalog.take_unpublished()).await;
    let others: Vec<String> = keys.ids().into_iter().skip(1).collect();
    let what = describe(&result, args.decrypt, &keys.ids());
    let Reencrypted { changed, unchanged, locked } = result;
    let first = keys.first_id().filter(|_| !args.decrypt);
    let json = || {
        output::json(
            &json!({"key": first, "changed": changed, "unchanged": unchanged, "locked": locked, "other_keys": others}),
        )
    };
    output::done(&what, if args.json { json() } else { output::line(&what) })?;
    let values = pluralize(locked, "value", "values");
    anyhow::ensure!(
        locked == 0,
        "{values} cannot be decrypted and remain unchanged; `decnet subscription list` shows the subscriptions and the reasons"
    );
    Ok(())
}

fn describe(result: &Reencrypted, decrypt: bool, ids: &[String]) -> String {
    let changed = pluralize(result.changed, "value", "values");
    if decrypt {
        return format!(
            "decrypted {changed}; remove {SETTING} from the settings, or new secrets are encrypted again"
        );
    }
    let (first, others) = ids.split_first().map_or(("", &[][..]), |(first, others)| (first.as_str(), others));
    let before = result.unchanged;
    let text = format!("encrypted {changed} with the key {first}; {before} already had it");
    match others {
        [] => text,
        _ if result.locked > 0 => text,
        others => format!("{text}; the other keys are needed only for older backups: {}", others.join(", ")),
    }
}

/// Adds a new key as the first line of a key file. Replaces the file at once, so that no reader finds an incomplete one.
fn add_key(path: &Path) -> anyhow::Result<()> {
    let path = path.canonicalize()?;
    let text = format!("{}\n{}", generate_key(), read_to_string(&path)?);
    Keyring::parse(&text)?;
    let (place, old) = (directory_of(&path), path.metadata()?);
    let mut new = tempfile::Builder::new().prefix(".decnet-key-").tempfile_in(place)?;
    new.write_all(text.as_bytes())?;
    let owner = new.as_file().metadata()?;
    if (owner.uid(), owner.gid()) != (old.uid(), old.gid()) {
        fchown(new.as_file(), Some(old.uid()), Some(old.gid()))?;
    }
    new.as_file().sync_all()?;
    new.persist(&path)?;
    Ok(File::open(place)?.sync_all()?)
}

fn status(args: &StatusArgs, context: &Context) -> anyhow::Result<()> {
    let keys = &context.config.keys;
    let Encryption { plain, mut by_key } =
        read_if_exists(&context.config, Catalog::encryption)?.unwrap_or_default();
    let known: Vec<(String, u64)> =
        keys.ids().into_iter().map(|id| (id.clone(), by_key.remove(&id).unwrap_or_default())).collect();
    if args.json {
        let known: Vec<_> = known.iter().map(|(id, values)| json!({"key": id, "values": values})).collect();
        return output::json(&json!({"file": keys.path(), "problem": keys.problem(), "keys": known,
            "missing_keys": by_key, "unencrypted_values": plain}));
    }
    match keys.path() {
        Some(path) => output::line(&format!("key file: {}", path.display()))?,
        None => output::line(&format!("key file: none ({SETTING} is not set)"))?,
    }
    print_keys(&known, &by_key, context)?;
    output::line(&format!("not encrypted: {}", pluralize(plain, "value", "values")))?;
    let problem = keys.problem().into_iter().map(|why| format!("the key file cannot be used: {why}"));
    let missing =
        (!by_key.is_empty()).then(|| "subscriptions whose values have a missing key are held".to_owned());
    problem.chain(missing).for_each(|line| output::note(&line));
    Ok(())
}

fn print_keys(
    known: &[(String, u64)],
    missing: &BTreeMap<String, u64>,
    context: &Context,
) -> anyhow::Result<()> {
    let uses = |index| if index == 0 { "encrypts and decrypts" } else { "decrypts" };
    let known = known
        .iter()
        .enumerate()
        .map(|(index, (id, values))| [id.clone(), uses(index).into(), values.to_string()]);
    let missing = missing.iter().map(|(id, values)| [id.clone(), "MISSING".into(), values.to_string()]);
    let rows: Vec<_> = known.chain(missing).collect();
    if rows.is_empty() { Ok(()) } else { Table::new(["KEY", "USE", "VALUES"], rows).print(context.paint) }
}
