//! The check of filters, formats and templates: whether they compile.

use decnet_core::settings::Settings;
use decnet_core::subscription::Problem;
use decnet_filter::Filter;
use decnet_format::Format;

/// The settings that decide which events are sent, and in which form.
const DECISIVE: [&str; 4] = ["filter", "min_severity", "format", "template"];

/// Returns the problem of stored settings that cannot be read and may contain one of [`DECISIVE`], as any text that is not a JSON
/// object may: without them, a destination would get events that it must not get, or in a form that it must not have.
pub(super) fn unreadable(stored: &str) -> Option<Problem> {
    let what = "cannot be read and may have a filter or a format; set them again";
    let fields = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(stored);
    let is_decisive = fields.map_or(true, |fields| DECISIVE.iter().any(|name| fields.contains_key(*name)));
    is_decisive.then_some(Problem::Column { column: "settings", what })
}

/// Checks the filter, the format and the template of a subscription.
///
/// # Errors
/// [`Problem::Filter`] or [`Problem::Format`], which say what is wrong and where.
pub(super) fn check(settings: &Settings) -> Result<(), Problem> {
    if let Some(filter) = &settings.filter {
        Filter::compile(filter.as_str()).map_err(|error| Problem::Filter(error.to_string().into()))?;
    }
    Format::of(settings, None).map(drop).map_err(|error| Problem::Format(error.to_string().into()))
}
