//! Judges any reply with every format. Must not panic; reasons must be bounded and printable.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use decnet_core::text::is_hidden;
use decnet_format::reply::MAX_DETAIL_CHARS;
use decnet_format::{Format, Reply};
use libfuzzer_sys::fuzz_target;

static FORMATS: LazyLock<Vec<Format>> = LazyLock::new(|| {
    decnet_format::all()
        .map(|spec| {
            let template = (spec.name == "template").then_some("x");
            Format::new(spec.name, [], template, None).expect("the format needs no options")
        })
        .collect()
});

// The longest escape of a hidden character, `\u{10ffff}`, has ten characters.
const MAX_ESCAPED_CHARS: usize = 10 * (MAX_DETAIL_CHARS + 1);

fuzz_target!(|input: (u16, Option<u16>, bool, u8, &[u8])| {
    let (status, seconds, is_complete, events, body) = input;
    let retry_after = seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let reply = Reply { status: 100 + status % 500, retry_after, body, is_complete };
    for format in &*FORMATS {
        let events = usize::from(events) + 1;
        let judgement = format.judge(&reply, events);
        assert!(judgement.members.is_empty() || judgement.members.len() == events);
        if let Some(detail) = judgement.detail {
            assert!(detail.chars().count() <= MAX_ESCAPED_CHARS && !detail.contains(is_hidden), "{detail:?}");
        }
    }
});
