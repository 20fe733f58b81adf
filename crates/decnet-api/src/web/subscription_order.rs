//! The orders of the list of subscriptions, and positions in it.

use std::cmp::Ordering;

use decnet_core::time::UnixMicros;
use decnet_web::Time;
use decnet_web::columns::{Choice, Column};
use decnet_web::receiver::Receiver;

/// An order: the value of the parameter `sort`. Receivers that are equal in it are ordered by name, then by UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    by: By,
    is_descending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Name,
    Trouble,
    Waiting,
    Dead,
    LastSuccess,
    LastFailure,
}

/// The names of the orders, as in the parameter.
const NAMES: [(By, &str); 6] = [
    (By::Name, "name"),
    (By::Trouble, "trouble"),
    (By::Waiting, "waiting"),
    (By::Dead, "dead"),
    (By::LastSuccess, "last_success"),
    (By::LastFailure, "last_failure"),
];

/// The headings of the list, with the orders by which they sort first.
const COLUMNS: [(&str, Option<Order>); 8] = [
    ("Name", Some(Order::new(By::Name, false))),
    ("State", Some(Order::new(By::Trouble, true))),
    ("Receiver", None),
    ("Last hour", None),
    ("Waiting", Some(Order::new(By::Waiting, true))),
    ("Dead", Some(Order::new(By::Dead, true))),
    ("Last success", Some(Order::new(By::LastSuccess, true))),
    ("Last failure", Some(Order::new(By::LastFailure, true))),
];

/// The orders of the form.
const CHOICES: [(&str, Order); 7] = [
    ("name", Order::new(By::Name, false)),
    ("in trouble first", Order::new(By::Trouble, true)),
    ("most waiting first", Order::new(By::Waiting, true)),
    ("most dead first", Order::new(By::Dead, true)),
    ("latest success first", Order::new(By::LastSuccess, true)),
    ("oldest success first", Order::new(By::LastSuccess, false)),
    ("latest failure first", Order::new(By::LastFailure, true)),
];

/// A position in the list: that of a receiver, or the place where it was when the previous page was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position<'a> {
    pub(super) rank: u64,
    pub(super) name: &'a str,
    pub(super) uuid: &'a str,
}

impl Order {
    const fn new(by: By, is_descending: bool) -> Self {
        Self { by, is_descending }
    }

    /// Returns the order with this name, which begins with `-` if it is descending. Other names order by name.
    pub(super) fn parse(text: &str) -> Self {
        let name = text.strip_prefix('-').unwrap_or(text);
        let found = NAMES.iter().find(|(_, known)| *known == name);
        found.map_or(Self::new(By::Name, false), |(by, _)| Self::new(*by, text.len() > name.len()))
    }

    /// Returns the value of the parameter.
    pub(super) fn value(self) -> String {
        let name = NAMES.iter().find(|(by, _)| *by == self.by).map_or("", |(_, name)| name);
        format!("{}{name}", if self.is_descending { "-" } else { "" })
    }

    /// Returns the position of a receiver. A time that never was is the lowest.
    pub(super) fn position(self, receiver: &Receiver) -> Position<'_> {
        let micros = |time: &Option<Time>| {
            let at = time.as_ref().and_then(Time::micros).unwrap_or(UnixMicros(0));
            u64::try_from(at.0).unwrap_or(0)
        };
        let rank = match self.by {
            By::Name => 0,
            By::Trouble => {
                u64::from(receiver.is_in_trouble()) << 32 | receiver.failures.0.min(u32::MAX.into())
            }
            By::Waiting => receiver.waiting.0,
            By::Dead => receiver.dead.0,
            By::LastSuccess => micros(&receiver.last_success),
            By::LastFailure => micros(&receiver.last_failure),
        };
        Position { rank, name: receiver.name.raw(), uuid: receiver.uuid.raw() }
    }

    /// Compares two positions.
    pub(super) fn compare(self, a: Position<'_>, b: Position<'_>) -> Ordering {
        let by_name = (a.name, a.uuid).cmp(&(b.name, b.uuid));
        match (self.by, self.is_descending) {
            (By::Name, true) => by_name.reverse(),
            (_, true) => b.rank.cmp(&a.rank).then(by_name),
            (_, false) => a.rank.cmp(&b.rank).then(by_name),
        }
    }

    /// Returns the columns. `link` returns the link to the list in another order.
    pub(super) fn columns(self, link: impl Fn(Self) -> String) -> Vec<Column> {
        let column = |(name, first): (&'static str, Option<Self>)| {
            let is_sorted = first.is_some_and(|first| first.by == self.by);
            let next =
                if is_sorted { Some(Self { is_descending: !self.is_descending, ..self }) } else { first };
            Column {
                name,
                is_number: matches!(first, Some(Self { by: By::Waiting | By::Dead, .. })),
                link: next.map(&link),
                order: is_sorted.then_some(if self.is_descending { "descending" } else { "ascending" }),
            }
        };
        COLUMNS.into_iter().map(column).collect()
    }

    /// Returns the orders for the form, with this order among them.
    pub(super) fn choices(self) -> Vec<Choice> {
        let choice =
            |(name, order): (_, Self)| Choice { value: order.value(), name, is_chosen: order == self };
        let other = [("as sorted below", self)].into_iter();
        let other = other.filter(|_| CHOICES.iter().all(|(_, order)| *order != self));
        CHOICES.into_iter().chain(other).map(choice).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for (_, order) in COLUMNS.into_iter().filter_map(|(name, order)| Some((name, order?))).chain(CHOICES)
        {
            let reversed = Order { is_descending: !order.is_descending, ..order };
            assert_eq!([order, reversed].map(|order| Order::parse(&order.value())), [order, reversed]);
        }
        assert_eq!(Order::parse("nothing"), Order::parse("name"));
    }

    #[test]
    fn heading_reverses_the_order_of_its_column() {
        let link = |order: Order| order.value();
        let columns = Order::parse("-waiting").columns(link);
        let shown: Vec<_> = columns.iter().map(|column| (column.link.as_deref(), column.order)).collect();
        assert_eq!(shown[0], (Some("name"), None));
        assert_eq!(shown[2], (None, None));
        assert_eq!(shown[4], (Some("waiting"), Some("descending")));
        assert_eq!(
            Order::parse("waiting").columns(link)[4].link.as_deref(),
            Some("-waiting"),
            "it is ascending now"
        );
    }

    #[test]
    fn form_contains_the_order_of_the_list() {
        for order in ["name", "-name", "-waiting", "dead"] {
            let choices = Order::parse(order).choices();
            let chosen: Vec<_> = choices.iter().filter(|choice| choice.is_chosen).collect();
            assert!(chosen.len() == 1 && chosen[0].value == order, "{order}");
        }
    }
}
