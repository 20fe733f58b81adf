//! DECNET's table, as its own writers make it.

/// The table's columns, in the order in which a row is read.
pub(super) const COLUMNS: [&str; 13] = [
    "uuid",
    "name",
    "url",
    "secret",
    "topic_patterns",
    "enabled",
    "consecutive_failures",
    "last_success_at",
    "last_failure_at",
    "last_error",
    "auto_disabled_at",
    "created_at",
    "updated_at",
];

/// The only optional column, the time at which a row has tripped; see [`trips`](super::trips).
pub(super) const TRIPPED_AT: &str = "auto_disabled_at";

/// Makes the table where there is none, so that DECNET can use the file as if it had made it.
pub(super) const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS webhook_subscriptions (
        uuid VARCHAR NOT NULL,
        name VARCHAR NOT NULL,
        url VARCHAR NOT NULL,
        secret VARCHAR NOT NULL,
        topic_patterns VARCHAR NOT NULL,
        enabled BOOLEAN NOT NULL,
        consecutive_failures INTEGER NOT NULL,
        last_success_at DATETIME,
        last_failure_at DATETIME,
        last_error VARCHAR,
        auto_disabled_at DATETIME,
        created_at DATETIME NOT NULL,
        updated_at DATETIME NOT NULL,
        PRIMARY KEY (uuid)
    );
    CREATE UNIQUE INDEX IF NOT EXISTS ix_webhook_subscriptions_name ON webhook_subscriptions (name);
    CREATE INDEX IF NOT EXISTS ix_webhook_subscriptions_enabled ON webhook_subscriptions (enabled);
";
