//! Tests that run again in a child process: as another user, or in a network of their own.
//!
//! The child runs one test of the same program. In the child, [`argument`] returns what the parent has passed.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

/// The variable that is set in the child.
const ARGUMENT: &str = "DECNET_TEST_RERUN";
/// The exit code of [`NETWORK`] if this host permits no namespaces.
const NO_NAMESPACE: i32 = 99;
/// Enables loopback, directs the system's resolver to it, and runs the test `$1` of the program that is open as stdin: its path
/// cannot be used in another user namespace if a build has replaced the file.
const NETWORK: &str = r#"
{
    resolv=$(mktemp) &&
    printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' >"$resolv" &&
    mount --bind "$resolv" /etc/resolv.conf &&
    rm "$resolv" &&
    ip link set lo up
} || exit 99
exec /proc/self/fd/0 --exact "$1" --nocapture
"#;
/// The uid and gid of a user without privileges and files.
pub const NOBODY: u32 = 65_534;

/// Fails the test if a prerequisite is missing on this host, since a test must not pass for that reason.
#[macro_export]
macro_rules! require {
    ($holds:expr, $prerequisite:literal) => {
        assert!(
            $holds,
            concat!("this test needs ", $prerequisite, "; run it there, or exclude its module by --skip")
        )
    };
}

/// Returns the argument of this child process, or `None` in the parent.
#[must_use]
pub fn argument() -> Option<String> {
    std::env::var(ARGUMENT).ok()
}

/// Runs the test with this path again as [`NOBODY`], and waits for it. The program need not be readable for that user.
///
/// # Panics
/// The test failed, or does not exist.
#[track_caller]
pub fn as_nobody(test: &str, argument: &str) {
    let mut child = Command::new("/proc/self/exe");
    child.args(["--exact", test, "--nocapture"]).env(ARGUMENT, argument);
    child.uid(NOBODY).gid(NOBODY).current_dir("/");
    assert_passed(test, &child.output().expect("the test program can be started"));
}

/// Runs `body` in a child process with a network and a resolver of its own: nothing but loopback, and 127.0.0.1 as the
/// name server, which the resolver waits for during one second. `test` is the path of the calling test.
///
/// # Panics
/// The test failed, does not exist, or this host permits no namespaces.
#[track_caller]
pub fn in_own_network(test: &str, body: impl FnOnce()) {
    if argument().is_some() {
        return body();
    }
    let program = File::open("/proc/self/exe").expect("the test program can be read");
    let mut child = Command::new("unshare");
    child.args(["--map-root-user", "--net", "--mount", "sh", "-c", NETWORK, "sh", test]);
    let output = child.env(ARGUMENT, "").stdin(program).output();
    let is_permitted =
        output.as_ref().is_ok_and(|output| !matches!(output.status.code(), Some(1 | NO_NAMESPACE)));
    require!(is_permitted, "unshare (util-linux), ip (iproute2), and the permission to create namespaces");
    assert_passed(test, &output.expect("it was permitted"));
}

/// Permits only these local ports, inclusive, for connections from now on.
///
/// # Panics
/// The test does not run [in its own network](in_own_network).
pub fn set_local_ports(first: u16, last: u16) {
    assert!(argument().is_some(), "the setting is changed only in a network of the test");
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", format!("{first} {last}"))
        .expect("the network belongs to this process");
}

/// Opens connections to an address until no local port is left.
///
/// # Panics
/// No connection can be opened.
#[must_use]
pub fn take_local_ports(to: SocketAddr) -> Vec<TcpStream> {
    let taken: Vec<_> = std::iter::from_fn(|| TcpStream::connect(to).ok()).collect();
    assert!(!taken.is_empty(), "{to} accepts no connection");
    taken
}

#[track_caller]
fn assert_passed(test: &str, Output { status, stdout, stderr }: &Output) {
    let (stdout, stderr) = (String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr));
    assert!(
        status.success() && stdout.contains(" 1 passed"),
        "{test} in the child: {status}\n{stdout}\n{stderr}"
    );
}
