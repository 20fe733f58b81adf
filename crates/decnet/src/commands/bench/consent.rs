//! The confirmation before requests are sent to an external receiver.

use decnet_core::redact::EndpointUrl;

use super::plan::Plan;
use crate::commands::confirm;
use crate::context::Context;
use crate::failure::Said;
use crate::output;

/// Reports what will be sent, and asks for confirmation unless `yes` is set.
///
/// # Errors
/// There is no terminal to ask on, or the answer is no.
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
    let problem = format!("this would send {what}; there is no terminal to confirm it on, so pass --yes");
    if confirm::ask(format!("This sends {what}. Continue? [y/N] "), problem, context).await? {
        return Ok(());
    }
    output::say("nothing was sent");
    Err(Said.into())
}
