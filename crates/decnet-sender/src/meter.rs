//! Limits on the bytes that a receiver sends, counted on the socket, where no encoding can hide them.
//!
//! Everything that arrives costs time of the thread that serves all receivers. A connection has an allowance of bytes; when
//! it is used up, reading from the socket fails, and so do all protocols above it.

use std::cell::Cell;
use std::rc::Rc;

use decnet_core::limits::{
    HTTP2_BYTES_PER_ACKNOWLEDGEMENT, HTTP2_OVERHEAD_BYTES, MAX_REPLY_BYTES, MAX_REPLY_WIRE_BYTES,
};

/// The allowance of one connection, in bytes.
#[derive(Debug)]
pub(crate) struct Meter {
    /// The number of bytes that are left. Negative once too many bytes have arrived.
    left: Cell<i64>,
    /// The sum of the allowances of the exchanges in flight.
    granted: Cell<i64>,
}

/// The allowance of one exchange on a shared (HTTP/2) connection. The exchange ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Allowance {
    meter: Rc<Meter>,
    granted: i64,
    body_bytes: usize,
}

impl Meter {
    /// Returns a meter with the allowance for a TLS handshake.
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self { left: Cell::new(bytes(MAX_REPLY_WIRE_BYTES)), granted: Cell::new(0) })
    }

    /// Sets the allowance to the allowance of one reply, on a connection that carries one exchange at a time.
    pub(crate) fn allow_reply(&self) {
        self.left.set(bytes(MAX_REPLY_WIRE_BYTES));
    }

    /// Adds the allowance of one exchange whose request has a body of `request_bytes`, on a shared connection.
    pub(crate) fn allow_exchange(self: &Rc<Self>, request_bytes: usize) -> Allowance {
        let acknowledgements = request_bytes / HTTP2_BYTES_PER_ACKNOWLEDGEMENT;
        let granted = bytes(MAX_REPLY_BYTES + HTTP2_OVERHEAD_BYTES + acknowledgements);
        self.left.set(self.left.get().saturating_add(granted));
        self.granted.set(self.granted.get() + granted);
        Allowance { meter: Rc::clone(self), granted, body_bytes: 0 }
    }

    /// Returns whether more bytes have arrived than were allowed, so that nothing more is read.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.left.get() < 0
    }

    /// Counts bytes that have arrived.
    pub(crate) fn count(&self, received: usize) {
        self.left.set(self.left.get().saturating_sub(bytes(received)));
    }
}

impl Allowance {
    /// Counts bytes of the reply's body.
    pub(crate) fn add_body_bytes(&mut self, count: usize) {
        self.body_bytes += count;
    }
}

impl Drop for Allowance {
    /// Takes back the part of the allowance that was reserved for the body and not used, and limits the rest to its bound.
    fn drop(&mut self) {
        let meter = &self.meter;
        meter.granted.set(meter.granted.get() - self.granted);
        let unused = bytes(MAX_REPLY_BYTES.saturating_sub(self.body_bytes));
        let max = bytes(MAX_REPLY_WIRE_BYTES) + meter.granted.get();
        meter.left.set((meter.left.get() - unused).min(max));
    }
}

fn bytes(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reply_in_a_row_has_its_own_allowance() {
        let meter = Meter::new();
        for _ in 0..3 {
            meter.allow_reply();
            meter.count(MAX_REPLY_WIRE_BYTES);
            assert!(!meter.is_exhausted());
        }
        meter.count(1);
        assert!(meter.is_exhausted());
    }

    #[test]
    fn unused_allowance_is_saved_up_to_its_bound() {
        let meter = Meter::new();
        for _ in 0..1000 {
            let mut allowance = meter.allow_exchange(600);
            meter.count(200);
            allowance.add_body_bytes(100);
        }
        meter.count(MAX_REPLY_WIRE_BYTES);
        assert!(!meter.is_exhausted());
        meter.count(1);
        assert!(meter.is_exhausted());
    }

    /// Each exchange receives a body's worth of other bytes, until the saved allowance is used up.
    #[test]
    fn body_allowance_is_for_the_body_only() {
        let meter = Meter::new();
        let floods = 1 + MAX_REPLY_WIRE_BYTES / (MAX_REPLY_BYTES - HTTP2_OVERHEAD_BYTES);
        for _ in 0..floods {
            assert!(!meter.is_exhausted());
            let allowance = meter.allow_exchange(0);
            meter.count(MAX_REPLY_BYTES);
            drop(allowance);
        }
        assert!(meter.is_exhausted());
    }

    #[test]
    fn concurrent_exchanges_have_an_allowance_each() {
        let meter = Meter::new();
        let mut allowances: Vec<_> = (0..100).map(|_| meter.allow_exchange(0)).collect();
        for allowance in &mut allowances {
            meter.count(MAX_REPLY_BYTES);
            allowance.add_body_bytes(MAX_REPLY_BYTES);
        }
        assert!(!meter.is_exhausted());
        drop(allowances);
        meter.count(MAX_REPLY_WIRE_BYTES);
        assert!(!meter.is_exhausted(), "their unused overhead is saved up to the bound");
        meter.count(1);
        assert!(meter.is_exhausted());
    }
}
