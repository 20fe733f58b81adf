//! Row 8: a thousand receivers, each on its own port; each event goes to one of them in turn.

use anyhow::Result;
use decnet_bench::format::thousands;
use decnet_bench::load::{BODY_BYTES, Load, Pace};

use super::throughput::{Round, add_ratio, run};
use super::{Bench, TOPIC, pluralize};
use crate::report::Measured;
use crate::rig::{SubscriptionSpec, concurrency};
use crate::roles::receiver::Receiver;
use crate::targets;

const RECEIVERS: usize = 1000;
/// Requests in flight over all receivers.
const IN_FLIGHT: [usize; 2] = [64, 256];

pub(super) async fn measure(bench: &mut Bench) -> Result<Measured> {
    let mut receiver = Receiver::start(bench.path(), RECEIVERS, None).await?;
    let mut measured = Measured::default();
    for in_flight in IN_FLIGHT {
        let mut rounds = Vec::new();
        for _ in 0..bench.plan.rounds {
            rounds.push(round(bench, &mut receiver, in_flight).await?);
        }
        let label = format!("1,000 receivers, {in_flight} in flight");
        add_ratio(&mut measured, &rounds, &label, targets::RECEIVERS);
    }
    let (rounds, events) =
        (pluralize(bench.plan.rounds as u64, "round"), thousands(bench.plan.spread as f64));
    measured.notes.push(format!(
        "{rounds} of {events} events of {BODY_BYTES} bytes, each to one of the receivers in turn; the bare sender \
         keeps a connection to each"
    ));
    Ok(measured)
}

async fn round(bench: &Bench, receiver: &mut Receiver, in_flight: usize) -> Result<Round> {
    let reference = bench.bare_sender(receiver, bench.plan.spread, in_flight, None).await?;
    let topic = |port: usize| format!("{TOPIC}.{port}");
    let subscription = |port| SubscriptionSpec::new(receiver.url(port, "/to"), topic(port));
    let subscriptions: Vec<_> = (0..RECEIVERS).map(subscription).collect();
    let mut pipeline = bench.pipeline(&subscriptions, &concurrency(in_flight, in_flight)).await?;
    let load = Load {
        topics: (0..RECEIVERS).map(topic).collect(),
        events: bench.plan.spread,
        fan_out: 1,
        pace: Pace::FlatOut(bench.plan.ahead),
    };
    run(&mut pipeline, receiver, load, reference).await
}
