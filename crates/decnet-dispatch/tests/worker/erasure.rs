//! What is erased while the worker holds it is not sent, but for what is in flight.

use std::time::Duration;

use decnet_core::delivery::{Reason, State};
use decnet_dispatch::clock;
use decnet_store::queue::{Erase, Erasure, Operator, Reader};
use decnet_testkit::{Receiver, Step, reply};

use crate::rig::{Rig, arrive, eventually};

#[test]
fn what_was_erased_is_not_sent_though_it_was_in_memory() {
    let receiver = Receiver::start(Step::Hang);
    let mut rig = Rig::new();
    rig.options.sender.deadline = Duration::from_secs(2);
    rig.options.concurrency = 2;
    let uuid = rig.subscribe("siem", &receiver.url("/"), &["a.>"]);
    rig.start_bus();
    rig.start_worker();
    rig.publish_numbered("a.b", 200);
    arrive(&receiver, 2);
    eventually("all are admitted", || rig.stats.admitted.get() == 200);
    let mut operator = Operator::open(rig.dir.path()).unwrap();
    let mut erasure = Erasure::begin(&operator, Erase::Subscription(uuid), false).unwrap().unwrap();
    while erasure.step(&mut operator, clock::now()).unwrap() {}
    assert_eq!(erasure.done().given_up, 200);
    receiver.set(reply(200));
    rig.publish_numbered("a.c", 3);
    eventually("what came later is delivered", || rig.counts("siem").delivered == 3);
    assert_eq!(receiver.count(), 2 + 3, "two were in flight");
    rig.stop_worker();
    let all = Reader::open(rig.dir.path()).unwrap().list(&Default::default()).unwrap();
    let erased = State::Dead { reason: Reason::Erased };
    assert_eq!(all.iter().filter(|listed| listed.state == erased).count(), 200);
}
