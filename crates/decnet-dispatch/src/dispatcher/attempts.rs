//! Attempts: each attempt starts when there is a permit, and its result updates the lane.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::{Duration, Instant};

use decnet_core::delivery::{Reason, RetrySchedule, Verdict, counts_as_failed};
use decnet_core::event::{BatchFormat, Event};
use decnet_core::limits::{LANE_CAPACITY, LOCAL_FAULT_PAUSE};
use decnet_core::settings::Batch;
use decnet_core::time::UnixMicros;
use decnet_format::Judgement;
use decnet_store::queue::SubscriptionKey;
use futures_util::FutureExt as _;

use super::{Dispatcher, Done};
use crate::concurrency_limiter::Permit;
use crate::lane_state::LaneState;
use crate::request_batch::{ReadyDelivery, RequestBatch};
use crate::spans::Span;
use decnet_runtime::clock;
use decnet_sender::{AttemptResult, Destination, Message, Sender, Target, body_hash, judge};

/// Replies slower than this do not mark the lane as proven.
const PROVEN_MAX_LATENCY: Duration = Duration::from_secs(1);

/// A request that was sent, or that this host could not send.
pub(super) struct SentRequest {
    pub(super) key: SubscriptionKey,
    /// The version of the lane when the attempt started.
    version: u64,
    pub(super) batch: RequestBatch,
    /// The format of the request, if it has one.
    pub(super) destination: Option<Rc<Destination>>,
    pub(super) is_probe: bool,
    pub(super) started_at: UnixMicros,
}

impl Dispatcher {
    /// Starts all requests that the lane may start now, then claims more deliveries if few are left.
    pub(super) fn pump(&mut self, key: SubscriptionKey) {
        loop {
            let lane = &mut self.lanes[key];
            if self.is_stopping || !lane.may_start(self.options.concurrency) {
                break;
            }
            if let Some(at) = lane.held_back_until() {
                self.schedule_wake(key, at);
                break;
            }
            match self.limiter.try_acquire(lane.is_proven, lane.in_flight) {
                Some(permit) => self.start_next(key, permit),
                None => lane.ticket = Some(self.limiter.wait(key, lane.is_proven, lane.in_flight)),
            }
        }
        self.refill(key);
    }

    /// Gives free permits to the lanes that wait for a permit.
    fn grant_permits(&mut self) {
        while let Some((key, permit)) = self.limiter.grant_next() {
            // A lane that was removed may have left its ticket.
            let Some(lane) = self.lanes.get_mut(&key) else {
                self.limiter.release(permit);
                continue;
            };
            lane.ticket = None;
            let is_ready = lane.may_start(self.options.concurrency) && lane.held_back_until().is_none();
            if is_ready && !self.is_stopping {
                self.start_next(key, permit);
            } else {
                self.limiter.release(permit);
            }
            // The lane may need another permit, or wait for something else now.
            self.pump(key);
        }
    }

    pub(super) fn start_next(&mut self, key: SubscriptionKey, permit: Permit) {
        match self.lanes[key].next_request() {
            Some(batch) => self.start_attempt(key, batch, permit, false),
            None => self.limiter.release(permit),
        }
    }

    /// Sends a request in a task, which always ends with [`Done::Finished`].
    pub(super) fn start_attempt(
        &mut self,
        key: SubscriptionKey,
        batch: RequestBatch,
        permit: Permit,
        is_probe: bool,
    ) {
        let lane = &mut self.lanes[key];
        lane.start_request(&batch);
        let destination = lane.destination_for(&batch.first);
        let batch_format = lane.stored.settings.batch.map(Batch::format);
        let (version, target) = (lane.version, lane.target_for(destination.as_ref()));
        let (sender, inbox, clock) = (self.sender.clone(), self.inbox.clone(), self.clock.clone());
        let started_at = UnixMicros::default();
        let mut request = SentRequest { key, version, batch, destination, is_probe, started_at };
        tokio::task::spawn_local(async move {
            request.started_at = clock.wall();
            let result = send(&sender, &target, &request, batch_format).await;
            inbox.put(Done::Finished(request, permit, result));
        });
    }

    pub(super) fn on_finished(&mut self, request: SentRequest, permit: Permit, mut result: AttemptResult) {
        self.limiter.release(permit);
        let judgement = judge(request.destination.as_deref(), &mut result, request.batch.len());
        self.stats.attempts(judgement.whole.reason()).add(1);
        if judgement.whole == Verdict::NotSent {
            self.return_unsent(request, &result);
        } else {
            self.check_body(&request, &mut result);
            self.apply_result(request, result, &judgement);
        }
        self.grant_permits();
    }

    /// Reports a request whose body differs from that of the delivery's earlier attempts, which another version of the program has
    /// rendered. It has the `webhook-id` of the earlier attempts, since it is about the same event.
    fn check_body(&mut self, request: &SentRequest, result: &mut AttemptResult) {
        let before = request.batch.first.rendered.as_ref().and_then(|rendered| rendered.body_hash);
        let is_other = before.zip(result.body_hash).is_some_and(|(before, now)| before != now);
        if !is_other {
            return;
        }
        let what = "this version of decnet renders the body differently than the earlier attempts did";
        let detail =
            result.detail.take().map_or_else(|| what.to_owned(), |detail| format!("{detail}; {what}"));
        result.detail = Some(detail.into());
        if let Some(times) = self.changed_body_log.record(Instant::now()) {
            tracing::warn!(
                times,
                "sent retries whose body differs from that of the first attempt, which another version of decnet rendered"
            );
        }
    }

    /// Applies the result of an attempt to the lane and to the deliveries of the request.
    fn apply_result(&mut self, request: SentRequest, result: AttemptResult, judgement: &Judgement) {
        let verdict = &judgement.whole;
        let (key, count, bytes) = (request.key, request.batch.len(), request.batch.bytes());
        self.memory.release(count, bytes);
        self.record_attempt(&request, &result, verdict);
        let failed = self.counts_as_failed(&request, verdict);
        // A paused lane trips as well.
        if failed && self.lanes[key].state == LaneState::Open {
            let is_operational = request.batch.events().all(|event| event.operational);
            self.lanes[key].notice_throttle.is_trip_silent = is_operational;
        }
        self.observe(&request, &result, verdict, failed);
        if let Some(pause) = judgement.pause.filter(|_| self.lanes[key].version == request.version) {
            self.defer(key, pause);
        }
        self.settle(request, result, judgement);
        let lane = &mut self.lanes[key];
        lane.finish_request(count, bytes, *verdict != Verdict::Delivered);
        // The position in the queue is stale (proven flag or requests in flight have changed); `pump` enqueues the lane
        // again.
        if let Some(ticket) = lane.ticket.take() {
            self.limiter.cancel(ticket);
        }
        self.pump(key);
    }

    /// Returns to the lane the deliveries that this host could not send. No attempt was made, so they keep their retries, and
    /// the receiver's health does not change. The lane pauses, since the next request would fail in the same way.
    fn return_unsent(
        &mut self,
        SentRequest { key, batch, is_probe, .. }: SentRequest,
        result: &AttemptResult,
    ) {
        let error = result.detail.as_deref().unwrap_or_default();
        if let Some(times) = self.local_fault_log.record(Instant::now()) {
            tracing::warn!(
                error,
                times,
                "this host cannot send; deliveries wait and do not count as failures"
            );
        }
        let (lane, now) = (&mut self.lanes[key], self.clock.uptime());
        lane.window.finished(&result.outcome, Duration::ZERO, lane.in_flight);
        lane.finish_request(batch.len(), batch.bytes(), false);
        lane.metrics.set_last_error(now, error);
        lane.put_back(batch);
        lane.hold.set_by_host(now.after(LOCAL_FAULT_PAUSE.mul_f64(1.0 + 0.5 * clock::jitter())));
        let is_open = lane.is_open();
        if let Some(ticket) = lane.ticket.take() {
            self.limiter.cancel(ticket);
        }
        if is_probe {
            self.postpone_probe(key);
        }
        if is_open { self.pump(key) } else { self.spill_to_queue(key) }
    }

    /// Returns the retry schedule of the subscription, or the default schedule.
    pub(super) fn retry_schedule(&self, key: SubscriptionKey) -> &RetrySchedule {
        let own = self.lanes[key].stored.settings.retry_schedule.as_ref();
        own.unwrap_or(&self.options.schedule)
    }

    /// Records the attempt in the metrics, and in the trace of each event of the request.
    fn record_attempt(&self, request: &SentRequest, result: &AttemptResult, verdict: &Verdict) {
        self.stats.times.attempt.observe_time(result.duration);
        if result.repeats > 0 {
            self.stats.repeats.add(result.repeats.into());
        }
        let Some(spans) = &self.options.spans else { return };
        let lane = &self.lanes[request.key];
        for delivery in request.batch.iter() {
            spans.record(Span::attempt(lane, delivery, request.started_at, result, verdict));
        }
    }

    /// Returns whether one of the deliveries counts as failed for the receiver's health.
    fn counts_as_failed(&self, request: &SentRequest, verdict: &Verdict) -> bool {
        let schedule = self.retry_schedule(request.key);
        request.batch.iter().any(|delivery| {
            counts_as_failed(delivery.counted_attempts(), verdict, request.is_probe, schedule)
        })
    }

    /// Updates the lane's view of its receiver, unless the row has changed since the attempt started.
    fn observe(&mut self, request: &SentRequest, result: &AttemptResult, verdict: &Verdict, failed: bool) {
        let key = request.key;
        let lane = &mut self.lanes[key];
        if lane.version != request.version {
            return;
        }
        if *verdict == Verdict::Reject(Reason::Template) {
            // The events of a batch are tried again in smaller ones.
            if request.batch.rest.is_empty() {
                self.on_unrendered(key, result, request.is_probe);
            }
            return;
        }
        // This excludes the time to connect, which is long however idle the receiver is.
        let latency = result.timings.first_byte.unwrap_or(result.duration);
        lane.window.finished(&result.outcome, latency, lane.in_flight);
        let was_fast = lane.is_fast();
        lane.is_answering = verdict.shows_healthy_receiver();
        lane.is_proven = lane.is_answering && result.duration < PROVEN_MAX_LATENCY;
        lane.backlog.ignores_due_times &= lane.is_answering;
        let has_slowed = was_fast && !lane.is_fast() && lane.ready_len() > LANE_CAPACITY;
        if let Verdict::Retry { after: Some(wait), .. } = verdict {
            self.defer(key, *wait);
        }
        // The deliveries of a slow lane would occupy memory that other lanes can use.
        if has_slowed {
            self.spill_to_queue(key);
        }
        match verdict {
            Verdict::Delivered => self.on_success(key),
            Verdict::Reject(Reason::BodyRefused) => self.on_refusal(key, result),
            _ if failed => self.on_failure(key, result, verdict),
            _ => self.on_retry(key, result),
        }
        if request.is_probe {
            self.on_probe_finished(key);
        }
    }
}

/// Sends one request: what the format of the subscription makes of the events, or the events themselves, in a batch if there is a
/// format for batches. A panic counts as a failed attempt, so that one event cannot stop the worker.
async fn send(
    sender: &Sender,
    target: &Target,
    request: &SentRequest,
    batch_format: Option<BatchFormat>,
) -> AttemptResult {
    let start = Instant::now();
    let attempt = async {
        match (&request.destination, batch_format) {
            (None, None) if request.batch.rest.is_empty() => {
                let first = &request.batch.first;
                let (delivery, attempt) = (first.id.number(), first.attempt_number());
                let message = Message { delivery, attempt, ..(&*first.event).into() };
                sender.send(target, message, request.started_at).await
            }
            // Boxed, because their state would enlarge the future of every attempt.
            (None, format) => {
                let format = format.unwrap_or_default();
                let event = format.combine(request.batch.events());
                let message = combined(request, &event, format.content_type());
                Box::pin(sender.send(target, message, request.started_at)).await
            }
            (Some(destination), _) => Box::pin(send_rendered(sender, target, request, destination)).await,
        }
    };
    AssertUnwindSafe(attempt).catch_unwind().await.unwrap_or_else(|_| AttemptResult {
        duration: start.elapsed(),
        ..AttemptResult::failed(Reason::Internal, "internal: the attempt panicked; see the log".into())
    })
}

/// Renders the events with the format of the subscription, and sends the result.
async fn send_rendered(
    sender: &Sender,
    target: &Target,
    request: &SentRequest,
    destination: &Destination,
) -> AttemptResult {
    match destination.render(request.batch.events()) {
        Ok(event) => {
            let message = combined(request, &event, destination.format().content_type());
            let body_hash = request.batch.rest.is_empty().then(|| body_hash(&event.body));
            let result = sender.deliver(target, Some(destination), message, request.started_at).await;
            AttemptResult { body_hash, ..result }
        }
        Err(error) => AttemptResult::failed(Reason::Template, error.to_string().into()),
    }
}

/// Returns the message with an event that stands for all events of the request, with the attempt number of the delivery that was
/// tried most often.
fn combined<'e>(request: &SentRequest, event: &'e Event, content_type: &'e str) -> Message<'e> {
    let delivery = request.batch.first.id.number();
    let attempt = request.batch.iter().map(ReadyDelivery::attempt_number).max().unwrap_or(1);
    Message { content_type, delivery, attempt, ..Message::from(event) }
}

#[cfg(test)]
mod tests {
    use decnet_core::time::BootMicros;

    use super::super::tests::started;

    /// Timers and queues of waiting lanes keep keys that are not counted in the lane.
    #[tokio::test]
    async fn kept_keys_of_a_removed_lane_are_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let mut dispatcher = started(dir.path()).await;
        let key = dispatcher.lanes.values().next().unwrap().key;
        dispatcher.schedule(key, BootMicros(0));
        dispatcher.memory.wait(key);
        dispatcher.limiter.wait(key, true, 0);
        dispatcher.lanes.remove(&key);
        dispatcher.on_released(key);
        dispatcher.on_oldest(Ok(vec![(key, None)]));
        dispatcher.process(&mut Vec::new(), None).unwrap();
        dispatcher.grant_permits();
        assert_eq!(dispatcher.limiter.in_use(), 0);
    }
}
