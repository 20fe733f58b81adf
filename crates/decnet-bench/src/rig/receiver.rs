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
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::process::Process;
use crate::roles::receiver::{Addresses, LATENCY, Latencies, OPEN, RESET, SEEN, Seen};

/// A receiver that listens on one port or more.
pub(crate) struct Receiver {
    process: Process,
    /// Where it listens.
    pub(crate) addresses: Vec<SocketAddr>,
    control: SendRequest<Empty<Bytes>>,
}

impl Receiver {
    /// On so many ports; with TLS if there is a place to write its certificate to.
    pub(crate) async fn start(directory: &Path, ports: usize, certificate: Option<&Path>) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["receiver", "--ports", &ports.to_string()]);
        if let Some(certificate) = certificate {
            command.arg("--certificate").arg(certificate);
        }
        let mut process = Process::start("receiver", &mut command, directory)?;
        let said: Addresses =
            serde_json::from_str(&process.first_line()?).context("the receiver named no address")?;
        let (control, driver) = handshake(TokioIo::new(TcpStream::connect(said.control).await?)).await?;
        tokio::task::spawn_local(driver);
        Ok(Self { process, addresses: said.receivers, control })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// A URL below its `port`th address.
    pub(crate) fn url(&self, port: usize, path: &str) -> String {
        format!("http://{}{path}", self.addresses[port])
    }

    /// What came since the last reset.
    pub(crate) async fn seen(&mut self) -> Result<Seen> {
        self.ask(SEEN).await
    }

    /// How late what came was, of the requests that say when they were due.
    pub(crate) async fn latencies(&mut self) -> Result<Latencies> {
        self.ask(LATENCY).await
    }

    pub(crate) async fn reset(&mut self) -> Result<()> {
        self.ask::<Seen>(RESET).await.map(drop)
    }

    /// Lets through what has been, and will be, held at the gate.
    pub(crate) async fn open_gate(&mut self) -> Result<()> {
        self.ask::<Seen>(OPEN).await.map(drop)
    }

    async fn ask<T: DeserializeOwned>(&mut self, path: &str) -> Result<T> {
        self.process.must_live()?;
        self.control.ready().await?;
        let request = Request::get(path).header(HOST, "receiver").header(header::CONTENT_LENGTH, 0);
        let reply = self.control.send_request(request.body(Empty::new())?).await?;
        Ok(serde_json::from_slice(&reply.into_body().collect().await?.to_bytes())?)
    }
}
