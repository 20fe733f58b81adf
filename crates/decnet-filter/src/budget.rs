//! The number of steps that evaluation may take.

use crate::error::Why;

/// The maximum number of steps that all filters together take for one event: some tens of milliseconds at most.
pub const MAX_EVENT_STEPS: usize = 1_000_000;
/// The maximum number of steps that one filter takes for one event, so that a single filter does not use up the budget.
pub const MAX_FILTER_STEPS: usize = 100_000;
/// The number of bytes of text that are compared, searched or copied in one step.
const TEXT_BYTES_PER_STEP: usize = 16;

const _: () = assert!(MAX_FILTER_STEPS <= MAX_EVENT_STEPS);

/// The steps that are left for the filters of one event. Create one per event and pass it to every evaluation.
///
/// A step is a node of the filter, an element of a list, 16 bytes of a text, or one byte of a text per 128 bytes of a compiled
/// pattern.
#[derive(Debug)]
pub struct Budget {
    left: usize,
}

/// The steps that are left for one evaluation.
#[derive(Debug)]
pub(crate) struct Steps {
    left: usize,
    /// The number of steps at the beginning.
    granted: usize,
}

impl Budget {
    /// Returns the number of steps that are left.
    #[must_use]
    pub fn steps_left(&self) -> usize {
        self.left
    }
}

impl Default for Budget {
    /// Returns a budget of [`MAX_EVENT_STEPS`].
    fn default() -> Self {
        Self { left: MAX_EVENT_STEPS }
    }
}

impl Steps {
    pub(crate) fn new(budget: &Budget) -> Self {
        let granted = budget.left.min(MAX_FILTER_STEPS);
        Self { left: granted, granted }
    }

    /// Takes the used steps from the budget.
    pub(crate) fn settle(&self, budget: &mut Budget) {
        budget.left -= self.granted - self.left;
    }

    /// Uses steps. If too few are left, none are left afterwards.
    pub(crate) fn spend(&mut self, steps: usize) -> Result<(), Why> {
        match self.left.checked_sub(steps) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(if self.granted == MAX_FILTER_STEPS { Why::FilterSteps } else { Why::EventSteps })
            }
        }
    }

    /// Uses the steps for a text.
    pub(crate) fn spend_text(&mut self, text: &str) -> Result<(), Why> {
        self.spend(text.len() / TEXT_BYTES_PER_STEP)
    }
}
