//! The receiver's process, and asking it what it has seen.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::process::Process;
use crate::roles::receiver::{RESET, SEEN, Seen};

/// The receiver of all measurements.
pub(crate) struct Receiver {
    process: Process,
    pub(crate) address: SocketAddr,
    control: SendRequest<Empty<Bytes>>,
}

impl Receiver {
    pub(crate) async fn start(directory: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = Process::start("receiver", command.arg("receiver"), directory)?;
        let address = process.first_line()?.parse().context("the receiver named no address")?;
        let (control, driver) = handshake(TokioIo::new(TcpStream::connect(address).await?)).await?;
        tokio::task::spawn_local(driver);
        Ok(Self { process, address, control })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// What came since the last reset.
    pub(crate) async fn seen(&mut self) -> Result<Seen> {
        self.ask(SEEN).await
    }

    pub(crate) async fn reset(&mut self) -> Result<()> {
        self.ask(RESET).await.map(drop)
    }

    async fn ask(&mut self, path: &str) -> Result<Seen> {
        self.process.must_live()?;
        self.control.ready().await?;
        let request = Request::get(path).header(HOST, "receiver").header(header::CONTENT_LENGTH, 0);
        let reply = self.control.send_request(request.body(Empty::new())?).await?;
        Ok(serde_json::from_slice(&reply.into_body().collect().await?.to_bytes())?)
    }
}
