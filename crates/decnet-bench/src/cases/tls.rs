//! Row 14: row 1 over TLS, with a bare sender over TLS as the reference.

use anyhow::Result;
use decnet_bench::format::thousands;
use decnet_bench::load::Load;

use super::throughput::{add_ratio, run};
use super::{ALL_EVENTS, Bench, IN_FLIGHT, TOPIC, TOTAL_IN_FLIGHT, pluralize};
use crate::report::Measured;
use crate::rig::{SubscriptionSpec, concurrency};
use crate::roles::receiver::Receiver;
use crate::targets;

pub(super) async fn measure(bench: &mut Bench) -> Result<Measured> {
    let certificate = bench.path().join("certificate.pem");
    let mut receiver = Receiver::start(bench.path(), 1, Some(&certificate)).await?;
    let mut rounds = Vec::new();
    for _ in 0..bench.plan.rounds {
        let (requests, trusted) = (bench.plan.requests, Some(certificate.clone()));
        let reference = bench.bare_sender(&receiver, requests, IN_FLIGHT, trusted).await?;
        let url = format!("https://{}/to", receiver.addresses[0]);
        let mut environment = concurrency(IN_FLIGHT, TOTAL_IN_FLIGHT);
        environment.push(("SSL_CERT_FILE", certificate.display().to_string()));
        let subscriptions = [SubscriptionSpec::new(url, ALL_EVENTS)];
        let mut pipeline = bench.pipeline(&subscriptions, &environment).await?;
        let load = Load::flat_out(TOPIC, bench.plan.deliveries, 1, bench.plan.ahead);
        rounds.push(run(&mut pipeline, &mut receiver, load, reference).await?);
    }
    let mut measured = Measured::default();
    add_ratio(&mut measured, &rounds, "TLS", targets::TLS);
    let (rounds, events) = (pluralize(rounds.len() as u64, "round"), thousands(bench.plan.deliveries as f64));
    measured.notes.push(format!("{rounds} of {events} events to one subscription, HTTP/1.1 over TLS 1.3"));
    Ok(measured)
}
