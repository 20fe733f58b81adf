//! How a run that failed ends: what is said, and the exit code.

use std::process::ExitCode;

use decnet_store::queue;

use crate::output::{self, StdoutClosed};

/// The command line, the configuration or the data directory is wrong: a restart does not help.
const USAGE: u8 = 2;

/// Wrong usage or configuration, one problem a line.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(crate) struct Usage(pub(crate) Vec<String>);

impl Usage {
    /// One problem.
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self(vec![problem.into()])
    }
}

/// clap has something to say: help, a version, or what is wrong with the arguments.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Clap(#[from] pub(crate) clap::Error);

/// A second signal came before the first was honoured.
#[derive(Debug, thiserror::Error)]
#[error("stopped at once by a second signal")]
pub(crate) struct Interrupted {
    /// 128 and the signal's number.
    pub(crate) exit_code: u8,
}

/// All has been said already; only the exit code is left.
#[derive(Debug, thiserror::Error)]
#[error("failed")]
pub(crate) struct Said;

/// The process that did the work has ended and has reported the reason.
#[derive(Debug, thiserror::Error)]
#[error("ended with code {code}")]
pub(crate) struct Exited {
    pub(crate) code: u8,
}

/// Says what went wrong, unless it was said before or nobody reads, and picks the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if error.is::<StdoutClosed>() {
        return ExitCode::SUCCESS;
    }
    if error.is::<Said>() {
        return ExitCode::FAILURE;
    }
    if let Some(Exited { code }) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    if let Some(Clap(error)) = error.downcast_ref() {
        return clap(error);
    }
    if let Some(Interrupted { exit_code }) = error.downcast_ref() {
        output::say(&format!("decnet: {error}"));
        return ExitCode::from(*exit_code);
    }
    if let Some(Usage(problems)) = error.downcast_ref() {
        problems.iter().for_each(|problem| output::say(&format!("decnet: {problem}")));
        return ExitCode::from(USAGE);
    }
    output::say(&format!("decnet: {}", format_error(error)));
    if needs_operator(error) { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
}

/// Returns whether the queue's files wait for a decision of the operator.
fn needs_operator(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<queue::Error>());
    causes.any(queue::Error::needs_operator)
}

/// An error and its causes in one line, without those that the line says already.
pub(crate) fn format_error(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

/// Help goes to stdout with 0, errors to stderr with 2; a reader who has left is no failure.
fn clap(error: &clap::Error) -> ExitCode {
    let exit_code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
    if error.use_stderr() && output::say_escaped(&error.to_string()) {
        return exit_code;
    }
    match error.print() {
        Ok(()) => exit_code,
        Err(_) => ExitCode::SUCCESS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_was_said_is_not_repeated() {
        let cause = anyhow::anyhow!("permission denied");
        assert_eq!(
            format_error(&cause.context("cannot open a.db: permission denied; run as root"))
                .matches("denied")
                .count(),
            1
        );
        let cause = anyhow::anyhow!("permission denied");
        assert_eq!(format_error(&cause.context("cannot open a.db")), "cannot open a.db: permission denied");
    }
}
