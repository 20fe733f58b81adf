//! The rows of the table: number, name and title.

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) number: u8,
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
}

impl Row {
    /// Returns whether `name` is the row's number or name.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name == name || name.parse() == Ok(self.number)
    }
}

const fn row(number: u8, name: &'static str, title: &'static str) -> Row {
    Row { number, name, title }
}

/// All rows in table order.
pub(crate) const ROWS: [Row; 16] = [
    row(1, "fan-out-1", "one subscription"),
    row(2, "fan-out-10", "ten subscriptions per event"),
    row(3, "cpu", "CPU per delivery"),
    row(4, "latency", "latency"),
    row(5, "burst", "burst"),
    row(6, "isolation", "100 subscriptions, 30 of them bad"),
    row(7, "neighbour", "one healthy receiver, one that hangs"),
    row(8, "receivers", "1,000 receivers"),
    row(9, "routing", "routing with 100,000 patterns"),
    row(10, "subscriptions", "100,000 subscriptions"),
    row(11, "memory", "memory and disk"),
    row(12, "restart", "restart with a backlog"),
    row(13, "linear", "throughput after many settled deliveries"),
    row(14, "tls", "TLS"),
    row(15, "destination", "a filter and a format"),
    row(16, "dashboard", "100 open pages of the dashboard"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_numbered_in_order() {
        assert!(ROWS.iter().zip(1..).all(|(row, number)| row.number == number));
        assert!(ROWS[5].is_called("6") && ROWS[5].is_called("isolation") && !ROWS[5].is_called("60"));
    }
}
