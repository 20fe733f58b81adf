//! The formats, as the form needs them.

use decnet_format::Spec;
use decnet_format::spec::Grouping;
use decnet_web::form::{FormatInfo, Guide, PLAIN};

/// Returns the texts about all destinations: those of the formats, and requests without a format.
pub(super) fn guides() -> Vec<Guide> {
    decnet_format::all().map(|spec| Guide::of(spec.name, spec.title)).chain([Guide::of("", "")]).collect()
}

/// Returns the format with a name; `None` if there is no such format. Without a name, or as [`PLAIN`], there is none.
pub(super) fn find(name: &str) -> Option<FormatInfo> {
    match name {
        "" | PLAIN => Some(FormatInfo { has_batch: true, ..FormatInfo::default() }),
        name => decnet_format::find(name).map(info),
    }
}

fn info(spec: &'static Spec) -> FormatInfo {
    FormatInfo {
        name: spec.name,
        title: spec.title,
        options: spec.options.iter().map(|option| (option.name, option.help, option.default)).collect(),
        has_digest: spec.grouping == Grouping::Digest,
        has_batch: spec.grouping == Grouping::Bulk,
        has_gzip: spec.accepts_gzip,
    }
}
