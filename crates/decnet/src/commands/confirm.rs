//! Confirmation before an action that cannot be undone or that affects others.

use std::io::{IsTerminal as _, stderr, stdin};

use crate::context::Context;
use crate::failure::Usage;
use crate::output;

/// Asks `question` on the terminal and returns whether the answer is yes.
///
/// # Errors
/// Stdin or stderr is not a terminal. The error is `problem`, which names the option that skips the question.
pub(super) async fn ask(question: String, problem: String, context: &Context) -> anyhow::Result<bool> {
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return Err(Usage::new(problem).into());
    }
    let answer = tokio::select! {
        answer = read(question) => answer?,
        () = context.shutdown.cancelled() => String::new(),
    };
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

async fn read(question: String) -> anyhow::Result<String> {
    let asked = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        output::prompt(&question).and_then(|()| stdin().read_line(&mut answer)).map(|_| answer)
    });
    Ok(asked.await??)
}
