//! The HTTP API: DECNET's routes for subscriptions, our own for everything else, and metrics.
//!
//! It never sees the dispatcher: they meet in the store and on the bus.
