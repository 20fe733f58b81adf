//! `decnet subscription test`: sends one test event.

use anyhow::Context as _;
use decnet_api::Tested;
use decnet_store::catalog::StoredSubscription;
use serde_json::json;

use super::Target;
use crate::commands::shared::test_event::{ping, tested};
use crate::context::Context;
use crate::failure::Exit;
use crate::output;
use crate::store::open_existing;

/// The value of `triggered_by` in the payload.
const COMMAND: &str = "decnet subscription test";

pub(super) async fn run(target: &Target, context: &Context) -> anyhow::Result<()> {
    let attempted = ping(&find(&target.name, context)?, COMMAND, &context.config).await?;
    let millis = attempted.duration.as_secs_f64() * 1e3;
    let Tested { delivered, status_code, error } = tested(&attempted);
    if target.json {
        output::json(&json!({
            "delivered": delivered, "status_code": status_code, "error": error, "duration_ms": millis
        }))?;
    } else {
        let paint = context.paint;
        let mut text = if delivered { paint.good("delivered") } else { paint.bad("NOT DELIVERED") };
        let status = status_code.map_or(String::new(), |status| format!(", status {status}"));
        let error = error.map_or(String::new(), |error| format!(": {error}"));
        text.line(format!("{status}, {millis:.0} ms{error}"));
        output::print(&text)?;
    }
    if delivered { Ok(()) } else { Err(Exit::FAILURE.into()) }
}

fn find(name: &str, context: &Context) -> anyhow::Result<StoredSubscription> {
    let mut catalog = open_existing(&context.config)?;
    let row = catalog.find(name)?;
    if let Some(problem) = row.problem {
        anyhow::bail!("cannot send to `{}`: {problem}", row.name);
    }
    let mut stored = catalog.load()?.subscriptions.into_iter();
    let found = stored.find(|stored| *stored.subscription.uuid == *row.uuid);
    found.with_context(|| format!("`{}` was deleted in the meantime", row.name))
}
