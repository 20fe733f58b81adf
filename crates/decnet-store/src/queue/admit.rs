//! Admit: an event and its deliveries become durable together.

use std::sync::Arc;

use decnet_core::event::{Event, fit_id};
use decnet_core::limits::MAX_FAN_OUT;
use rusqlite::{CachedStatement, OptionalExtension};

use super::error::Error;
use super::id::{DeliveryId, SubscriptionKey};
use super::ledger::Ledger;
use super::state::{HELD, QUEUED};
use super::submitted::{self, SubmissionId};

/// An event, and who is to get it.
#[derive(Debug, Clone)]
pub struct Admission {
    /// What is sent.
    pub event: Arc<Event>,
    /// Each subscription once. With nobody in it nothing is written, and the id is not remembered.
    pub to: Vec<Recipient>,
    /// Where it waited, if it was submitted: it waits there no more once it is admitted, though to nobody. Where it is
    /// not there any more, nothing is written. Whether it is new was decided when it was submitted, so it is admitted
    /// whatever its id.
    pub submitted: Option<SubmissionId>,
}

/// Who is to get an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipient {
    /// The subscription.
    pub sub: SubscriptionKey,
    /// The caller keeps the delivery in memory, and will settle or release it: until then no claim finds it.
    /// Otherwise it waits to be claimed.
    pub held: bool,
}

/// What came of an admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// The event was admitted before, or was submitted and taken back: nothing was written.
    pub duplicate: bool,
    /// The delivery to the first recipient; the others follow in the order of `to`. Of a duplicate, what it was
    /// when it was first admitted.
    pub first: DeliveryId,
}

impl Admission {
    pub(super) fn rows(&self) -> usize {
        1 + self.to.len() + usize::from(self.submitted.is_some())
    }
}

pub(super) fn admit(ledger: &mut Ledger, batch: &[Admission]) -> Result<Vec<Admitted>, Error> {
    let now = ledger.now();
    let conn = &ledger.conn;
    let mut find_id = conn.prepare_cached("SELECT id FROM events WHERE seq = ?1")?;
    let mut add_event = conn.prepare_cached(
        "INSERT INTO events (seq, id, topic, admitted_at, body, operational) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut add_delivery = conn.prepare_cached(
        "INSERT INTO deliveries (id, sub, state, attempts, due_at) VALUES (?1, ?2, ?3, 0, ?4)",
    )?;
    let mut admitted = Vec::with_capacity(batch.len());
    let mut taken_bytes = 0;
    for Admission { event, to, submitted } in batch {
        if let Some(submitted) = submitted {
            let Some(bytes) = submitted::remove(conn, *submitted, event)? else {
                admitted.push(Admitted { duplicate: true, first: DeliveryId::new(ledger.next_seq, 0) });
                continue;
            };
            taken_bytes += bytes;
        }
        let hash = ledger.recent.hash(&event.id);
        if submitted.is_none()
            && let Some(seq) = ledger.recent.find(hash)
            && is_same(&mut find_id, seq, &event.id)?
        {
            admitted.push(Admitted { duplicate: true, first: DeliveryId::new(seq, 0) });
            continue;
        }
        let seq = ledger.next_seq;
        ledger.next_seq += 1;
        let first = DeliveryId::new(seq, 0);
        if !to.is_empty() {
            let operational = event.operational.then_some(true);
            add_event.execute((seq, &event.id, &event.topic, now.0, event.body.as_ref(), operational))?;
            add_deliveries(&mut add_delivery, first, to)?;
            ledger.recent.stage(hash, seq);
            ledger.trail.stage(to.len());
        }
        admitted.push(Admitted { duplicate: false, first });
    }
    if taken_bytes > 0 {
        submitted::less(conn, taken_bytes as i64)?;
    }
    Ok(admitted)
}

/// Returns whether the event that the hash led to has this id. One that retention removed does not, and is sent again.
fn is_same(find_id: &mut CachedStatement<'_>, seq: i64, id: &str) -> Result<bool, Error> {
    let found = find_id.query_row([seq], |row| Ok(fit_id(row.get_ref(0)?.as_str()?) == id)).optional()?;
    Ok(found.unwrap_or(false))
}

fn add_deliveries(add: &mut CachedStatement<'_>, first: DeliveryId, to: &[Recipient]) -> Result<(), Error> {
    if to.len() >= MAX_FAN_OUT as usize {
        return Err(Error::TooManyRecipients);
    }
    for (id, recipient) in (first.raw()..).zip(to) {
        let (state, order) = if recipient.held { (HELD, None) } else { (QUEUED, Some(id)) };
        add.execute((id, recipient.sub.0, state, order))?;
    }
    Ok(())
}
