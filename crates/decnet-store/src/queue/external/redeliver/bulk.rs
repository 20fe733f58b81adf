//! Redelivery of many deliveries: selected by a reader, and redelivered in small steps at a limited rate.

use std::num::NonZeroU32;
use std::time::Duration;

use decnet_core::limits::MAX_REDELIVERY_DELIVERIES;

use super::super::super::error::Error;
use super::super::super::id::DeliveryId;
use super::super::super::reader::{ActiveSubscriptions, Filter, Listed, Reader};
use super::super::{ExternalWriter, pause_after, step_rows};
use super::{Redeliverable, find_redeliverable};

/// The number of deliveries that are read in one page.
const PAGE: usize = 1000;

/// A redelivery of many deliveries, step by step. The selection is fixed, and each event is redelivered to a subscription once:
/// new deliveries, whether of this redelivery or of other callers, are not redelivered.
///
/// The caller runs one step after the other, waits between them for [`RedeliveryStep::pause`], and may stop at any time. A dry
/// run is a redelivery without steps.
#[derive(Debug, Clone, Default)]
pub struct Redelivery {
    /// The selection, oldest first, so that deliveries are sent in their original order.
    selected: Vec<Selected>,
    done: usize,
    /// Matching deliveries that are skipped because they are not final.
    pub not_final: usize,
    /// Matching deliveries that are skipped because they were redelivered before. Their latest redelivery counts instead.
    pub superseded: usize,
    /// Matching deliveries that are skipped because their subscription is deleted.
    pub deleted: usize,
}

/// The result of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedeliveryStep {
    /// The new deliveries. Selected deliveries that were removed, erased or redelivered by others since the selection have no new
    /// delivery.
    pub made: Vec<DeliveryId>,
    /// The minimum time from the start of this step to the start of the next.
    pub pause: Duration,
}

/// A delivery that is to be redelivered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selected {
    pub(super) id: DeliveryId,
    /// The last delivery of the event to the subscription at the time of the selection.
    pub(super) latest: DeliveryId,
}

impl Redelivery {
    /// Selects the deliveries that match `filter`; for each event and subscription, only the latest delivery. Skips and counts
    /// deliveries that are not final and are still being sent, that were redelivered before, or whose subscription is deleted
    /// according to `filter.active`. `filter.limit` selects the newest deliveries. Returns `None` when `keep_going`, which is
    /// called before each of many short reads, returns false.
    ///
    /// # Errors
    /// More than `MAX_REDELIVERY_DELIVERIES` match, or see [`Error`].
    pub fn select(
        reader: &Reader,
        filter: &Filter,
        keep_going: impl Fn() -> bool,
    ) -> Result<Option<Self>, Error> {
        let mut selection = Self::default();
        let limit = filter.limit.unwrap_or(usize::MAX);
        let mut filter = filter.clone();
        while selection.total() < limit {
            if !keep_going() {
                return Ok(None);
            }
            filter.limit = Some(PAGE.min(limit - selection.total()));
            let page = reader.page(&filter)?;
            page.deliveries.iter().for_each(|listed| selection.add(listed, &filter.active));
            if selection.total() > MAX_REDELIVERY_DELIVERIES {
                return Err(Error::TooManySelected);
            }
            let Some(next) = page.next else { break };
            filter.before = Some(next);
        }
        selection.selected.reverse();
        Ok(Some(selection))
    }

    /// Selects the delivery, or counts it under the reason why it is skipped.
    fn add(&mut self, listed: &Listed, active: &ActiveSubscriptions) {
        if listed.again.is_some() {
            self.superseded += 1;
        } else if !active.exists(&listed.subscription_uuid) {
            self.deleted += 1;
        } else if !listed.state.is_final() {
            self.not_final += 1;
        } else {
            self.selected.push(Selected { id: listed.id, latest: listed.id });
        }
    }

    /// Selects these deliveries. If several of them deliver one event to one subscription, only one is redelivered.
    ///
    /// # Errors
    /// A delivery is unknown, erased, not final or to a deleted subscription, or see [`Error`].
    pub fn of(ids: &[DeliveryId], reader: &Reader, active: &ActiveSubscriptions) -> Result<Self, Error> {
        let select = |id: &DeliveryId| {
            find_redeliverable(&reader.conn, *id, active)
                .map(|Redeliverable { id, latest, .. }| Selected { id, latest })
        };
        let selected = ids.iter().map(select).collect::<Result<_, _>>()?;
        Ok(Self { selected, ..Self::default() })
    }

    /// Returns the number of selected deliveries.
    #[must_use]
    pub fn total(&self) -> usize {
        self.selected.len()
    }

    /// Returns the number of selected deliveries that the steps have processed.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }

    /// Redelivers the next few deliveries in one short transaction; returns `None` if all are processed. Skips deliveries whose
    /// subscription is no longer in `active`. A step has at most as many deliveries as `rate` allows in a tenth of a second, and
    /// at least one. With the pauses between the steps, the rate is not exceeded from the start, and delays are not made up for.
    ///
    /// # Errors
    /// See [`Error`]; the step can be retried.
    pub fn step(
        &mut self,
        writer: &mut ExternalWriter,
        rate: NonZeroU32,
        active: &ActiveSubscriptions,
    ) -> Result<Option<RedeliveryStep>, Error> {
        let rest = &self.selected[self.done..];
        if rest.is_empty() {
            return Ok(None);
        }
        let step = &rest[..rest.len().min(step_rows(rate))];
        let made = writer.redeliver_remaining(step, active)?;
        let pause = pause_after(step.len(), rate);
        self.done += step.len();
        Ok(Some(RedeliveryStep { made, pause }))
    }
}
