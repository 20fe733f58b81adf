//! The assignments of an `UPDATE` of DECNET's table.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::sql;

/// SQL assignments with their values.
#[derive(Default)]
pub(super) struct Assignments {
    sql: String,
    values: Vec<Value>,
}

impl Assignments {
    /// Adds an assignment with its values, one for each `?`.
    pub(super) fn set<const N: usize>(&mut self, sql: &str, values: [Value; N]) {
        if !self.sql.is_empty() {
            self.sql.push_str(", ");
        }
        self.sql.push_str(sql);
        self.values.extend(values);
    }

    /// Updates the rows that meet a condition with these values. Returns the number of rows.
    pub(super) fn update<const N: usize>(
        mut self,
        conn: &Connection,
        condition: &str,
        values: [Value; N],
    ) -> rusqlite::Result<usize> {
        self.values.extend(values);
        let sql = format!("UPDATE webhook_subscriptions SET {} WHERE {condition}", self.sql);
        sql::execute(conn, &sql, params_from_iter(self.values))
    }
}

/// Returns a text as a value.
pub(super) fn text(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}
