//! Row 11: memory of an idle worker, and memory and disk with many deliveries pending to a dead receiver.

use std::time::Duration;

use anyhow::Result;
use decnet_bench::format::thousands;
use decnet_bench::load::Load;
use decnet_runtime::procfs::Resident;

use super::{ALL_EVENTS, Bench, TOPIC};

use crate::report::{Figure, Measured, Unit};
use crate::rig::SubscriptionSpec;
use crate::rig::drive::admit;
use crate::rig::machine::memory_of;
use crate::targets;

/// URL with a port on which nothing listens: it is privileged, and its service (discard, RFC 863) is no longer in use.
const DEAD_URL: &str = "http://127.0.0.1:9/";
/// Time after which the worker counts as idle.
const IDLE_AFTER: Duration = Duration::from_secs(2);

pub(super) async fn measure(bench: &Bench) -> Result<Measured> {
    let subscriptions = [SubscriptionSpec::new(DEAD_URL, ALL_EVENTS)];
    let mut pipeline = bench.pipeline(&subscriptions, &Vec::new()).await?;
    tokio::time::sleep(IDLE_AFTER).await;
    let idle = memory_of(pipeline.worker.id())?;
    let empty = pipeline.queue_bytes()?.0;
    let pending = bench.plan.pending;
    admit(&mut pipeline, Load::flat_out(TOPIC, pending, 1, u64::MAX)).await?;
    tokio::time::sleep(IDLE_AFTER).await;
    let full = memory_of(pipeline.worker.id())?;
    let (file, log) = pipeline.queue_bytes()?;
    let waiting = pipeline.queue_counts()?.waiting;
    let peak = |resident: Resident| format!("peak {}", Unit::Bytes.format_whole(resident.peak));
    let [file_size, log_size] = [file, log].map(|bytes| Unit::Bytes.format_whole(bytes));
    let figures = vec![
        Figure::whole("memory, idle", idle.now, Unit::Bytes).detail(peak(idle)).target(targets::IDLE_MEMORY),
        Figure::whole("memory, many deliveries pending", full.now, Unit::Bytes)
            .detail(peak(full))
            .target(targets::PENDING_MEMORY),
        Figure::new("disk per pending delivery", (file - empty) as f64 / pending as f64, Unit::Bytes)
            .detail(format!("{file_size}; write-ahead log, bounded, {log_size}"))
            .target(targets::PENDING_DISK),
        Figure::whole("deliveries lost", pending.abs_diff(waiting), Unit::Count).target(targets::NONE),
    ];
    let notes = vec![format!("{} pending deliveries to one dead receiver", thousands(pending as f64))];
    Ok(Measured { figures, notes, ..Measured::default() })
}
