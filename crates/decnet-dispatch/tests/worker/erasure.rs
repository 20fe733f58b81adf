//! Deliveries that are erased while the worker holds them are not sent, except those in flight.

use std::time::Duration;

use decnet_core::delivery::{Reason, State};
use decnet_runtime::clock;
use decnet_store::queue::{Erasure, ErasureTarget};
use decnet_testkit::{Receiver, Step, reply};

use crate::rig::{Rig, arrive, eventually};

#[test]
fn erased_deliveries_in_memory_are_not_sent() {
    let receiver = Receiver::start(Step::Hang);
    let mut rig = Rig::new();
    rig.options.sender.deadline = Duration::from_secs(2);
    rig.options.concurrency = 2;
    let uuid = rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start();
    rig.publish_numbered("a.b", 200);
    arrive(&receiver, 2);
    eventually("all are admitted", || rig.stats.admitted.get() == 200);
    let mut writer = rig.writer();
    let mut erasure = Erasure::begin(&writer, ErasureTarget::Subscription(uuid), false).unwrap().unwrap();
    while erasure.step(&mut writer, clock::now()).unwrap() {}
    assert_eq!(erasure.done().given_up, 200);
    receiver.set(reply(200));
    rig.publish_numbered("a.c", 3);
    eventually("later events are delivered", || rig.counts("siem").delivered == 3);
    assert_eq!(receiver.count(), 2 + 3, "two were in flight");
    rig.stop_worker();
    let all = rig.deliveries();
    let erased = State::Dead { reason: Reason::Erased };
    assert_eq!(all.iter().filter(|listed| listed.state == erased).count(), 200);
}
