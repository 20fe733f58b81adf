//! The output of commands that set a secret. A generated secret is shown once.

use decnet_store::catalog::Row;

use crate::output::{self, Text};

/// Prints a row with its generated secret, if any: as JSON, which also has the `warnings`, or below the line `done`.
pub(super) fn print(
    row: &Row,
    generated: Option<&str>,
    warnings: Vec<String>,
    done: &str,
    as_json: bool,
) -> anyhow::Result<()> {
    if as_json {
        let mut value = serde_json::to_value(row)?;
        value["secret"] = generated.into();
        if let Some(all) = value["warnings"].as_array_mut() {
            all.extend(warnings.into_iter().map(Into::into));
        }
        return output::json(&value);
    }
    let mut text = Text::default();
    text.line(done);
    if let Some(secret) = generated {
        text.line(format!("secret: {secret}"));
        text.line("The secret is not shown again; the receiver needs it.");
    }
    output::print(&text)
}

/// Returns the report for a lost output: `what` was done, and how to replace a generated secret that was not shown.
pub(super) fn unseen(what: String, row: &Row, is_generated: bool) -> String {
    if !is_generated {
        return what;
    }
    let uuid = &row.uuid;
    format!(
        "{what}, but could not show its secret: create a new secret with `decnet subscription rotate-secret {uuid}`"
    )
}
