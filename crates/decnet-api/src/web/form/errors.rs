//! The field of the form to which a problem belongs.

use decnet_web::Text;
use decnet_web::form::Form;

use crate::problem::Problem;
use crate::web::reply::capitalized;

/// The beginnings of problems and their fields. The first match counts.
const BEGINNINGS: [(&str, &str); 14] = [
    ("url: ", "url"),
    ("the URL", "url"),
    ("a name ", "name"),
    ("name: ", "name"),
    ("pattern ", "topics"),
    ("no usable pattern", "topics"),
    ("more than ", "topics"),
    ("a secret ", "secret"),
    ("the secret ", "secret"),
    ("filter: ", "filter"),
    ("settings.batch.linger: ", "batch_linger"),
    ("settings.batch", "batch_events"),
    ("settings.digest.max: ", "digest_max"),
    ("settings.digest", "digest_window"),
];
/// Words in problems of the format, and the fields that they are about.
const WORDS: [(&str, &str); 4] =
    [("gzip", "gzip"), ("digest", "digest_window"), ("batch", "batch_events"), ("template", "template")];

/// Returns the field to which a problem belongs, empty for the whole form, and the text for people.
pub(super) fn locate(problem: &Problem, form: &Form) -> (String, Text) {
    let detail = problem.detail();
    let field = field(detail, form);
    let is_path = detail.split_once(": ").is_some_and(|(path, _)| !path.contains(' '));
    let text = match detail.split_once(": ") {
        Some((_, text)) if is_path => without_position(text),
        _ => without_position(detail),
    };
    (field, capitalized(text).into())
}

fn field(detail: &str, form: &Form) -> String {
    if let Some((_, field)) = BEGINNINGS.iter().find(|(beginning, _)| detail.starts_with(beginning)) {
        return (*field).to_owned();
    }
    // A name that is taken is not at the beginning.
    if detail.contains(" name") && !form.values.get("name").is_empty() && detail.contains("already") {
        return "name".to_owned();
    }
    if let Some(text) = detail.strip_prefix("format: ") {
        let option = text.strip_prefix("the option `").and_then(|rest| rest.split('`').next());
        let word =
            || WORDS.iter().find(|(word, _)| text.contains(word)).map(|(_, field)| (*field).to_owned());
        let template = || (!form.values.get("template").is_empty()).then(|| "template".to_owned());
        return option
            .map(|option| format!("option.{option}"))
            .or_else(word)
            .or_else(template)
            .unwrap_or_default();
    }
    let setting = detail.strip_prefix("settings.").and_then(|rest| rest.split([':', '.']).next());
    match setting {
        Some("client_certificate") => "client_certificates".to_owned(),
        Some(setting) => setting.to_owned(),
        None => credentials(detail).to_owned(),
    }
}

/// Returns the field of a problem of the credentials as a whole.
fn credentials(detail: &str) -> &'static str {
    let fields = [
        ("client certificate", "client_certificates"),
        ("trusted certificates", "trust_roots"),
        ("roots", "trust_roots"),
        ("private key", "private_key"),
        ("authorization", "auth"),
        ("header", "headers"),
        ("batch", "batch_events"),
        ("digest", "digest_window"),
    ];
    fields.iter().find(|(words, _)| detail.contains(words)).map_or("", |(_, field)| field)
}

/// Removes the position in JSON that the visitor has not written.
fn without_position(text: &str) -> &str {
    text.rfind(" at line ").filter(|at| text[*at..].contains(" column ")).map_or(text, |at| &text[..at])
}

#[cfg(test)]
mod tests {
    use decnet_web::form::Values;

    use super::*;

    #[test]
    fn problem_is_shown_at_its_field() {
        let form = Form { values: Values::from([("name", "a"), ("template", "x")]), ..Form::default() };
        for (detail, field) in [
            ("url: must be http or https", "url"),
            ("pattern 0: empty token: remove the surplus dot", "topics"),
            ("settings.rate: must be like 50/s at line 1 column 9", "rate"),
            ("settings.batch.max_events: invalid type at line 1 column 9", "batch_events"),
            ("format: the option `index` of the format elastic: must be lower case", "option.index"),
            ("format: line 1: unexpected end", "template"),
            ("settings: the client certificate cannot be read", "client_certificates"),
            ("something else", ""),
        ] {
            let (found, text) = locate(&Problem::invalid(detail), &form);
            assert_eq!(found, field, "{detail}");
            assert!(!text.raw().contains("column 9") && text.raw().ends_with('.'), "{text}");
        }
    }
}
