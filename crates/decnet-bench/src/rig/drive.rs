//! Publishes a load to a pipeline and waits for its deliveries.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use decnet_bench::load::{Load, Progress, Published};
use decnet_bench::receiver::Receipts;

use super::pipeline::Pipeline;
use crate::roles::receiver::Receiver;

const POLL: Duration = Duration::from_millis(10);

/// Result of a load, of which exactly the expected deliveries have arrived.
pub(crate) struct LoadResult {
    /// Seconds from the first publish to the last receipt.
    pub(crate) seconds: f64,
    pub(crate) published: Published,
    pub(crate) receipts: Receipts,
}

impl LoadResult {
    pub(crate) fn per_second(&self) -> f64 {
        self.receipts.requests as f64 / self.seconds
    }
}

/// Publishes a load and waits until exactly the expected deliveries have arrived.
pub(crate) async fn drive(
    pipeline: &mut Pipeline,
    receiver: &mut Receiver,
    load: Load,
) -> Result<LoadResult> {
    receiver.reset().await?;
    let (expected, run) = (load.events * load.fan_out, load.start(&pipeline.socket)?);
    let published = run.finish(POLL, async || {
        pipeline.ensure_running()?;
        Ok(receiver.receipts().await?.requests)
    });
    let (published, receipts) = (published.await?, receiver.receipts().await?);
    ensure!(
        receipts.requests == expected,
        "{} requests arrived for {expected} deliveries",
        receipts.requests
    );
    let seconds = Duration::from_micros(receipts.last_us.saturating_sub(published.begun_us)).as_secs_f64();
    Ok(LoadResult { seconds, published, receipts })
}

/// Waits until `expected` deliveries of events that were published before have arrived.
pub(crate) async fn drain(
    pipeline: &mut Pipeline,
    receiver: &mut Receiver,
    expected: u64,
) -> Result<Receipts> {
    let mut progress = Progress::default();
    loop {
        pipeline.ensure_running()?;
        let receipts = receiver.receipts().await?;
        if receipts.requests >= expected {
            return Ok(receipts);
        }
        progress.record(receipts.requests, expected)?;
        tokio::time::sleep(POLL).await;
    }
}

/// Publishes a load and waits until all of it is committed, regardless of delivery. Returns the seconds that this took.
///
/// The number of committed events is the sequence number of the newest row, a single index lookup in the queue's file.
pub(crate) async fn admit(pipeline: &mut Pipeline, load: Load) -> Result<f64> {
    let (before, begun) = (pipeline.newest()?, Instant::now());
    let run = load.start(&pipeline.socket)?;
    let (mut admitted, mut done_at) = (0, begun);
    let published = run.finish(POLL, async || {
        pipeline.ensure_running()?;
        let newest = pipeline.newest()? - before;
        if newest > admitted {
            (admitted, done_at) = (newest, Instant::now());
        }
        Ok(newest)
    });
    published.await?;
    Ok((done_at - begun).as_secs_f64())
}
