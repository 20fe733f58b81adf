//! Runs the real binary in a temporary directory with a clean environment.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// The timeout of every step, long enough for a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A host with an empty home and its own data directory.
pub(crate) struct Host {
    dir: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

/// A process that is killed on drop.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) stderr: BufReader<Box<dyn Read + Send>>,
}

/// The output of a process on its terminal, read continuously: a terminal buffers little, and then its writer blocks.
struct Screen {
    pieces: mpsc::Receiver<Vec<u8>>,
    rest: Vec<u8>,
}

impl Screen {
    fn of(mut terminal: File) -> Self {
        let (sender, pieces) = mpsc::channel();
        std::thread::spawn(move || {
            let mut some = [0; 4096];
            // Reading fails once no process has the terminal open.
            while let Ok(read @ 1..) = terminal.read(&mut some) {
                if sender.send(some[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { pieces, rest: Vec::new() }
    }
}

impl Read for Screen {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            self.rest = self.pieces.recv().unwrap_or_default();
        }
        let read = self.rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&self.rest[..read]);
        self.rest.drain(..read);
        Ok(read)
    }
}

impl Host {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), environment: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path().join("test-bus.sock")
    }

    /// Returns the command `decnet` with these arguments and only this host's environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_decnet"));
        command.args(arguments).current_dir(self.path()).env_clear();
        command.env("HOME", self.path()).env("DECNET_DATA_DIR", self.path().join("data"));
        command.env("DECNET_BUS_SOCKET", self.socket());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Writes a file with mode 0644 into the working directory, regardless of the umask.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
        self.chmod(name, 0o644);
    }

    pub(crate) fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path().join(name), Permissions::from_mode(mode)).unwrap();
    }

    /// Runs a command that must succeed, and parses its output as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let output = self.run(arguments);
        assert_eq!(code(&output), 0, "{arguments:?}: {}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Returns whether a worker runs and is connected to the bus.
    pub(crate) fn is_connected_to_bus(&self) -> bool {
        let status = self.run(&["status", "--json"]).stdout;
        serde_json::from_slice::<serde_json::Value>(&status)
            .is_ok_and(|status| status["worker"]["bus"] == "connected")
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        // A process that stops reading early reports its error itself.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running::spawn(self.command(arguments))
    }

    /// Starts a command with stderr on a terminal.
    pub(crate) fn start_on_terminal(&self, arguments: &[&str]) -> Running {
        Running::spawn_on_terminal(self.command(arguments))
    }

    /// Starts `decnet bus` and waits until it listens.
    pub(crate) fn start_bus(&self) -> Running {
        let mut bus = self.start(&["bus", "--heartbeat", "1h"]);
        bus.wait_for("the bus is listening");
        bus
    }
}

impl Running {
    pub(crate) fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr: Box<dyn Read + Send> = Box::new(child.stderr.take().unwrap());
        let stderr = BufReader::new(stderr);
        Self { child, stderr }
    }

    /// Starts a process with stderr on a terminal.
    pub(crate) fn spawn_on_terminal(mut command: Command) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        let not_ours = OFlags::NOCTTY.bits().cast_signed();
        let stderr = File::options().read(true).write(true).custom_flags(not_ours).open(name).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let child = command.spawn().unwrap();
        // The command keeps the terminal open as well.
        drop(command);
        Self { child, stderr: BufReader::new(Box::new(Screen::of(terminal.into()))) }
    }

    /// Reads stderr up to a line that contains `text`, and returns that line.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        self.wait_for_noting(text, &mut String::new())
    }

    /// Works like [`Running::wait_for`], and appends the lines before it to `seen`.
    pub(crate) fn wait_for_noting(&mut self, text: &str, seen: &mut String) -> String {
        loop {
            let mut line = String::new();
            let read = self.stderr.read_line(&mut line).unwrap();
            assert!(read > 0, "the process ended without {text:?} on stderr:\n{seen}");
            if line.contains(text) {
                return line;
            }
            *seen += &line;
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the process to end. Returns exit code, stdout and the rest of stderr.
    pub(crate) fn finish(mut self) -> (i32, String, String) {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        self.stderr.read_to_string(&mut stderr).unwrap();
        (self.child.wait().unwrap().code().unwrap_or(-1), stdout, stderr)
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Repeats `step` until it returns true.
pub(crate) fn eventually(what: &str, mut step: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !step() {
        assert!(Instant::now() < deadline, "timeout after {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
