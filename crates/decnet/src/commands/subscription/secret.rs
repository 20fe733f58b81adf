//! The output of generated secrets, which are shown once.

use decnet_store::catalog::Row;

use crate::output::Text;

/// Appends the lines that show a secret, if one was generated.
pub(super) fn show(text: &mut Text, generated: Option<&str>) {
    let Some(secret) = generated else { return };
    *text += format!("secret: {secret}");
    text.end_line();
    *text += "The secret is not shown again; the receiver needs it.";
    text.end_line();
}

/// Returns the report for a lost output: `what` was done, and how to replace a generated secret that was not shown.
pub(super) fn unseen(what: String, row: &Row, is_generated: bool) -> String {
    if !is_generated {
        return what;
    }
    let uuid = &row.uuid;
    format!(
        "{what}, but could not show its secret: create a new one with `decnet subscription rotate-secret {uuid}`"
    )
}
