//! State that all rows share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::throughput::Throughput;
use super::{ALL_EVENTS, IN_FLIGHT};
use crate::options::Options;
use crate::plan::Plan;
use crate::report::{Quantiles, Rate};
use crate::rig::bare_sender::{self, Job};
use crate::rig::{Environment, Receiver, Setup, SubscriptionSpec, disk};

/// The plan of the run, the shared receiver, and the directories.
pub(super) struct Bench {
    /// A receiver that replies at once.
    pub(super) receiver: Receiver,
    pub(super) plan: Plan,
    /// Results that rows 1 to 3 share, by fan-out.
    pub(super) throughput: BTreeMap<u32, Rc<Throughput>>,
    program: PathBuf,
    directory: TempDir,
}

impl Bench {
    pub(super) async fn prepare(options: &Options) -> Result<Self> {
        let own = std::env::current_exe()?;
        let beside = own.parent().context("the path of the benchmark has no parent directory")?;
        let parent = options.data_dir.as_deref().unwrap_or(beside);
        std::fs::create_dir_all(parent)?;
        disk::ensure_on_disk(parent)?;
        let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(parent)?;
        let receiver = Receiver::start(directory.path(), 1, None).await?;
        let program = beside.join("decnet");
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

    /// Returns the setup of a pipeline with these subscriptions.
    pub(super) fn setup(&self, subscriptions: Vec<SubscriptionSpec>, environment: Environment) -> Setup<'_> {
        Setup { program: &self.program, parent: self.directory.path(), subscriptions, environment }
    }

    /// Returns subscriptions to every event, each with its own path at the shared receiver.
    pub(super) fn subscriptions_to_all_events(&self, count: u32, path: &str) -> Vec<SubscriptionSpec> {
        (0..count)
            .map(|n| SubscriptionSpec::new(self.receiver.url(0, &format!("{path}/{n}")), ALL_EVENTS))
            .collect()
    }

    /// Measures the bare sender against the shared receiver.
    pub(super) async fn reference(&self) -> Result<Rate> {
        let (receivers, requests) = (&self.receiver.addresses, self.plan.requests);
        self.bare_sender(&Job { receivers, requests, in_flight: IN_FLIGHT, certificate: None }).await
    }

    pub(super) async fn bare_sender(&self, job: &Job<'_>) -> Result<Rate> {
        bare_sender::send(job, self.path()).await
    }

    /// Measures the time of `fdatasync` on the disk of the queues.
    pub(super) fn fdatasync(&self) -> Result<Quantiles> {
        disk::fdatasync(self.path(), self.plan.fdatasyncs)
    }
}
