//! The services can use the catalog that is in force, or `decnet init` refuses.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::image::{UNITS, files, foreign, init};
use crate::support::{Host, code, stderr};

#[test]
fn what_would_fail_is_refused_before_anything_is_touched() {
    let host = Host::new();
    let before = foreign(&host, "decnet-webhook.service", "trap");
    let root = host.path().join("root");
    let refused = |arguments: &[&str], says: &str| {
        let there = files(&root);
        let (status, said) = init(&host, &[&["--only", "webhook"][..], arguments].concat());
        assert_eq!(status, 2, "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
        assert_eq!(files(&root), there, "{arguments:?}: something was touched");
    };
    for binary in ["/root/.cargo/bin/decnet", "/home/joe/decnet", "/var/tmp/decnet"] {
        refused(&["--binary", binary], "is hidden from them");
    }
    fs::create_dir_all(root.join("home/joe/decnet")).unwrap();
    fs::write(root.join("home/joe/decnet/decnet.db"), "").unwrap();
    refused(&["--install-dir", "/home/joe/decnet"], "catalog /home/joe/decnet/decnet.db: /home is hidden");
    // A DECNET on a server, with an old file lying about.
    fs::create_dir_all(root.join("srv/decnet")).unwrap();
    fs::write(root.join("srv/decnet/decnet.db"), "").unwrap();
    let env = root.join("srv/decnet/.env.local");
    fs::write(&env, "DECNET_DB_TYPE=mysql\n").unwrap();
    refused(&[], "opens SQLite only");
    fs::write(&env, "DECNET_DB_URL=mysql+asyncmy://decnet:hunter2@db/decnet\n").unwrap();
    refused(&[], "opens SQLite only");
    fs::remove_file(&env).unwrap();
    fs::create_dir_all(root.join("etc/decnet")).unwrap();
    let ini = root.join("etc/decnet/decnet.ini");
    fs::write(&ini, "[database]\ntype = mysql\n").unwrap();
    refused(&[], "opens SQLite only");
    // The environment wins, as it does for the service.
    fs::write(&env, "DECNET_DB_URL=sqlite:////srv/decnet/decnet.db\n").unwrap();
    let (status, said) = init(&host, &["--only", "webhook"]);
    assert_eq!(status, 0, "{said}");
    fs::remove_file(&env).unwrap();
    let (status, said) = init(&host, &["--only", "webhook", "--deinit"]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(fs::read_to_string(host.path().join(UNITS).join("decnet-webhook.service")).unwrap(), before);
}

#[test]
fn the_catalog_that_is_in_force_can_be_written() {
    let host = Host::new();
    foreign(&host, "decnet-webhook.service", "trap");
    let root = host.path().join("root");
    let (ini, env) = (root.join("etc/decnet/decnet.ini"), root.join("srv/decnet/.env.local"));
    for (file, text) in [
        (&ini, "[database]\nurl = sqlite:////srv/ini/decnet.db\n"),
        // One that lies about, and is not in force.
        (&root.join("srv/decnet/decnet.db"), ""),
    ] {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let written = |service: &str| {
        let (status, said) = init(&host, &["--only", service, "--force", "--install-dir", "/srv/decnet"]);
        assert_eq!(status, 0, "{said}");
        fs::read_to_string(host.path().join(UNITS).join(format!("decnet-{service}.service"))).unwrap()
    };
    let writable = |service: &str| {
        let unit = written(service);
        // Where the settings name the catalog, the unit does not overrule them.
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
        assert_eq!(writable("bus"), None, "it opens none");
    }
    fs::write(&env, "DECNET_DB_URL='sqlite:////srv/our data/decnet.db'\n").unwrap();
    let there = files(&root);
    let (status, said) = init(&host, &["--only", "webhook", "--force"]);
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("the catalog's directory `/srv/our data` has ' ' in it"), "{said}");
    assert_eq!(files(&root), there, "something was touched");
}

#[test]
fn a_catalog_that_root_makes_belongs_to_the_directorys_owner() {
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
