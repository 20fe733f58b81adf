//! The time, and randomness. All of this crate takes them from here.

pub use decnet_store::clock::{Clock, now};

/// A number from -1 to 1, for spreading load; not for secrets.
pub(crate) fn jitter() -> f64 {
    fastrand::f64().mul_add(2.0, -1.0)
}
