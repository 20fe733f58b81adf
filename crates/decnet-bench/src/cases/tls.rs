//! Row 14: the same as row 1 over TLS, and the bare sender with it.

use anyhow::Result;

use super::throughput::{ratio, run};
use super::{Bench, EVERYTHING, IN_FLIGHT, TOPIC, TOTAL_IN_FLIGHT, counted};
use crate::report::{Measured, thousands};
use crate::rig::bare_sender::Order;
use crate::rig::{Load, Pipeline, Receiver, Wanted, concurrency};
use crate::targets;

pub(super) async fn measure(bench: &mut Bench) -> Result<Measured> {
    let certificate = bench.path().join("certificate.pem");
    let mut receiver = Receiver::start(bench.path(), 1, Some(&certificate)).await?;
    let mut rounds = Vec::new();
    for _ in 0..bench.plan.rounds {
        let (receivers, requests) = (&receiver.addresses, bench.plan.requests);
        let order = Order { receivers, requests, in_flight: IN_FLIGHT, certificate: Some(&certificate) };
        let reference = bench.bare_sender(&order).await?;
        let url = format!("https://{}/to", receiver.addresses[0]);
        let mut environment = concurrency(IN_FLIGHT, TOTAL_IN_FLIGHT);
        environment.push(("SSL_CERT_FILE", certificate.display().to_string()));
        let setup = bench.setup(vec![Wanted::new(url, EVERYTHING)], environment);
        let mut pipeline = Pipeline::start(setup).await?;
        let load = Load::flat_out(TOPIC, bench.plan.deliveries, 1, bench.plan.ahead);
        rounds.push(run(&mut pipeline, &mut receiver, load, reference).await?);
    }
    let (figures, bars) = ratio(&rounds, "TLS", targets::TLS);
    let (rounds, events) = (counted(rounds.len(), "round"), thousands(bench.plan.deliveries as f64));
    let notes = vec![format!("{rounds} of {events} events to one subscription, HTTP/1.1 over TLS 1.3")];
    Ok(Measured { figures, notes, bars, ..Measured::default() })
}
