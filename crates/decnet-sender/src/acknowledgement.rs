//! Acknowledgement of events: some destinations say only some time after their reply that they have stored the events, and only if
//! they are asked.
//!
//! Polls are requests like any other, with the connections, the egress guard and the credentials of the subscription. The request with
//! the events and all of its polls share the deadline of the attempt.

use std::time::{Duration, Instant};

use decnet_core::delivery::Reason;
use decnet_core::limits::{FIRST_POLL_DELAY, MAX_POLL_DELAY, MAX_POLLS_PER_ATTEMPT};
use decnet_core::time::UnixMicros;
use decnet_format::request::{Acknowledged, Acknowledgement};

use crate::attempt::Sender;
use crate::attempt_result::AttemptResult;
use crate::connect::format_duration;
use crate::destination::{Destination, reply};
use crate::request::{Message, Target};
use crate::response::is_success;

/// The polls for the acknowledgement of one request.
struct Polling<'a> {
    sender: &'a Sender,
    target: &'a Target,
    protocol: &'static Acknowledgement,
    receipt: u64,
    message: Message<'a>,
    started_at: UnixMicros,
    /// The reason why the last poll did not succeed, if it is known.
    problem: Option<Box<str>>,
}

/// The end of polls.
enum Ended {
    Acknowledged,
    /// Polls cannot succeed, and this is the result of the last one.
    Refused(AttemptResult),
}

impl Sender {
    /// Makes one attempt as [`Sender::send`] does. If the destination acknowledges events after its reply, the attempt succeeds only
    /// when it has acknowledged them. Without an acknowledgement before the deadline, the attempt has timed out, although the
    /// destination may have stored the events.
    pub async fn deliver(
        &self,
        target: &Target,
        destination: Option<&Destination>,
        message: Message<'_>,
        started_at: UnixMicros,
    ) -> AttemptResult {
        let sent = self.send(target, message, started_at).await;
        let protocol = destination.and_then(Destination::acknowledgement);
        let receipt = protocol.and_then(|protocol| receipt(protocol, &sent));
        let (Some(polls), Some(protocol), Some(receipt)) = (&target.polls, protocol, receipt) else {
            return sent;
        };
        let body = (protocol.write)(receipt);
        let message = Message { content_type: protocol.content_type, body: &body, ..message };
        let mut polling =
            Polling { sender: self, target: polls, protocol, receipt, message, started_at, problem: None };
        let (start, deadline) = (Instant::now(), self.deadline(target));
        let ended = tokio::time::timeout(deadline.saturating_sub(sent.duration), polling.run()).await;
        let duration = sent.duration + start.elapsed();
        match ended.ok().flatten() {
            Some(Ended::Acknowledged) => AttemptResult { duration, ..sent },
            Some(Ended::Refused(poll)) => without_acknowledgement(&sent, poll, duration),
            None => without_acknowledgement(&sent, polling.timed_out(deadline), duration),
        }
    }
}

impl Polling<'_> {
    /// Polls until the events are acknowledged, or polls cannot succeed; `None` after the last poll.
    async fn run(&mut self) -> Option<Ended> {
        let mut delay = FIRST_POLL_DELAY;
        for _ in 0..MAX_POLLS_PER_ATTEMPT {
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(MAX_POLL_DELAY);
            let poll = self.sender.send(self.target, self.message, self.started_at).await;
            match self.judge(&poll) {
                Acknowledged::Yes => return Some(Ended::Acknowledged),
                Acknowledged::Never => return Some(Ended::Refused(poll)),
                Acknowledged::NotYet(problem) => self.problem = problem,
            }
        }
        None
    }

    fn judge(&self, poll: &AttemptResult) -> Acknowledged {
        match reply(poll) {
            Some(reply) => (self.protocol.judge)(&reply, self.receipt),
            None => Acknowledged::NotYet(poll.detail.clone()),
        }
    }

    fn timed_out(self, deadline: Duration) -> AttemptResult {
        let problem = self.problem.map(|problem| format!(" ({problem})")).unwrap_or_default();
        let text = format!("accepted, but not acknowledged within {}{problem}", format_duration(deadline));
        AttemptResult::failed(Reason::Timeout, text.into())
    }
}

/// Returns the receipt in a reply that accepts events.
fn receipt(protocol: &Acknowledgement, sent: &AttemptResult) -> Option<u64> {
    reply(sent).filter(|reply| is_success(reply.status)).and_then(|reply| (protocol.receipt)(&reply))
}

/// Returns the result of an attempt that ended with `end` after the events were accepted.
fn without_acknowledgement(sent: &AttemptResult, end: AttemptResult, duration: Duration) -> AttemptResult {
    AttemptResult { duration, timings: sent.timings, repeats: sent.repeats, ..end }
}
