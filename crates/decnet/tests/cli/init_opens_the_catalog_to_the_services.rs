//! Tests that the installed services can use the configured catalog, or `decnet init` refuses.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::image::{UNITS, files, foreign, init};
use crate::support::{Host, code, stderr};

#[test]
fn unusable_setups_are_refused_without_changes() {
    let host = Host::new();
    let before = foreign(&host, "decnet-webhook.service", "trap");
    let root = host.path().join("root");
    let refused = |arguments: &[&str], expected: &str| {
        let there = files(&root);
        let (status, output) = init(&host, &[&["--only", "webhook"][..], arguments].concat());
        assert_eq!(status, 2, "{arguments:?}: {output}");
        assert!(output.contains(expected), "{arguments:?}: {output}");
        assert_eq!(files(&root), there, "{arguments:?}: something was changed");
    };
    for binary in ["/root/.cargo/bin/decnet", "/home/joe/decnet", "/var/tmp/decnet"] {
        refused(&["--binary", binary], "is hidden from them");
    }
    fs::create_dir_all(root.join("home/joe/decnet")).unwrap();
    fs::write(root.join("home/joe/decnet/decnet.db"), "").unwrap();
    refused(&["--install-dir", "/home/joe/decnet"], "catalog /home/joe/decnet/decnet.db: /home is hidden");
    // A DECNET with a database server and an unused old file.
    fs::create_dir_all(root.join("srv/decnet")).unwrap();
    fs::write(root.join("srv/decnet/decnet.db"), "").unwrap();
    let env = root.join("srv/decnet/.env.local");
    fs::write(&env, "DECNET_DB_TYPE=mysql\n").unwrap();
    refused(&[], "supports SQLite only");
    fs::write(&env, "DECNET_DB_URL=mysql+asyncmy://decnet:hunter2@db/decnet\n").unwrap();
    refused(&[], "supports SQLite only");
    fs::remove_file(&env).unwrap();
    fs::create_dir_all(root.join("etc/decnet")).unwrap();
    let ini = root.join("etc/decnet/decnet.ini");
    fs::write(&ini, "[database]\ntype = mysql\n").unwrap();
    refused(&[], "supports SQLite only");
    // The environment takes precedence, as it does for the service.
    fs::write(&env, "DECNET_DB_URL=sqlite:////srv/decnet/decnet.db\n").unwrap();
    let (status, output) = init(&host, &["--only", "webhook"]);
    assert_eq!(status, 0, "{output}");
    fs::remove_file(&env).unwrap();
    let (status, output) = init(&host, &["--only", "webhook", "--deinit"]);
    assert_eq!(status, 0, "{output}");
    assert_eq!(fs::read_to_string(host.path().join(UNITS).join("decnet-webhook.service")).unwrap(), before);
}

#[test]
fn services_may_write_the_configured_catalog() {
    let host = Host::new();
    foreign(&host, "decnet-webhook.service", "trap");
    let root = host.path().join("root");
    let (ini, env) = (root.join("etc/decnet/decnet.ini"), root.join("srv/decnet/.env.local"));
    for (file, text) in [
        (&ini, "[database]\nurl = sqlite:////srv/ini/decnet.db\n"),
        // An unused old file.
        (&root.join("srv/decnet/decnet.db"), ""),
    ] {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let written = |service: &str| {
        let (status, output) = init(&host, &["--only", service, "--force", "--install-dir", "/srv/decnet"]);
        assert_eq!(status, 0, "{output}");
        fs::read_to_string(host.path().join(UNITS).join(format!("decnet-{service}.service"))).unwrap()
    };
    let writable = |service: &str| {
        let unit = written(service);
        // The unit does not override a catalog that the settings name.
        assert!(!unit.contains("DECNET_DB_URL="), "{unit}");
        unit.lines().find_map(|line| line.strip_prefix("ReadWritePaths=")).map(str::to_owned)
    };
    assert_eq!(writable("webhook").as_deref(), Some("/srv/ini"));
    for (url, expected) in [
        ("sqlite:////srv/data/decnet.db", Some("/srv/data")),
        ("sqlite:///data/decnet.db", Some("/srv/decnet/data")),
        ("sqlite:////var/lib/decnet/catalog/decnet.db", None),
    ] {
        fs::write(&env, format!("DECNET_DB_URL={url}\n")).unwrap();
        assert_eq!(writable("webhook").as_deref(), expected, "{url}");
        assert_eq!(writable("api").as_deref(), expected, "{url}");
        assert_eq!(writable("bus"), None, "the bus opens no catalog");
    }
    fs::write(&env, "DECNET_DB_URL='sqlite:////srv/our data/decnet.db'\n").unwrap();
    let there = files(&root);
    let (status, output) = init(&host, &["--only", "webhook", "--force"]);
    assert_eq!(status, 2, "{output}");
    assert!(output.contains("the catalog's directory `/srv/our data` contains ' '"), "{output}");
    assert_eq!(files(&root), there, "something was changed");
}

#[test]
fn catalog_created_by_root_gets_the_directorys_owner() {
    let host = Host::new();
    let data = host.path().join("data");
    fs::create_dir(&data).unwrap();
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if is_root {
        std::os::unix::fs::chown(&data, Some(65_534), Some(65_534)).unwrap();
    }
    let made = host.run(&[
        "subscription",
        "create",
        "--name",
        "a",
        "--url",
        "https://192.0.2.1/",
        "--pattern",
        "a",
        "--json",
    ]);
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    let (directory, catalog) = (fs::metadata(&data).unwrap(), fs::metadata(data.join("decnet.db")).unwrap());
    assert_eq!((catalog.uid(), catalog.gid()), (directory.uid(), directory.gid()));
    assert_eq!(catalog.mode() & 0o777, 0o600);
}
