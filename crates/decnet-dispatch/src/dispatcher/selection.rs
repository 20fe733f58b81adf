//! The selection of events by severity and filter, after their patterns have matched and before they are admitted.
//!
//! Equal filters of several subscriptions are compiled and evaluated once. A budget of steps per event bounds the time that all
//! filters together take.

use std::rc::Rc;

use decnet_core::event::Event;
use decnet_core::settings::Settings;
use decnet_core::severity::{Severity, SeverityTable};
use decnet_filter::{Budget, Filter, FilterError, FilterInput};
use decnet_sender::RenderContext;
use decnet_store::queue::SubscriptionKey;
use rustc_hash::FxHashMap;

/// The rules of the subscriptions that have a severity floor or a filter.
#[derive(Default)]
pub(super) struct Selection {
    rules: FxHashMap<SubscriptionKey, Rule>,
    filters: FilterSet,
    /// The severities, and the base of links, which renderings also need.
    context: Rc<RenderContext>,
}

struct Rule {
    min_severity: Option<Severity>,
    filter: Option<FilterIndex>,
}

/// The decision about an event for one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selected {
    /// The event is delivered.
    Deliver,
    /// The event is below the severity floor, or the filter is false.
    Exclude,
    /// The filter could not be evaluated, for this reason.
    Fail(Box<str>),
}

/// The filters of all subscriptions, each source once.
#[derive(Default)]
struct FilterSet {
    slots: Vec<Slot>,
    free: Vec<FilterIndex>,
    by_source: FxHashMap<Box<str>, FilterIndex>,
    /// The number of the current event.
    event: u64,
}

/// The position of a filter in [`FilterSet::slots`].
type FilterIndex = usize;

struct Slot {
    filter: Filter,
    /// The number of subscriptions with this filter.
    users: usize,
    /// The event for which `selected` was computed.
    event: u64,
    selected: Selected,
}

impl Selection {
    /// Creates an empty selection. `link_base` is that of [`RenderContext`].
    pub(super) fn new(link_base: Option<Box<str>>) -> Self {
        Self { context: Rc::new(RenderContext { link_base, ..RenderContext::default() }), ..Self::default() }
    }

    /// Returns whether no subscription has a rule.
    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Replaces the rule of a subscription by that of its settings; `None` removes it. A filter that does not compile is ignored:
    /// its subscription is held, so that nothing is sent.
    pub(super) fn replace(&mut self, key: SubscriptionKey, settings: Option<&Settings>) {
        if let Some(Rule { filter: Some(index), .. }) = self.rules.remove(&key) {
            self.filters.release(index);
        }
        let Some(settings) = settings else { return };
        let filter = settings.filter.as_ref().and_then(|source| self.filters.add(source.as_str()).ok());
        let min_severity = settings.min_severity;
        if filter.is_some() || min_severity.is_some() {
            self.rules.insert(key, Rule { min_severity, filter });
        }
    }

    /// Replaces the table of severities.
    pub(super) fn set_severities(&mut self, severities: SeverityTable) {
        self.context = Rc::new(RenderContext { severities, link_base: self.context.link_base.clone() });
    }

    /// Returns what renderings depend on besides the settings of a subscription.
    pub(super) fn render_context(&self) -> &Rc<RenderContext> {
        &self.context
    }

    /// Decides for each subscription what becomes of an event.
    pub(super) fn select<'k>(
        &mut self,
        event: &Event,
        keys: impl Iterator<Item = SubscriptionKey> + 'k,
    ) -> Vec<(SubscriptionKey, Selected)> {
        let severity = self.context.severities.of(&event.topic);
        let input = FilterInput::new(event, severity);
        let mut budget = Budget::default();
        self.filters.event += 1;
        let (rules, filters) = (&self.rules, &mut self.filters);
        keys.map(|key| {
            let selected = rules.get(&key).map_or(Selected::Deliver, |rule| {
                if rule.min_severity.is_some_and(|floor| severity < floor) {
                    return Selected::Exclude;
                }
                rule.filter.map_or(Selected::Deliver, |index| filters.evaluate(index, &input, &mut budget))
            });
            (key, selected)
        })
        .collect()
    }
}

impl FilterSet {
    /// Adds a user of a filter, which is compiled at its first use.
    fn add(&mut self, source: &str) -> Result<FilterIndex, FilterError> {
        if let Some(&index) = self.by_source.get(source) {
            self.slots[index].users += 1;
            return Ok(index);
        }
        let slot = Slot { filter: Filter::compile(source)?, users: 1, event: 0, selected: Selected::Deliver };
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index] = slot;
                index
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        self.by_source.insert(source.into(), index);
        Ok(index)
    }

    /// Removes a user of a filter.
    fn release(&mut self, index: FilterIndex) {
        let slot = &mut self.slots[index];
        slot.users -= 1;
        if slot.users == 0 {
            self.by_source.remove(slot.filter.source());
            self.free.push(index);
        }
    }

    fn evaluate(&mut self, index: FilterIndex, input: &FilterInput<'_>, budget: &mut Budget) -> Selected {
        let slot = &mut self.slots[index];
        if slot.event != self.event {
            slot.event = self.event;
            slot.selected = match slot.filter.evaluate(input, budget) {
                Ok(true) => Selected::Deliver,
                Ok(false) => Selected::Exclude,
                Err(error) => Selected::Fail(format!("filter: {error}").into()),
            };
        }
        slot.selected.clone()
    }
}

#[cfg(test)]
mod tests {
    use decnet_core::settings::FilterSource;
    use decnet_core::time::UnixMicros;

    use super::*;

    const KEYS: [SubscriptionKey; 3] = [SubscriptionKey(1), SubscriptionKey(2), SubscriptionKey(3)];

    fn filtered(source: &str) -> Settings {
        Settings { filter: FilterSource::new(source).ok(), ..Settings::default() }
    }

    fn event(payload: &str) -> Event {
        Event::new("e", "attacker.observed", "observed", UnixMicros(0), payload).unwrap()
    }

    fn selected(selection: &mut Selection, payload: &str) -> Vec<Selected> {
        let selected = selection.select(&event(payload), KEYS.into_iter());
        selected.into_iter().map(|(_, selected)| selected).collect()
    }

    #[test]
    fn rules_select_for_their_own_subscription() {
        let mut selection = Selection::default();
        selection.replace(KEYS[0], Some(&filtered("payload.port == 22")));
        let floor = Settings { min_severity: Some(Severity::Critical), ..Settings::default() };
        selection.replace(KEYS[1], Some(&floor));
        use Selected::{Deliver, Exclude};
        assert_eq!(selected(&mut selection, r#"{"port":22}"#), [Deliver, Exclude, Deliver]);
        assert_eq!(selected(&mut selection, r#"{"port":23}"#), [Exclude, Exclude, Deliver]);
        let failed = selected(&mut selection, "{}");
        assert!(matches!(&failed[0], Selected::Fail(why) if why.contains("port")), "{failed:?}");
    }

    #[test]
    fn equal_filters_share_a_slot_that_is_reused() {
        let mut selection = Selection::default();
        selection.replace(KEYS[0], Some(&filtered("payload.port == 22")));
        selection.replace(KEYS[1], Some(&filtered("payload.port == 22")));
        assert_eq!(selection.filters.slots.len(), 1);
        selection.replace(KEYS[0], None);
        selection.replace(KEYS[1], Some(&Settings::default()));
        assert!(selection.is_empty());
        selection.replace(KEYS[2], Some(&filtered("payload.port == 23")));
        assert_eq!(selection.filters.slots.len(), 1);
        let expected = [Selected::Deliver, Selected::Deliver, Selected::Exclude];
        assert_eq!(selected(&mut selection, r#"{"port":22}"#), expected);
    }
}
