//! Programs that are built by cargo.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The messages of a cargo build, one per line.
pub(crate) struct Built(String);

/// Returns a command for the cargo that runs this program.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

impl Built {
    /// Runs cargo with these arguments, which are separated by spaces.
    pub(crate) fn by(arguments: &str) -> Result<Self> {
        let mut cargo = cargo();
        cargo
            .args(arguments.split(' '))
            .arg("--message-format=json-render-diagnostics")
            .stderr(Stdio::inherit());
        let built = cargo.output().context("cannot start cargo")?;
        ensure!(built.status.success(), "the build failed");
        Ok(Self(String::from_utf8_lossy(&built.stdout).into_owned()))
    }

    /// Returns a program's path. The test binary of a program has the same name and is skipped.
    pub(crate) fn executable(&self, kind: &str, name: &str) -> Result<PathBuf> {
        let path = self.0.lines().find_map(|message| {
            let message: Value = serde_json::from_str(message).ok()?;
            let is_it = message["target"]["name"] == name
                && message["target"]["kind"][0] == kind
                && message["profile"]["test"] == false;
            is_it.then(|| message["executable"].as_str().map(PathBuf::from))?
        });
        path.with_context(|| format!("cargo did not report the path of {name}"))
    }
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
        let built = Built([message(true, "/tests"), "x".into(), message(false, "/program")].join("\n"));
        assert_eq!(built.executable("bin", "a").unwrap(), PathBuf::from("/program"));
        assert!(built.executable("example", "a").is_err());
    }
}
