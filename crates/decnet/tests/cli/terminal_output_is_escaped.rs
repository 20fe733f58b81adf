//! Untrusted text is escaped on a terminal and in messages. Output for programs is unchanged.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use decnet_core::text::is_hidden;
use serde_json::Value;

use crate::support::{Host, eventually, stderr, stdout};

/// C1, DEL, bidirectional and zero-width characters. JSON always escapes C0.
const HIDDEN: &str = "a\u{9b}2J\u{7f}\u{202e}\u{2066}\u{200b}\u{feff}\u{e0041}b";

/// Runs a command in `directory` with its output on a terminal.
fn on_terminal(host: &Host, arguments: &str) -> Command {
    let command = format!("stty -opost; exec {} {arguments}", env!("CARGO_BIN_EXE_decnet"));
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
    terminal.envs(host.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
    terminal.current_dir(host.path()).stdin(Stdio::null());
    terminal
}

fn shown(host: &Host, arguments: &str) -> String {
    stdout(&on_terminal(host, arguments).output().unwrap())
}

/// Returns whether a text has control or hidden characters, except line ends and this program's colours.
fn has_hidden(shown: &str) -> bool {
    ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[3m", "\x1b[31m", "\x1b[32m", "\x1b[33m"]
        .iter()
        .fold(shown.replace(['\n', '\r'], ""), |text, colour| text.replace(colour, ""))
        .contains(is_hidden)
}

#[test]
fn watch_escapes_payloads_only_on_a_terminal() {
    let host = Host::new();
    let _bus = host.start_bus();
    let payload = format!("{{\"text\":\"{HIDDEN}\"}}");
    let terminal = on_terminal(&host, "watch t.x --count 1").stdout(Stdio::piped()).spawn().unwrap();
    let mut terminal = Some(terminal);
    let mut pipe = host.start(&["watch", "t.x", "--count", "1"]);
    eventually("both have their event", || {
        assert!(host.run(&["publish", "t.x", &payload]).status.success());
        terminal.as_mut().unwrap().try_wait().unwrap().is_some() && !pipe.is_running()
    });
    let shown = stdout(&terminal.take().unwrap().wait_with_output().unwrap());
    assert!(!has_hidden(&shown), "{shown:?}");
    let line = shown.lines().find(|line| line.starts_with('{')).unwrap();
    let event: Value = serde_json::from_str(line).unwrap();
    assert_eq!(event["payload"]["text"], HIDDEN, "it is still JSON, and the same");
    let (_, piped, _) = pipe.finish();
    let event: Value = serde_json::from_str(&piped).unwrap();
    assert_eq!(event["payload"]["text"], HIDDEN);
    assert!(!piped.contains("\\u009b"), "{piped}");
}

#[test]
fn json_is_escaped_only_on_a_terminal() {
    let host = Host::new().with("DECNET_BUS_GROUP", HIDDEN);
    let group = |text: &str| {
        let line = text.lines().find(|line| line.starts_with('{')).unwrap();
        let checked: Value = serde_json::from_str(line).unwrap();
        let settings = checked["settings"].as_array().unwrap().clone();
        settings.into_iter().find(|setting| setting["name"] == "DECNET_BUS_GROUP").unwrap()["value"].clone()
    };
    let terminal = shown(&host, "check --json");
    assert!(!has_hidden(&terminal) && group(&terminal) == HIDDEN, "{terminal:?}");
    let piped = stdout(&host.run(&["check", "--json"]));
    assert!(piped.contains(HIDDEN) && group(&piped) == HIDDEN, "{piped:?}");
}

#[test]
fn tables_and_errors_are_escaped_everywhere() {
    let odd = "\x1b[2J\u{9b}\u{202e}\n";
    let host = Host::new().with("DECNET_BUS_GROUP", &format!("{HIDDEN}{odd}"));
    for arguments in [&["check"][..], &["delivery", "show", odd], &["publish", odd], &["restore", odd]] {
        let output = host.run(arguments);
        let messages = stdout(&output) + &stderr(&output);
        assert!(!has_hidden(&messages) && messages.contains("\\u{202e}"), "{arguments:?}: {messages:?}");
    }
    let terminal = shown(&host, "check");
    assert!(!has_hidden(&terminal) && terminal.contains("\\u{9b}2J"), "{terminal:?}");
}

#[test]
fn messages_are_escaped_as_text_and_on_terminals() {
    let name = format!("DECNET_{HIDDEN}\x1b[2J");
    let host = Host::new();
    // The warning about the duplicate setting contains its name.
    std::fs::write(host.path().join(".env"), format!("{name}=1\n{name}=2\n")).unwrap();
    let warning = "is set again on line 2";
    let file = stderr(&host.run(&["check"]));
    assert!(file.contains(warning) && !has_hidden(&file), "{file:?}");
    let terminal = shown(&host, "check");
    assert!(terminal.contains(warning) && !has_hidden(&terminal), "{terminal:?}");
    let json = host.with("DECNET_LOG_FORMAT", "json");
    let terminal = shown(&json, "check");
    assert!(terminal.contains(warning) && !has_hidden(&terminal), "{terminal:?}");
    let message = |text: &str| {
        let line = text.lines().find(|line| line.contains(warning)).unwrap();
        serde_json::from_str::<Value>(line).unwrap()["message"].as_str().unwrap().to_owned()
    };
    let file = stderr(&json.run(&["check"]));
    assert!(message(&terminal).contains(&name) && message(&file) == message(&terminal));
}

#[test]
fn bus_log_escapes_reader_names() {
    let host = Host::new();
    let mut bus = host.start_bus();
    let mut reader = UnixStream::connect(host.socket()).unwrap();
    reader.write_all(b"HELLO evil\x1b[2J\x7f\n\0\0\0\0NONSENSE x\n\0\0\0\0").unwrap();
    let line = bus.wait_for("broke the protocol");
    assert!(line.contains("evil") && !has_hidden(&line), "{line:?}");
}

#[test]
fn restore_escapes_names_in_an_archive() {
    let host = Host::new();
    let mut archive = [0; 1024];
    archive[..12].copy_from_slice("evil\x1b[2J\u{202e}\n".as_bytes());
    archive[100..108].copy_from_slice(b"0000644\0");
    archive[124..136].copy_from_slice(b"00000000000\0");
    archive[148..156].copy_from_slice(b"        ");
    let sum: u32 = archive[..512].iter().map(|byte| u32::from(*byte)).sum();
    archive[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    std::fs::write(host.path().join("a.tar"), archive).unwrap();
    std::fs::write(host.path().join("b.tar"), "\x1b[2J\u{9b}\u{202e}".repeat(200)).unwrap();
    for file in ["a.tar", "b.tar"] {
        let messages = stderr(&host.run(&["restore", file]));
        assert!(messages.contains("cannot restore") && !has_hidden(&messages), "{messages:?}");
    }
}
