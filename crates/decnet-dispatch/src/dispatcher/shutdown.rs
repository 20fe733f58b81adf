//! The shutdown: nothing new starts, requests in flight get a grace period, and all results are committed.

use decnet_core::limits::FINAL_COMMIT_GRACE;
use tokio::time::{Instant, sleep_until};

use super::{Dispatcher, Done, Error, Inputs};
use crate::lane::Lane;

impl Dispatcher {
    /// Admits the events that the intake has read, waits for requests in flight, commits, and closes the queue.
    pub(super) async fn finish(&mut self, inputs: Inputs, mut done: Vec<Done>) -> Result<(), Error> {
        self.is_stopping = true;
        self.drop_held_submissions();
        self.census.stop.cancel();
        self.flush_settlements();
        let deadline = Instant::now() + self.options.shutdown_grace;
        tracing::info!(in_flight = self.limiter.in_use(), "stopping");
        self.admit_rest(inputs, &mut done, deadline).await?;
        if self.options.sends_digests_at_stop {
            self.wait_until(&mut done, deadline, |this| this.writes.jobs == 0).await?;
            self.send_digests();
        }
        self.wait_until(&mut done, deadline, |this| this.limiter.in_use() == 0).await?;
        let is_written = |this: &Self| this.writes.jobs == 0 && !this.health.is_writing;
        let deadline = Instant::now() + FINAL_COMMIT_GRACE;
        self.wait_until(&mut done, deadline, is_written).await?;
        self.emit_remaining();
        self.wait_until(&mut done, deadline, is_written).await?;
        self.log_unfinished();
        self.flush_health(deadline).await;
        self.queue.clone().close().await?;
        Ok(())
    }

    /// Admits the events that were read from the bus, in order, each event after the changes of the subscriptions before it. The
    /// intake closes its end after the last batch.
    async fn admit_rest(
        &mut self,
        mut inputs: Inputs,
        done: &mut Vec<Done>,
        deadline: Instant,
    ) -> Result<(), Error> {
        let mut is_closed = false;
        while !is_closed || self.freshness.holds_batch() {
            tokio::select! {
                batch = inputs.batches.recv(), if !is_closed && !self.freshness.holds_batch() => match batch {
                    Some(batch) => self.admit_or_hold(batch),
                    None => is_closed = true,
                },
                () = self.inbox.filled() => {}
                () = sleep_until(deadline) => {
                    self.release_held();
                    return Ok(());
                }
            }
            self.process(done, None)?;
        }
        Ok(())
    }

    /// Sends the digests whose windows are open, as far as their receivers accept requests now.
    fn send_digests(&mut self) {
        let has_digest = |lane: &&Lane| lane.stored.settings.digest.is_some();
        let keys: Vec<_> = self.lanes.values().filter(has_digest).map(|lane| lane.key).collect();
        for key in keys {
            self.lanes[key].end_window();
            while self.lanes[key].may_start(self.options.concurrency)
                && self.lanes[key].held_back_until().is_none()
                && let Some(permit) = self.limiter.try_acquire(false, 0)
            {
                self.start_next(key, permit);
                self.lanes[key].end_window();
            }
        }
    }

    async fn wait_until(
        &mut self,
        done: &mut Vec<Done>,
        deadline: Instant,
        is_reached: impl Fn(&Self) -> bool,
    ) -> Result<(), Error> {
        while !is_reached(self) {
            tokio::select! {
                () = self.inbox.filled() => {}
                () = sleep_until(deadline) => break,
            }
            self.process(done, None)?;
        }
        Ok(())
    }

    fn log_unfinished(&self) {
        let requests = self.limiter.in_use();
        if requests > 0 {
            tracing::warn!(requests, "aborted requests in flight; they are sent again after the next start");
        }
        if self.writes.jobs > 0 {
            tracing::error!("the queue did not commit in time; only writes acknowledged earlier are on disk");
        }
    }
}
