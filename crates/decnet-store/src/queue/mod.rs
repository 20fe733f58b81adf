//! Events, deliveries and attempts, in a SQLite file of its own.
