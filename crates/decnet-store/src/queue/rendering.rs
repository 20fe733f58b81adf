//! The renderings of deliveries that were tried and are retried: the settings of the format that rendered the first attempt.

use decnet_core::delivery::Rendering;
use rusqlite::Connection;

use super::error::Error;
use crate::sql;

/// Stores a rendering, unless it is stored already.
pub(super) fn add(conn: &Connection, rendering: &Rendering) -> rusqlite::Result<()> {
    let add = "INSERT OR IGNORE INTO renderings (id, settings) VALUES (?1, ?2)";
    sql::execute(conn, add, (rendering.id, &*rendering.settings)).map(drop)
}

/// Returns the rendering with this id, if it is stored.
pub(super) fn find(conn: &Connection, id: i64) -> Result<Option<Rendering>, Error> {
    let settings: Option<String> = sql::find(conn, "SELECT settings FROM renderings WHERE id = ?1", [id])?;
    Ok(settings.map(|settings| Rendering { id, settings: settings.into() }))
}

/// Removes the renderings that no delivery uses.
pub(super) fn prune(conn: &Connection) -> rusqlite::Result<()> {
    sql::execute(conn, UNUSED, []).map(drop)
}

const UNUSED: &str = "DELETE FROM renderings WHERE NOT EXISTS
    (SELECT 1 FROM deliveries WHERE rendering IS NOT NULL AND rendering = renderings.id)";

#[cfg(test)]
mod tests {
    use super::super::schema::query_plan;
    use super::*;

    #[test]
    fn unused_renderings_are_found_by_the_index() {
        let plan = query_plan(UNUSED).join("; ");
        assert!(plan.contains("rendered") && !plan.contains("SCAN deliveries"), "{plan}");
    }
}
