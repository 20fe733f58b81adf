//! The parts that run in processes of their own, so that their CPU time and memory are measured separately.

pub(crate) mod bare_sender;
pub(crate) mod destination;
pub(crate) mod receiver;
pub(crate) mod router;
mod tls;

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hyper::body::Body;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::rig::Process;

/// A role and its options, which the benchmark passes to itself in another process as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Role {
    Receiver(receiver::Options),
    BareSender(bare_sender::Options),
    Router(router::Options),
    Destination(destination::Options),
}

/// Prints a result to stdout as one line of JSON.
fn print(result: &impl Serialize) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(result)?)?)
}

/// Starts HTTP/1.1 on a connection to a receiver.
async fn start_http<B>(stream: impl AsyncRead + AsyncWrite + Unpin + 'static) -> Result<SendRequest<B>>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + 'static,
{
    let (sender, driver) = handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(driver);
    Ok(sender)
}

impl Role {
    /// Performs the role in this process. The first line on stdout is its result, as JSON.
    pub(crate) async fn perform(self) -> Result<()> {
        match self {
            Self::Receiver(options) => receiver::run(options).await,
            Self::BareSender(options) => print(&bare_sender::run(&options).await?),
            Self::Router(options) => print(&router::run(&options)?),
            Self::Destination(options) => print(&destination::run(&options)?),
        }
    }

    /// Starts a process that performs the role, with its log in `directory`.
    pub(crate) fn start(&self, directory: &Path) -> Result<Process> {
        let name = match self {
            Self::Receiver(_) => "receiver",
            Self::BareSender(_) => "bare-sender",
            Self::Router(_) => "router",
            Self::Destination(_) => "destination",
        };
        let mut command = Command::new(std::env::current_exe()?);
        Process::start(name, command.args(["role", &serde_json::to_string(self)?]), directory)
    }

    /// Performs the role in a process that ends by itself, and returns its result.
    pub(crate) async fn result<T: DeserializeOwned>(&self, directory: &Path, within: Duration) -> Result<T> {
        let output = self.start(directory)?.finish(within).await?;
        serde_json::from_str(&output).with_context(|| format!("the output of {self:?} is not valid JSON"))
    }
}
