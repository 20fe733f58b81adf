//! Row 14: row 1 over TLS, with a bare sender over TLS as the reference.

use anyhow::Result;

use super::throughput::{ratio, run};
use super::{ALL_EVENTS, Bench, IN_FLIGHT, TOPIC, TOTAL_IN_FLIGHT, pluralize};
use crate::report::{Measured, thousands};
use crate::rig::bare_sender::Job;
use crate::rig::{Load, Pipeline, Receiver, SubscriptionSpec, concurrency};
use crate::targets;

pub(super) async fn measure(bench: &mut Bench) -> Result<Measured> {
    let certificate = bench.path().join("certificate.pem");
    let mut receiver = Receiver::start(bench.path(), 1, Some(&certificate)).await?;
    let mut rounds = Vec::new();
    for _ in 0..bench.plan.rounds {
        let (receivers, requests) = (&receiver.addresses, bench.plan.requests);
        let job = Job { receivers, requests, in_flight: IN_FLIGHT, certificate: Some(&certificate) };
        let reference = bench.bare_sender(&job).await?;
        let url = format!("https://{}/to", receiver.addresses[0]);
        let mut environment = concurrency(IN_FLIGHT, TOTAL_IN_FLIGHT);
        environment.push(("SSL_CERT_FILE", certificate.display().to_string()));
        let setup = bench.setup(vec![SubscriptionSpec::new(url, ALL_EVENTS)], environment);
        let mut pipeline = Pipeline::start(setup).await?;
        let load = Load::flat_out(TOPIC, bench.plan.deliveries, 1, bench.plan.ahead);
        rounds.push(run(&mut pipeline, &mut receiver, load, reference).await?);
    }
    let (figures, bars) = ratio(&rounds, "TLS", targets::TLS);
    let (rounds, events) = (pluralize(rounds.len(), "round"), thousands(bench.plan.deliveries as f64));
    let notes = vec![format!("{rounds} of {events} events to one subscription, HTTP/1.1 over TLS 1.3")];
    Ok(Measured { figures, notes, bars, ..Measured::default() })
}
