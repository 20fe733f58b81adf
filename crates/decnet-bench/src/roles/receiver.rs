//! The process of the receiver, and the client of its control port.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use decnet_bench::receiver::{self, LATENCY, Latencies, OPEN, RECEIPTS, RESET, Receipts};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper::header::HOST;
use hyper::{Request, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};

use super::{Role, print, start_http, tls};
use crate::rig::{Process, machine};

/// The ports and the certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Options {
    ports: usize,
    /// The file for the certificate, if TLS is used.
    certificate: Option<PathBuf>,
}

/// The addresses on which the receiver listens, printed to stdout as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Addresses {
    control: SocketAddr,
    receivers: Vec<SocketAddr>,
}

/// Listens on free ports of loopback, prints them to stdout, and serves until it is killed.
pub(crate) async fn run(options: Options) -> Result<()> {
    machine::raise_file_limit()?;
    let tls = options.certificate.as_deref().map(tls::acceptor).transpose()?;
    let listeners = (0..options.ports).map(|_| receiver::listen()).collect::<Result<Vec<_>, _>>()?;
    let control = receiver::listen()?;
    let receivers = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    print(&Addresses { control: control.local_addr()?, receivers })?;
    let receiver = receiver::Receiver::default();
    for listener in listeners {
        tokio::task::spawn_local(receiver.clone().accept(listener, tls.clone()));
    }
    match receiver.accept(control, None).await? {}
}

/// A running receiver that listens on one or more ports.
pub(crate) struct Receiver {
    process: Process,
    /// Addresses on which it listens.
    pub(crate) addresses: Vec<SocketAddr>,
    control: SendRequest<Empty<Bytes>>,
}

impl Receiver {
    /// Starts a receiver on `ports` ports. If there is a path for its certificate, it uses TLS.
    pub(crate) async fn start(directory: &Path, ports: usize, certificate: Option<&Path>) -> Result<Self> {
        let certificate = certificate.map(Path::to_owned);
        let mut process = Role::Receiver(Options { ports, certificate }).start(directory)?;
        let addresses: Addresses = serde_json::from_str(&process.first_line()?)
            .context("the first line of the receiver is not valid JSON")?;
        let control = start_http(TcpStream::connect(addresses.control).await?).await?;
        Ok(Self { process, addresses: addresses.receivers, control })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns a URL with the address number `port`.
    pub(crate) fn url(&self, port: usize, path: &str) -> String {
        format!("http://{}{path}", self.addresses[port])
    }

    /// Returns the requests received since the last reset.
    pub(crate) async fn receipts(&mut self) -> Result<Receipts> {
        self.ask(RECEIPTS).await
    }

    /// Returns the latencies of the requests whose body contains the time at which they were due.
    pub(crate) async fn latencies(&mut self) -> Result<Latencies> {
        self.ask(LATENCY).await
    }

    pub(crate) async fn reset(&mut self) -> Result<()> {
        self.ask::<Receipts>(RESET).await.map(drop)
    }

    /// Releases the requests that wait at the gate, now and later.
    pub(crate) async fn open_gate(&mut self) -> Result<()> {
        self.ask::<Receipts>(OPEN).await.map(drop)
    }

    async fn ask<T: DeserializeOwned>(&mut self, path: &str) -> Result<T> {
        self.process.ensure_running()?;
        self.control.ready().await?;
        let request = Request::get(path).header(HOST, "receiver").header(header::CONTENT_LENGTH, 0);
        let reply = self.control.send_request(request.body(Empty::new())?).await?;
        Ok(serde_json::from_slice(&reply.into_body().collect().await?.to_bytes())?)
    }
}
