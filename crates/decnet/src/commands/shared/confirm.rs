//! Confirmation before an action that cannot be undone or that affects others.

use std::io::{IsTerminal as _, stderr, stdin};

use crate::context::Context;
use crate::failure::{AlreadyReported, Usage};
use crate::output;

/// Asks `question` on the terminal. If the answer is not yes, reports `declined`.
///
/// # Errors
/// The answer is not yes. Stdin or stderr is not a terminal: the error is `problem`, which names the option that skips the
/// question.
pub(crate) async fn ask(
    question: String,
    problem: String,
    declined: &str,
    context: &Context,
) -> anyhow::Result<()> {
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return Err(Usage::new(problem).into());
    }
    let asked = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        output::prompt(&question).and_then(|()| stdin().read_line(&mut answer)).map(|_| answer)
    });
    let answer = tokio::select! {
        answer = asked => answer??,
        () = context.shutdown.cancelled() => String::new(),
    };
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    output::say(declined);
    Err(AlreadyReported.into())
}
