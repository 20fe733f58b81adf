//! Tests that settings which another user could have written are not used.

use std::os::unix::fs::{chown, symlink};

use super::{Host, with_unit};
use crate::config::Inputs;
use crate::trust::Trust;

/// Makes a file in the working directory untrusted in every possible way. Root also changes its owner.
fn distrusted(host: &Host, name: &str, check: impl Fn(&str)) {
    for mode in [0o620, 0o602] {
        host.chmod(name, mode);
        check("can be written by others");
    }
    host.chmod(name, 0o600);
    if Trust::default().is_root() {
        chown(host.dir.path().join(name), Some(65_534), None).unwrap();
        check("belongs to another user (uid 65534)");
        chown(host.dir.path().join(name), Some(0), None).unwrap();
    }
    host.chmod("", 0o1777);
    check("can be written by others (mode 1777)");
    host.chmod("", 0o700);
}

#[test]
fn dotenv_writable_by_others_is_ignored_with_a_warning() {
    for name in [".env.local", ".env"] {
        let host = Host::new(&[], "").file(name, "DECNET_JWT_SECRET=planted-planted-planted-planted-1\n");
        assert!(host.config().access.jwt_secret.is_some());
        let path = host.dir.path().join(name).display().to_string();
        // The INI file is in the same directory, so it is left out.
        let host = Host { inputs: without_ini(&host), ..host };
        distrusted(&host, name, |why| {
            let found = host.find();
            assert!(found.config.access.jwt_secret.is_none(), "{why}");
            assert_eq!(found.problems, [""; 0], "{why}");
            let [warning] = &found.warnings[..] else { panic!("{why}: {:?}", found.warnings) };
            assert!(warning.starts_with(&format!("ignoring {path}: ")) && warning.contains(why), "{warning}");
            assert!(!warning.contains("planted"), "{warning}");
        });
        assert!(host.config().access.jwt_secret.is_some(), "the file is trusted again");
    }
}

#[test]
fn relative_directories_in_an_untrusted_directory_are_a_problem() {
    let values = [("DECNET_DATA_DIR", "data"), ("DECNET_BUS_SOCKET", "bus.sock")];
    for (name, value) in values {
        let host = Host::new(&[(name, value)], "");
        let host = Host { inputs: without_ini(&host), ..host };
        assert_eq!(host.find().problems, [""; 0], "{name}");
        host.chmod("", 0o1777);
        let [problem] = &host.find().problems[..] else { panic!("{name}") };
        assert!(problem.starts_with(name) && problem.contains("mode 1777"), "{problem}");
    }
    let mut host = Host::new(&[], "");
    host.inputs = Inputs { data_dir: Some("data".into()), ..without_ini(&host) };
    host.chmod("", 0o1777);
    assert_eq!(host.find().problems, [""; 0], "paths on the command line are not checked");
}

fn without_ini(host: &Host) -> Inputs {
    let mut inputs = host.inputs.clone();
    inputs.environment.remove("DECNET_CONFIG");
    inputs
}

#[test]
fn symlinked_dotenv_is_ignored_with_a_warning() {
    let host = Host::new(&[], "").file("elsewhere", "DECNET_BUS_GROUP=planted\n");
    symlink("elsewhere", host.dir.path().join(".env.local")).unwrap();
    let found = host.find();
    assert_eq!(found.config.bus.group, "decnet");
    assert!(found.warnings[0].contains(".env.local is a symbolic link"), "{:?}", found.warnings);
}

#[test]
fn missing_dotenv_is_not_reported() {
    let host = Host::new(&[], "");
    let host = Host { inputs: without_ini(&host), ..host };
    host.chmod("", 0o1777);
    assert_eq!(host.find().warnings, [""; 0]);
}

#[test]
fn named_ini_writable_by_others_is_a_problem() {
    let mut host = Host::new(&[], "[bus]\ngroup = named\n");
    for by_argument in [false, true] {
        if by_argument {
            host.inputs = Inputs { ini: Some(host.dir.path().join("decnet.ini")), ..without_ini(&host) };
        }
        assert_eq!(host.config().bus.group, "named");
        distrusted(&host, "decnet.ini", |why| {
            let found = host.find();
            assert_eq!(found.config.bus.group, "decnet", "{why}");
            let [problem] = &found.problems[..] else { panic!("{why}: {:?}", found.problems) };
            assert!(problem.starts_with("cannot use ") && problem.contains(why), "{problem}");
        });
    }
}

#[test]
fn secret_file_writable_by_others_is_a_problem() {
    let host = Host::new(&[], "").file("secret", "6f1ed002ab5595859014ebf0951522d9\n");
    let mut inputs = without_ini(&host);
    let path = host.dir.path().join("secret").to_string_lossy().into_owned();
    inputs.environment.insert("DECNET_JWT_SECRET_FILE".into(), path);
    let host = Host { inputs, ..host };
    distrusted(&host, "secret", |why| {
        let found = host.find();
        assert!(found.config.access.jwt_secret.is_none(), "{why}");
        assert!(found.problems[0].contains(why), "{:?}", found.problems);
    });
    assert!(host.config().access.jwt_secret.is_some());
}

#[test]
fn units_file_writable_by_others_is_not_used() {
    let host = Host::new(&[("DECNET_DATA_DIR", "/data")], "").file("one", "DECNET_BUS_GROUP=planted\n");
    let host = with_unit(host, &["one"]);
    let mut host = Host { inputs: without_ini(&host), ..host };
    host.inputs.uses.services_data = true;
    assert_eq!(host.config().bus.group, "planted");
    distrusted(&host, "one", |why| {
        let found = host.find();
        assert_eq!(found.config.bus.group, "decnet", "{why}");
        let [warning] = &found.warnings[..] else { panic!("{why}: {:?}", found.warnings) };
        assert!(warning.contains(why) && warning.contains("not used here"), "{warning}");
    });
}

#[test]
fn home_of_another_user_is_not_used() {
    let host = Host::new(&[("DECNET_DATA_DIR", "")], "");
    let home = host.dir.path().to_string_lossy().into_owned();
    let mut host = Host { inputs: without_ini(&host), ..host };
    host.inputs.environment.insert("HOME".into(), home.clone());
    let socket = |host: &Host| host.find().config.bus.path().to_owned();
    if !socket(&host).starts_with(&home) {
        // This host has a bus or data in a place that takes precedence over a home.
        return;
    }
    host.chmod("", 0o777);
    let found = host.find();
    assert!(!found.config.bus.path().starts_with(&home) && !found.config.data_dir.starts_with(&home));
    let reported = found
        .warnings
        .iter()
        .chain(&found.problems)
        .any(|reported| reported.starts_with("HOME is not used: "));
    assert!(reported, "{:?} {:?}", found.warnings, found.problems);
}

#[test]
fn data_directory_readable_by_others_is_reported() {
    let mut host = Host::new(&[], "");
    host.inputs.data_dir = Some(host.dir.path().join("data"));
    host.inputs.uses.secrets = true;
    let warnings = |host: &Host| host.find().warnings;
    assert_eq!(warnings(&host), [""; 0], "it will be created with the right mode");
    std::fs::create_dir(host.dir.path().join("data")).unwrap();
    for (mode, is_fine) in [(0o700, true), (0o750, false), (0o701, false), (0o755, false)] {
        host.chmod("data", mode);
        let warnings = warnings(&host);
        assert_eq!(warnings.is_empty(), is_fine, "{mode:o}: {warnings:?}");
        assert!(is_fine || warnings[0].contains(&format!("(mode {mode:04o})")), "{warnings:?}");
    }
    host.chmod("data", 0o700);
    if Trust::default().is_root() {
        chown(host.dir.path().join("data"), Some(65_534), None).unwrap();
        assert!(warnings(&host)[0].contains("belongs to another user (uid 65534)"));
    }
}
