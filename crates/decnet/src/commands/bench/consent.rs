//! Before anything is sent to a receiver of somebody's: what will be, and whether that is wanted.

use std::io::{IsTerminal as _, Write as _, stderr, stdin};

use decnet_core::redact::EndpointUrl;

use super::plan::Plan;
use crate::context::Context;
use crate::failure::{Said, Usage};
use crate::output;

/// Warns, and asks unless `yes` was said already.
///
/// # Errors
/// Nobody can be asked, or the answer is no.
pub(super) async fn obtain(
    url: &EndpointUrl,
    plan: &Plan,
    yes: bool,
    context: &Context,
) -> anyhow::Result<()> {
    let (requests, at_once) = (plan.requests(), context.config.delivery.concurrency);
    let what =
        format!("up to {requests} real requests to {url}, {at_once} at a time, signed, with topic `bench`");
    if yes {
        output::say(&format!("sending {what}"));
        return Ok(());
    }
    if !stdin().is_terminal() || !stderr().is_terminal() {
        let problem = format!("this would send {what}; where nobody can be asked, --yes allows it");
        return Err(Usage::new(problem).into());
    }
    let answer = tokio::select! {
        answer = ask(format!("This sends {what}. Go on? [y/N] ")) => answer?,
        () = context.shutdown.cancelled() => String::new(),
    };
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    output::say("nothing was sent");
    Err(Said.into())
}

async fn ask(question: String) -> anyhow::Result<String> {
    let asked = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        write!(stderr(), "{question}").and_then(|()| stdin().read_line(&mut answer)).map(|_| answer)
    });
    Ok(asked.await??)
}
