//! What all rows share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::throughput::Throughput;
use super::{EVERYTHING, IN_FLIGHT};
use crate::options::Options;
use crate::plan::Plan;
use crate::report::{Quantiles, Rate};
use crate::rig::bare_sender::{self, Order};
use crate::rig::{Environment, Receiver, Setup, Wanted, disk};

/// Where everything is, and how much of it is wanted.
pub(super) struct Bench {
    /// One that answers at once.
    pub(super) receiver: Receiver,
    pub(super) plan: Plan,
    /// What the rows of throughput have in common, by fan-out.
    pub(super) throughput: BTreeMap<u32, Rc<Throughput>>,
    program: PathBuf,
    directory: TempDir,
}

impl Bench {
    pub(super) async fn prepare(options: &Options) -> Result<Self> {
        let own = std::env::current_exe()?;
        let beside = own.parent().context("the program is in no directory")?;
        let parent = options.data_dir.as_deref().unwrap_or(beside);
        std::fs::create_dir_all(parent)?;
        disk::must_be_a_disk(parent)?;
        let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(parent)?;
        let receiver = Receiver::start(directory.path(), 1, None).await?;
        let program = beside.join("decnet");
        ensure!(program.is_file(), "{} is not there; start this with cargo xtask bench", program.display());
        let plan = Plan::of(options);
        Ok(Self { receiver, plan, throughput: BTreeMap::new(), program, directory })
    }

    /// A place for files of a row.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A pipeline with these subscriptions.
    pub(super) fn setup(&self, subscriptions: Vec<Wanted>, environment: Environment) -> Setup<'_> {
        Setup { program: &self.program, parent: self.directory.path(), subscriptions, environment }
    }

    /// Subscriptions to every event, each with a path of its own at the one receiver.
    pub(super) fn to_everything(&self, count: u32, path: &str) -> Vec<Wanted> {
        (0..count).map(|n| Wanted::new(self.receiver.url(0, &format!("{path}/{n}")), EVERYTHING)).collect()
    }

    /// The bare sender, to the one receiver.
    pub(super) async fn reference(&self) -> Result<Rate> {
        let (receivers, requests) = (&self.receiver.addresses, self.plan.requests);
        self.bare_sender(&Order { receivers, requests, in_flight: IN_FLIGHT, certificate: None }).await
    }

    pub(super) async fn bare_sender(&self, order: &Order<'_>) -> Result<Rate> {
        bare_sender::send(order, self.path()).await
    }

    /// What the disk takes to make bytes durable, just now.
    pub(super) fn fdatasync(&self) -> Result<Quantiles> {
        disk::fdatasync(self.path(), self.plan.fdatasyncs)
    }
}
