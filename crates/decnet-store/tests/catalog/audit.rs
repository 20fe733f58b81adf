//! The audit list: an entry for each change and its actor, in the same transaction, without secrets.

use std::time::Duration;

use decnet_core::access::{Scope, Scopes};
use decnet_core::limits::{AUDIT_RETENTION, MAX_AUDIT_ENTRIES};
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::Settings;
use decnet_core::time::UnixMicros;
use decnet_store::catalog::{
    Actor, AuditEntry, AuditFilter, Catalog, CircuitChange, Error, HealthUpdate, NewSubscription, NewToken,
    Patch,
};
use decnet_store::vault::{Keyring, Keys, generate_key};

use crate::support::{Database, NOW, SECRET, new_subscription, stored};

const OTHER_SECRET: &str = "another-very-secret-one";
const SETTINGS: &str =
    r#"{"rate": "50/s", "headers": {"x-key": "hunter2"}, "auth": {"type": "bearer", "token": "hunter2"}}"#;

fn all(catalog: &Catalog) -> Vec<AuditEntry> {
    list(catalog, AuditFilter::default())
}

fn list(catalog: &Catalog, filter: AuditFilter) -> Vec<AuditEntry> {
    catalog.audit(&AuditFilter { limit: 100_000, ..filter }).unwrap()
}

/// Returns the newest entry in one line: action, kind and name of the object, and the changed fields with their values.
fn newest(catalog: &Catalog) -> String {
    let entry = all(catalog).into_iter().next().unwrap();
    let changes = entry.changes.iter().map(|change| match (&change.from, &change.to) {
        (None, None) => change.field.clone(),
        (from, to) => {
            let [from, to] = [from, to].map(|value| value.as_deref().unwrap_or("-"));
            format!("{} {from} > {to}", change.field)
        }
    });
    let changes = changes.collect::<Vec<_>>().join("; ");
    format!("{} {} {}: {changes}", entry.action, entry.object.kind, entry.object.name)
}

fn patch(json: &str) -> Patch {
    Patch { settings: serde_json::from_str(json).unwrap(), ..Patch::default() }
}

fn with_settings(name: &str) -> NewSubscription {
    let settings = patch(SETTINGS).settings.apply(&Settings::default()).unwrap();
    NewSubscription { settings, ..new_subscription(name) }
}

#[test]
fn every_change_of_a_subscription_has_an_entry() {
    let database = Database::new();
    let mut catalog = database.open();
    let uuid = catalog.create(&with_settings("siem"), NOW).unwrap();
    let created = "create subscription siem: url - > https://siem.example/…; \
                   topic_patterns - > attacker.>, system.log; headers; credentials; settings.rate";
    assert_eq!(newest(&catalog), created);
    let flags = |enabled, paused| Patch { enabled, paused, ..Patch::default() };
    let secret = Secret::new(OTHER_SECRET);
    let renamed = Patch {
        name: Some("soc".into()),
        url: Some(EndpointUrl::new("https://siem.example/other-token").unwrap()),
        secret: Some(secret.clone()),
        ..patch(r#"{"rate": "60/s", "headers": {"x-key": "hunter3"}, "ordered": true}"#)
    };
    for (change, expected) in [
        (flags(Some(false), None), "disable subscription siem: enabled true > false"),
        (flags(Some(true), None), "enable subscription siem: enabled false > true"),
        (flags(Some(true), None), "enable subscription siem: "),
        (flags(None, Some(true)), "pause subscription siem: paused false > true"),
        (flags(None, Some(false)), "resume subscription siem: paused true > false"),
        (
            flags(Some(false), Some(true)),
            "update subscription siem: enabled true > false; paused false > true",
        ),
        (
            renamed,
            "update subscription soc: name siem > soc; url https://siem.example/… > https://siem.example/…; \
             secret; headers; settings.ordered; settings.rate",
        ),
    ] {
        catalog.update(&uuid, &change, NOW).unwrap();
        assert_eq!(newest(&catalog), expected);
    }
    catalog.rotate_secret(&uuid, &Secret::new(SECRET), Duration::from_secs(60), NOW).unwrap();
    assert_eq!(newest(&catalog), "rotate_secret subscription soc: secret; old_secrets");
    catalog.revoke_old_secrets(&uuid, NOW).unwrap();
    assert_eq!(newest(&catalog), "revoke_old_secrets subscription soc: old_secrets");
    catalog.delete(&uuid, NOW).unwrap();
    let deleted = "delete subscription soc: url https://siem.example/… > -; \
                   topic_patterns attacker.>, system.log > -; headers; credentials; settings.ordered; settings.rate";
    assert_eq!(newest(&catalog), deleted);
    let entries = all(&catalog);
    assert!(entries.iter().all(|entry| entry.object.id == uuid && entry.at == NOW));
    assert_eq!(entries.len(), 11);
    let text = serde_json::to_string(&entries).unwrap();
    for secret in [SECRET, OTHER_SECRET, "hunter", "token=", "path-token", "other-token"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[test]
fn changes_of_tokens_links_and_keys_have_entries() {
    let database = Database::new();
    let mut catalog = database.open();
    let expires_at = Some(UnixMicros(1_800_000_000_000_000));
    let new = NewToken { name: "ci".into(), scopes: Scopes::new([Scope::Read, Scope::Publish]), expires_at };
    let token = catalog.create_token(&new, NOW).unwrap();
    let expected = "create token ci: scopes - > read publish; expires_at - > 2027-01-15T08:00:00+00:00";
    assert_eq!(newest(&catalog), expected);
    catalog.revoke_token("ci", NOW).unwrap();
    assert_eq!(newest(&catalog), "revoke token ci: ");
    let code = catalog.create_link(Scopes::new([Scope::Read]), NOW).unwrap();
    assert!(newest(&catalog).starts_with("create link link-"), "{}", newest(&catalog));
    let (redeemed, entries) =
        catalog.acting_as(Actor::login_link(code.id()), |catalog| catalog.redeem_link(&code, NOW));
    assert!(redeemed.unwrap().is_some());
    assert_eq!((&*entries[0].action, &*entries[0].actor.kind, entries.len()), ("log_in", "link", 1));
    assert_eq!(entries[0].actor.name, entries[0].object.name);

    catalog.create(&with_settings("siem"), NOW).unwrap();
    let key = generate_key();
    let keyring = Keyring::parse(&key).unwrap();
    let id = keyring.ids().next().unwrap().to_owned();
    let keys = Keys::new("/key".into(), move |_| Ok(Keyring::parse(&key).unwrap()));
    let mut catalog = catalog.with_keys(keys);
    catalog.reencrypt(false, NOW).unwrap();
    assert_eq!(newest(&catalog), format!("encrypt keys : key - > {id}; values - > 2"));
    let before = all(&catalog).len();
    catalog.reencrypt(false, NOW).unwrap();
    catalog.record_token_use(token.id(), NOW).unwrap();
    assert_eq!(all(&catalog).len(), before, "nothing was changed");
}

#[test]
fn change_that_is_rolled_back_has_no_entry() {
    let database = Database::new();
    let mut catalog = database.open();
    let uuid = catalog.create(&new_subscription("siem"), NOW).unwrap();
    catalog.create(&new_subscription("other"), NOW).unwrap();
    catalog.take_unpublished();
    let before = all(&catalog);
    let rename = Patch { name: Some("other".into()), ..Patch::default() };
    assert!(matches!(catalog.update(&uuid, &rename, NOW), Err(Error::NameTaken(_))));
    assert!(catalog.create_all(&["a", "siem"].map(new_subscription), NOW).is_err());
    assert!(catalog.update("u-0", &Patch { paused: Some(true), ..Patch::default() }, NOW).is_err());
    assert!(catalog.delete("u-0", NOW).is_err() && catalog.revoke_token("none", NOW).is_err());
    assert!(catalog.rotate_secret(&uuid, &Secret::new(SECRET), Duration::ZERO, NOW).is_err());
    catalog.update(&uuid, &Patch::default(), NOW).unwrap();
    assert_eq!(all(&catalog), before);
    assert!(catalog.take_unpublished().is_empty());
    // If the entry cannot be written, the change is not made.
    database.other.execute_batch("UPDATE decnet_audit_schema SET version = 99").unwrap();
    let refused = catalog.delete(&uuid, NOW).unwrap_err();
    assert!(matches!(refused, Error::NewerSchema { found: 99, .. }), "{refused}");
    assert_eq!(database.all_rows().len(), 2);
}

#[test]
fn results_of_deliveries_have_no_entry() {
    let database = Database::new();
    database.add("u-1", "siem");
    let mut catalog = database.open();
    let version = stored(&mut catalog, "u-1").version;
    let trip = HealthUpdate { change: CircuitChange::Trip, ..HealthUpdate::new(version) };
    catalog.record(&[trip], NOW).unwrap();
    catalog.remove_expired_secrets(NOW).unwrap();
    assert!(all(&catalog).is_empty());
}

#[test]
fn actor_is_the_user_of_the_process_or_the_given_one() {
    let database = Database::new();
    let mut catalog = database.open();
    let uuid = catalog.create(&new_subscription("siem"), NOW).unwrap();
    let pause = Patch { paused: Some(true), ..Patch::default() };
    let actor = Actor::token("0123456789abcdef", "ops");
    let (updated, entries) = catalog.acting_as(actor.clone(), |catalog| catalog.update(&uuid, &pause, NOW));
    updated.unwrap();
    assert_eq!((entries.len(), &entries[0].actor), (1, &actor));
    catalog.delete(&uuid, NOW).unwrap();
    let actors: Vec<_> = all(&catalog).into_iter().map(|entry| entry.actor).collect();
    assert_eq!(actors, [Actor::local_user(), actor, Actor::local_user()]);
    let uid = rustix_uid();
    assert_eq!((&*actors[0].kind, &*actors[0].id), ("local_user", &*uid));
    let unpublished = catalog.take_unpublished();
    assert_eq!(unpublished.iter().map(|entry| &*entry.action).collect::<Vec<_>>(), ["create", "delete"]);
}

/// Returns the uid of this process, from the owner of a new file.
fn rustix_uid() -> String {
    use std::os::unix::fs::MetadataExt as _;
    tempfile::tempfile().unwrap().metadata().unwrap().uid().to_string()
}

#[test]
fn entries_are_filtered_and_paged() {
    let database = Database::new();
    let mut catalog = database.open();
    let later = UnixMicros(NOW.0 + 1);
    let uuid = catalog.create(&new_subscription("siem"), NOW).unwrap();
    let ops = Actor::token("0123456789abcdef", "ops");
    let (other, _) = catalog.acting_as(ops, |catalog| catalog.create(&new_subscription("other"), later));
    other.unwrap();
    catalog.update(&uuid, &Patch { name: Some("soc".into()), ..Patch::default() }, later).unwrap();
    let names = |filter: AuditFilter| {
        list(&catalog, filter).into_iter().map(|entry| entry.object.name).collect::<Vec<_>>()
    };
    let filter = AuditFilter::default;
    assert_eq!(names(filter()), ["soc", "other", "siem"]);
    assert_eq!(names(AuditFilter { subscription: Some(uuid.clone()), ..filter() }), ["soc", "siem"]);
    assert_eq!(names(AuditFilter { subscription: Some("siem".into()), ..filter() }), ["siem"]);
    for actor in ["ops", "0123456789abcdef"] {
        assert_eq!(names(AuditFilter { actor: Some(actor.into()), ..filter() }), ["other"]);
    }
    assert_eq!(names(AuditFilter { since: Some(later), ..filter() }), ["soc", "other"]);
    let page = catalog.audit(&AuditFilter { limit: 2, ..filter() }).unwrap();
    assert_eq!(page.len(), 2);
    assert_eq!(names(AuditFilter { before: page.last().map(|entry| entry.id), ..filter() }), ["siem"]);
}

#[test]
fn old_and_surplus_entries_are_removed() {
    let database = Database::new();
    let mut catalog = database.open();
    let uuid = catalog.create(&new_subscription("siem"), NOW).unwrap();
    let fill = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MAX_AUDIT_ENTRIES})
         INSERT INTO decnet_audit (at, actor_kind, actor_id, actor_name, action, object_kind, object_id, object_name, changes)
         SELECT {}, 'token', '', '', 'update', 'subscription', '', '', '[]' FROM n",
        NOW.0
    );
    database.other.execute_batch(&fill).unwrap();
    let pause = Patch { paused: Some(true), ..Patch::default() };
    catalog.update(&uuid, &pause, NOW).unwrap();
    let entries = all(&catalog);
    assert_eq!(entries.len(), MAX_AUDIT_ENTRIES);
    assert_eq!((&*entries[0].action, &*entries.last().unwrap().action), ("pause", "update"));
    // A clock that is ahead for one change removes only a few entries.
    let ahead = NOW.after(AUDIT_RETENTION + Duration::from_secs(1));
    catalog.update(&uuid, &pause, ahead).unwrap();
    let left = all(&catalog);
    assert!(left.len() < entries.len() && left.len() > MAX_AUDIT_ENTRIES - 200, "{}", left.len());
    assert_eq!(left[0].at, ahead);
}

#[test]
fn invalid_entry_does_not_hide_others() {
    let database = Database::new();
    let mut catalog = database.open();
    catalog.create(&new_subscription("siem"), NOW).unwrap();
    let invalid = "INSERT INTO decnet_audit VALUES (99, 'then', 7, x'ff', char(27), 1, 2, 3, 4, 'no json')";
    database.other.execute_batch(invalid).unwrap();
    let entries = all(&catalog);
    assert_eq!((entries.len(), &*entries[0].actor.kind, entries[0].changes.len()), (2, "7", 0));
    assert_eq!(entries[0].actor.name, "\\u{1b}");
}
