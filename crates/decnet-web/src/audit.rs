//! The audit list, and its page.

use askama::Template;
use serde::Deserialize;

use crate::{Frame, Text, Time};

/// A page of the list, as the API returns it.
#[derive(Debug, Default, Deserialize)]
pub struct Entries {
    /// The entries, newest first.
    pub entries: Vec<Entry>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// Who changed what.
#[derive(Debug, Deserialize)]
pub struct Entry {
    /// The time of the change.
    pub at: Time,
    /// Who made the change.
    pub actor: Actor,
    /// The API's name of the action.
    pub action: Text,
    /// What was changed.
    pub object: Object,
    /// The changed fields.
    pub changes: Vec<FieldChange>,
}

/// Who made a change.
#[derive(Debug, Deserialize)]
pub struct Actor {
    /// `token`, `decnet_user`, `local_user` or `link`.
    pub kind: Text,
    /// The id, or the uid.
    pub id: Text,
    /// The name.
    pub name: Text,
}

/// What was changed.
#[derive(Debug, Deserialize)]
pub struct Object {
    /// `subscription`, `token`, `link` or `keys`.
    pub kind: Text,
    /// The UUID or the id.
    pub id: Text,
    /// The name.
    pub name: Text,
}

/// A changed field.
#[derive(Debug, Deserialize)]
pub struct FieldChange {
    /// The name of the field.
    pub field: Text,
    /// The value before the change, if it is shown.
    pub from: Option<Text>,
    /// The value after the change, if it is shown.
    pub to: Option<Text>,
}

impl Entry {
    /// Returns the action in words, before its object.
    #[must_use]
    pub fn did(&self) -> Text {
        let words = match self.action.raw() {
            "create" => "created",
            "update" => "changed",
            "enable" => "enabled",
            "disable" => "disabled",
            "pause" => "paused",
            "resume" => "resumed",
            "rotate_secret" => "rotated the secret of",
            "revoke_old_secrets" => "revoked the old secrets of",
            "delete" => "deleted",
            "revoke" => "revoked",
            "log_in" => "logged in as",
            "encrypt" => "encrypted secrets with",
            "decrypt" => "decrypted secrets of",
            other => other,
        };
        words.into()
    }
}

impl Actor {
    /// Returns the kind in words.
    #[must_use]
    pub fn label(&self) -> Text {
        let words = match self.kind.raw() {
            "decnet_user" => "user of DECNET",
            "local_user" => "uid",
            "link" => "one-time link",
            other => other,
        };
        words.into()
    }

    /// Returns the name that identifies the actor in the filter: the uid of a local user, or else the name.
    #[must_use]
    pub fn key(&self) -> &Text {
        if self.kind.raw() == "local_user" || self.name.is_empty() { &self.id } else { &self.name }
    }

    /// Returns the name of the user with a uid, if there is one.
    #[must_use]
    pub fn account(&self) -> Option<&Text> {
        Some(&self.name).filter(|name| self.kind.raw() == "local_user" && !name.is_empty())
    }
}

impl Object {
    /// Returns whether it is a subscription.
    #[must_use]
    pub fn is_subscription(&self) -> bool {
        self.kind.raw() == "subscription"
    }
}

/// The audit list.
#[derive(Template)]
#[template(path = "audit.html")]
#[expect(missing_docs, reason = "the fields are those of the template")]
pub struct AuditPage {
    pub frame: Frame,
    pub filter: AuditFilter,
    pub entries: Vec<Entry>,
    /// Why the filter is invalid.
    pub error: Option<String>,
    /// The link to the next page.
    pub next: Option<String>,
}

/// The filter of the list, as in the form.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the parameters of the API")]
pub struct AuditFilter {
    pub actor: String,
    pub subscription: String,
    pub since: String,
    pub cursor: String,
}

impl AuditFilter {
    /// Returns the parameters that are set, except for the cursor.
    pub fn parameters(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [("actor", &self.actor), ("subscription", &self.subscription), ("since", &self.since)];
        all.into_iter().map(|(name, value)| (name, &**value)).filter(|(_, value)| !value.is_empty())
    }

    /// Returns whether nothing is filtered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parameters().next().is_none()
    }
}
