//! Any destination: the operator's template renders the whole body, and lists of status codes judge the replies.

mod statuses;
#[cfg(test)]
mod tests;

use decnet_core::delivery::{Reason, Verdict};
use serde::de::IgnoredAny;

use self::statuses::StatusList;
use crate::escape;
use crate::reply::{Judgement, Reply};
use crate::request::RequestSpec;
use crate::spec::{
    CONTENT_TYPE_OPTION, FormatError, Grouping, OptionSpec, Options, RenderError, Rendering, Spec,
};
use crate::template::{MAX_OUTPUT_BYTES, Markup};

const NAME: &str = "template";
const JSON: &str = "application/json";
/// The option that chooses the markup of the template.
const ESCAPE: &str = "escape";
/// The options with lists of status codes, and the verdict that each gives.
const LISTS: [&str; 4] = ["success", "retry", "hold", "gone"];
const MAX_CONTENT_TYPE_BYTES: usize = 100;

pub(crate) const TEMPLATE: Spec = Spec {
    name: NAME,
    title: "any URL, with a body from your template",
    content_type: JSON,
    max_bytes: MAX_OUTPUT_BYTES,
    grouping: Grouping::Digest,
    has_credentials: true,
    accepts_gzip: true,
    hosts: &[],
    request: RequestSpec::PLAIN,
    options: &[
        OptionSpec {
            name: CONTENT_TYPE_OPTION,
            help: "content type of the body",
            default: Some(JSON),
            check: check_content_type,
        },
        OptionSpec {
            name: ESCAPE,
            help: "markup of the template: every value is escaped for it",
            default: Some("json"),
            check: |name| markup(name).map(|_| ()).ok_or_else(markup_names),
        },
        list("success", "status codes that mean that the event was delivered", "200-299"),
        list("retry", "status codes after which the request is sent again", "408,425,429,500-599"),
        list("hold", "status codes that mean that credentials are wrong: deliveries wait", "401,403"),
        list("gone", "status codes that stop all sending until you enable the subscription", "410"),
    ],
    escape: escape::json::write,
    write,
    judge,
};

/// The markups that a template can write.
const MARKUPS: [(&str, Markup); 7] = [
    ("json", Markup { escape: escape::json::write, is_json: true }),
    ("html", Markup { escape: escape::html, is_json: false }),
    ("plain", Markup { escape: escape::plain, is_json: false }),
    ("slack", Markup { escape: escape::slack, is_json: false }),
    ("discord", Markup { escape: escape::discord, is_json: false }),
    ("teams", Markup { escape: escape::teams, is_json: false }),
    ("mattermost", Markup { escape: escape::mattermost, is_json: false }),
];

const fn list(name: &'static str, help: &'static str, default: &'static str) -> OptionSpec {
    OptionSpec { name, help, default: Some(default), check: |list| list.parse::<StatusList>().map(|_| ()) }
}

fn markup(name: &str) -> Option<Markup> {
    MARKUPS.iter().find(|(known, _)| *known == name).map(|(_, markup)| *markup)
}

fn markup_names() -> String {
    let names: Vec<&str> = MARKUPS.iter().map(|(name, _)| *name).collect();
    format!("use one of: {}", names.join(", "))
}

/// Checks the options that depend on each other, and whether there is a template where the format needs one. Returns the
/// markup of templates of a format.
///
/// # Errors
/// The template is missing or not supported, or two lists of status codes overlap.
pub(crate) fn prepare(spec: &Spec, options: &Options, has_template: bool) -> Result<Markup, FormatError> {
    let problem = |text: String| Err(FormatError::Template(text));
    if spec.name != NAME {
        return match spec.grouping {
            Grouping::Bulk if has_template => problem(format!(
                "the format {} has no template: the destination defines the body; remove the template",
                spec.name
            )),
            _ => Ok(Markup { escape: spec.escape, is_json: false }),
        };
    }
    if !has_template {
        return problem("the format template needs a template; set one with --template".to_owned());
    }
    if let Some((first, second, status)) = overlap(options) {
        return problem(format!(
            "the options `{first}` and `{second}` both contain the status {status}; remove it from one"
        ));
    }
    let chosen = options.get(ESCAPE).and_then(markup);
    Ok(chosen.unwrap_or(Markup { escape: spec.escape, is_json: true }))
}

/// Returns two lists of status codes that overlap, and a common status.
fn overlap(options: &Options) -> Option<(&'static str, &'static str, u16)> {
    let lists = LISTS.map(|name| (name, statuses(options, name)));
    let pairs = lists
        .iter()
        .enumerate()
        .flat_map(|(index, first)| lists[..index].iter().map(move |second| (second, first)));
    pairs.into_iter().find_map(|((first, a), (second, b))| Some((*first, *second, a.first_common(b)?)))
}

/// Returns the list of status codes in an option. It was validated when the option was set.
fn statuses(options: &Options, name: &str) -> StatusList {
    options.get(name).and_then(|list| list.parse().ok()).unwrap_or_default()
}

/// Checks a media type with optional parameters (RFC 9110 section 8.3.1).
fn check_content_type(value: &str) -> Result<(), String> {
    let is_token = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let is_printable = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    let media_type = value.split(';').next().unwrap_or_default().trim_end();
    let is_type =
        media_type.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
    if is_type && is_printable && value.len() <= MAX_CONTENT_TYPE_BYTES {
        return Ok(());
    }
    Err(format!(
        "write a media type of at most {MAX_CONTENT_TYPE_BYTES} printable characters, such as text/plain; charset=utf-8"
    ))
}

/// Writes the rendered template. A body whose content type is JSON must be JSON: otherwise every attempt would be refused, or the
/// destination would read something else than the operator meant.
fn write(rendering: &Rendering<'_>, out: &mut Vec<u8>) -> Result<(), RenderError> {
    let format = rendering.format;
    let missing = || RenderError::Template("the template is missing".to_owned());
    let text = format.render_template(rendering.findings).ok_or_else(missing)??;
    if is_json(format.content_type()) {
        serde_json::from_str::<IgnoredAny>(&text).map_err(|error| {
            RenderError::Template(format!(
                "the rendered body is not JSON: {error}; use `tojson` for values outside of quotes"
            ))
        })?;
    }
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Returns whether a content type is JSON (RFC 8259 section 11, RFC 6839 section 3.1).
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == JSON || media_type.ends_with("+json")
}

fn judge(options: &Options, reply: &Reply<'_>, _: usize) -> Judgement {
    let has = |name| statuses(options, name).contains(reply.status);
    Judgement::whole(if has("success") {
        Verdict::Delivered
    } else if has("retry") {
        Verdict::Retry { reason: retry_reason(reply.status), after: reply.retry_after }
    } else if has("hold") {
        Verdict::Hold
    } else if has("gone") {
        Verdict::Gone
    } else {
        Verdict::Reject(reject_reason(reply))
    })
}

fn retry_reason(status: u16) -> Reason {
    match status {
        429 => Reason::Throttled,
        500..=599 => Reason::ServerError,
        _ => Reason::RetryRequested,
    }
}

/// Returns the usual reason of a refusal, or a general one for a status that usually means something else.
fn reject_reason(reply: &Reply<'_>) -> Reason {
    match Judgement::by_status(reply).whole {
        Verdict::Reject(reason) => reason,
        _ => Reason::Refused,
    }
}
