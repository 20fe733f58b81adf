//! A host with a bus and a worker that is started repeatedly.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::Settings;
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_runtime::clock;
use decnet_store::catalog::{Catalog, Create, NewSubscription};
use decnet_store::queue::{Counts, Reader};
use rustix::process::{Pid, Signal, kill_process};

use crate::publisher::WorkerListener;
use crate::witness::Witness;

/// The timeout of every wait, for slow machines.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
/// A retry schedule long enough that no delivery to a randomly failing receiver becomes dead.
const SCHEDULE: &str = "50ms,100ms,200ms,500ms,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s";

/// A subscription that a test created.
#[derive(Debug, Clone)]
pub(crate) struct Subscribed {
    pub(crate) name: String,
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) settings: Settings,
}

/// The kind of a worker process's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// SIGKILL: attempts in flight are not recorded.
    Killed,
    /// A clean shutdown: every attempt is recorded.
    Clean,
}

/// One worker process, from start to end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkerRun {
    pub(crate) started_at: UnixMicros,
    /// The receiver's number of a connection made after the end: connections of this process have lower numbers.
    pub(crate) last_connection: u64,
    pub(crate) end: End,
}

/// A directory, a bus, and the running worker, if any.
pub(crate) struct Host {
    dir: tempfile::TempDir,
    environment: Vec<(&'static str, &'static str)>,
    bus: Option<Child>,
    worker: Option<(Child, UnixMicros)>,
    starts: usize,
    pub(crate) runs: Vec<WorkerRun>,
    pub(crate) subscribed: Vec<Subscribed>,
}

impl Host {
    /// Creates a host with a running bus and these environment variables.
    pub(crate) fn new(environment: &[(&'static str, &'static str)]) -> Self {
        let common = [
            ("DECNET_WEBHOOK_ALLOW_CIDRS", "127.0.0.0/8"),
            ("DECNET_WEBHOOK_RETRY_SCHEDULE", SCHEDULE),
            ("DECNET_WEBHOOK_TIMEOUT", "1s"),
            ("DECNET_LOG", "debug"),
        ];
        let mut host = Self {
            dir: tempfile::tempdir().unwrap(),
            environment: common.iter().chain(environment).copied().collect(),
            bus: None,
            worker: None,
            starts: 0,
            runs: Vec::new(),
            subscribed: Vec::new(),
        };
        std::fs::create_dir(host.data()).unwrap();
        host.start_bus();
        host
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("bus.sock")
    }

    fn spawn(&self, command: &str, log: &str) -> Child {
        let log = File::create(self.dir.path().join(log)).unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_decnet"));
        program.arg(command).current_dir(self.dir.path()).env_clear().envs(self.environment.iter().copied());
        program.env("HOME", self.dir.path()).env("DECNET_DATA_DIR", self.data());
        program.env("DECNET_BUS_SOCKET", self.socket());
        program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    pub(crate) fn start_bus(&mut self) {
        self.starts += 1;
        self.bus = Some(self.spawn("bus", &format!("bus-{}.log", self.starts)));
        let socket = self.socket();
        eventually("the bus listens", || std::os::unix::net::UnixStream::connect(&socket).is_ok());
    }

    pub(crate) fn kill_bus(&mut self) {
        let mut bus = self.bus.take().expect("a bus runs");
        bus.kill().unwrap();
        bus.wait().unwrap();
    }

    pub(crate) fn catalog(&self) -> Catalog {
        Catalog::open(&self.data().join("decnet.db"), Create::IfMissing).unwrap()
    }

    pub(crate) fn subscribe(&mut self, name: &str, url: &str, patterns: &[&str]) {
        self.subscribe_with(name, url, patterns, Settings::default());
    }

    pub(crate) fn subscribe_with(&mut self, name: &str, url: &str, patterns: &[&str], settings: Settings) {
        let patterns: Vec<_> = patterns.iter().map(|pattern| Pattern::new(pattern).unwrap()).collect();
        let new = NewSubscription {
            name: name.into(),
            url: EndpointUrl::new(url).unwrap(),
            secret: secret(name),
            patterns: patterns.clone(),
            enabled: true,
            settings: settings.clone(),
        };
        self.catalog().create(&new, clock::now()).unwrap();
        self.subscribed.push(Subscribed { name: name.into(), patterns, settings });
    }

    pub(crate) fn start_worker(&mut self) {
        self.starts += 1;
        let started_at = clock::now();
        let child = self.spawn("webhook", &format!("worker-{}.log", self.starts));
        assert!(self.worker.replace((child, started_at)).is_none(), "one worker at a time");
    }

    /// Starts a worker and waits until it is subscribed to the bus.
    pub(crate) fn start_listening_worker(&mut self) {
        let listener = WorkerListener::new(&self.socket());
        self.start_worker();
        listener.wait_for_worker();
    }

    /// Kills the worker, which must be running, and records the end of its process.
    pub(crate) fn kill_worker(&mut self, witness: &Witness) {
        let (child, _) = self.worker.as_mut().expect("a worker runs");
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        assert!(ended.is_none(), "the worker exited unexpectedly, {ended:?}: {}", self.log_tail());
        self.record_end(witness, End::Killed);
    }

    /// Kills the worker unless it has just exited.
    pub(crate) fn kill_if_alive(&mut self, witness: &Witness) {
        let (child, _) = self.worker.as_mut().expect("a worker runs");
        match child.try_wait().unwrap() {
            Some(_) => drop(self.record_end(witness, End::Clean)),
            None => self.kill_worker(witness),
        }
    }

    /// Sends SIGTERM to the worker.
    pub(crate) fn terminate(&self) {
        let (child, _) = self.worker.as_ref().expect("a worker runs");
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Waits until the worker exits and returns its status.
    pub(crate) fn await_end(&mut self, witness: &Witness, end: End) -> ExitStatus {
        let (child, _) = self.worker.as_mut().expect("a worker runs");
        eventually("the worker ends", || child.try_wait().unwrap().is_some());
        self.record_end(witness, end)
    }

    fn record_end(&mut self, witness: &Witness, end: End) -> ExitStatus {
        let (mut child, started_at) = self.worker.take().expect("a worker ran");
        let status = child.wait().unwrap();
        self.runs.push(WorkerRun { started_at, last_connection: witness.mark(), end });
        status
    }

    /// Waits until the log of the last worker contains this text.
    pub(crate) fn await_log(&self, text: &str) {
        eventually(text, || self.log(self.starts).contains(text));
    }

    pub(crate) fn log_tail(&self) -> String {
        let log = self.log(self.starts);
        log.lines().rev().take(20).collect::<Vec<_>>().join("\n")
    }

    fn log(&self, start: usize) -> String {
        std::fs::read_to_string(self.dir.path().join(format!("worker-{start}.log"))).unwrap_or_default()
    }

    /// Returns the logs of all workers and buses.
    pub(crate) fn logs(&self) -> Vec<(PathBuf, String)> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let logs = entries.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.map(|path| (path.clone(), std::fs::read_to_string(&path).unwrap())).collect()
    }

    /// Returns the counts of each subscription; empty before a worker has created the queue.
    pub(crate) fn counts(&self) -> Vec<Counts> {
        Reader::open(&self.data()).and_then(|reader| reader.counts()).unwrap_or_default()
    }

    /// Returns the number of deliveries in the queue, in any state.
    pub(crate) fn admitted(&self) -> u64 {
        self.counts().iter().map(|c| c.pending + c.retrying + c.delivered + c.dead).sum()
    }

    /// Waits until all deliveries are final, then shuts the worker down cleanly.
    pub(crate) fn drain_and_stop(&mut self, witness: &Witness) {
        self.await_empty();
        self.terminate();
        assert_eq!(self.await_end(witness, End::Clean).code(), Some(0), "{}", self.log_tail());
    }

    fn await_empty(&self) {
        let began = Instant::now();
        while self.counts().iter().any(|counts| counts.pending + counts.retrying > 0) {
            assert!(began.elapsed() < TIMEOUT, "still pending: {:?}\n{}", self.counts(), self.log_tail());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let worker = self.worker.take().map(|(child, _)| child);
        for mut child in worker.into_iter().chain(self.bus.take()) {
            let _ = child.kill();
            let _ = child.wait();
        }
        // Keep the files for the analysis of a failure.
        self.dir.disable_cleanup(std::thread::panicking() && std::env::var_os("CRASH_KEEP").is_some());
    }
}

/// Returns the secret of the subscription with this name.
pub(crate) fn secret(name: &str) -> Secret {
    Secret::new(format!("the-secret-of-{name}"))
}

/// Waits until a condition holds, and panics after [`TIMEOUT`].
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < TIMEOUT, "timeout: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
