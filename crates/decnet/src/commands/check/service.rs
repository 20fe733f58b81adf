//! The check of one service, for health checks of containers, which have no systemd watchdog.

use std::io;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use decnet_core::duration;
use decnet_core::limits::SERVICE_CHECK_TIMEOUT;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::probe::{Health, Probe};
use crate::commands::shared::bus_client;
use crate::config::Config;
use decnet_telemetry::client;

/// The interval at which the worker's loop counter is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const REQUEST: &[u8] = b"GET /api/v1/health HTTP/1.1\r\nHost: decnet\r\nConnection: close\r\n\r\n";
const GOOD: &[u8] = b"HTTP/1.1 200";

/// The services that can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Service {
    Bus,
    Webhook,
    Api,
}

/// Checks a service, for at most [`SERVICE_CHECK_TIMEOUT`]. The check of the bus has its own, longer timeout.
pub(super) async fn probe(service: Service, config: &Config) -> Probe {
    let (what, answered) = match service {
        Service::Bus => ("bus", Ok(bus(config).await)),
        Service::Webhook => ("worker", timeout(SERVICE_CHECK_TIMEOUT, worker(config)).await),
        Service::Api => ("API", timeout(SERVICE_CHECK_TIMEOUT, api(config)).await),
    };
    let late = |_| anyhow::anyhow!("no answer within {}", duration::show(SERVICE_CHECK_TIMEOUT));
    let detail = answered.map_err(late).flatten();
    Probe::new(what, detail.map(|detail| (Health::Good, detail)))
}

async fn bus(config: &Config) -> anyhow::Result<String> {
    Ok(format!("{} answers", bus_client::round_trip(config).await?.display()))
}

/// Checks that the worker's loop runs. Its endpoint answers from another thread, so an answer alone does not prove that.
async fn worker(config: &Config) -> anyhow::Result<String> {
    let before = client::status(&config.data_dir).await?;
    while client::status(&config.data_dir).await?.turns == before.turns {
        sleep(POLL_INTERVAL).await;
    }
    Ok(format!("process {} is running", before.pid))
}

/// Checks that the API answers. Connecting to an unspecified address such as 0.0.0.0 reaches this host.
async fn api(config: &Config) -> anyhow::Result<String> {
    let host = config.api.host.trim_matches(['[', ']']);
    let place = format!("{} port {}", config.api.host, config.api.port);
    let status =
        request((host, config.api.port)).await.with_context(|| format!("cannot connect to {place}"))?;
    anyhow::ensure!(status == *GOOD, "{place} answers `{}`", String::from_utf8_lossy(&status));
    Ok(format!("{place} answers"))
}

async fn request(address: (&str, u16)) -> io::Result<[u8; GOOD.len()]> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(REQUEST).await?;
    let mut status = [0; GOOD.len()];
    stream.read_exact(&mut status).await?;
    Ok(status)
}
