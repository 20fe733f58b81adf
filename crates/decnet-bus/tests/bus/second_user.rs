//! A second user, in a process of its own.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::common::numbered::{numbers, publish};
use crate::common::{Peer, TestBus};
use crate::users_share_the_bus::connect_with_notices;
use decnet_bus::{Client, LOSSLESS_CLIENT_NAME};
use decnet_testkit::require;
use decnet_testkit::rerun::{self, NOBODY};
use rustix::process::geteuid;

/// The kernel names the user of a connection (`SO_PEERCRED`), whatever the connection claims.
#[tokio::test]
async fn a_second_user_is_recognized_by_the_kernel() {
    const TEST: &str = "second_user::a_second_user_is_recognized_by_the_kernel";
    if let Some(path) = rerun::argument() {
        return claim_to_be_the_worker_of_root(Path::new(&path)).await;
    }
    require!(geteuid().is_root(), "root, in order to start a process of another user");
    let mut bus = TestBus::start().await;
    for (path, mode) in [(bus.path.parent().unwrap(), 0o755), (&bus.path, 0o666)] {
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let (mut worker, notice) = connect_with_notices(&bus.path, LOSSLESS_CLIENT_NAME).await;
    assert_eq!(notice.refused, None, "root is trusted");
    worker.subscribe("n.>").await.unwrap();
    bus.settle_client(&mut worker).await;
    drop(worker);
    publish(&mut bus, "n.x", 0..10, 10).await;
    let path = bus.path.to_str().unwrap().to_owned();
    tokio::task::spawn_blocking(move || rerun::as_nobody(TEST, &path)).await.unwrap();
    let mut successor = Client::connect(&bus.path, LOSSLESS_CLIENT_NAME).await.unwrap();
    assert_eq!(numbers(&mut successor, 9).await.len(), 10, "only root resumes its session");
}

async fn claim_to_be_the_worker_of_root(bus: &Path) {
    assert_eq!(geteuid().as_raw(), NOBODY);
    for name in [LOSSLESS_CLIENT_NAME, "decnet-webhook lossless uid=0"] {
        let (_, notice) = connect_with_notices(bus, name).await;
        let refused = notice.refused.expect("the queue is refused");
        assert!(refused.contains(&format!("user {NOBODY} may not")), "{refused}");
    }
    let mut bare = Peer::connect(bus).await;
    bare.send("HELLO", LOSSLESS_CLIENT_NAME, br#"{"notices":true,"uid":0,"pid":1,"user":"root"}"#).await;
    let (header, notice) = bare.recv().await.expect("the bus answers the greeting");
    let notice = String::from_utf8(notice).unwrap();
    assert!(header.starts_with("HELLO") && notice.contains(&format!("user {NOBODY} may not")), "{notice}");
}
