//! The one place where this crate reads the clock and draws chance.

use std::time::SystemTime;

use decnet_core::time::UnixMicros;

/// The time now.
#[must_use]
pub fn now() -> UnixMicros {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMicros(0).after(since_epoch)
}

/// A number from -1 to 1, for spreading load; not for secrets.
pub(crate) fn jitter() -> f64 {
    fastrand::f64().mul_add(2.0, -1.0)
}
