//! Creation, changes and deletion of subscriptions by operators.

use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::{Change, Settings, SettingsPatch};
use decnet_core::subscription::{Problem, check_name, check_secret, is_same_name};
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params, params_from_iter};
use uuid::Uuid;

use super::error::Error;
use super::extension_table::{self, ExtensionTable};
use super::open::Catalog;
use super::trips::Trips;
use super::validate::{headers, settings};

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
    /// The settings, including headers.
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
        self.write(|transaction, mut extension| {
            for (new, (uuid, patterns)) in new.iter().zip(&prepared) {
                if uuid_by_name(transaction, &new.name)?.is_some() {
                    return Ok(Err(Error::NameTaken(new.name.clone())));
                }
                insert(transaction, uuid, new, patterns, now)?;
                if new.settings != Settings::default() {
                    extension.ensure(transaction)?;
                    write_settings(transaction, uuid, &new.settings)?;
                    write_headers(transaction, uuid, &new.settings)?;
                }
            }
            Ok(Ok(()))
        })?;
        Ok(prepared.into_iter().map(|(uuid, _)| uuid).collect())
    }

    /// Changes the subscription with this UUID. An empty patch changes nothing.
    ///
    /// # Errors
    /// The UUID does not exist, the name is taken, a value is invalid, or the file cannot be written.
    pub fn update(&mut self, uuid: &str, patch: &Patch, now: UnixMicros) -> Result<(), Error> {
        let Some((columns, mut values)) = assignments(patch, now)? else { return Ok(()) };
        values.push(text(uuid));
        self.write(|transaction, mut extension| {
            let trips = Trips::detect(transaction)?;
            if let Some(name) = &patch.name
                && uuid_by_name(transaction, name)?.is_some_and(|found| found != text(uuid))
            {
                return Ok(Err(Error::NameTaken(name.clone())));
            }
            // Enabling and disabling both end a trip. Other changes do not.
            let end_trip =
                if patch.enabled.is_some() && trips.has_column() { ", auto_disabled_at = NULL" } else { "" };
            if patch.enabled.is_some() {
                trips.clear(transaction, uuid)?;
            } else {
                trips.keep_through_update(transaction, uuid, now)?;
            }
            let sql = format!("UPDATE webhook_subscriptions SET {columns}{end_trip} WHERE uuid = ?");
            if transaction.execute(&sql, params_from_iter(values))? == 0 {
                return Ok(Err(Error::not_found(uuid)));
            }
            if patch.enabled == Some(true) && extension == ExtensionTable::Present {
                extension_table::clear_gone(transaction, uuid)?;
            }
            // A new receiver has requested no deferral, and enabling overrides the receiver's request.
            if (patch.enabled == Some(true) || patch.url.is_some()) && extension == ExtensionTable::Present {
                extension_table::lift_deferral(transaction, uuid)?;
            }
            if let Some(paused) = patch.paused {
                extension.ensure(transaction)?;
                extension_table::set(transaction, uuid, "paused", paused)?;
            }
            if patch.secret.is_some() && extension == ExtensionTable::Present {
                extension_table::set_old_secrets(transaction, uuid, &[])?;
            }
            if !patch.settings.is_empty() {
                extension.ensure(transaction)?;
            }
            if extension == ExtensionTable::Present && (!patch.settings.is_empty() || patch.url.is_some()) {
                return change_settings(transaction, uuid, &patch.settings);
            }
            Ok(Ok(()))
        })
    }

    /// Deletes the subscription with this UUID, and its row in the extension table.
    ///
    /// # Errors
    /// The UUID does not exist, or the file cannot be written.
    pub fn delete(&mut self, uuid: &str) -> Result<(), Error> {
        self.write(|transaction, extension| {
            let delete = "DELETE FROM webhook_subscriptions WHERE uuid = ?1";
            if transaction.execute(delete, [uuid])? == 0 {
                return Ok(Err(Error::not_found(uuid)));
            }
            if extension == ExtensionTable::Present {
                extension_table::delete_orphans(transaction)?;
            }
            Trips::detect(transaction)?.clear(transaction, uuid)?;
            Ok(Ok(()))
        })
    }
}

/// Validates a new subscription and returns its UUID and the value of `topic_patterns`.
fn prepare(new: &NewSubscription) -> Result<(String, String), Error> {
    check_name(&new.name)?;
    check_secret(new.secret.expose())?;
    new.settings.headers.check_with_url(&new.url).map_err(|error| Problem::Settings(error.into()))?;
    Ok((Uuid::new_v4().to_string(), json_list(&new.patterns)?))
}

/// Changes the settings. Stored values that cannot be read are overwritten only if the patch changes them.
fn change_settings(
    transaction: &Transaction<'_>,
    uuid: &str,
    patch: &SettingsPatch,
) -> rusqlite::Result<Result<(), Error>> {
    let current = Settings {
        headers: headers(&extension_table::get(transaction, uuid, "headers")?).unwrap_or_default(),
        ..settings(&extension_table::get(transaction, uuid, "settings")?).unwrap_or_default()
    };
    let changed = match patch.apply(&current) {
        Ok(changed) => changed,
        Err(error) => return Ok(Err(Problem::from(error).into())),
    };
    let url = "SELECT CAST(url AS TEXT) FROM webhook_subscriptions WHERE uuid = ?1";
    let url: String = transaction.query_row(url, [uuid], |row| row.get(0))?;
    // An invalid URL is reported by `validate`.
    if let Some(Err(error)) = EndpointUrl::new(&url).ok().map(|url| changed.headers.check_with_url(&url)) {
        return Ok(Err(Problem::Settings(error.into()).into()));
    }
    if !(SettingsPatch { headers: Change::Keep, ..patch.clone() }.is_empty()) {
        write_settings(transaction, uuid, &changed)?;
    }
    if !patch.headers.is_keep() {
        write_headers(transaction, uuid, &changed)?;
    }
    Ok(Ok(()))
}

fn write_settings(transaction: &Transaction<'_>, uuid: &str, settings: &Settings) -> rusqlite::Result<()> {
    let json = serde_json::to_string(settings).expect("settings are texts, numbers and flags");
    extension_table::set(transaction, uuid, "settings", json)
}

fn write_headers(transaction: &Transaction<'_>, uuid: &str, settings: &Settings) -> rusqlite::Result<()> {
    extension_table::set(transaction, uuid, "headers", settings.headers.to_stored().expose())
}

fn insert(
    transaction: &Transaction<'_>,
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
    transaction.prepare_cached(insert)?.execute(values)?;
    Ok(())
}

/// Returns the UUID, of any type, of the row with this name or an equivalent one ([`is_same_name`]).
///
/// Names that are not ASCII are compared one by one, since SQLite does not normalize text.
pub(super) fn uuid_by_name(connection: &Connection, name: &str) -> rusqlite::Result<Option<Value>> {
    let exact = "SELECT uuid FROM webhook_subscriptions WHERE name = ?1";
    let exact = connection.prepare_cached(exact)?.query_row([name], |row| row.get(0)).optional()?;
    if exact.is_some() || name.is_ascii() {
        return Ok(exact);
    }
    let others = "SELECT uuid, name FROM webhook_subscriptions WHERE name GLOB '*[^ -~]*'";
    let mut others = connection.prepare_cached(others)?;
    let mut rows = others.query([])?;
    while let Some(row) = rows.next()? {
        if row.get_ref(1)?.as_str().is_ok_and(|other| is_same_name(other, name)) {
            return row.get(0).map(Some);
        }
    }
    Ok(None)
}

/// Returns the SQL assignments of the changed columns with their values; `None` for an empty patch.
fn assignments(patch: &Patch, now: UnixMicros) -> Result<Option<(String, Vec<Value>)>, Error> {
    let (mut columns, mut values) = (Vec::new(), Vec::new());
    if let Some(name) = &patch.name {
        check_name(name)?;
        columns.push("name = ?");
        values.push(text(name));
    }
    if let Some(url) = &patch.url {
        columns.push("url = ?");
        values.push(text(url.expose()));
    }
    if let Some(secret) = &patch.secret {
        check_secret(secret.expose())?;
        columns.push("secret = ?");
        values.push(text(secret.expose()));
    }
    if let Some(patterns) = &patch.patterns {
        columns.push("topic_patterns = ?");
        values.push(Value::Text(json_list(patterns)?));
    }
    columns.extend(patch.enabled.map(assign_enabled));
    if columns.is_empty() && patch.settings.is_empty() && patch.paused.is_none() {
        return Ok(None);
    }
    columns.push("updated_at = ?");
    values.push(Value::Text(now.to_sqlite()));
    Ok(Some((columns.join(", "), values)))
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

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}
