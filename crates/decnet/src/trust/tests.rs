//! Tests with files that another user could have put there. As root, the tests change the owner of files; as another user,
//! they evaluate the trust of a different uid.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use super::*;

/// A uid that no user has.
const ANOTHER: u32 = 54_321;

/// A directory of the user who runs the test, and a `Trust` in that user.
struct Place {
    dir: tempfile::TempDir,
    trust: Trust,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        Self { dir, trust: Trust::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, "text").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    fn directory(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    /// Returns a `Trust` that does not cover the owner of `path`. If run as root, changes the owner.
    fn of_another(&self, path: &Path) -> Trust {
        if self.trust.is_root() {
            chown(path, Some(ANOTHER), None).unwrap();
            return self.trust.clone();
        }
        Trust { user: ANOTHER, ..self.trust.clone() }
    }
}

fn read(trust: &Trust, path: &Path, given: Given) -> Result<String, String> {
    trust.read(path, given, 100).map(|read| read.text).map_err(|refused| match refused {
        Refused::Untrusted(untrusted) => untrusted.to_string(),
        Refused::Io(error) => format!("io: {error}"),
    })
}

fn found(trust: &Trust, path: &Path) -> Result<String, String> {
    read(trust, path, Given::Found)
}

#[test]
fn file_and_directory_of_the_user_are_trusted() {
    let place = Place::new();
    let path = place.file("a", 0o644);
    assert_eq!(found(&place.trust, &path), Ok("text".into()));
    assert_eq!(read(&place.trust, &path, Given::Named), Ok("text".into()));
    assert_eq!(place.trust.read(&path, Given::Found, 100).unwrap().mode, 0o644);
    assert!(found(&place.trust, &place.path("b")).unwrap_err().starts_with("io:"));
}

#[test]
fn file_of_another_user_is_refused() {
    let place = Place::new();
    let path = place.file("a", 0o644);
    let trust = place.of_another(&path);
    let why = found(&trust, &path).unwrap_err();
    assert!(why.contains("belongs to another user (uid "), "{why}");
}

#[test]
fn file_that_others_may_write_is_refused() {
    let place = Place::new();
    for mode in [0o664, 0o646, 0o666, 0o620] {
        let path = place.file("a", mode);
        for given in [Given::Found, Given::Named] {
            let why = read(&place.trust, &path, given).unwrap_err();
            assert!(why.contains(&format!("/a can be written by others (mode {mode:04o})")), "{why}");
        }
    }
}

#[test]
fn directory_that_others_may_write_is_refused() {
    for mode in [0o777, 0o775, 0o1777] {
        let place = Place::new();
        place.directory("d", mode);
        let why = found(&place.trust, &place.file("d/a", 0o600)).unwrap_err();
        let advice = if mode == 0o1777 { "the sticky bit is not sufficient" } else { "run chmod go-w on it" };
        let expected = format!("/d can be written by others (mode {mode:04o}); {advice}");
        assert!(why.contains(&expected), "{why}");
    }
}

#[test]
fn directory_above_may_be_writable_only_if_sticky() {
    for (mode, is_trusted) in [(0o1777, true), (0o777, false)] {
        let place = Place::new();
        place.directory("d", mode);
        place.directory("d/e", 0o755);
        assert_eq!(found(&place.trust, &place.file("d/e/a", 0o600)).is_ok(), is_trusted, "{mode:o}");
    }
}

#[test]
fn directory_of_another_user_is_refused_at_any_level() {
    let place = Place::new();
    let above = place.directory("d", 0o755);
    place.directory("d/e", 0o755);
    let path = place.file("d/e/a", 0o644);
    let trust = place.of_another(&above);
    let why = found(&trust, &path).unwrap_err();
    assert!(why.contains("belongs to another user"), "{why}");
}

#[test]
fn symlink_in_a_default_location_is_not_followed() {
    let place = Place::new();
    place.file("a", 0o644);
    symlink("a", place.path("link")).unwrap();
    let why = found(&place.trust, &place.path("link")).unwrap_err();
    assert!(why.contains("/link is a symbolic link"), "{why}");
    assert_eq!(read(&place.trust, &place.path("link"), Given::Named), Ok("text".into()));
}

#[test]
fn every_component_of_a_symlinks_target_is_checked() {
    let place = Place::new();
    place.directory("open", 0o777);
    place.file("open/a", 0o644);
    symlink(place.path("open/a"), place.path("absolute")).unwrap();
    symlink("open/../open/a", place.path("relative")).unwrap();
    place.file("a", 0o644);
    symlink("../a", place.path("open/link")).unwrap();
    for name in ["absolute", "relative", "open/link"] {
        let why = read(&place.trust, &place.path(name), Given::Named).unwrap_err();
        assert!(why.contains("/open can be written by others"), "{name}: {why}");
    }
    symlink("loop", place.path("loop")).unwrap();
    assert!(read(&place.trust, &place.path("loop"), Given::Named).unwrap_err().starts_with("io:"));
}

#[test]
fn directories_and_pipes_are_refused_without_blocking() {
    let place = Place::new();
    place.directory("d", 0o755);
    let pipe = place.path("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    for path in [place.path("d"), pipe] {
        let why = found(&place.trust, &path).unwrap_err();
        assert!(why.ends_with("is not a regular file"), "{why}");
    }
}

#[test]
fn missing_file_in_an_untrusted_directory_is_not_found() {
    let place = Place::new();
    let directory = place.directory("d", 0o1777);
    assert!(found(&place.trust, &directory.join("a")).unwrap_err().starts_with("io:"));
}

#[test]
fn file_above_the_size_limit_is_rejected() {
    let place = Place::new();
    let path = place.file("a", 0o600);
    assert!(place.trust.read(&path, Given::Found, 4).is_ok());
    assert!(place.trust.read(&path, Given::Found, 3).is_err());
}

#[test]
fn services_are_trusted_only_below_their_directories() {
    let place = Place::new();
    let (inside, outside) = (place.directory("opt", 0o755), place.directory("other", 0o755));
    for name in ["opt/a", "other/a"] {
        place.file(name, 0o644);
    }
    let me = place.trust.user();
    // As root the files belong to a service; as another user this process is the service.
    let (owner, trust) = if place.trust.is_root() {
        (ANOTHER, place.trust.clone())
    } else {
        (me, Trust { user: ROOT, ..place.trust.clone() })
    };
    if place.trust.is_root() {
        for path in [&inside, &outside, &inside.join("a"), &outside.join("a")] {
            chown(path, Some(owner), None).unwrap();
        }
    } else {
        // The directories above belong to this user, too.
        let above = trust.with_service(owner, Path::new("/nowhere"));
        assert!(found(&above, &inside.join("a")).is_err());
        let all = above.with_service(owner, place.dir.path());
        assert!(found(&all, &inside.join("a")).is_ok());
        return;
    }
    let trust = trust.with_service(owner, &inside);
    assert_eq!(found(&trust, &inside.join("a")), Ok("text".into()));
    assert!(found(&trust, &outside.join("a")).unwrap_err().contains("belongs to another user"));
    assert!(found(&place.trust, &inside.join("a")).is_err());
}

#[test]
fn directory_is_trusted_if_no_other_user_can_create_it() {
    let place = Place::new();
    let check = |name: &str| place.trust.check_directory(&place.path(name)).is_ok();
    for (name, mode) in [("good", 0o700), ("group", 0o770), ("sticky", 0o1777)] {
        place.directory(name, mode);
    }
    let is_trusted = ["good", "good/a/b", "group", "group/a", "sticky", "sticky/a", "nothing"].map(check);
    assert_eq!(is_trusted, [true, true, false, false, false, false, true]);
    place.file("file", 0o600);
    assert!(!check("file"));
}
