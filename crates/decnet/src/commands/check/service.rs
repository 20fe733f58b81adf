//! Is one service well? A container's health check asks this, for it has no watchdog of systemd.

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
use crate::commands::link;
use crate::config::Config;
use crate::failure::told;
use crate::observe::client;

/// Time between two looks at whether the worker's loop has turned.
const LOOK: Duration = Duration::from_millis(100);
const REQUEST: &[u8] = b"GET /api/v1/health HTTP/1.1\r\nHost: decnet\r\nConnection: close\r\n\r\n";
const GOOD: &[u8] = b"HTTP/1.1 200";

/// What may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Service {
    Bus,
    Webhook,
    Api,
}

/// Asks it, for at most [`SERVICE_CHECK_TIMEOUT`]; a bus, which has a timeout of its own, for longer.
pub(super) async fn probe(service: Service, config: &Config) -> Probe {
    let (what, answered) = match service {
        Service::Bus => ("bus", Ok(bus(config).await)),
        Service::Webhook => ("worker", timeout(SERVICE_CHECK_TIMEOUT, worker(config)).await),
        Service::Api => ("API", timeout(SERVICE_CHECK_TIMEOUT, api(config)).await),
    };
    match answered {
        Ok(Ok(detail)) => Probe::new(what, Health::Good, detail),
        Ok(Err(error)) => Probe::new(what, Health::Unusable, told(&error)),
        Err(_) => {
            let detail = format!("it did not answer within {}", duration::show(SERVICE_CHECK_TIMEOUT));
            Probe::new(what, Health::Unusable, detail)
        }
    }
}

async fn bus(config: &Config) -> anyhow::Result<String> {
    Ok(format!("{} answers", link::round_trip(config).await?.display()))
}

/// Its endpoint answers from a thread of its own: that its loop turns is in the answer.
async fn worker(config: &Config) -> anyhow::Result<String> {
    let before = client::status(&config.data_dir).await?;
    while client::status(&config.data_dir).await?.turns == before.turns {
        sleep(LOOK).await;
    }
    Ok(format!("process {} works", before.pid))
}

/// An address that stands for all is this host, for whoever connects to it.
async fn api(config: &Config) -> anyhow::Result<String> {
    let host = config.api.host.trim_matches(['[', ']']);
    let place = format!("{} port {}", config.api.host, config.api.port);
    let begin = ask((host, config.api.port)).await.with_context(|| format!("nobody answers at {place}"))?;
    anyhow::ensure!(begin == *GOOD, "{place} answers `{}`", String::from_utf8_lossy(&begin));
    Ok(format!("{place} answers"))
}

async fn ask(address: (&str, u16)) -> io::Result<[u8; GOOD.len()]> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(REQUEST).await?;
    let mut begin = [0; GOOD.len()];
    stream.read_exact(&mut begin).await?;
    Ok(begin)
}
