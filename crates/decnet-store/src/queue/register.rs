//! Registration: assigns a small key to each subscription's UUID. The rows of the subscription's deliveries contain the key.

use rusqlite::OptionalExtension;

use super::error::Error;
use super::id::SubscriptionKey;
use super::writer_state::WriterState;

/// Returns the keys of subscriptions given as (uuid, name), in the same order. Assigns keys to new subscriptions, and updates
/// changed names.
pub(super) fn register(
    writer: &mut WriterState,
    subs: &[(Box<str>, Box<str>)],
) -> Result<Vec<SubscriptionKey>, Error> {
    let conn = &writer.conn;
    let mut find = conn.prepare_cached("SELECT key, name = ?2 FROM subscriptions WHERE uuid = ?1")?;
    let mut add =
        conn.prepare_cached("INSERT INTO subscriptions (uuid, name) VALUES (?1, ?2) RETURNING key")?;
    let mut rename = conn.prepare_cached("UPDATE subscriptions SET name = ?2 WHERE key = ?1")?;
    let mut keys = Vec::with_capacity(subs.len());
    for (uuid, name) in subs {
        let found = find.query_row((uuid, name), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let key: u32 = match found {
            Some((key, true)) => key,
            Some((key, false)) => {
                rename.execute((key, name))?;
                key
            }
            None => add.query_row((uuid, name), |row| row.get(0))?,
        };
        keys.push(SubscriptionKey(key));
    }
    Ok(keys)
}
