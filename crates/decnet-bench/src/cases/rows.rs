//! The rows of the table: their numbers, their names, what they are about.

/// A row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) number: u8,
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
}

impl Row {
    /// Is that its number or its name?
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name == name || name.parse() == Ok(self.number)
    }
}

const fn row(number: u8, name: &'static str, title: &'static str) -> Row {
    Row { number, name, title }
}

/// All of them.
pub(crate) const ROWS: [Row; 14] = [
    row(1, "fan-out-1", "one subscription"),
    row(2, "fan-out-10", "ten subscriptions to each event"),
    row(3, "cpu", "CPU of a delivery"),
    row(4, "latency", "latency, durable"),
    row(5, "burst", "a burst, flat out"),
    row(6, "isolation", "100 subscriptions, 30 of them bad"),
    row(7, "neighbour", "one healthy beside one that hangs"),
    row(8, "receivers", "1,000 receivers"),
    row(9, "routing", "routing by 100,000 patterns"),
    row(10, "subscriptions", "100,000 subscriptions"),
    row(11, "memory", "memory and disk"),
    row(12, "restart", "restart with a backlog"),
    row(13, "linear", "after many settled deliveries"),
    row(14, "tls", "TLS"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_numbered_in_their_order() {
        assert!(ROWS.iter().zip(1..).all(|(row, number)| row.number == number));
        assert!(ROWS[5].is_called("6") && ROWS[5].is_called("isolation") && !ROWS[5].is_called("60"));
    }
}
