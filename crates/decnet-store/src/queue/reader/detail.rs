//! One delivery with its event and its attempts.

use std::time::Duration;

use bytes::Bytes;
use decnet_core::delivery::Timings;
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, Row};

use super::super::error::Error;
use super::super::id::DeliveryId;
use super::super::settle::Attempt;
use super::super::state;
use super::Reader;
use super::list::{BODY, COLUMNS, JOIN, Listed, read};
use crate::sql;

/// A delivery, its event and its attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// The fields of a list entry.
    pub listed: Listed,
    /// The JSON body that is sent; empty if it was erased.
    pub body: Bytes,
    /// The attempts, ordered by number.
    pub attempts: Vec<Attempt>,
}

impl Reader {
    /// Returns a delivery with its event and attempts.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn get(&self, id: DeliveryId) -> Result<Option<Detail>, Error> {
        // One transaction, so that the attempts match the delivery.
        let tx = self.conn.unchecked_transaction()?;
        let find = format!("SELECT {COLUMNS}, e.body FROM deliveries d {JOIN} WHERE d.id = ?1");
        let found = sql::first(&tx, &find, [id.0], |row| Ok((read(row)?, row.get::<_, Vec<u8>>(BODY)?)))?;
        let Some((listed, body)) = found else { return Ok(None) };
        Ok(Some(Detail { listed, body: body.into(), attempts: attempts(&tx, id)? }))
    }
}

/// Returns the attempts of a delivery. The successful attempt is stored in the delivery's row.
pub(super) fn attempts(conn: &Connection, id: DeliveryId) -> Result<Vec<Attempt>, Error> {
    const ATTEMPTS: &str = "SELECT number, started_at, duration_us, status, reason, detail, reply,
            resolve_us, connect_us, tls_us, first_byte_us, repeats
        FROM attempts WHERE delivery = ?1
        UNION ALL SELECT attempts, settled_at - duration_us, duration_us, status, NULL, detail, reply,
            resolve_us, connect_us, tls_us, first_byte_us, repeats
        FROM deliveries WHERE id = ?1 AND state = 3
        ORDER BY number";
    Ok(sql::all(conn, ATTEMPTS, [id.0], read_attempt)?)
}

fn read_attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let step = |at| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.map(micros));
    Ok(Attempt {
        number: row.get(0)?,
        started_at: UnixMicros(row.get(1)?),
        duration: micros(row.get(2)?),
        status: row.get(3)?,
        reason: state::reason(row, 4)?,
        detail: row.get(5)?,
        reply: row.get::<_, Option<Vec<u8>>>(6)?.unwrap_or_default().into(),
        timings: Timings { resolve: step(7)?, connect: step(8)?, tls: step(9)?, first_byte: step(10)? },
        repeats: row.get::<_, Option<u32>>(11)?.unwrap_or(0),
    })
}

fn micros(count: i64) -> Duration {
    Duration::from_micros(count.unsigned_abs())
}
