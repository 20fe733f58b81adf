//! Rows 6 and 7: the effect of bad receivers on healthy ones. The same load goes to the same healthy
//! receivers, first without the bad ones and then with them. Every receiver has its own port, and the bad
//! ones run in a process of their own.

use anyhow::Result;

use super::{ALL_EVENTS, Bench, TOPIC, pluralize};
use crate::report::{Figure, Measured, Unit, median, thousands};
use crate::rig::{Load, LoadResult, Pipeline, Receiver, SubscriptionSpec, drive};
use crate::roles::receiver::Latencies;
use crate::targets;

/// Seconds of warm-up. Afterwards the healthy lanes are proven and the bad receivers hold as many requests as
/// they can.
const WARM_UP_SECONDS: u64 = 2;

/// The receivers of a run and their load.
struct Case {
    healthy: usize,
    /// Path of each bad receiver, which selects its behaviour.
    bad: Vec<&'static str>,
    per_second: u32,
    seconds: u64,
}

/// Results of the healthy receivers.
struct Healthy {
    result: LoadResult,
    latencies: Latencies,
}

/// Measures row 6.
pub(super) async fn many(bench: &mut Bench) -> Result<Measured> {
    let bad = ["/hang", "/drip", "/busy"].into_iter().flat_map(|what| [what; 10]).collect();
    let case = Case { healthy: 70, bad, per_second: 200, seconds: bench.plan.isolation_seconds };
    let rounds = rounds(bench, &case).await?;
    let over = |figure: fn(&Healthy) -> f64, which: fn(&[Healthy; 2]) -> &Healthy| {
        median(rounds.iter().map(|round| figure(which(round))))
    };
    let p99 = |healthy: &Healthy| healthy.latencies.p99_us as f64;
    let (alone, beside) = (over(p99, |round| &round[0]), over(p99, |round| &round[1]));
    let ratio = median(rounds.iter().map(|[alone, beside]| p99(beside) / p99(alone)));
    let formatted = [alone, beside].map(|micros| Unit::Micros.format(micros));
    let p99 = Figure::new("p99 of the 70 healthy receivers, ratio to p99 alone", ratio, Unit::Ratio)
        .detail(format!("{}; alone {}", formatted[1], formatted[0]))
        .target(targets::ISOLATION_P99);
    let mut measured = Measured { figures: vec![p99], ..Measured::default() };
    measured.figures.push(throughput(&rounds, "throughput of the healthy receivers, ratio to alone"));
    measured.notes.push(format!(
        "{} of {} s at 200 events per second to each receiver; 10 hang, 10 drip one byte per second, 10 reply 503; \
         default settings",
        pluralize(rounds.len(), "round"),
        case.seconds
    ));
    Ok(measured)
}

/// Measures row 7.
pub(super) async fn neighbour(bench: &mut Bench) -> Result<Measured> {
    let seconds = bench.plan.neighbour_seconds;
    let case = Case { healthy: 1, bad: vec!["/hang"], per_second: 5000, seconds };
    let rounds = rounds(bench, &case).await?;
    let figures = vec![throughput(&rounds, "throughput of the healthy receiver, ratio to alone")];
    let p99 = rounds
        .iter()
        .map(|round| round.each_ref().map(|run| Unit::Micros.format(run.latencies.p99_us as f64)));
    let p99 = p99.map(|[alone, beside]| format!("{beside} (alone {alone})")).collect::<Vec<_>>().join(", ");
    let notes = vec![
        format!(
            "{} of {seconds} s at 5,000 events per second to each receiver; default settings",
            pluralize(rounds.len(), "round")
        ),
        format!("p99 of the healthy receiver {p99}"),
    ];
    Ok(Measured { figures, notes, ..Measured::default() })
}

fn throughput(rounds: &[[Healthy; 2]], what: &str) -> Figure {
    let rate = |which: usize| median(rounds.iter().map(|round| round[which].result.per_second()));
    let ratio = |[alone, beside]: &[Healthy; 2]| beside.result.per_second() / alone.result.per_second();
    Figure::new(what, median(rounds.iter().map(ratio)), Unit::Ratio)
        .detail(format!("{}/s; alone {}/s", thousands(rate(1)), thousands(rate(0))))
        .target(targets::ISOLATION_RATE)
}

/// Runs every round without the bad receivers, then with them.
async fn rounds(bench: &Bench, case: &Case) -> Result<Vec<[Healthy; 2]>> {
    let mut rounds = Vec::new();
    for _ in 0..bench.plan.rounds {
        rounds.push([run(bench, case, &[]).await?, run(bench, case, &case.bad).await?]);
    }
    Ok(rounds)
}

async fn run(bench: &Bench, case: &Case, bad: &[&str]) -> Result<Healthy> {
    let mut healthy = Receiver::start(bench.path(), case.healthy, None).await?;
    let trouble = Receiver::start(bench.path(), bad.len(), None).await?;
    let good = (0..case.healthy).map(|port| SubscriptionSpec::new(healthy.url(port, "/timed"), ALL_EVENTS));
    let bad =
        bad.iter().enumerate().map(|(port, path)| SubscriptionSpec::new(trouble.url(port, path), ALL_EVENTS));
    let mut pipeline = Pipeline::start(bench.setup(good.chain(bad).collect(), Vec::new())).await?;
    let load = |seconds| Load::per_second(TOPIC, case.per_second, seconds, case.healthy as u64);
    drive(&mut pipeline, &mut healthy, load(WARM_UP_SECONDS)).await?;
    let result = drive(&mut pipeline, &mut healthy, load(case.seconds)).await?;
    Ok(Healthy { result, latencies: healthy.latencies().await? })
}
