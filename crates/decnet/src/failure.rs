//! The end of a failed run: its message and its exit code.

use std::process::ExitCode;

use decnet_core::text::is_hidden;
use decnet_runtime::error_chain::one_line;
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

/// The end of a run with this exit code. The reason has already been reported.
#[derive(Debug, thiserror::Error)]
#[error("ended with exit code {0}")]
pub(crate) struct Exit(pub(crate) u8);

impl Exit {
    /// A failure.
    pub(crate) const FAILURE: Self = Self(1);
}

/// Reports an error, unless it was already reported or stdout is closed, and returns the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if error.is::<StdoutClosed>() {
        return ExitCode::SUCCESS;
    }
    if let Some(Exit(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    if let Some(error) = error.downcast_ref::<clap::Error>() {
        return clap(error);
    }
    if let Some(Usage(problems)) = error.downcast_ref() {
        problems.iter().for_each(|problem| output::note(&format!("decnet: {problem}")));
        return ExitCode::from(USAGE);
    }
    output::note(&format!("decnet: {}", format_error(error)));
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<queue::Error>());
    if causes.any(queue::Error::needs_operator) { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
}

/// Formats an error and its causes in one line, without causes that the line already contains.
pub(crate) fn format_error(error: &anyhow::Error) -> String {
    one_line(error.as_ref())
}

/// Combines the results of two concurrent tasks. If both failed, the first error is returned and the second is logged.
///
/// # Errors
/// Either task failed.
pub(crate) fn both<A, B>(first: anyhow::Result<A>, second: anyhow::Result<B>) -> anyhow::Result<(A, B)> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        (Err(first), Err(second)) => {
            tracing::error!("{second:#}");
            Err(first)
        }
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
    }
}

/// Prints help to stdout (exit code 0) or errors to stderr (2). A closed stdout is not a failure.
fn clap(error: &clap::Error) -> ExitCode {
    let exit_code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
    let text = error.to_string();
    // clap prints colours, and repeats arguments unchanged.
    if error.use_stderr() && text.contains(|c| c != '\n' && is_hidden(c)) {
        text.lines().for_each(output::note);
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

    #[test]
    fn first_of_two_errors_is_returned_and_the_second_is_logged() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let subscriber =
            tracing_subscriber::fmt().with_writer(std::sync::Arc::new(log.reopen().unwrap())).finish();
        let failed = |what: &'static str| anyhow::Result::<()>::Err(anyhow::anyhow!(what));
        tracing::subscriber::with_default(subscriber, || {
            let result = |first, second| both(first, second).map_err(|error| error.to_string());
            assert_eq!(result(failed("the worker"), failed("the API")), Err("the worker".into()));
            assert_eq!(result(Ok(()), failed("the bus")), Err("the bus".into()));
            assert_eq!(result(failed("the demo"), Ok(())), Err("the demo".into()));
            assert_eq!(result(Ok(()), Ok(())), Ok(((), ())));
        });
        let logged = std::fs::read_to_string(log.path()).unwrap();
        assert!(logged.contains("the API") && logged.lines().count() == 1, "{logged}");
    }
}
