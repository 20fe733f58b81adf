//! Creation, changes and deletion of subscriptions by operators.

use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::{Settings, SettingsPatch};
use decnet_core::subscription::{Problem, check_name, check_secret, is_same_name};
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use rusqlite::types::{Null, Value};
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::assignments::{Assignments, text};
use super::destination;
use super::error::{Abort, Error};
use super::extension_table::{ExtensionRow, ExtensionTable, SECRET_COLUMNS, delete_orphans};
use super::load::RawRow;
use super::open::Catalog;
use super::sql_value::SqlValue;
use super::trips::Trips;
use super::validate::{authorization, credentials, headers, settings};
use crate::sql;
use crate::vault::Keys;

/// The values of a new subscription.
#[derive(Debug, Clone)]
pub struct NewSubscription {
    /// The name, unique in the catalog.
    pub name: String,
    /// The receiver's URL.
    pub url: EndpointUrl,
    /// The secret that signs deliveries; see [`generate_secret`](super::generate_secret).
    pub secret: Secret,
    /// The topic patterns, at least one.
    pub patterns: Vec<Pattern>,
    /// Whether events are routed to the subscription.
    pub enabled: bool,
    /// The settings, including headers and credentials.
    pub settings: Settings,
}

/// Changes of a subscription. `None` leaves a value unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// The new name, unique in the catalog.
    pub name: Option<String>,
    /// The new URL of the receiver.
    pub url: Option<EndpointUrl>,
    /// The new secret. All older secrets stop signing at once, unlike with [`Catalog::rotate_secret`].
    pub secret: Option<Secret>,
    /// The new topic patterns, at least one.
    pub patterns: Option<Vec<Pattern>>,
    /// The new value of `enabled`. `true` also resets the failure counter of a disabled subscription, ends its trip and cancels a
    /// deferral by the receiver. `false` disables the subscription without probes.
    pub enabled: Option<bool>,
    /// The changes of the settings.
    pub settings: SettingsPatch,
    /// The new value of `paused`: whether deliveries wait.
    pub paused: Option<bool>,
    /// Whether headers, credentials and old secrets that cannot be decrypted are removed first. Otherwise a change of such values is
    /// rejected.
    pub discard_encrypted: bool,
}

impl Patch {
    /// Returns the action of the audit entry.
    fn action(&self) -> &'static str {
        let state = Self { enabled: self.enabled, paused: self.paused, ..Self::default() };
        match (self.enabled, self.paused) {
            _ if *self != state => "update",
            (Some(true), None) => "enable",
            (Some(false), None) => "disable",
            (None, Some(true)) => "pause",
            (None, Some(false)) => "resume",
            _ => "update",
        }
    }
}

impl Catalog {
    /// Adds a subscription and returns its UUID.
    ///
    /// # Errors
    /// The name is taken, a value is invalid, or the file cannot be written.
    pub fn create(&mut self, new: &NewSubscription, now: UnixMicros) -> Result<String, Error> {
        let uuids = self.create_all(std::slice::from_ref(new), now)?;
        Ok(uuids.into_iter().next().expect("one UUID for each subscription"))
    }

    /// Adds all or none of the subscriptions in one transaction. Returns their UUIDs in the same order.
    ///
    /// # Errors
    /// See [`Self::create`]; the error is that of the first invalid subscription.
    pub fn create_all(&mut self, new: &[NewSubscription], now: UnixMicros) -> Result<Vec<String>, Error> {
        let prepared: Vec<_> = new.iter().map(prepare).collect::<Result<_, Error>>()?;
        let keys = self.keys.clone();
        self.change(now, |transaction, path, recorder| {
            let mut extension = ExtensionTable::migrated(transaction, path)?;
            for (new, (uuid, patterns)) in new.iter().zip(&prepared) {
                if uuid_by_name(transaction, &new.name)?.is_some() {
                    return Err(Error::NameTaken(new.name.clone()).into());
                }
                insert(transaction, uuid, new, patterns, now)?;
                if new.settings != Settings::default() {
                    extension.ensure(transaction)?;
                    let row = ExtensionRow { conn: transaction, uuid };
                    row.write_settings(&new.settings)?;
                    row.write_headers(&keys, &new.settings)?;
                    row.write_credentials(&keys, &new.settings)?;
                }
                let created = RawRow::find_stored(transaction, path, uuid)?;
                recorder.record_subscription("create", None, created.as_ref())?;
            }
            Ok(())
        })?;
        Ok(prepared.into_iter().map(|(uuid, _)| uuid).collect())
    }

    /// Changes the subscription with this UUID. An empty patch changes nothing.
    ///
    /// # Errors
    /// The UUID does not exist, the name is taken, a value is invalid, or the file cannot be written.
    pub fn update(&mut self, uuid: &str, patch: &Patch, now: UnixMicros) -> Result<(), Error> {
        if *patch == Patch::default() {
            return Ok(());
        }
        let mut assign = assignments(patch, now)?;
        let keys = self.keys.clone();
        self.change_subscription(uuid, patch.action(), now, |transaction, mut extension| {
            let trips = Trips::detect(transaction)?;
            if let Some(name) = &patch.name
                && uuid_by_name(transaction, name)?.is_some_and(|found| found != text(uuid))
            {
                return Err(Error::NameTaken(name.clone()).into());
            }
            // Enabling and disabling both end a trip. Other changes do not.
            if patch.enabled.is_none() {
                trips.keep_through_update(uuid, now)?;
            } else {
                trips.clear(uuid)?;
                if trips.has_column() {
                    assign.set("auto_disabled_at = NULL", []);
                }
            }
            if assign.update(transaction, "uuid = ?", [text(uuid)])? == 0 {
                return Err(Error::not_found(uuid).into());
            }
            if patch.paused.is_some() || !patch.settings.is_empty() || patch.discard_encrypted {
                extension.ensure(transaction)?;
            }
            if extension == ExtensionTable::Present {
                ExtensionRow { conn: transaction, uuid }.apply(patch, &keys)?;
            }
            Ok(())
        })
    }

    /// Deletes the subscription with this UUID, and its row in the extension table.
    ///
    /// # Errors
    /// The UUID does not exist, or the file cannot be written.
    pub fn delete(&mut self, uuid: &str, now: UnixMicros) -> Result<(), Error> {
        self.change_subscription(uuid, "delete", now, |transaction, extension| {
            if sql::execute(transaction, "DELETE FROM webhook_subscriptions WHERE uuid = ?1", [uuid])? == 0 {
                return Err(Error::not_found(uuid).into());
            }
            if extension == ExtensionTable::Present {
                delete_orphans(transaction)?;
            }
            Ok(Trips::detect(transaction)?.clear(uuid)?)
        })
    }
}

/// Validates a new subscription and returns its UUID and the value of `topic_patterns`.
fn prepare(new: &NewSubscription) -> Result<(String, String), Error> {
    check_name(&new.name)?;
    check_secret(new.secret.expose())?;
    authorization(&new.settings, &new.url)?;
    destination::check(&new.settings)?;
    Ok((Uuid::new_v4().to_string(), json_list(&new.patterns)?))
}

impl ExtensionRow<'_> {
    /// Applies the changes that concern the extension table.
    fn apply(self, patch: &Patch, keys: &Keys) -> Result<(), Abort> {
        if patch.discard_encrypted {
            self.discard_locked(keys)?;
        }
        if patch.enabled == Some(true) {
            self.clear_gone()?;
        }
        // A new receiver has requested no deferral, and enabling overrides the receiver's request.
        if patch.enabled == Some(true) || patch.url.is_some() {
            self.lift_deferral()?;
        }
        if let Some(paused) = patch.paused {
            self.set("paused", paused)?;
        }
        if patch.secret.is_some() {
            self.set_old_secrets(keys, &[])?;
        }
        if !patch.settings.is_empty() || patch.url.is_some() {
            self.change_settings(&patch.settings, keys)?;
        }
        Ok(())
    }

    /// Removes the secrets that cannot be decrypted.
    fn discard_locked(self, keys: &Keys) -> Result<(), Abort> {
        for column in SECRET_COLUMNS {
            match self.get_secret(keys, column) {
                Err(abort) if abort.is_locked() => self.set(column, Null)?,
                other => drop(other?),
            }
        }
        Ok(())
    }

    /// Returns a secret for a change. A secret that cannot be decrypted counts as NULL unless it `is_changed`.
    fn secret_to_change(
        self,
        keys: &Keys,
        column: &'static str,
        is_changed: bool,
    ) -> Result<SqlValue, Abort> {
        match self.get_secret(keys, column) {
            Err(abort) if abort.is_locked() && !is_changed => Ok(SqlValue::Null),
            other => other,
        }
    }

    /// Changes the settings. Stored values that cannot be read are overwritten only if the patch changes them.
    fn change_settings(self, patch: &SettingsPatch, keys: &Keys) -> Result<(), Abort> {
        let stored_headers = self.secret_to_change(keys, "headers", !patch.headers.is_keep())?;
        let stored_credentials = self.secret_to_change(keys, "credentials", patch.changes_credentials())?;
        let current = Settings {
            headers: headers(&stored_headers).unwrap_or_default(),
            credentials: credentials(&stored_credentials).unwrap_or_default(),
            ..settings(&self.get("settings")?).unwrap_or_default()
        };
        let changed = patch.apply(&current).map_err(|error| Error::Invalid(error.into()))?;
        let url = "SELECT CAST(url AS TEXT) FROM webhook_subscriptions WHERE uuid = ?1";
        // An invalid URL is reported by `validate`.
        if let Ok(url) = EndpointUrl::new(&sql::value::<String>(self.conn, url, [self.uuid])?) {
            authorization(&changed, &url).map_err(Error::from)?;
        }
        if !patch.without_secrets().is_empty() {
            destination::check(&changed).map_err(Error::from)?;
            self.write_settings(&changed)?;
        }
        if !patch.headers.is_keep() {
            self.write_headers(keys, &changed)?;
        }
        if patch.changes_credentials() {
            self.write_credentials(keys, &changed)?;
        }
        Ok(())
    }

    fn write_settings(self, settings: &Settings) -> rusqlite::Result<()> {
        let json = serde_json::to_string(settings).expect("settings are texts, numbers and flags");
        self.set("settings", json)
    }

    fn write_headers(self, keys: &Keys, Settings { headers, .. }: &Settings) -> Result<(), Abort> {
        let stored = (!headers.is_empty()).then(|| headers.to_stored());
        self.set_secret(keys, "headers", stored.as_ref().map(Secret::expose))
    }

    fn write_credentials(self, keys: &Keys, Settings { credentials, .. }: &Settings) -> Result<(), Abort> {
        let stored = (!credentials.is_empty()).then(|| credentials.to_stored());
        self.set_secret(keys, "credentials", stored.as_ref().map(Secret::expose))
    }
}

fn insert(
    conn: &Connection,
    uuid: &str,
    new: &NewSubscription,
    patterns: &str,
    now: UnixMicros,
) -> rusqlite::Result<()> {
    let insert = "INSERT INTO webhook_subscriptions
        (uuid, name, url, secret, topic_patterns, enabled, consecutive_failures, created_at, updated_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?7)";
    let (url, secret) = (new.url.expose(), new.secret.expose());
    let values = params![uuid, new.name, url, secret, patterns, new.enabled, now.to_sqlite()];
    sql::execute(conn, insert, values).map(drop)
}

/// Returns the UUID, of any type, of the row with this name or an equivalent one ([`is_same_name`]).
///
/// Names that are not ASCII are compared one by one, since SQLite does not normalize text.
pub(super) fn uuid_by_name(conn: &Connection, name: &str) -> rusqlite::Result<Option<Value>> {
    let exact = sql::find(conn, "SELECT uuid FROM webhook_subscriptions WHERE name = ?1", [name])?;
    if exact.is_some() || name.is_ascii() {
        return Ok(exact);
    }
    let others = "SELECT uuid, name FROM webhook_subscriptions WHERE name GLOB '*[^ -~]*'";
    let mut others = conn.prepare_cached(others)?;
    let mut rows = others.query([])?;
    while let Some(row) = rows.next()? {
        if row.get_ref(1)?.as_str().is_ok_and(|other| is_same_name(other, name)) {
            return row.get(0).map(Some);
        }
    }
    Ok(None)
}

/// Returns the assignments of the changed columns.
fn assignments(patch: &Patch, now: UnixMicros) -> Result<Assignments, Error> {
    let mut assign = Assignments::default();
    if let Some(name) = &patch.name {
        check_name(name)?;
        assign.set("name = ?", [text(name)]);
    }
    if let Some(url) = &patch.url {
        assign.set("url = ?", [text(url.expose())]);
    }
    if let Some(secret) = &patch.secret {
        check_secret(secret.expose())?;
        assign.set("secret = ?", [text(secret.expose())]);
    }
    if let Some(patterns) = &patch.patterns {
        assign.set("topic_patterns = ?", [text(json_list(patterns)?)]);
    }
    if let Some(enabled) = patch.enabled {
        assign.set(assign_enabled(enabled), []);
    }
    assign.set("updated_at = ?", [text(now.to_sqlite())]);
    Ok(assign)
}

/// Returns the SQL assignments of enabling or disabling. Enabling a disabled subscription resets its failures.
fn assign_enabled(enabled: bool) -> &'static str {
    if enabled {
        "enabled = 1, \
         consecutive_failures = CASE WHEN enabled = 1 THEN consecutive_failures ELSE 0 END, \
         last_error = CASE WHEN enabled = 1 THEN last_error END"
    } else {
        "enabled = 0"
    }
}

/// Returns a list as Python's `json.dumps` formats it, as DECNET writes the column.
fn json_list(patterns: &[Pattern]) -> Result<String, Problem> {
    if patterns.is_empty() {
        return Err(Problem::NoPattern);
    }
    let texts = patterns.iter().map(|pattern| serde_json::Value::from(pattern.as_str()).to_string());
    Ok(format!("[{}]", texts.collect::<Vec<_>>().join(", ")))
}
