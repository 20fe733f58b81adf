//! The end: nothing new starts, what is in flight gets its time, all results are committed.

use decnet_core::limits::LAST_COMMIT_GRACE;
use tokio::time::{Instant, sleep_until};

use super::{Dispatcher, Done, Error, Inputs};

impl Dispatcher {
    /// Admits what the intake has read already, waits for requests in flight, commits, closes the queue.
    pub(super) async fn finish(&mut self, inputs: Inputs, mut done: Vec<Done>) -> Result<(), Error> {
        self.stopping = true;
        self.put_back_piece();
        self.watch.stop();
        self.submit_settlements();
        let deadline = Instant::now() + self.options.shutdown_grace;
        tracing::info!(in_flight = self.slots.taken(), "stopping");
        self.admit_rest(inputs, &mut done, deadline).await?;
        self.wait_until(&mut done, deadline, |this| this.slots.taken() == 0).await?;
        let settled = |this: &Self| this.writes == 0 && !this.recording;
        let deadline = Instant::now() + LAST_COMMIT_GRACE;
        self.wait_until(&mut done, deadline, settled).await?;
        self.tell_rest();
        self.wait_until(&mut done, deadline, settled).await?;
        self.say_what_is_left();
        self.flush_records(deadline).await;
        self.queue.clone().close().await?;
        Ok(())
    }

    /// Admits what was read from the bus, in order, each event by the subscriptions that precede it. The intake closes
    /// its end when it has handed over the last batch.
    async fn admit_rest(
        &mut self,
        mut inputs: Inputs,
        done: &mut Vec<Done>,
        deadline: Instant,
    ) -> Result<(), Error> {
        let mut is_last = false;
        while !is_last || self.freshness.holds_batch() {
            tokio::select! {
                batch = inputs.batches.recv(), if !is_last && !self.freshness.holds_batch() => match batch {
                    Some(batch) => self.admit_or_hold(batch),
                    None => is_last = true,
                },
                () = self.inbox.filled() => {}
                () = sleep_until(deadline) => {
                    self.give_up_holding();
                    return Ok(());
                }
            }
            self.take_done(done, None)?;
        }
        Ok(())
    }

    async fn wait_until(
        &mut self,
        done: &mut Vec<Done>,
        deadline: Instant,
        reached: impl Fn(&Self) -> bool,
    ) -> Result<(), Error> {
        while !reached(self) {
            tokio::select! {
                () = self.inbox.filled() => {}
                () = sleep_until(deadline) => break,
            }
            self.take_done(done, None)?;
        }
        Ok(())
    }

    fn say_what_is_left(&self) {
        let abandoned = self.slots.taken();
        if abandoned > 0 {
            tracing::warn!(abandoned, "requests cut off; they are sent again after the next start");
        }
        if self.writes > 0 {
            tracing::error!("the queue did not commit in time; what it had accepted before is safe");
        }
    }
}
