//! Faults that need a network and a resolver of the test's own.

use std::net::UdpSocket;

use crate::faults::timed_out_attempt;
use crate::support::*;
use decnet_core::delivery::{Outcome, Reason};
use decnet_testkit::rerun::{in_own_network, set_local_ports, take_local_ports};
use decnet_testkit::{Receiver, reply};

#[test]
fn silent_name_server_is_reported() {
    in_own_network("own_network::silent_name_server_is_reported", || {
        let _silent = UdpSocket::bind("127.0.0.1:53").unwrap();
        let attempted = timed_out_attempt("http://slow.test/");
        let missed = "no answer from the name servers for slow.test within 400 ms";
        assert_failed(&attempted, Reason::Timeout, missed);
        let attempted = send_once(&sender(), "http://slow.test/");
        let failed = "lookup of slow.test failed: the name servers did not answer, or failed";
        assert_failed(&attempted, Reason::Resolve, failed);
    });
}

#[test]
fn lack_of_local_ports_is_a_fault_of_this_host() {
    in_own_network("own_network::lack_of_local_ports_is_a_fault_of_this_host", || {
        let receiver = Receiver::start(reply(200));
        set_local_ports(61_000, 61_001);
        let _ports = take_local_ports(receiver.address());
        let attempted = send_once(&sender(), &receiver.url("/"));
        let text = format!(
            "no local port is left for connections to {}; widen the kernel's net.ipv4.ip_local_port_range",
            receiver.address()
        );
        assert_eq!((attempted.outcome, attempted.detail.as_deref()), (Outcome::LocalFault, Some(&*text)));
        assert_eq!(receiver.count(), 0);
    });
}
