//! Correction of the times in a queue after its clock was stepped.

use std::path::Path;
use std::time::Duration;

use decnet_core::clock::{BootId, Reading};
use decnet_core::delivery::State;
use decnet_core::limits::CORRECTION_STEP_ROWS;
use decnet_core::time::{BootMicros, UnixMicros};
use decnet_runtime::clock::Clock;
use decnet_store::backup;
use decnet_store::queue::{Correction, ExternalWriter, Filter, Options, Queue, Reader};

use super::support::*;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const DAY_MICROS: i64 = 24 * 3_600_000_000;

/// Applies a correction completely. Returns the number of changed rows and of steps.
async fn correct(queue: &Queue, mut what: Correction) -> (usize, usize) {
    let (mut rows, mut steps) = (0, 0);
    loop {
        let done = queue.correct_times(what).await.unwrap();
        (rows, steps) = (rows + done.rows, steps + 1);
        assert!(done.rows <= CORRECTION_STEP_ROWS);
        match done.next {
            Some(next) => what = next,
            None => return (rows, steps),
        }
    }
}

fn due_times(dir: &Path) -> Vec<UnixMicros> {
    let due_at = |state| if let State::Retrying { due_at } = state { Some(due_at) } else { None };
    list(dir).iter().filter_map(|listed| due_at(listed.state)).collect()
}

#[tokio::test]
async fn retries_due_too_late_become_due_now() {
    let (dir, queue, subs) = new_queue::<3>().await;
    let at = now();
    let mut first = 0;
    for (sub, delays) in [(0, [HOUR, 30 * DAY]), (2, [30 * DAY, 2 * HOUR])] {
        for delay in delays {
            let all = admit(&queue, first..first + 900, subs[sub], false).await;
            settle_all(&queue, &all, at, State::Retrying { due_at: at.after(delay) }).await;
            first += 900;
        }
    }
    let (rows, steps) = correct(&queue, Correction::new(at, at.after(DAY))).await;
    assert_eq!(rows, 1800);
    assert!(steps > 1, "several steps");
    let due = due_times(dir.path());
    assert_eq!(due.len(), 3600);
    assert_eq!(due.iter().filter(|due| **due == at).count(), 1800);
    assert!(due.iter().all(|due| *due <= at.after(2 * HOUR)));
    assert_eq!(correct(&queue, Correction::new(at, at)).await.0, 1800, "the later half");
    assert!(due_times(dir.path()).iter().all(|due| *due == at));
}

#[tokio::test]
async fn future_admission_times_are_set_to_now() {
    let clock = Clock::default();
    let options = Options { clock: clock.clone(), ..Options::default() };
    let (dir, queue, [sub]) = new_queue_with(options).await;
    admit(&queue, 0..2, sub, false).await;
    clock.step(40 * DAY_MICROS);
    admit(&queue, 2..1500, sub, false).await;
    clock.step(-40 * DAY_MICROS);
    admit(&queue, 1500..1502, sub, false).await;
    let ahead = |at: UnixMicros| list(dir.path()).iter().filter(|listed| listed.admitted_at > at).count();
    assert_eq!(ahead(now().after(DAY)), 1500, "admission times ascend even if they are wrong");

    let (before, at) = (now(), clock.now());
    let (rows, steps) = correct(&queue, Correction::new(at, at.after(DAY))).await;
    assert_eq!(rows, 1500);
    assert!(steps > 1, "several steps");
    admit(&queue, 1502..1503, sub, false).await;
    let listed = list(dir.path());
    assert!(listed.is_sorted_by(|newer, older| newer.admitted_at >= older.admitted_at));
    assert!(listed[0].admitted_at.since(before) < HOUR, "new events are admitted now");
    let since = Filter { since: Some(at), ..Filter::default() };
    let found = Reader::open(dir.path()).unwrap().list(&since).unwrap();
    assert_eq!(found.len(), 1501, "a filter by time finds them");
}

#[tokio::test]
async fn plausible_times_are_not_changed() {
    let (_dir, queue, [sub]) = new_queue().await;
    let all = admit(&queue, 0..10, sub, false).await;
    settle_all(&queue, &all, now(), State::Retrying { due_at: now().after(HOUR) }).await;
    assert_eq!(correct(&queue, Correction::new(now(), now().after(DAY))).await, (0, 1));
}

#[tokio::test]
async fn trusted_time_survives_a_restart() {
    let (dir, queue, [sub]) = new_queue().await;
    assert_eq!(queue.recorded_times().await.unwrap().trusted, None);
    let recorded = Reading { wall: UnixMicros(5), uptime: BootMicros(3), boot: Some(BootId(-1)) };
    queue.record_time(recorded).await.unwrap();
    admit(&queue, 0..1, sub, false).await;
    queue.close().await.unwrap();
    let times = Reader::open(dir.path()).unwrap().recorded_times().unwrap();
    assert_eq!((times.trusted, times.newest), (Some(recorded), list(dir.path())[0].admitted_at));
    let confirmed = Reading { wall: UnixMicros(9), ..recorded };
    ExternalWriter::open(dir.path()).unwrap().confirm_clock(&confirmed).unwrap();
    assert_eq!(open(dir.path()).recorded_times().await.unwrap().trusted, Some(confirmed));
}

#[tokio::test]
async fn restored_queue_has_no_trusted_time() {
    let (dir, queue, [sub]) = new_queue().await;
    let restored = tempfile::tempdir().unwrap();
    admit(&queue, 0..1, sub, false).await;
    queue.record_time(Clock::default().reading()).await.unwrap();
    let before = queue.recorded_times().await.unwrap();
    backup::copy(&file(dir.path()), &file(restored.path())).unwrap();
    decnet_store::queue::prepare_copy(&file(restored.path())).unwrap();
    let after = open(restored.path()).recorded_times().await.unwrap();
    assert_eq!((after.trusted, after.newest), (None, before.newest));
}
