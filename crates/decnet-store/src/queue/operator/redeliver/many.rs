//! Many at once: chosen beside the worker, sent again in small steps at a rate.

use std::num::NonZeroU32;
use std::time::Duration;

use decnet_core::limits::{MAX_REDELIVERY, OPERATOR_STEP_ROWS};

use super::super::super::error::Error;
use super::super::super::id::DeliveryId;
use super::super::super::reader::{Active, Filter, Listed, Reader};
use super::super::Operator;
use super::{Old, find_for};

/// Deliveries looked at in one go.
const PAGE: usize = 1000;
/// Steps into which a second is divided, so that what a receiver gets at once is small.
const STEPS_A_SECOND: u32 = 10;

/// A redelivery of many, step by step. What is chosen is chosen once, and each event goes to a subscription once:
/// neither its own new deliveries nor those that others make meanwhile are sent again.
///
/// The caller takes one step after the other, waits between them as they say, shows how far it is, and ends it by
/// taking no more. A dry run is one without steps.
#[derive(Debug, Clone, Default)]
pub struct Redelivery {
    /// Oldest first, so that they go out in their order.
    chosen: Vec<Chosen>,
    done: usize,
    not_final: usize,
    superseded: usize,
    deleted: usize,
}

/// What a step has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The new deliveries. What was removed, erased or sent again by somebody else since it was chosen has none.
    pub made: Vec<DeliveryId>,
    /// The next step may begin so long after this one began.
    pub pause: Duration,
}

/// A delivery to be sent again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen {
    pub(super) id: DeliveryId,
    /// The last delivery of its event to its subscription when it was chosen: later ones were made since.
    pub(super) latest: DeliveryId,
}

impl Redelivery {
    /// Of what `filter` describes: of each event and subscription the latest delivery, as far as that is final. The
    /// others are skipped and counted: what is not final still goes out by itself, of what was sent again only the latest
    /// delivery says what became of it, and a subscription that the filter's `active` does not know is deleted. The
    /// filter's `limit` takes the newest. None where `go_on`, which is asked before each of many short reads, says no.
    ///
    /// # Errors
    /// More than `MAX_REDELIVERY`, or see [`Error`].
    pub fn choose(reader: &Reader, filter: &Filter, go_on: impl Fn() -> bool) -> Result<Option<Self>, Error> {
        let mut choice = Self::default();
        let most = filter.limit.unwrap_or(usize::MAX);
        let mut filter = filter.clone();
        while choice.total() < most {
            if !go_on() {
                return Ok(None);
            }
            filter.limit = Some(PAGE.min(most - choice.total()));
            let page = reader.page(&filter)?;
            page.deliveries.iter().for_each(|listed| choice.look_at(listed, &filter.active));
            if choice.total() > MAX_REDELIVERY {
                return Err(Error::TooManyChosen);
            }
            let Some(next) = page.next else { break };
            filter.before = Some(next);
        }
        choice.chosen.reverse();
        Ok(Some(choice))
    }

    fn look_at(&mut self, listed: &Listed, active: &Active) {
        if listed.again.is_some() {
            self.superseded += 1;
        } else if !active.exists(&listed.subscription_uuid) {
            self.deleted += 1;
        } else if !listed.state.is_final() {
            self.not_final += 1;
        } else {
            self.chosen.push(Chosen { id: listed.id, latest: listed.id });
        }
    }

    /// Of these, all of which are there, final, not erased, and to a subscription that exists. Of several that are of one
    /// event to one subscription, one is sent again.
    ///
    /// # Errors
    /// One that is not, or see [`Error`].
    pub fn of(ids: &[DeliveryId], reader: &Reader, active: &Active) -> Result<Self, Error> {
        let choose = |id: &DeliveryId| {
            find_for(&reader.conn, *id, active).map(|Old { id, latest, .. }| Chosen { id, latest })
        };
        let chosen = ids.iter().map(choose).collect::<Result<_, _>>()?;
        Ok(Self { chosen, ..Self::default() })
    }

    /// How many the filter described that are not final, and were therefore skipped.
    #[must_use]
    pub fn not_final(&self) -> usize {
        self.not_final
    }

    /// How many it described that were sent again since, and were therefore skipped: a later delivery of the same event
    /// to the same subscription counts in their place.
    #[must_use]
    pub fn superseded(&self) -> usize {
        self.superseded
    }

    /// How many it described whose subscription is deleted, and were therefore skipped.
    #[must_use]
    pub fn deleted(&self) -> usize {
        self.deleted
    }

    /// How many were chosen.
    #[must_use]
    pub fn total(&self) -> usize {
        self.chosen.len()
    }

    /// How many of them were seen to.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }

    /// Makes the next few, in one short transaction; returns `None` if all were seen to. What is for a subscription that
    /// `active` does not know any more is passed over. A step is at most a tenth of a second's worth of `rate`, in deliveries a
    /// second, and at least one delivery: with the pause that it asks for, the rate is kept from the first delivery on, and
    /// nothing is caught up with.
    ///
    /// # Errors
    /// See [`Error`]; the step can be taken again.
    pub fn step(
        &mut self,
        operator: &mut Operator,
        rate: NonZeroU32,
        active: &Active,
    ) -> Result<Option<Step>, Error> {
        let rest = &self.chosen[self.done..];
        if rest.is_empty() {
            return Ok(None);
        }
        let step = &rest[..rest.len().min(step_rows(rate))];
        let made = operator.redeliver_what_is_left(step, active)?;
        let pause = Duration::from_secs(step.len() as u64) / rate.get();
        self.done += step.len();
        Ok(Some(Step { made, pause }))
    }
}

fn step_rows(rate: NonZeroU32) -> usize {
    OPERATOR_STEP_ROWS.min(rate.get().div_ceil(STEPS_A_SECOND) as usize)
}
