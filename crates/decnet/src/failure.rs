//! The end of a failed run: its message and its exit code.

use std::process::ExitCode;

use decnet_store::queue;

use crate::output::{self, StdoutClosed};

/// The exit code for an invalid command line, configuration or data directory: a restart does not help.
const USAGE: u8 = 2;

/// Invalid usage or configuration, one problem per line.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(crate) struct Usage(pub(crate) Vec<String>);

impl Usage {
    /// Creates an error with one problem.
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self(vec![problem.into()])
    }
}

/// A result of clap: help, a version, or invalid arguments.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Clap(#[from] pub(crate) clap::Error);

/// A second signal arrived before the first was handled.
#[derive(Debug, thiserror::Error)]
#[error("stopped at once by a second signal")]
pub(crate) struct Interrupted {
    /// 128 plus the signal's number.
    pub(crate) exit_code: u8,
}

/// A failure that has already been reported; only the exit code is left.
#[derive(Debug, thiserror::Error)]
#[error("failed")]
pub(crate) struct Said;

/// The failure of a child process that has reported the reason itself.
#[derive(Debug, thiserror::Error)]
#[error("ended with code {code}")]
pub(crate) struct Exited {
    pub(crate) code: u8,
}

/// Reports an error, unless it was already reported or stdout is closed, and returns the exit code.
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

/// Returns whether the queue's files need a decision of the operator.
fn needs_operator(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<queue::Error>());
    causes.any(queue::Error::needs_operator)
}

/// Formats an error and its causes in one line, without causes that the line already contains.
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

/// Prints help to stdout (exit code 0) or errors to stderr (2). A closed stdout is not a failure.
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
    fn a_cause_already_in_the_line_is_not_repeated() {
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
