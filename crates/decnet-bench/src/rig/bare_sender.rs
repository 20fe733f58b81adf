//! The process of the bare sender, which is the reference.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::process::Process;
use crate::cases::BODY_BYTES;
use crate::report::Rate;

/// Maximum time of a run.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Work of the bare sender.
pub(crate) struct Job<'a> {
    pub(crate) receivers: &'a [SocketAddr],
    pub(crate) requests: u64,
    pub(crate) in_flight: usize,
    /// The certificate to trust; if present, the bare sender uses TLS.
    pub(crate) certificate: Option<&'a Path>,
}

/// Runs the bare sender in its own process and returns its rate.
pub(crate) async fn send(job: &Job<'_>, directory: &Path) -> Result<Rate> {
    let mut command = Command::new(std::env::current_exe()?);
    let receivers: Vec<String> = job.receivers.iter().map(ToString::to_string).collect();
    command.args(["bare-sender", "--receivers", &receivers.join(",")]);
    command.args(["--requests", &job.requests.to_string(), "--in-flight", &job.in_flight.to_string()]);
    command.args(["--body-bytes", &BODY_BYTES.to_string()]);
    if let Some(certificate) = job.certificate {
        command.arg("--certificate").arg(certificate);
    }
    let output = Process::start("bare-sender", &mut command, directory)?.finish(TIMEOUT).await?;
    serde_json::from_str(&output).context("the output of the bare sender is not valid JSON")
}
