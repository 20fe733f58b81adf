//! Progress bars for long operations, shown only if stderr is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// Operations with fewer steps are too short for a bar.
const MIN_TOTAL: u64 = 1000;

/// Returns a bar up to `total`, or a counter if the total is unknown. It is removed when it is dropped.
pub(crate) fn bar(total: Option<u64>, unit: &str) -> ProgressBar {
    let template = match total {
        Some(total) if total < MIN_TOTAL => return ProgressBar::hidden(),
        Some(_) => format!("{{wide_bar}} {{human_pos}} of {{human_len}} {unit}, {{per_sec}}, {{eta}} left"),
        None => format!("{{human_pos}} {unit}, {{per_sec}}"),
    };
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    bar.with_style(ProgressStyle::with_template(&template).expect("the template is one of two above"))
}
