//! Takeover: one process owns the queue; its successor finds everything that was committed.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use decnet_core::delivery::State;
use decnet_store::queue::{DeliveryId, Error, Options, Queue};

use super::support::*;

#[tokio::test]
async fn second_worker_is_rejected_with_the_owners_pid() {
    let (dir, queue, []) = new_queue().await;
    let error = Queue::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(error, Error::InUse { pid: Some(pid) } if pid == std::process::id()));
    assert!(error.to_string().contains(&format!("(pid {})", std::process::id())));
    queue.close().await.unwrap();
    open(dir.path());
}

#[tokio::test]
async fn worker_without_the_lease_is_fenced() {
    let (dir, zombie, [sub]) = new_queue().await;
    let held = admit(&zombie, 0..1, sub, true).await;
    std::fs::remove_file(dir.path().join("queue.lock")).unwrap();
    let owner = open(dir.path());
    let late = vec![settlement(held[0], 1, now(), State::Delivered)];
    assert!(matches!(zombie.settle(late).await, Err(Error::Fenced)));
    assert!(matches!(zombie.backlogs().await, Err(Error::Fenced)));
    assert_eq!(ids(&claim_all(&owner, sub).await.deliveries), held);
}

#[tokio::test]
async fn long_held_deliveries_are_found_after_a_restart() {
    let (dir, queue, subs) = new_queue::<2>().await;
    let held = admit(&queue, 0..1, subs[0], true).await;
    let crowd = vec![subs[1]; 10_000];
    let mut others = Vec::new();
    for n in 1..20 {
        let first = admit_one(&queue, event(n), &crowd, true).await.first;
        others.extend((0..10_000).map(|k| first.plus(k)));
    }
    assert!(claim_all(&queue, subs[0]).await.deliveries.is_empty(), "held deliveries are not claimed");
    let (settled, rest) = others.split_at(100_000);
    settle_all(&queue, settled, now(), State::Delivered).await;
    drop(queue);
    let queue = open(dir.path());
    assert_eq!(ids(&claim_all(&queue, subs[0]).await.deliveries), held);
    assert_eq!(ids(&claim_all(&queue, subs[1]).await.deliveries), rest);
}

const CHILD: &str = "DECNET_TEST_QUEUE_CHILD";

/// Runs only as the process that the next test kills.
#[test]
fn child_admits_until_it_is_killed() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let queue = open(dir.as_ref());
        let sub = subscriptions(&queue, 1).await[0];
        let start = usize::try_from(now().0).unwrap();
        for n in (start..).step_by(3) {
            let ids = admit(&queue, n..n + 3, sub, n % 2 == 0).await;
            settle_all(&queue, &ids[..1], now(), State::Delivered).await;
            let mut out = std::io::stdout().lock();
            writeln!(out, "admitted {} {} {}", ids[0], ids[1], ids[2]).unwrap();
            out.flush().unwrap();
        }
    });
}

fn admitted(line: &str) -> Option<Vec<DeliveryId>> {
    let ids = line.split_once("admitted ")?.1;
    ids.split(' ').map(|id| id.parse().ok()).collect()
}

#[tokio::test]
async fn acknowledged_calls_survive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let (mut delivered, mut waiting) = (Vec::new(), Vec::new());
    for round in 0..4 {
        // The running program, even if a build has replaced its file meanwhile.
        let mut child = Command::new("/proc/self/exe")
            .args(["--exact", "takeover::child_admits_until_it_is_killed", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut take = |count| {
            let lines = lines.by_ref().filter_map(|line| admitted(&line.unwrap())).take(count);
            for ids in lines.collect::<Vec<_>>() {
                delivered.push(ids[0]);
                waiting.extend_from_slice(&ids[1..]);
            }
        };
        take(10 + 7 * round);
        child.kill().unwrap();
        take(usize::MAX);
        child.wait().unwrap();
    }
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let claimed = ids(&claim_all(&queue, sub).await.deliveries);
    assert!(claimed.is_sorted());
    assert!(waiting.iter().all(|id| claimed.binary_search(id).is_ok()), "nothing is lost");
    assert!(delivered.iter().all(|id| claimed.binary_search(id).is_err()), "no settlement is lost");
    // Each child may have committed one more batch that it did not print.
    assert!(claimed.len() <= waiting.len() + 4 * 3);
}
