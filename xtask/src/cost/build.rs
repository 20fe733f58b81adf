//! The programs that are looked at.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// `decnet` and the counting worker, built as the workspace's tests are: after those there is nothing to build.
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

/// The steps whose instructions are counted, optimised.
pub(super) fn instructions() -> Result<PathBuf> {
    let what = ["build", "--profile", "cost", "--package", "decnet-bus", "--example", "instructions"];
    executable(&cargo(&what)?, "example", "instructions")
}

fn cargo(arguments: &[&str]) -> Result<String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments).args(["--locked", "--quiet", "--message-format=json-render-diagnostics"]);
    let built = cargo.stderr(Stdio::inherit()).output().context("cargo cannot be started")?;
    ensure!(built.status.success(), "the build failed");
    Ok(String::from_utf8_lossy(&built.stdout).into_owned())
}

/// The path of a program, in the one of cargo's messages that says it. A program's tests are one too, of its name.
fn executable(messages: &str, kind: &str, name: &str) -> Result<PathBuf> {
    let path = messages.lines().find_map(|message| {
        let message: Value = serde_json::from_str(message).ok()?;
        let is_it = message["target"]["name"] == name
            && message["target"]["kind"][0] == kind
            && message["profile"]["test"] == false;
        is_it.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    path.with_context(|| format!("cargo did not say where it put {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_told_from_its_tests() {
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
