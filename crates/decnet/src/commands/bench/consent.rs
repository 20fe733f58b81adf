//! Before anything is sent to a receiver of somebody's: what will be, and whether that is wanted.

use decnet_core::redact::EndpointUrl;

use super::plan::Plan;
use crate::commands::confirm;
use crate::context::Context;
use crate::failure::Said;
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
    let problem = format!("this would send {what}; where nobody can be asked, --yes allows it");
    if confirm::ask(format!("This sends {what}. Go on? [y/N] "), problem, context).await? {
        return Ok(());
    }
    output::say("nothing was sent");
    Err(Said.into())
}
