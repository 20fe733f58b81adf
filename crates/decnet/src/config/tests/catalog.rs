//! Tests of the selection of the catalog file if no setting names it.

use std::os::unix::fs::{chown, symlink};
use std::path::PathBuf;

use decnet_store::catalog::{Catalog, Create};

use super::Host;
use crate::config::{Database, Found};
use crate::trust::Trust;

/// A host whose working directory is not its data directory.
fn host(environment: &[(&str, &str)]) -> Host {
    let mut host = Host::new(environment, "");
    host.inputs.data_dir = Some(host.dir.path().join("data"));
    std::fs::create_dir(host.dir.path().join("data")).unwrap();
    host
}

fn make(host: &Host, name: &str) -> PathBuf {
    let path = host.dir.path().join(name);
    Catalog::open(&path, Create::IfMissing).unwrap();
    path
}

fn settled(host: &Host) -> Found {
    let mut found = host.find();
    found.select_catalog(&host.inputs).unwrap();
    found
}

#[test]
fn catalog_of_the_working_directory_is_used_if_there_is_no_other() {
    let host = host(&[]);
    let ours = host.dir.path().join("data/decnet.db");
    assert_eq!(settled(&host).config.database, Database::Sqlite(ours.clone()));
    let theirs = make(&host, "decnet.db");
    let found = settled(&host);
    assert_eq!(found.config.database, Database::Sqlite(theirs.clone()));
    assert_eq!((&found.problems[..], &found.warnings[..]), (&[][..], &[][..]));
    let shown = found.settings.iter().find(|setting| setting.name == "DECNET_DB_URL").unwrap();
    let expected = (format!("sqlite:///{}", theirs.display()), "working directory");
    assert_eq!((shown.value.clone(), &*shown.source), expected);
    assert!(!ours.exists(), "no second catalog is created");
}

#[test]
fn second_catalog_causes_a_warning() {
    let host = host(&[]);
    let (ours, theirs) = (make(&host, "data/decnet.db"), make(&host, "decnet.db"));
    let found = settled(&host);
    assert_eq!(found.config.database, Database::Sqlite(ours.clone()));
    let [warning] = &found.warnings[..] else { panic!("{:?}", found.warnings) };
    let expected =
        format!("{} is used, and {} in the working directory is not", ours.display(), theirs.display());
    assert!(warning.contains(&expected), "{warning}");
    std::fs::remove_file(&ours).unwrap();
    symlink(&theirs, &ours).unwrap();
    assert_eq!(settled(&host).warnings, [""; 0], "both are the same file");
}

#[test]
fn untrusted_catalog_is_a_problem() {
    let host = host(&[]);
    let theirs = make(&host, "decnet.db");
    let refused = |why: &str| {
        let found = settled(&host);
        let [problem] = &found.problems[..] else { panic!("{why}: {:?}", found.problems) };
        assert!(problem.contains(&theirs.display().to_string()) && problem.contains(why), "{problem}");
        assert!(problem.contains("DECNET_DB_URL"), "{problem}");
        assert!(!host.dir.path().join("data/decnet.db").exists());
    };
    host.chmod("decnet.db", 0o666);
    refused("can be written by others (mode 0666)");
    host.chmod("decnet.db", 0o600);
    if Trust::default().is_root() {
        chown(&theirs, Some(65_534), None).unwrap();
        refused("belongs to another user (uid 65534)");
        chown(&theirs, Some(0), None).unwrap();
    }
    std::fs::rename(&theirs, host.dir.path().join("real.db")).unwrap();
    symlink("real.db", &theirs).unwrap();
    refused("is a symbolic link");
}

#[test]
fn file_without_decnets_table_causes_a_warning() {
    let host = host(&[]);
    for text in ["", "no database at all"] {
        std::fs::write(host.dir.path().join("decnet.db"), text).unwrap();
        host.chmod("decnet.db", 0o600);
        let found = settled(&host);
        assert_eq!(found.config.database, Database::Sqlite(host.dir.path().join("data/decnet.db")));
        assert!(found.warnings[0].contains("has no table webhook_subscriptions"), "{:?}", found.warnings);
        assert_eq!(found.problems, [""; 0]);
    }
}

#[test]
fn configured_catalog_takes_precedence() {
    let host = host(&[("DECNET_DB_URL", "sqlite:////srv/other.db")]);
    make(&host, "decnet.db");
    let found = settled(&host);
    assert_eq!(found.config.database, Database::Sqlite("/srv/other.db".into()));
    assert_eq!((&found.problems[..], &found.warnings[..]), (&[][..], &[][..]));
}
