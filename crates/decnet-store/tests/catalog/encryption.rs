//! Encryption of secrets at rest: with a key, with another key, and without one.

use std::path::PathBuf;
use std::time::Duration;

use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::{Settings, SettingsPatch};
use decnet_store::backup;
use decnet_store::catalog::{Catalog, Encryption, Error, NewSubscription, Patch, Reencrypted, RowDigests};
use decnet_store::vault::{Keyring, Keys, generate_key};
use rusqlite::types::Value;

use crate::support::*;

const HOUR: Duration = Duration::from_secs(60 * 60);
const SECRETS: &str = r#"{"headers": {"x-key": "hunter2"}, "auth": {"type": "bearer", "token": "hunter2"}}"#;

/// A database and a key file.
struct Vault {
    database: Database,
    path: PathBuf,
}

impl Vault {
    fn new() -> Self {
        let database = Database::new();
        let path = database.directory.path().join("key");
        Self { database, path }
    }

    /// Writes the key file.
    fn write(&self, keys: &[&str]) {
        std::fs::write(&self.path, keys.join("\n")).unwrap();
    }

    fn open(&self) -> Catalog {
        let keys = Keys::new(self.path.clone(), |path| {
            let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
            Keyring::parse(&text).map_err(|error| error.to_string())
        });
        self.database.open().with_keys(keys)
    }

    fn column(&self, column: &str) -> String {
        let select = format!("SELECT {column} FROM decnet_webhook_settings ORDER BY rowid LIMIT 1");
        match self.database.other.query_row(&select, [], |row| row.get(0)).unwrap() {
            Value::Text(text) => text,
            other => format!("{other:?}"),
        }
    }
}

fn with_settings(json: &str) -> Patch {
    Patch { settings: serde_json::from_str(json).unwrap(), ..Patch::default() }
}

/// Creates a subscription with a secret of every kind.
fn create(catalog: &mut Catalog, name: &str) -> String {
    let patch: SettingsPatch = serde_json::from_str(SECRETS).unwrap();
    let settings = patch.apply(&Settings::default()).unwrap();
    let uuid = catalog.create(&NewSubscription { settings, ..new_subscription(name) }, NOW).unwrap();
    catalog.rotate_secret(&uuid, &Secret::new("another-secret-of-ours"), HOUR, NOW).unwrap();
    uuid
}

fn hold(catalog: &mut Catalog, uuid: &str) -> String {
    stored(catalog, uuid).hold.expect("the subscription is held").to_string()
}

#[test]
fn secrets_are_encrypted_with_a_key() {
    let vault = Vault::new();
    vault.write(&[&generate_key()]);
    let mut catalog = vault.open();
    let uuid = create(&mut catalog, "siem");
    for column in ["headers", "credentials", "old_secrets"] {
        assert!(vault.column(column).starts_with("enc:v1:"), "{column}");
    }
    let found = stored(&mut catalog, &uuid);
    assert_eq!((found.hold, &found.warnings[..], found.old_secrets.len()), (None, &[][..], 1));
    assert!(found.settings.credentials.auth.is_some() && found.settings.headers.names().eq(["x-key"]));
    let row = catalog.find(&uuid).unwrap();
    assert!(!serde_json::to_string(&row).unwrap().contains("hunter2"));
    catalog.update(&uuid, &with_settings(r#"{"headers": {"x-b": "c"}}"#), NOW).unwrap();
    assert!(stored(&mut catalog, &uuid).settings.headers.names().eq(["x-b", "x-key"]));
    drop(catalog);
    let bytes = std::fs::read(&vault.database.path).unwrap();
    assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
}

#[test]
fn missing_key_holds_only_its_subscriptions() {
    let vault = Vault::new();
    let key = generate_key();
    vault.write(&[&key]);
    let uuid = create(&mut vault.open(), "siem");
    vault.database.add("u-2", "other");
    let mut without = vault.database.open();
    assert!(hold(&mut without, &uuid).contains("set DECNET_WEBHOOK_KEY_FILE"));
    assert_eq!(stored(&mut without, "u-2").hold, None);
    vault.write(&[&generate_key()]);
    let mut wrong = vault.open();
    assert!(hold(&mut wrong, &uuid).contains("does not have"));
    let row = wrong.find(&uuid).unwrap();
    assert!(row.is_held && row.settings.headers.is_empty());
    std::fs::remove_file(&vault.path).unwrap();
    assert!(hold(&mut vault.open(), &uuid).contains("the key file cannot be used"));
    vault.write(&[&key]);
    assert_eq!(stored(&mut wrong, &uuid).hold, None, "the file is read again");
}

#[test]
fn restored_key_is_noticed_although_the_row_is_unchanged() {
    let vault = Vault::new();
    let key = generate_key();
    vault.write(&[&key]);
    create(&mut vault.open(), "siem");
    vault.write(&[&generate_key()]);
    let (mut catalog, mut digests) = (vault.open(), RowDigests::default());
    let held = catalog.changes(&mut digests).unwrap().subscriptions;
    assert!(held[0].hold.is_some());
    vault.write(&[&generate_key(), &key]);
    let resumed = catalog.changes(&mut digests).unwrap().subscriptions;
    assert_eq!(resumed[0].hold, None);
    assert_eq!(catalog.changes(&mut digests).unwrap().subscriptions.len(), 0);
}

#[test]
fn value_of_another_row_is_not_accepted() {
    let vault = Vault::new();
    vault.write(&[&generate_key()]);
    let mut catalog = vault.open();
    let (one, other) = (create(&mut catalog, "one"), create(&mut catalog, "other"));
    let copy = "UPDATE decnet_webhook_settings SET credentials = (SELECT credentials FROM decnet_webhook_settings WHERE uuid = ?1)";
    vault.database.other.execute(copy, [&one]).unwrap();
    assert_eq!(stored(&mut catalog, &one).hold, None);
    assert!(hold(&mut catalog, &other).contains("cannot be decrypted"));
}

#[test]
fn locked_values_change_only_when_they_are_discarded() {
    let vault = Vault::new();
    vault.write(&[&generate_key()]);
    let uuid = create(&mut vault.open(), "siem");
    vault.write(&[&generate_key()]);
    let mut catalog = vault.open();
    let before = ["headers", "credentials", "old_secrets"].map(|column| vault.column(column));
    for change in [r#"{"headers": {"x-b": "c"}}"#, r#"{"headers": null}"#, r#"{"auth": null}"#] {
        let refused = catalog.update(&uuid, &with_settings(change), NOW).unwrap_err();
        assert!(refused.to_string().contains("--discard-encrypted"), "{change}: {refused}");
    }
    let third = Secret::new("a-third-secret-of-ours");
    assert!(catalog.rotate_secret(&uuid, &third, HOUR, NOW).is_err());
    assert_eq!(catalog.remove_expired_secrets(NOW.after(2 * HOUR)).unwrap(), 0);
    let url = EndpointUrl::new("https://b.example/").ok();
    catalog.update(&uuid, &Patch { url, ..with_settings(r#"{"timeout": "5s"}"#) }, NOW).unwrap();
    assert_eq!(["headers", "credentials", "old_secrets"].map(|column| vault.column(column)), before);
    let discarded = Patch { discard_encrypted: true, ..with_settings(r#"{"headers": {"x-b": "c"}}"#) };
    catalog.update(&uuid, &discarded, NOW).unwrap();
    let found = stored(&mut catalog, &uuid);
    assert_eq!((found.hold, found.old_secrets.len(), found.settings.credentials.is_empty()), (None, 0, true));
    assert!(found.settings.headers.names().eq(["x-b"]));
}

#[test]
fn no_secret_is_stored_in_plain_text_beside_encrypted_ones() {
    let vault = Vault::new();
    vault.write(&[&generate_key()]);
    create(&mut vault.open(), "siem");
    vault.database.add("u-2", "other");
    let mut without = vault.database.open();
    let refused = without.update("u-2", &with_settings(SECRETS), NOW);
    assert!(matches!(refused, Err(Error::NoKeyFile)), "{refused:?}");
    without.update("u-2", &with_settings(r#"{"timeout": "5s"}"#), NOW).unwrap();
    std::fs::remove_file(&vault.path).unwrap();
    let refused = vault.open().update("u-2", &with_settings(SECRETS), NOW);
    assert!(matches!(refused, Err(Error::KeyFile(_))), "{refused:?}");
}

#[test]
fn rotation_encrypts_everything_with_the_first_key() {
    let vault = Vault::new();
    let plain = create(&mut vault.database.open(), "plain");
    let (old, new) = (generate_key(), generate_key());
    vault.write(&[&old]);
    let mut running = vault.open();
    let sealed = create(&mut running, "sealed");
    let encryption = running.encryption().unwrap();
    assert_eq!((encryption.plain, encryption.by_key.values().copied().collect::<Vec<_>>()), (3, vec![3]));
    vault.write(&[&new, &old]);
    let mut catalog = vault.open();
    assert_eq!(catalog.reencrypt(false, NOW).unwrap(), Reencrypted { changed: 6, unchanged: 0, locked: 0 });
    assert_eq!(catalog.reencrypt(false, NOW).unwrap(), Reencrypted { changed: 0, unchanged: 6, locked: 0 });
    for uuid in [&plain, &sealed] {
        assert_eq!(stored(&mut running, uuid).hold, None, "a running process reads the new key");
    }
    vault.write(&[&new]);
    assert!(stored(&mut vault.open(), &plain).settings.credentials.auth.is_some());
    let keys = backup::encryption_keys(&vault.database.path).unwrap();
    assert_eq!(keys, catalog.encryption().unwrap().by_key.into_keys().collect::<Vec<_>>());
    assert_eq!(catalog.reencrypt(true, NOW).unwrap().changed, 6);
    assert_eq!(catalog.encryption().unwrap(), Encryption { plain: 6, ..Encryption::default() });
    assert_eq!(stored(&mut vault.database.open(), &sealed).old_secrets.len(), 1);
}

#[test]
fn rotation_leaves_locked_values_and_counts_them() {
    let vault = Vault::new();
    vault.write(&[&generate_key()]);
    create(&mut vault.open(), "siem");
    let before = vault.column("credentials");
    vault.write(&[&generate_key()]);
    let mut catalog = vault.open();
    create(&mut catalog, "other");
    assert_eq!(catalog.reencrypt(false, NOW).unwrap(), Reencrypted { changed: 0, unchanged: 3, locked: 3 });
    assert_eq!(vault.column("credentials"), before);
    std::fs::remove_file(&vault.path).unwrap();
    assert!(matches!(vault.open().reencrypt(false, NOW), Err(Error::KeyFile(_))));
}
