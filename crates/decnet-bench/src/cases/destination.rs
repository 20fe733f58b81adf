//! Row 15: a filter and formats alone, on one core, in a process of their own.

use std::time::Duration;

use anyhow::Result;

use super::Bench;
use crate::report::{Figure, Measured, Unit};
use crate::roles::Role;
use crate::roles::destination::{Options, Timed};
use crate::targets;

const TIMEOUT: Duration = Duration::from_secs(120);

pub(super) async fn measure(bench: &Bench) -> Result<Measured> {
    let role = Role::Destination(Options { seconds: bench.plan.routing_seconds });
    let Timed { first_filter_us, next_filter_us, formats_us } = role.result(bench.path(), TIMEOUT).await?;
    let mut figures = vec![
        Figure::new("first filter of an event", first_filter_us, Unit::Micros)
            .detail("parses the event")
            .target(targets::FILTER),
        Figure::new("each further filter", next_filter_us, Unit::Micros).target(targets::FILTER),
    ];
    figures.extend(formats_us.into_iter().map(|(name, micros)| {
        Figure::new(format!("format {name}"), micros, Unit::Micros)
            .detail("parses and renders the event")
            .target(targets::FORMAT)
    }));
    let notes = vec![format!("{} s for each figure; an event of 600 bytes", bench.plan.routing_seconds)];
    Ok(Measured { figures, notes, ..Measured::default() })
}
