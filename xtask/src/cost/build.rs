//! The programs that are measured.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// `decnet` and the counting worker, built like the workspace's tests, so that nothing is left to build after
/// those.
pub(super) struct Programs {
    pub(super) decnet: PathBuf,
    pub(super) counted_worker: PathBuf,
}

impl Programs {
    pub(super) fn build() -> Result<Self> {
        let messages = cargo(&["test", "--workspace", "--no-run"])?;
        Ok(Self {
            decnet: executable(&messages, "bin", "decnet")?,
            counted_worker: executable(&messages, "example", "counted_worker")?,
        })
    }
}

/// Builds the program that runs the pure steps, optimised.
pub(super) fn instructions() -> Result<PathBuf> {
    let what = ["build", "--profile", "cost", "--package", "decnet-bus", "--example", "instructions"];
    executable(&cargo(&what)?, "example", "instructions")
}

fn cargo(arguments: &[&str]) -> Result<String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments).args(["--locked", "--quiet", "--message-format=json-render-diagnostics"]);
    let built = cargo.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    ensure!(built.status.success(), "the build failed");
    Ok(String::from_utf8_lossy(&built.stdout).into_owned())
}

/// Returns a program's path from cargo's messages. The test binary of a program has the same name and is
/// skipped.
fn executable(messages: &str, kind: &str, name: &str) -> Result<PathBuf> {
    let path = messages.lines().find_map(|message| {
        let message: Value = serde_json::from_str(message).ok()?;
        let is_it = message["target"]["name"] == name
            && message["target"]["kind"][0] == kind
            && message["profile"]["test"] == false;
        is_it.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    path.with_context(|| format!("cargo did not report the path of {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_is_distinguished_from_its_test_binary() {
        let message = |test: bool, path: &str| {
            format!(
                r#"{{"target":{{"name":"a","kind":["bin"]}},"profile":{{"test":{test}}},"executable":"{path}"}}"#
            )
        };
        let messages = [message(true, "/tests"), "x".into(), message(false, "/program")].join("\n");
        assert_eq!(executable(&messages, "bin", "a").unwrap(), PathBuf::from("/program"));
        assert!(executable(&messages, "example", "a").is_err());
    }
}
