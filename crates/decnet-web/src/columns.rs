//! The columns of a list that can be sorted.

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// The heading.
    pub name: &'static str,
    /// Whether the column contains numbers.
    pub is_number: bool,
    /// The link that sorts by the column, or reverses the order; `None` if the column has no order.
    pub link: Option<String>,
    /// `ascending` or `descending` if the list is sorted by the column (ARIA, `aria-sort`).
    pub order: Option<&'static str>,
}

/// An order of a list.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The value of the parameter.
    pub value: String,
    /// The name.
    pub name: &'static str,
    /// Whether the list has this order.
    pub is_chosen: bool,
}
