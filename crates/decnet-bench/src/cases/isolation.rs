//! Rows 6 and 7: what bad receivers cost the healthy ones. The same load to the same healthy ones, without the bad
//! ones and then with them; every receiver has a port of its own, the bad ones in a process of their own.

use anyhow::Result;

use super::{Bench, EVERYTHING, TOPIC, counted};
use crate::report::{Figure, Measured, Unit, median, thousands};
use crate::rig::{Arrived, Load, Pipeline, Receiver, Wanted, drive};
use crate::roles::receiver::Latencies;
use crate::targets;

/// Seconds of the warm-up, after which the healthy ones are known to be, and the bad ones hold what they can.
const WARM_UP_SECONDS: u64 = 2;

/// Who is there, and what they get.
struct Case {
    healthy: usize,
    /// What the bad ones do, one for each.
    bad: Vec<&'static str>,
    per_second: u32,
    seconds: u64,
}

/// What the healthy ones got.
struct Healthy {
    arrived: Arrived,
    latencies: Latencies,
}

/// Row 6.
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
    let shown = [alone, beside].map(|micros| Unit::Micros.show(micros));
    let p99 = Figure::new("p99 of the 70 healthy ones, of theirs alone", ratio, Unit::Ratio)
        .beside(format!("{}; alone {}", shown[1], shown[0]))
        .target(targets::ISOLATION_P99);
    let mut measured = Measured { figures: vec![p99], ..Measured::default() };
    measured.figures.push(throughput(&rounds, "deliveries of the healthy ones, of theirs alone"));
    measured.notes.push(format!(
        "{} of {} s at 200 events a second to each of them; 10 hang, 10 drip a byte a second, 10 answer 503, all with \
         default settings",
        counted(rounds.len(), "round"),
        case.seconds
    ));
    Ok(measured)
}

/// Row 7.
pub(super) async fn neighbour(bench: &mut Bench) -> Result<Measured> {
    let seconds = bench.plan.neighbour_seconds;
    let case = Case { healthy: 1, bad: vec!["/hang"], per_second: 5000, seconds };
    let rounds = rounds(bench, &case).await?;
    let figures = vec![throughput(&rounds, "deliveries of the healthy one, of its own alone")];
    let p99 =
        rounds.iter().map(|round| round.each_ref().map(|run| Unit::Micros.show(run.latencies.p99_us as f64)));
    let p99 = p99.map(|[alone, beside]| format!("{beside} (alone {alone})")).collect::<Vec<_>>().join(", ");
    let notes = vec![
        format!(
            "{} of {seconds} s at 5,000 events a second to each, default settings",
            counted(rounds.len(), "round")
        ),
        format!("p99 of the healthy one {p99}"),
    ];
    Ok(Measured { figures, notes, ..Measured::default() })
}

fn throughput(rounds: &[[Healthy; 2]], what: &str) -> Figure {
    let rate = |which: usize| median(rounds.iter().map(|round| round[which].arrived.per_second()));
    let ratio = |[alone, beside]: &[Healthy; 2]| beside.arrived.per_second() / alone.arrived.per_second();
    Figure::new(what, median(rounds.iter().map(ratio)), Unit::Ratio)
        .beside(format!("{}/s; alone {}/s", thousands(rate(1)), thousands(rate(0))))
        .target(targets::ISOLATION_RATE)
}

/// Without the bad ones, then with them.
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
    let good = (0..case.healthy).map(|port| Wanted::new(healthy.url(port, "/timed"), EVERYTHING));
    let bad = bad.iter().enumerate().map(|(port, path)| Wanted::new(trouble.url(port, path), EVERYTHING));
    let mut pipeline = Pipeline::start(bench.setup(good.chain(bad).collect(), Vec::new())).await?;
    let load = |seconds| Load::per_second(TOPIC, case.per_second, seconds, case.healthy as u64);
    drive(&mut pipeline, &mut healthy, load(WARM_UP_SECONDS)).await?;
    let arrived = drive(&mut pipeline, &mut healthy, load(case.seconds)).await?;
    Ok(Healthy { arrived, latencies: healthy.latencies().await? })
}
