//! System calls per delivery: `decnet webhook` under `strace -f -c`, over its whole lifetime.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use super::process::Process;
use super::rig::Rig;
use super::{Counted, Figure};

/// Number of deliveries, large enough that the worker's start and end hardly count.
const DELIVERIES: u64 = 10_000;
/// Kinds with a ceiling of their own, and the calls of each. Kernels and libraries may use any call of a
/// kind.
const KINDS: [(&str, &[&str]); 6] = [
    ("fdatasync", &["fdatasync", "fsync", "sync_file_range"]),
    ("file_write", &["pwrite64", "pwritev", "pwritev2", "ftruncate", "fallocate"]),
    ("socket_write", &["write", "writev", "sendto", "sendmsg"]),
    ("socket_read", &["read", "readv", "recvfrom", "recvmsg"]),
    ("futex", &["futex"]),
    ("poll", &["epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll"]),
];

pub(super) fn count() -> Result<Counted> {
    if let Some(why) = unavailable_reason() {
        return Ok(Counted::Skipped(format!("system calls: {why}")));
    }
    let (mut rig, _) = Rig::start()?;
    let summary = rig.directory().join("strace");
    let mut strace = rig.command("strace");
    strace.args(["-f", "-c", "-o"]).arg(&summary).arg(&rig.decnet).arg("webhook").stderr(Stdio::null());
    let traced = Process::start(&mut strace)?;
    rig.wait_for_worker()?;
    rig.deliver(DELIVERIES)?;
    rig.run(&["publish", "system.webhook.control", r#"{"action":"stop","requested_by":"cost"}"#])?;
    traced.finish()?;
    Ok(Counted::Figures(figures(&std::fs::read_to_string(summary)?)))
}

/// Returns the reason why strace cannot be used here, if any.
fn unavailable_reason() -> Option<&'static str> {
    let traced = Command::new("strace").args(["-f", "-c", "-o", "/dev/null", "true"]).output();
    match traced {
        Err(_) => Some("strace is not installed"),
        Ok(output) if !output.status.success() || !Path::new("/proc/self").exists() => {
            Some("strace is not permitted to trace here")
        }
        Ok(_) => None,
    }
}

fn figures(summary: &str) -> Vec<Figure> {
    let calls: Vec<(&str, f64)> =
        summary.lines().filter_map(call).filter(|(name, _)| *name != "total").collect();
    let sum = |wanted: &dyn Fn(&str) -> bool| {
        calls.iter().filter(|(name, _)| wanted(name)).map(|(_, calls)| calls).sum::<f64>() / DELIVERIES as f64
    };
    let kinds = KINDS.iter().map(|(kind, names)| {
        Figure::new(format!("delivery.syscalls.{kind}"), sum(&|name| names.contains(&name)))
    });
    std::iter::once(Figure::new("delivery.syscalls", sum(&|_| true))).chain(kinds).collect()
}

/// Parses a line of the summary: share, seconds, microseconds per call, calls, errors (optional), name.
fn call(line: &str) -> Option<(&str, f64)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    Some((fields.last()?, fields.get(3)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_summed_by_kind() {
        let summary = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 50.00    0.100000           1     20000       100 recvfrom
 40.00    0.100000           1     10000           writev
 10.00    0.100000           1       500           fdatasync
------ ----------- ----------- --------- --------- ----------------
100.00    0.300000           1     30500       100 total";
        let figures = figures(summary);
        let value = |name: &str| figures.iter().find(|figure| figure.name == name).unwrap().value;
        assert_eq!(value("delivery.syscalls"), 3.05);
        assert_eq!(value("delivery.syscalls.socket_read"), 2.0);
        assert_eq!(value("delivery.syscalls.fdatasync"), 0.05);
        assert_eq!(value("delivery.syscalls.futex"), 0.0);
    }
}
