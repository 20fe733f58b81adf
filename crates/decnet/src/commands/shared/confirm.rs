//! Confirmation before an action that cannot be undone.

use std::io::{IsTerminal as _, stderr, stdin};

use crate::context::Context;
use crate::failure::Usage;
use crate::output;

/// Asks on the terminal whether to do `action`, such as "send 3 requests".
///
/// # Errors
/// The answer is not yes: the error is `declined`. Stdin or stderr is not a terminal: the error names `--yes`, which skips the
/// question.
pub(crate) async fn ask(action: &str, declined: &'static str, context: &Context) -> anyhow::Result<()> {
    anyhow::ensure!(
        stdin().is_terminal() && stderr().is_terminal(),
        Usage::new(format!("this would {action}; there is no terminal to confirm it on, so pass --yes"))
    );
    let question = format!("This will {action}. It cannot be undone. Continue? [y/N] ");
    let asked = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        output::prompt(&question).and_then(|()| stdin().read_line(&mut answer)).map(|_| answer)
    });
    let answer = tokio::select! {
        answer = asked => answer??,
        () = context.shutdown.cancelled() => String::new(),
    };
    anyhow::ensure!(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"), declined);
    Ok(())
}
