//! Ctrl-C ends a command that waits for an answer or for a file.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::deliveries_are_listed_and_redelivered::host;
use crate::support::{Host, code, eventually};

/// Runs a command on a terminal, which turns the byte of Ctrl-C into a signal, and presses Ctrl-C at `question`. Returns the
/// exit code and the output.
fn interrupted_at(question: &str, host: &Host, arguments: &str) -> (Option<i32>, String) {
    let command = format!("exec {} {arguments}", env!("CARGO_BIN_EXE_decnet"));
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
    terminal.current_dir(host.path()).env_clear().env("HOME", host.path());
    let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut shown, mut some) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&shown).contains(question) {
        let read = screen.read(&mut some).unwrap();
        assert!(read > 0, "it never asked: {}", String::from_utf8_lossy(&shown));
        shown.extend_from_slice(&some[..read]);
    }
    keys.write_all(b"\x03").unwrap();
    eventually("the command ends", || child.try_wait().unwrap().is_some());
    screen.read_to_end(&mut shown).unwrap();
    (child.wait().unwrap().code(), String::from_utf8_lossy(&shown).into_owned())
}

#[test]
fn ctrl_c_at_the_prompt_cancels_a_purge() {
    let host = Host::new();
    assert_eq!(
        code(&host.run(&["init", "--prefix", "image", "--binary", "/usr/bin/decnet", "--no-start"])),
        0
    );
    let (exit, shown) = interrupted_at("Continue?", &host, "init --prefix image --deinit --purge");
    assert_eq!(exit, Some(1), "{shown}");
    assert!(shown.contains("nothing was removed"), "{shown}");
    assert!(host.path().join("image/etc/decnet/decnet.ini").exists());
}

#[test]
fn ctrl_c_ends_a_waiting_restore_and_leaves_no_files() {
    let host = host();
    host.json(&["backup", "b.tar", "--json"]);
    let (pipe, new) = (host.path().join("pipe"), host.path().join("new"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Opened for reading and writing, so that neither side sees an end of file.
    let mut writer = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let restore = host.start(&["restore", "pipe", "--data-dir", "new"]);
    // The manifest, and the beginning of the first database.
    writer.write_all(&fs::read(host.path().join("b.tar")).unwrap()[..4096]).unwrap();
    let has_begun = || {
        let files = fs::read_dir(&new).into_iter().flatten().flatten();
        files.filter(|file| file.file_name() != "queue.lock").any(|file| file.metadata().unwrap().len() > 0)
    };
    eventually("it has read some", has_begun);
    restore.signal("INT");
    let (exit, _, messages) = restore.finish();
    assert_eq!(exit, 1, "{messages}");
    assert!(messages.contains("interrupted; nothing was restored"), "{messages}");
    let left: Vec<_> = fs::read_dir(&new).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["queue.lock"]);
}
