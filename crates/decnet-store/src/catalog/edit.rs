//! What an operator changes: new subscriptions, changed ones, deleted ones.

use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::{Change, Settings, SettingsPatch};
use decnet_core::subscription::{Problem, check_name, check_secret, is_same_name};
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params, params_from_iter};
use uuid::Uuid;

use super::error::Error;
use super::judge::{headers, settings};
use super::open::Catalog;
use super::side::{self, Side};
use super::trips::Trips;

/// What a new subscription needs.
#[derive(Debug, Clone)]
pub struct NewSubscription {
    /// Unique among all.
    pub name: String,
    /// Where its events go.
    pub url: EndpointUrl,
    /// What they are signed with; [`generate_secret`](super::generate_secret) makes one.
    pub secret: Secret,
    /// Which topics it gets, at least one.
    pub patterns: Vec<Pattern>,
    /// Does it get them from now on?
    pub enabled: bool,
    /// What it asks for beyond its row.
    pub settings: Settings,
}

/// What to change of a subscription; what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    /// Another name, unique among all.
    pub name: Option<String>,
    /// Another receiver.
    pub url: Option<EndpointUrl>,
    /// Another secret, at once: whatever was there before does not sign any more. Else see
    /// [`Catalog::rotate_secret`].
    pub secret: Option<Secret>,
    /// Other patterns, at least one.
    pub patterns: Option<Vec<Pattern>>,
    /// `true` also forgets what tripped it, where it was disabled, and that its receiver has asked to be sent nothing; `false`
    /// is an operator's wish, never probed.
    pub enabled: Option<bool>,
    /// What it asks for beyond its row.
    pub settings: SettingsPatch,
    /// `true` holds back all that is routed to it until it is `false` again.
    pub paused: Option<bool>,
}

impl Catalog {
    /// Adds a subscription and returns its new UUID.
    ///
    /// # Errors
    /// A name that is taken, a value out of bounds, or a file that cannot be written.
    pub fn create(&mut self, new: &NewSubscription, now: UnixMicros) -> Result<String, Error> {
        let uuids = self.create_all(std::slice::from_ref(new), now)?;
        Ok(uuids.into_iter().next().expect("one UUID for each that was created"))
    }

    /// Adds many subscriptions, all or none, in one transaction; their new UUIDs, in their order.
    ///
    /// # Errors
    /// As [`Self::create`], for the first one that is refused.
    pub fn create_all(&mut self, new: &[NewSubscription], now: UnixMicros) -> Result<Vec<String>, Error> {
        let prepared: Vec<_> = new.iter().map(prepare).collect::<Result<_, Error>>()?;
        self.write(|transaction, mut side| {
            for (new, (uuid, patterns)) in new.iter().zip(&prepared) {
                if owner(transaction, &new.name)?.is_some() {
                    return Ok(Err(Error::NameTaken(new.name.clone())));
                }
                insert(transaction, uuid, new, patterns, now)?;
                if new.settings != Settings::default() {
                    make_side(transaction, &mut side)?;
                    keep_settings(transaction, uuid, &new.settings)?;
                    keep_headers(transaction, uuid, &new.settings)?;
                }
            }
            Ok(Ok(()))
        })?;
        Ok(prepared.into_iter().map(|(uuid, _)| uuid).collect())
    }

    /// Changes a subscription by its UUID; an empty patch changes nothing.
    ///
    /// # Errors
    /// No such UUID, a name that is taken, a value out of bounds, or a file that cannot be written.
    pub fn update(&mut self, uuid: &str, patch: &Patch, now: UnixMicros) -> Result<(), Error> {
        let Some((columns, mut values)) = assignments(patch, now)? else { return Ok(()) };
        values.push(text(uuid));
        self.write(|transaction, mut side| {
            let trips = Trips::detect(transaction)?;
            if let Some(name) = &patch.name
                && owner(transaction, name)?.is_some_and(|owner| owner != text(uuid))
            {
                return Ok(Err(Error::NameTaken(name.clone())));
            }
            // An operator's wish ends a trip, whether it enables or disables; any other change leaves it in force.
            let end =
                if patch.enabled.is_some() && trips.has_column() { ", auto_disabled_at = NULL" } else { "" };
            if patch.enabled.is_some() {
                trips.clear(transaction, uuid)?;
            } else {
                trips.carry(transaction, uuid, now)?;
            }
            let sql = format!("UPDATE webhook_subscriptions SET {columns}{end} WHERE uuid = ?");
            if transaction.execute(&sql, params_from_iter(values))? == 0 {
                return Ok(Err(not_found(uuid)));
            }
            if patch.enabled == Some(true) && side == Side::Present {
                side::clear_gone(transaction, uuid)?;
            }
            // Another receiver has asked for nothing, and an operator's word counts more than the receiver's.
            if (patch.enabled == Some(true) || patch.url.is_some()) && side == Side::Present {
                side::lift_deferral(transaction, uuid)?;
            }
            if let Some(paused) = patch.paused {
                make_side(transaction, &mut side)?;
                side::set_paused(transaction, uuid, paused)?;
            }
            if patch.secret.is_some() && side == Side::Present {
                side::set_old_secrets(transaction, uuid, &[])?;
            }
            if !patch.settings.is_empty() {
                make_side(transaction, &mut side)?;
            }
            if side == Side::Present && (!patch.settings.is_empty() || patch.url.is_some()) {
                return change_settings(transaction, uuid, &patch.settings);
            }
            Ok(Ok(()))
        })
    }

    /// Removes a subscription by its UUID, and what we keep beside it.
    ///
    /// # Errors
    /// No such UUID, or a file that cannot be written.
    pub fn delete(&mut self, uuid: &str) -> Result<(), Error> {
        self.write(|transaction, side| {
            let delete = "DELETE FROM webhook_subscriptions WHERE uuid = ?1";
            if transaction.execute(delete, [uuid])? == 0 {
                return Ok(Err(not_found(uuid)));
            }
            if side == Side::Present {
                side::forget_deleted(transaction)?;
            }
            Trips::detect(transaction)?.clear(transaction, uuid)?;
            Ok(Ok(()))
        })
    }
}

/// A new row's UUID and patterns, if its values are within bounds.
fn prepare(new: &NewSubscription) -> Result<(String, String), Error> {
    check_name(&new.name)?;
    check_secret(new.secret.expose())?;
    new.settings.headers.check_beside(&new.url).map_err(|error| Problem::Settings(error.into()))?;
    Ok((Uuid::new_v4().to_string(), json_list(&new.patterns)?))
}

/// Makes our table where it is not there yet.
fn make_side(transaction: &Transaction<'_>, side: &mut Side) -> rusqlite::Result<()> {
    if *side == Side::Absent {
        side::make(transaction)?;
        *side = Side::Present;
    }
    Ok(())
}

/// Changes what a subscription asks for. What could not be read gives way only where it is changed.
fn change_settings(
    transaction: &Transaction<'_>,
    uuid: &str,
    patch: &SettingsPatch,
) -> rusqlite::Result<Result<(), Error>> {
    let current = Settings {
        headers: headers(&side::get(transaction, uuid, "headers")?).unwrap_or_default(),
        ..settings(&side::get(transaction, uuid, "settings")?).unwrap_or_default()
    };
    let changed = match patch.apply(&current) {
        Ok(changed) => changed,
        Err(error) => return Ok(Err(Problem::from(error).into())),
    };
    let url = "SELECT CAST(url AS TEXT) FROM webhook_subscriptions WHERE uuid = ?1";
    let url: String = transaction.query_row(url, [uuid], |row| row.get(0))?;
    // A URL that is none is a problem of its own.
    if let Some(Err(error)) = EndpointUrl::new(&url).ok().map(|url| changed.headers.check_beside(&url)) {
        return Ok(Err(Problem::Settings(error.into()).into()));
    }
    if !(SettingsPatch { headers: Change::Keep, ..patch.clone() }.is_empty()) {
        keep_settings(transaction, uuid, &changed)?;
    }
    if !patch.headers.is_keep() {
        keep_headers(transaction, uuid, &changed)?;
    }
    Ok(Ok(()))
}

fn keep_settings(transaction: &Transaction<'_>, uuid: &str, settings: &Settings) -> rusqlite::Result<()> {
    let json = serde_json::to_string(settings).expect("settings are plain texts, numbers and flags");
    side::set_settings(transaction, uuid, &json)
}

fn keep_headers(transaction: &Transaction<'_>, uuid: &str, settings: &Settings) -> rusqlite::Result<()> {
    side::set_headers(transaction, uuid, &settings.headers.to_stored())
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

/// Returns the UUID, whatever it is, of a row with that name, or with one that reads the same.
///
/// Names outside ASCII are compared one by one, since SQLite does not know their normalization.
pub(super) fn owner(connection: &Connection, name: &str) -> rusqlite::Result<Option<Value>> {
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

/// The assignments of what the patch names, and no other column, with their values; none for an empty patch.
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
    columns.extend(patch.enabled.map(activity));
    if columns.is_empty() && patch.settings.is_empty() && patch.paused.is_none() {
        return Ok(None);
    }
    columns.push("updated_at = ?");
    values.push(Value::Text(now.to_sqlite()));
    Ok(Some((columns.join(", "), values)))
}

/// The assignments of an operator's wish. Enabling what was disabled starts afresh.
fn activity(enabled: bool) -> &'static str {
    if enabled {
        "enabled = 1, \
         consecutive_failures = CASE WHEN enabled = 1 THEN consecutive_failures ELSE 0 END, \
         last_error = CASE WHEN enabled = 1 THEN last_error END"
    } else {
        "enabled = 0"
    }
}

/// A list as Python's `json.dumps` writes it, so that the column looks as DECNET's own.
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

fn not_found(uuid: &str) -> Error {
    Error::NotFound { wanted: uuid.to_owned(), near: Vec::new() }
}
