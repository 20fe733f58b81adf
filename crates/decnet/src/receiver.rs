//! A receiver of webhooks.
