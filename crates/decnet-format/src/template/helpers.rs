//! The functions and filters of templates that the engine does not have.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use decnet_core::event::is_id;
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};
use serde::Serialize as _;

use super::Markup;
use super::output::{BoundedWriter, JsonText, Link, too_large};
use crate::link;

/// The functions that templates can call, those of the engine included.
pub(super) const FUNCTIONS: [&str; 5] = ["dict", "flag", "namespace", "permalink", "range"];
/// The bytes of JSON for which `tojson` uses up one step.
const JSON_BYTES_PER_STEP: usize = 16;
/// The maximum number of spaces by which `tojson` indents a level.
const MAX_INDENT: usize = 8;
/// The first regional indicator, which stands for the letter A (Unicode, block Enclosed Alphanumeric Supplement).
const REGIONAL_INDICATOR_A: u32 = 0x1_f1e6;
const ELLIPSIS: char = '…';

/// Adds the functions and filters to an environment.
pub(super) fn add(environment: &mut Environment<'static>, markup: Markup, link_base: Option<&str>) {
    environment.add_filter("defang", |text: Cow<'_, str>| defang(&text));
    environment.add_filter("truncate", |text: Cow<'_, str>, length: usize| truncate(&text, length));
    environment.add_filter("tojson", move |state: &mut State<'_, '_>, value: &Value, options: Kwargs| {
        tojson(state, value, &options, markup)
    });
    let flag = |country: Cow<'_, str>| flag(&country);
    environment.add_filter("flag", flag);
    environment.add_function("flag", flag);
    let base: Option<Box<str>> = link_base.map(Into::into);
    let permalink = move |id: Cow<'_, str>| match &base {
        Some(base) if is_id(&id) => Value::from_object(Link(link::to_event(base, &id))),
        _ => Value::UNDEFINED,
    };
    environment.add_filter("permalink", permalink.clone());
    environment.add_function("permalink", permalink);
}

/// Makes addresses and URLs unusable, so that nobody opens them by accident: `hxxp[://]evil[.]example`, `203[.]0[.]113[.]9`,
/// `2001[:]db8[:][:]1`.
fn defang(text: &str) -> String {
    if text.parse::<Ipv6Addr>().is_ok() {
        return text.replace(':', "[:]");
    }
    let parts: Vec<_> = text.split("://").collect();
    let (last, schemes) = parts.split_last().unwrap_or((&"", &[]));
    let mut defanged: String = schemes.iter().flat_map(|part| [hide_scheme(part), "[://]".into()]).collect();
    defanged.push_str(last);
    defanged.replace('.', "[.]")
}

/// Replaces the scheme `http` or `https` at the end of a text by `hxxp` or `hxxps`.
fn hide_scheme(text: &str) -> Cow<'_, str> {
    let is_suffix =
        |at: &usize, scheme: &str| text.get(*at..).is_some_and(|end| end.eq_ignore_ascii_case(scheme));
    let start = |scheme: &str| text.len().checked_sub(scheme.len()).filter(|at| is_suffix(at, scheme));
    match start("https").or_else(|| start("http")) {
        Some(at) => format!("{}hxxp{}", &text[..at], &text[at + "http".len()..]).into(),
        None => text.into(),
    }
}

/// Returns the flag of a country with a two-letter code (ISO 3166-1): two regional indicators. Any other value gives an empty
/// text.
fn flag(country: &str) -> String {
    let is_code = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_alphabetic());
    let indicator =
        |letter: u8| char::from_u32(REGIONAL_INDICATOR_A + u32::from(letter.to_ascii_uppercase() - b'A'));
    if is_code { country.bytes().filter_map(indicator).collect() } else { String::new() }
}

/// Returns the first characters of a text. A longer text ends with an ellipsis, which counts as one of them.
fn truncate(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        None => text.to_owned(),
        Some(_) => text.chars().take(length.saturating_sub(1)).chain([ELLIPSIS]).take(length).collect(),
    }
}

/// Returns a value as JSON, in one line or indented. A missing value is null.
fn tojson(state: &State<'_, '_>, value: &Value, options: &Kwargs, markup: Markup) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    if value.kind() == ValueKind::Invalid {
        return Err(Error::new(ErrorKind::InvalidOperation, value.to_string()));
    }
    let mut out = BoundedWriter::default();
    let written = match indent {
        None => value.serialize(&mut serde_json::Serializer::new(&mut out)),
        Some(spaces) => {
            let indent = " ".repeat(spaces.min(MAX_INDENT));
            let layout = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, layout))
        }
    };
    written.map_err(|error| match error.is_io() {
        true => too_large(),
        false => Error::new(ErrorKind::BadSerialization, error.to_string()),
    })?;
    let json = out.into_text()?;
    state.consume_fuel((json.len() / JSON_BYTES_PER_STEP) as u64)?;
    Ok(if markup.is_json { Value::from_object(JsonText(json)) } else { Value::from(json) })
}
