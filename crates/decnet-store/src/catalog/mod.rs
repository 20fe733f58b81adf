//! The subscriptions, in the table that DECNET reads and writes too.
