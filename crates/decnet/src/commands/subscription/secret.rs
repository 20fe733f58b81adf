//! Secrets that were made for a subscription, and are shown once.

use decnet_store::catalog::Row;

use crate::output::Text;

/// Adds the lines that show a secret, if one was made.
pub(super) fn show(text: &mut Text, made: Option<&str>) {
    let Some(secret) = made else { return };
    *text += format!("secret: {secret}");
    text.end_line();
    *text += "It is shown only now; its receiver needs it.";
    text.end_line();
}

/// Adds to `what` was done how to come by another secret, if one was made: for the case that nobody has seen it.
pub(super) fn unseen(what: String, row: &Row, is_made: bool) -> String {
    if !is_made {
        return what;
    }
    let uuid = &row.uuid;
    format!(
        "{what}, whose secret was not shown: make another with `decnet subscription rotate-secret {uuid}`"
    )
}
