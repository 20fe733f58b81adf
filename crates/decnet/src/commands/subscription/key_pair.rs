//! `decnet subscription key`: creates a key pair for asymmetric signatures.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use decnet_core::redact::Secret;
use decnet_core::settings::PrivateKey;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;

use crate::output::{self, Text};

/// Creates a key pair for asymmetric signatures (Standard Webhooks, `v1a`) and changes no subscription.
///
/// The private key is for `--private-key-file` of `subscription create` and `update`. Receivers verify signatures with the public
/// key, which is not secret. `subscription show` shows the public key too.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet subscription key --file siem.key
  decnet subscription update siem --private-key-file siem.key")]
pub(crate) struct Args {
    /// Write the private key to this new file, which only its owner can read, instead of stdout
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let key = generate()?;
    let public = public_key(&key);
    let private = key.as_secret().expose();
    if let Some(file) = &args.file {
        write_private(file, private)?;
    }
    let file = args.file.as_ref().map(|file| file.display().to_string());
    if args.json {
        let shown = file.is_none().then_some(private);
        return output::json(&json!({"public_key": public, "private_key": shown, "file": file}));
    }
    let mut text = Text::default();
    match file {
        Some(file) => text.line(format!("private key: written to {file}")),
        None => text.line(format!("private key: {private}")),
    }
    text.line(format!("public key: {public}"));
    output::print(&text)
}

fn generate() -> anyhow::Result<PrivateKey> {
    let mut seed = [0; 32];
    SystemRandom::new().fill(&mut seed).ok().context("the operating system provides no random bytes")?;
    Ok(PrivateKey::new(Secret::new(format!("whsk_{}", STANDARD.encode(seed))))?)
}

/// Returns the public key of a private key in the form of Standard Webhooks: `whpk_` and base64.
pub(super) fn public_key(key: &PrivateKey) -> String {
    match Ed25519KeyPair::from_seed_unchecked(&key.seed()) {
        Ok(pair) => format!("whpk_{}", STANDARD.encode(pair.public_key())),
        Err(_) => "an unusable key".to_owned(),
    }
}

/// Writes a new file that only its owner can read.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let shown = path.display();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("cannot create {shown}"))?;
    writeln!(file, "{text}").with_context(|| format!("cannot write {shown}"))
}
