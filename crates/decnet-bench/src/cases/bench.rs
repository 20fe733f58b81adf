//! State that all rows share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use decnet_bench::disk;
use decnet_bench::quantiles::Quantiles;
use tempfile::TempDir;

use super::throughput::Round;
use super::{ALL_EVENTS, IN_FLIGHT, TOTAL_IN_FLIGHT};
use crate::options::Options;
use crate::plan::Plan;
use crate::report::Rate;
use crate::rig::{Environment, Pipeline, SubscriptionSpec, concurrency};
use crate::roles::receiver::Receiver;
use crate::roles::{Role, bare_sender};

/// Maximum time of a run of the bare sender.
const BARE_SENDER_TIMEOUT: Duration = Duration::from_secs(120);

/// The plan of the run, the shared receiver, and the directories.
pub(super) struct Bench {
    /// A receiver that replies at once.
    pub(super) receiver: Receiver,
    pub(super) plan: Plan,
    /// Results that rows 1 to 3 share, by fan-out.
    pub(super) throughput: BTreeMap<u32, Rc<[Round]>>,
    program: PathBuf,
    directory: TempDir,
}

impl Bench {
    pub(super) async fn prepare(options: &Options) -> Result<Self> {
        let own = std::env::current_exe()?;
        let build = own.parent().context("the path of the benchmark has no parent directory")?;
        let parent = options.data_dir.as_deref().unwrap_or(build);
        std::fs::create_dir_all(parent)?;
        ensure!(
            !disk::is_in_memory(parent)?,
            "{} is in memory (tmpfs); choose a directory on a disk with --data-dir",
            parent.display()
        );
        let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(parent)?;
        let receiver = Receiver::start(directory.path(), 1, None).await?;
        let program = build.join("decnet");
        ensure!(
            program.is_file(),
            "{} does not exist; run the benchmark with cargo xtask bench",
            program.display()
        );
        let plan = Plan::of(options);
        Ok(Self { receiver, plan, throughput: BTreeMap::new(), program, directory })
    }

    /// Returns the directory for the files of the rows.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Starts a pipeline with these subscriptions.
    pub(super) async fn pipeline(
        &self,
        subscriptions: &[SubscriptionSpec],
        environment: &Environment,
    ) -> Result<Pipeline> {
        Pipeline::start(&self.program, self.path(), subscriptions, environment).await
    }

    /// Starts a pipeline with subscriptions to every event, each with its own path at the shared receiver.
    pub(super) async fn pipeline_to_receiver(&self, subscriptions: u32, path: &str) -> Result<Pipeline> {
        let subscription =
            |n| SubscriptionSpec::new(self.receiver.url(0, &format!("{path}/{n}")), ALL_EVENTS);
        let subscriptions: Vec<_> = (0..subscriptions).map(subscription).collect();
        self.pipeline(&subscriptions, &concurrency(IN_FLIGHT, TOTAL_IN_FLIGHT)).await
    }

    /// Measures the bare sender against the shared receiver.
    pub(super) async fn reference(&self) -> Result<Rate> {
        self.bare_sender(&self.receiver, self.plan.requests, IN_FLIGHT, None).await
    }

    /// Measures the bare sender against a receiver, over TLS if there is a certificate.
    pub(super) async fn bare_sender(
        &self,
        receiver: &Receiver,
        requests: u64,
        in_flight: usize,
        certificate: Option<PathBuf>,
    ) -> Result<Rate> {
        let receivers = receiver.addresses.clone();
        let options = bare_sender::Options { receivers, requests, in_flight, certificate };
        Role::BareSender(options).result(self.path(), BARE_SENDER_TIMEOUT).await
    }

    /// Measures the time of `fdatasync` on the disk of the queues.
    pub(super) fn fdatasync(&self) -> Result<Quantiles> {
        Ok(disk::measure(self.path(), self.plan.fdatasyncs, Duration::MAX)?.fdatasync)
    }
}
