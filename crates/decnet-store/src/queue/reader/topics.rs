//! The topics of the newest events, with an example of each.

use decnet_core::event::Event;
use decnet_core::limits::{LIST_STEP_ROWS, MAX_LISTED_TOPICS, MAX_TOPIC_EXAMPLE_BYTES};
use decnet_core::time::UnixMicros;

use super::super::error::Error;
use super::Reader;
use super::event::admitted_event;
use crate::sql;

/// The topics of the newest events in the queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecentTopics {
    /// The topics, those with most events first; at most `MAX_LISTED_TOPICS`.
    pub topics: Vec<RecentTopic>,
    /// The number of different topics.
    pub distinct: u64,
    /// The number of events that were counted.
    pub events: u64,
    /// The admission time of the oldest event that was counted.
    pub since: Option<UnixMicros>,
}

/// The newest events of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecentTopic {
    /// The topic.
    pub topic: Box<str>,
    /// The number of events.
    pub events: u64,
    /// The admission time of the newest event.
    pub newest_at: UnixMicros,
    /// The newest event whose body is neither erased nor longer than `MAX_TOPIC_EXAMPLE_BYTES`.
    pub example: Option<Event>,
}

/// Counts the topics of the newest events. The length of a body is known without reading the body.
const TOPICS: &str = "
    SELECT topic, count(*) AS events, min(admitted_at), max(admitted_at), max(iif(size BETWEEN 1 AND ?2, seq, NULL))
    FROM (SELECT seq, topic, admitted_at, length(body) AS size FROM events ORDER BY seq DESC LIMIT ?1)
    GROUP BY topic ORDER BY events DESC, topic";

/// The counts of one topic, and the sequence number of its example.
type Counted = (RecentTopic, UnixMicros, Option<i64>);

impl Reader {
    /// Returns the topics of the `LIST_STEP_ROWS` newest events.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn recent_topics(&self) -> Result<RecentTopics, Error> {
        let parameters = (LIST_STEP_ROWS, MAX_TOPIC_EXAMPLE_BYTES);
        let counted: Vec<Counted> = sql::all(&self.conn, TOPICS, parameters, |row| {
            let (topic, events) = (row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs());
            let newest_at = UnixMicros(row.get(3)?);
            Ok((
                RecentTopic { topic, events, newest_at, example: None },
                UnixMicros(row.get(2)?),
                row.get(4)?,
            ))
        })?;
        let mut found = RecentTopics {
            topics: Vec::new(),
            distinct: counted.len() as u64,
            events: counted.iter().map(|(topic, ..)| topic.events).sum(),
            since: counted.iter().map(|(_, oldest_at, _)| *oldest_at).min(),
        };
        for (mut topic, _, example) in counted.into_iter().take(MAX_LISTED_TOPICS) {
            topic.example = example.map(|seq| admitted_event(&self.conn, seq)).transpose()?.flatten();
            found.topics.push(topic);
        }
        Ok(found)
    }
}
