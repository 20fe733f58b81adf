//! The recorder over time, with a clock that is moved.

use super::*;

fn counts(intervals: &[Option<Interval>]) -> Vec<u64> {
    intervals.iter().flatten().map(|interval| interval.admitted).collect()
}

fn read(recorder: &mut Recorder, stats: &Stats, clock: &Clock) -> Vec<Option<Interval>> {
    recorder.sample(stats, clock);
    recorder.intervals(&recorder.hour, clock)
}

#[test]
fn counts_belong_to_the_interval_in_which_they_began() {
    let (stats, clock) = (Stats::default(), Clock::default());
    let mut recorder = Recorder::new(&stats, &clock);
    for minute in 0..90 {
        stats.admitted.add(minute);
        recorder.sample(&stats, &clock);
        clock.sleep(MINUTE);
        recorder.sample(&stats, &clock);
    }
    let hour = recorder.intervals(&recorder.hour, &clock);
    assert_eq!(hour.len(), 60);
    let counted = counts(&hour);
    assert_eq!(counted.last(), Some(&89), "{counted:?}");
    assert!(counted.len() >= 58 && counted.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{counted:?}");
    let day: u64 = counts(&recorder.intervals(&recorder.day, &clock)).iter().sum();
    assert_eq!(day, (0..90).sum::<u64>());
}

#[test]
fn step_of_the_wall_clock_moves_times_and_keeps_counts() {
    let (stats, clock) = (Stats::default(), Clock::default());
    let mut recorder = Recorder::new(&stats, &clock);
    stats.admitted.add(3);
    let before = read(&mut recorder, &stats, &clock);
    for hours in [5, -10] {
        clock.step(hours * 3_600_000_000);
        stats.admitted.add(1);
        let after = read(&mut recorder, &stats, &clock);
        assert!(after.iter().flatten().count() >= before.iter().flatten().count(), "no interval is lost");
        let at = |intervals: &[Option<Interval>]| intervals.iter().flatten().next_back().unwrap().at.clone();
        assert_ne!(at(&before), at(&after), "the times are those of the wall clock");
    }
    assert_eq!(counts(&read(&mut recorder, &stats, &clock)).iter().sum::<u64>(), 5);
}

#[test]
fn suspend_leaves_a_gap() {
    let (stats, clock) = (Stats::default(), Clock::default());
    let mut recorder = Recorder::new(&stats, &clock);
    stats.admitted.add(3);
    recorder.sample(&stats, &clock);
    clock.sleep(10 * MINUTE);
    recorder.sample(&stats, &clock);
    stats.admitted.add(4);
    clock.sleep(MINUTE);
    let hour = read(&mut recorder, &stats, &clock);
    assert!(hour.iter().rev().skip_while(|one| one.is_none()).skip(1).any(Option::is_none), "{hour:?}");
    assert_eq!(counts(&hour), [3, 4]);
}

#[test]
fn last_minute_has_the_rates_and_quantiles_of_now() {
    let (stats, clock) = (Stats::default(), Clock::default());
    let mut recorder = Recorder::new(&stats, &clock);
    stats.admitted.add(1000);
    (0..1000).for_each(|_| stats.times.delivery.observe(900_000));
    for _ in 0..20 {
        clock.sleep(TRAFFIC_SAMPLE_INTERVAL);
        recorder.sample(&stats, &clock);
    }
    stats.admitted.add(60);
    stats.times.delivery.observe(2000);
    recorder.sample(&stats, &clock);
    let now = recorder.last_minute(&clock);
    assert_eq!(now.admitted, 60, "{now:?}");
    assert!((60.0..70.0).contains(&now.seconds), "{now:?}");
    assert!(now.latency_p99_ms.is_some_and(|p99| p99 < 3.0), "{now:?}");
    assert!(recorder.recent.len() <= 8, "{}", recorder.recent.len());
    (0..1000).for_each(|_| recorder.sample(&stats, &clock));
    assert!(recorder.recent.len() <= 8, "a client that asks often adds no samples");
}
