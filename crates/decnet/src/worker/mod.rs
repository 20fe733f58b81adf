//! Construction of the worker from the configuration.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use decnet_bus::{LOSSLESS_CLIENT_NAME, Source};
use decnet_core::limits::MAX_BUS_BACKOFF;
use decnet_dispatch::{SpanSink, Stats, Worker};
use decnet_store::queue::{self, Queue};
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::descriptors;
use crate::store::open_or_create;
use crate::supervision::Service;
use decnet_runtime::thread::RuntimeThread;
use decnet_telemetry::endpoint::Endpoint;
use decnet_telemetry::otlp::Tracer;
use decnet_telemetry::worker::WorkerView;

/// A worker with its files open.
pub(crate) struct Prepared {
    worker: Worker,
    view: WorkerView,
    endpoint: Endpoint,
    exporter: Option<RuntimeThread<()>>,
}

impl Prepared {
    /// Opens the catalog and the queue.
    ///
    /// `other_connections` is the number of connections that other parts of this process may open.
    ///
    /// # Errors
    /// A file cannot be used, another worker has the queue, or the metrics address is in use.
    pub(crate) fn open(
        config: &Config,
        socket: Option<&Path>,
        other_connections: usize,
    ) -> anyhow::Result<Self> {
        let mut options = config.worker.clone();
        let sockets = descriptors::allow_connections(options.total_concurrency, other_connections);
        options.total_concurrency = options.total_concurrency.min(sockets);
        options.sender.max_sockets = sockets;
        let catalog = open_or_create(config)?;
        let queue = Queue::open(&config.data_dir, queue::Options::default())
            .with_context(|| format!("cannot open the queue in {}", config.data_dir.display()))?;
        let source = socket.map(|socket| {
            Source::new(socket, LOSSLESS_CLIENT_NAME)
                .with_notices()
                .with_max_backoff(config.bus.reconnect.min(MAX_BUS_BACKOFF))
        });
        let stats = Arc::default();
        let view = WorkerView::new(
            Arc::clone(&stats),
            &queue,
            config.data_dir.clone(),
            options.retention.max_bytes,
            source.is_some(),
        );
        let endpoint = Endpoint::bind(&config.data_dir, config.metrics_listen, &config.metrics_hosts)?;
        let (tracer, exporter) =
            config.tracing.clone().map(|endpoint| Tracer::start(endpoint, view.clone())).transpose()?.unzip();
        options.spans = tracer.map(|tracer| Arc::new(tracer) as Arc<dyn SpanSink>);
        let worker = Worker { options, queue, catalog, source, stats, nudge: Arc::default() };
        Ok(Self { worker, view, endpoint, exporter })
    }

    /// Permits requests to this host in addition to the configured addresses.
    pub(crate) fn allow_loopback(&mut self) {
        self.worker.options.sender.guard.allow(IpAddr::from(Ipv4Addr::LOCALHOST).into());
    }

    /// Returns the worker's counters.
    pub(crate) fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.worker.stats)
    }

    /// Returns the observable state for the service manager.
    pub(crate) fn service(&self) -> Service {
        let stats = self.stats();
        Service {
            liveness: vec![stats.liveness.clone()],
            status: Box::new(move || status_line(&stats)),
            is_saving: Some(self.worker.queue.displacement()),
        }
    }

    /// Returns the handle that other parts of this process notify (`notify_one`) after they have submitted events.
    pub(crate) fn nudge(&self) -> Arc<Notify> {
        Arc::clone(&self.worker.nudge)
    }

    /// Runs until `shutdown`, on this thread.
    ///
    /// # Errors
    /// The subscriptions cannot be read, or the queue fails.
    pub(crate) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { worker, view, endpoint, exporter } = self;
        let stop = CancellationToken::new();
        let endpoint = endpoint.start(view, stop.clone())?;
        let worked = LocalSet::new().run_until(worker.run(shutdown)).await;
        stop.cancel();
        for thread in [Some(endpoint), exporter].into_iter().flatten() {
            // Only logged: the returned error is the reason why the worker ended.
            if let Err(error) = thread.join().await {
                tracing::error!("{error:#}");
            }
        }
        Ok(worked?)
    }
}

/// Returns the worker's status in one line.
fn status_line(stats: &Stats) -> String {
    format!(
        "{} subscriptions; {} events admitted, {} delivered, {} dead; {} in memory, {} in flight",
        stats.subscriptions.get(),
        stats.admitted.get(),
        stats.delivered.get(),
        stats.dead.get(),
        stats.held.get(),
        stats.in_flight.get(),
    )
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::config::{self, Inputs};

    /// A file instead of a socket makes the endpoint fail at its start.
    #[tokio::test]
    async fn worker_error_takes_precedence_over_endpoint_error() {
        let dir = tempfile::tempdir().unwrap();
        let inputs = Inputs { data_dir: Some(dir.path().into()), ..Inputs::default() };
        let mut prepared = Prepared::open(&config::find(&inputs).config, None, 0).unwrap();
        let not_a_socket = OwnedFd::from(File::create(dir.path().join("file")).unwrap());
        prepared.endpoint = Endpoint::on(not_a_socket.into());
        let catalog = rusqlite::Connection::open(dir.path().join("decnet.db")).unwrap();
        catalog
            .execute_batch("DROP TABLE webhook_subscriptions; CREATE TABLE webhook_subscriptions (a)")
            .unwrap();
        let error = prepared.run(CancellationToken::new()).await.unwrap_err().to_string();
        assert!(error.starts_with("cannot load the subscriptions:"), "{error}");
    }
}
