//! The reference's process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::process::Process;
use crate::cases::BODY_BYTES;
use crate::report::Rate;

/// How long a run may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the bare sender is to do.
pub(crate) struct Order<'a> {
    pub(crate) receivers: &'a [SocketAddr],
    pub(crate) requests: u64,
    pub(crate) in_flight: usize,
    /// With TLS, trusting this certificate.
    pub(crate) certificate: Option<&'a Path>,
}

/// Sends, in a process of its own.
pub(crate) async fn send(order: &Order<'_>, directory: &Path) -> Result<Rate> {
    let mut command = Command::new(std::env::current_exe()?);
    let receivers: Vec<String> = order.receivers.iter().map(ToString::to_string).collect();
    command.args(["bare-sender", "--receivers", &receivers.join(",")]);
    command.args(["--requests", &order.requests.to_string(), "--in-flight", &order.in_flight.to_string()]);
    command.args(["--body-bytes", &BODY_BYTES.to_string()]);
    if let Some(certificate) = order.certificate {
        command.arg("--certificate").arg(certificate);
    }
    let said = Process::start("bare-sender", &mut command, directory)?.finish(PATIENCE).await?;
    serde_json::from_str(&said).context("the bare sender said what cannot be read")
}
