//! `-d`: daemons that move to the background once they have started, as DECNET's do.
//!
//! The command starts itself a second time and waits. The second process does the work. Once started, it writes to its stdout,
//! which is a pipe, leaves the session, and redirects its standard streams to `/dev/null`. Errors before that are reported as
//! without `-d`, with the same exit code.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _, stderr, stdout};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use rustix::fs::{FileType, fstat};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use crate::failure::Exit;
use crate::output;

/// The argument that marks the second process.
const DETACHED: &str = "--detached";
/// The bytes that the second process writes once it has started.
const UP: &[u8] = b"1";

/// The options of a daemon.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct DetachArgs {
    /// Continue in the background once started; a service manager does not need this
    #[arg(short = 'd', long)]
    daemon: bool,
    /// Marks the process that continues in the background
    #[arg(long, hide = true, requires = "daemon")]
    detached: bool,
}

/// Starts the second process and waits until it has started.
///
/// # Errors
/// The process cannot be started, or it ended early and has reported the reason.
pub(crate) fn start(arguments: &[OsString]) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot determine the path of this program")?;
    let mut command = Command::new(&program);
    command.args(arguments.iter().skip(1)).arg(DETACHED).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    let mut written = Vec::new();
    child.stdout.take().context("the daemon has no stdout")?.read_to_end(&mut written)?;
    if written == UP {
        output::note(&format!("decnet: running in the background as process {}", child.id()));
        return Ok(());
    }
    let status = child.wait()?;
    Err(Exit(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)).into())
}

impl DetachArgs {
    /// Returns whether the second process must be started.
    pub(crate) fn is_wanted(self) -> bool {
        self.daemon && !self.detached
    }

    /// Detaches from the terminal if this is the second process. Must be called once the daemon has started.
    ///
    /// # Errors
    /// The session cannot be left or the streams cannot be redirected.
    pub(crate) fn leave(self) -> anyhow::Result<()> {
        if !self.detached {
            return Ok(());
        }
        let keeps_log =
            fstat(stderr()).is_ok_and(|log| FileType::from_raw_mode(log.st_mode) == FileType::RegularFile);
        if !keeps_log {
            output::note("decnet: logging stops here; to keep the log, redirect stderr to a file (2>>FILE)");
        }
        // Closing the terminal or Ctrl-C must no longer end this process.
        rustix::process::setsid().context("cannot leave the session")?;
        let null =
            OpenOptions::new().read(true).write(true).open("/dev/null").context("cannot open /dev/null")?;
        dup2_stdin(&null)?;
        if !keeps_log {
            dup2_stderr(&null)?;
        }
        // The waiting process may have been killed.
        let notified = stdout().write_all(UP).and_then(|()| stdout().flush());
        dup2_stdout(&null)?;
        if let Err(error) = notified {
            tracing::debug!(%error, "the process that waited for this daemon has ended");
        }
        Ok(())
    }
}
