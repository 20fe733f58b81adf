//! Names of subscriptions, suggested while a visitor types.

use askama::Template;

use crate::Text;

/// The names that match what is typed.
#[derive(Template)]
#[template(path = "names.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct Names {
    pub names: Vec<Text>,
}
