//! Tests of values that DECNET accepts, and of the warnings about them.

use std::time::Duration;

use super::{Host, JWT, allows, problems};

#[test]
fn secret_in_a_file_readable_by_others_causes_a_warning() {
    let mut host = Host::new(&[], &format!("[master]\njwt-secret = {JWT}\n"));
    for (mode, readers) in
        [(0o600, None), (0o640, Some("its group")), (0o644, Some("every user of this host"))]
    {
        host.chmod("decnet.ini", mode);
        host.inputs.uses.secrets = false;
        assert_eq!(host.find().warnings, [""; 0], "only daemons and check warn");
        host.inputs.uses.secrets = true;
        let found = host.find();
        assert_eq!(found.problems, [""; 0]);
        let expected = found.warnings.iter().find(|warning| warning.contains("DECNET_JWT_SECRET"));
        assert_eq!(expected.is_some(), readers.is_some(), "{mode:o}: {:?}", found.warnings);
        if let (Some(expected), Some(readers)) = (expected, readers) {
            assert!(
                expected.contains(&format!("{readers} can read")) && !expected.contains(JWT),
                "{expected}"
            );
        }
    }
}

#[test]
fn flags_are_read_as_decnet_reads_them() {
    for text in ["1", "0", "yes", "no", "on", "off"] {
        let names = ["DECNET_BUS_ENABLED", "DECNET_DISALLOW_MASTER", "DECNET_LIMITER_ENABLED"];
        let closed = ["DECNET_WEBHOOK_ALLOW_PRIVATE", "DECNET_DEVELOPER_TRACING"];
        let environment: Vec<_> = names.iter().chain(&closed).map(|name| (*name, text)).collect();
        let found = Host::new(&environment, "").find();
        assert_eq!(found.problems, [""; 0], "{text}");
        let config = &found.config;
        assert!(config.bus.enabled && config.disallow_master && config.api.limits_creations, "{text}");
        assert!(!allows(config, "10.0.0.1") && config.tracing.is_none(), "{text}");
        assert_eq!(found.warnings.len(), 5, "{:?}", found.warnings);
        let expected = format!("DECNET_BUS_ENABLED (environment) is `{text}`, which is read as true");
        assert!(found.warnings.iter().any(|warning| warning.starts_with(&expected)), "{:?}", found.warnings);
    }
    let found =
        Host::new(&[("DECNET_BUS_ENABLED", "FALSE"), ("DECNET_WEBHOOK_ALLOW_PRIVATE", "True")], "").find();
    assert!(!found.config.bus.enabled && allows(&found.config, "10.0.0.1") && found.warnings.is_empty());
}

#[test]
fn decnets_seconds_are_accepted() {
    for (text, seconds) in [("7200", 3600), ("1e2", 100), ("inf", 3600), ("5.0", 5), ("1", 5)] {
        let config = Host::new(&[("DECNET_WEBHOOK_BUS_RECONNECT_SECS", text)], "").config();
        assert_eq!(config.bus.reconnect, Duration::from_secs(seconds), "{text}");
    }
}

#[test]
fn collector_endpoint_is_shown_without_secrets() {
    let tracing = ("DECNET_DEVELOPER_TRACING", "true");
    for url in ["http://u:hunter2@collector:4317/", "https://collector:4317/hunter2?k=hunter2"] {
        let host = Host::new(&[tracing, ("DECNET_OTEL_ENDPOINT", url)], "");
        let found = host.find();
        assert!(found.problems[0].contains("://collector:4317`"), "{:?}", found.problems);
        assert!(!format!("{:?} {:?}", found.problems, found.settings).contains("hunter2"), "{found:?}");
    }
    let problems = problems(&[("DECNET_CORS_ORIGINS", "https://u:hunter2@dash.example/")], "");
    assert!(problems.len() == 1 && !problems[0].contains("hunter2"), "{problems:?}");
}

#[test]
fn guessable_session_secret_causes_a_warning() {
    let weak = "secretsecretsecretsecretsecretsecret";
    let host = Host::new(&[("DECNET_JWT_SECRET", weak)], "");
    let [warning] = &host.find().warnings[..] else { panic!("{:?}", host.find().warnings) };
    let expected = "DECNET_JWT_SECRET (environment): the secret has fewer than 8 different characters";
    assert!(warning.starts_with(expected) && warning.contains("openssl rand -hex 32"), "{warning}");
    assert!(!warning.contains(weak), "{warning}");
    let file = "secret";
    let mut host = Host::new(&[], "").file(file, "abcdefghijklmnopqrstuvwxyz0123456789\n");
    let path = host.dir.path().join(file).to_string_lossy().into_owned();
    host.inputs.environment.insert("DECNET_JWT_SECRET_FILE".into(), path.clone());
    let warnings = host.find().warnings;
    assert!(warnings[0].starts_with(&format!("{path}: the secret is a run")), "{warnings:?}");
    assert!(Host::new(&[("DECNET_JWT_SECRET", JWT)], "").find().warnings.is_empty());
}
