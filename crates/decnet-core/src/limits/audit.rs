//! Bounds of the audit list.

use std::time::Duration;

/// Maximum number of entries. Beyond it the oldest entries are removed.
pub const MAX_AUDIT_ENTRIES: usize = 20_000;
/// Age at which entries are removed.
pub const AUDIT_RETENTION: Duration = Duration::from_secs(400 * 86_400);
/// Maximum number of entries that one change removes because of their age: a clock that is ahead once does not empty the list.
pub const MAX_AUDIT_EXPIRIES: usize = 100;
/// Maximum length of a value in an entry, in characters.
pub const MAX_AUDIT_VALUE_CHARS: usize = 200;
/// Maximum number of entries that a process keeps for the bus until they are published. Beyond it the oldest are not published.
pub const MAX_AUDIT_UNPUBLISHED: usize = 256;
