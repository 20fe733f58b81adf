//! Rows 6 and 7: the effect of bad receivers on healthy receivers. The same load goes to the same healthy receivers, first
//! without the bad receivers and then with them. Every receiver has its own port, and the bad receivers run in a process of
//! their own.

use anyhow::Result;
use decnet_bench::format::thousands;
use decnet_bench::load::Load;
use decnet_bench::receiver::Latencies;

use super::{ALL_EVENTS, Bench, TOPIC, pluralize};
use crate::report::{Figure, Measured, Unit, median};
use crate::rig::{LoadResult, SubscriptionSpec, drive};
use crate::roles::receiver::Receiver;
use crate::targets;

/// Seconds of warm-up. Afterwards the healthy lanes are proven and the bad receivers hold as many requests as they can.
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
    let p99 = |round: &[Healthy; 2], which: usize| round[which].latencies.p99_us as f64;
    let ratio = median(rounds.iter().map(|round| p99(round, 1) / p99(round, 0)));
    let [alone, disturbed] =
        [0, 1].map(|which| Unit::Micros.format(median(rounds.iter().map(|round| p99(round, which)))));
    let p99 = Figure::new("p99 of the 70 healthy receivers, ratio to p99 alone", ratio, Unit::Ratio)
        .detail(format!("{disturbed}; alone {alone}"))
        .target(targets::ISOLATION_P99);
    let mut measured = Measured { figures: vec![p99], ..Measured::default() };
    measured.figures.push(throughput(&rounds, "throughput of the healthy receivers, ratio to alone"));
    measured.notes.push(format!(
        "{} of {} s at 200 events per second to each receiver; 10 hang, 10 drip one byte per second, 10 reply 503; \
         default settings",
        pluralize(rounds.len() as u64, "round"),
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
    let p99 = |run: &Healthy| Unit::Micros.format_whole(run.latencies.p99_us);
    let p99 = rounds.iter().map(|round| round.each_ref().map(p99));
    let p99 =
        p99.map(|[alone, disturbed]| format!("{disturbed} (alone {alone})")).collect::<Vec<_>>().join(", ");
    let notes = vec![
        format!(
            "{} of {seconds} s at 5,000 events per second to each receiver; default settings",
            pluralize(rounds.len() as u64, "round")
        ),
        format!("p99 of the healthy receiver {p99}"),
    ];
    Ok(Measured { figures, notes, ..Measured::default() })
}

fn throughput(rounds: &[[Healthy; 2]], what: &str) -> Figure {
    let rate = |which: usize| median(rounds.iter().map(|round| round[which].result.per_second()));
    let ratio = |[alone, disturbed]: &[Healthy; 2]| disturbed.result.per_second() / alone.result.per_second();
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
    let subscriptions: Vec<_> = good.chain(bad).collect();
    let mut pipeline = bench.pipeline(&subscriptions, &Vec::new()).await?;
    let load = |seconds| Load::per_second(TOPIC, case.per_second, seconds, case.healthy as u64);
    drive(&mut pipeline, &mut healthy, load(WARM_UP_SECONDS)).await?;
    let result = drive(&mut pipeline, &mut healthy, load(case.seconds)).await?;
    Ok(Healthy { result, latencies: healthy.latencies().await? })
}
