//! Faults of this host that need a network of the test's own.

use decnet_testkit::rerun::{in_own_network, set_local_ports, take_local_ports};
use decnet_testkit::{Receiver, reply};

use crate::local_faults::postponed;
use crate::rig::{Rig, eventually};

#[test]
fn deliveries_wait_for_a_local_port_without_using_a_retry() {
    in_own_network("own_network::deliveries_wait_for_a_local_port_without_using_a_retry", || {
        let receiver = Receiver::start(reply(200));
        let mut rig = Rig::running_with(&[("siem", &receiver.url("/"), "a.>")], |options| {
            options.schedule = "none".parse().unwrap();
            options.circuit_threshold = 1;
        });
        set_local_ports(61_000, 61_001);
        let _ports = take_local_ports(receiver.address());
        rig.publish_numbered("a.x", 20);
        eventually("the deliveries wait for a port", || postponed(&rig) > 0);
        assert_eq!(receiver.count(), 0);
        set_local_ports(61_000, 61_999);
        eventually("all are delivered", || rig.counts("siem").delivered == 20);
        let row = rig.row("siem");
        assert!(row.enabled && row.consecutive_failures == 0 && row.last_error.is_none(), "{row:?}");
        rig.stop_worker();
        let listed = rig.deliveries();
        assert!(listed.len() == 20 && listed.iter().all(|listed| listed.attempts == 1), "{listed:?}");
    });
}
