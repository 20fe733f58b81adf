//! Tests of the key file: which files are used, and that others do not prevent a start.

use decnet_store::vault::generate_key;

use super::Host;
use crate::config::Uses;

/// Creates a host whose command uses the catalog, with a key file.
fn host(environment: &[(&str, &str)], key: &str) -> Host {
    let mut host = Host::new(environment, "").file("webhook.key", key);
    host.inputs.uses = Uses { catalog: true, ..Uses::default() };
    host
}

const NAMED: [(&str, &str); 1] = [("DECNET_WEBHOOK_KEY_FILE", "webhook.key")];

#[test]
fn key_file_is_used_by_commands_that_use_the_catalog() {
    let mut host = host(&NAMED, &generate_key());
    let found = host.find();
    assert_eq!((found.config.keys.ids().len(), &found.warnings[..]), (1, &[][..]));
    host.inputs.uses = Uses::default();
    assert_eq!(host.config().keys.path(), None);
}

#[test]
fn unusable_key_file_causes_a_warning_without_its_text() {
    for (mode, key, why) in [
        (0o640, &*generate_key(), "run chmod 0600"),
        (0o604, &generate_key(), "run chmod 0600"),
        (0o620, &generate_key(), "can be written by others"),
        (0o600, "hunter2", "line 1 is not 32 random bytes"),
        (0o600, "", "contains no key"),
    ] {
        let host = host(&NAMED, key);
        host.chmod("webhook.key", mode);
        let found = host.find();
        assert_eq!(found.problems, [""; 0], "{why}");
        let [warning] = &found.warnings[..] else { panic!("{why}: {:?}", found.warnings) };
        assert!(warning.contains("webhook.key") && warning.contains(why), "{warning}");
        assert!(!warning.contains("hunter2") && (key.is_empty() || !warning.contains(key)), "{warning}");
        assert!(found.config.keys.problem().is_some() && found.config.keys.ids().is_empty());
    }
    let missing = host(&[("DECNET_WEBHOOK_KEY_FILE", "/nowhere/key")], "");
    assert!(missing.find().warnings[0].contains("/nowhere/key cannot be used"));
}

#[test]
fn key_file_can_be_a_systemd_credential() {
    let mut host = host(&[], "");
    let directory = host.dir.path().join("credentials");
    std::fs::create_dir(&directory).unwrap();
    host.inputs.environment.insert("CREDENTIALS_DIRECTORY".into(), directory.to_str().unwrap().into());
    assert_eq!(host.config().keys.path(), None);
    let host = host.file("credentials/decnet-webhook-key", &generate_key());
    assert_eq!(host.config().keys.ids().len(), 1);
}
