//! Tests of the whole configuration: precedence of the layers, and messages about problems.

mod catalog;
mod decnets_values;
mod key_file;
mod keys;
mod proxy;
mod trust;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::{Config, Database, Found, Inputs, LogFormat, Mode, Uses, find, page};

/// A working directory, an INI file, and an environment that names it.
struct Host {
    dir: tempfile::TempDir,
    inputs: Inputs,
}

impl Host {
    fn new(environment: &[(&str, &str)], ini: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("decnet.ini");
        std::fs::write(&path, ini).unwrap();
        // Independent of the umask.
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let mut inputs = Inputs {
            working_dir: dir.path().into(),
            uses: Uses { api: true, ..Uses::default() },
            ..Inputs::default()
        };
        let all = [("DECNET_CONFIG", path.to_str().unwrap()), ("HOME", "/home/joe")];
        for (name, value) in all.iter().chain(environment) {
            inputs.environment.insert((*name).into(), (*value).into());
        }
        Self { dir, inputs }
    }

    fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.dir.path().join(name), text).unwrap();
        self.chmod(name, 0o600);
        self
    }

    fn chmod(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.dir.path().join(name), Permissions::from_mode(mode)).unwrap();
    }

    fn find(&self) -> Found {
        find(&self.inputs)
    }

    fn config(&self) -> Config {
        let found = self.find();
        assert_eq!(found.problems, [""; 0]);
        found.config
    }

    fn value(&self, name: &str) -> (String, String) {
        let found = self.find();
        let setting = found.settings.into_iter().find(|setting| setting.name == name).unwrap();
        (setting.value, setting.source)
    }
}

/// Returns whether requests to an address are allowed.
fn allows(config: &Config, address: &str) -> bool {
    config.worker.sender.guard.check(address.parse().unwrap()).is_ok()
}

fn problems(environment: &[(&str, &str)], ini: &str) -> Vec<String> {
    Host::new(environment, ini).find().problems
}

#[test]
fn defaults_equal_those_of_decnet() {
    let config = Host::new(&[("DECNET_DATA_DIR", "/data")], "").config();
    assert_eq!((config.mode, config.is_agent()), (Mode::Master, false));
    assert_eq!(config.database, Database::Sqlite("/data/decnet.db".into()));
    assert_eq!((config.bus.enabled, config.bus.group.as_str()), (true, "decnet"));
    assert_eq!(config.bus.reconnect, Duration::from_secs(60));
    assert_eq!(config.worker.circuit_threshold, 5);
    assert_eq!((config.worker.concurrency, config.worker.total_concurrency), (64, 256));
    assert_eq!(config.worker.sender.deadline, Duration::from_secs(10));
    assert_eq!(config.worker.schedule, decnet_core::delivery::RetrySchedule::default());
    assert!(!["10.0.0.1", "127.0.0.1", "169.254.1.1"].iter().any(|address| allows(&config, address)));
    assert_eq!(config.worker.retention.max_bytes, 10 << 30);
    assert_eq!((config.log.filter, config.log.format), (None, LogFormat::Human));
}

/// The table repeats bounds of `decnet_core::limits` as text, so both must agree.
#[test]
fn the_table_agrees_with_the_limits() {
    use decnet_core::limits;
    let worker = Host::new(&[], "").config().worker;
    assert_eq!(worker.concurrency, limits::MAX_ADAPTIVE_CONCURRENCY);
    assert_eq!(worker.total_concurrency, limits::DEFAULT_TOTAL_CONCURRENCY);
    assert_eq!(worker.sender.deadline, limits::DEFAULT_DEADLINE);
    assert_eq!(worker.circuit_threshold, limits::DEFAULT_CIRCUIT_THRESHOLD);
}

#[test]
fn each_layer_overrides_the_next_layer() {
    let ini = "[bus]\nsocket = /ini\n";
    let lower = |environment| {
        Host::new(environment, ini)
            .file(".env.local", "DECNET_BUS_SOCKET=/local\nDECNET_BUS_GROUP=local")
            .file(".env", "DECNET_BUS_GROUP=env\nDECNET_LOG=debug")
    };
    let host = lower(&[("DECNET_BUS_SOCKET", "/environment")]);
    assert_eq!(host.value("DECNET_BUS_SOCKET"), ("/environment".into(), "environment".into()));
    let host = lower(&[("DECNET_BUS_SOCKET", "")]);
    let (value, source) = host.value("DECNET_BUS_SOCKET");
    assert_eq!(value, "/ini");
    assert!(source.ends_with("decnet.ini:2"), "{source}");
    let (value, source) = host.value("DECNET_BUS_GROUP");
    assert_eq!(value, "local");
    assert!(source.ends_with(".env.local:2"), "{source}");
    assert_eq!(host.value("DECNET_LOG").0, "debug");
    assert_eq!(host.value("DECNET_BUS_TYPE"), ("unix".into(), "default".into()));
}

#[test]
fn arguments_take_precedence() {
    let mut host = Host::new(&[("DECNET_DATA_DIR", "/environment")], "");
    host.inputs.data_dir = Some("/argument".into());
    assert_eq!(host.config().data_dir, Path::new("/argument"));
    host.inputs.ini = Some(host.dir.path().join("other.ini"));
    let host = host.file("other.ini", "[bus]\ngroup = other\n");
    assert_eq!(host.config().bus.group, "other");
}

#[test]
fn only_the_section_of_the_current_mode_is_read() {
    let ini =
        "[decnet]\nmode = agent # this host\n[agent]\nwebhook-timeout = 3s\n[master]\nwebhook-timeout = 4s\n";
    assert_eq!(Host::new(&[], ini).config().worker.sender.deadline, Duration::from_secs(3));
    let master = Host::new(&[("DECNET_MODE", "Master")], ini);
    assert_eq!(master.config().worker.sender.deadline, Duration::from_secs(4));
}

#[test]
fn agent_may_also_be_a_master() {
    assert!(Host::new(&[("DECNET_MODE", "agent")], "").config().is_agent());
    let both = [("DECNET_MODE", "agent"), ("DECNET_DISALLOW_MASTER", "False")];
    assert!(!Host::new(&both, "").config().is_agent());
}

#[test]
fn all_problems_are_reported_at_once() {
    let environment = [
        ("DECNET_WEBHOOK_CONCURRENCY", "0"),
        ("DECNET_WEBHOOK_TIMEOUT", "1h"),
        ("DECNET_API_ENABLED", "yes"),
        ("DECNET_WEBHOOK_TIMOUT", "3s"),
        ("DECNET_BUS_TYPE", "nats"),
        ("DECNET_SWARM_MASTER_HOST", "decnet's own"),
    ];
    let problems = problems(&environment, "[decnet]\nmode = both\nwebhook-retries = 3\n[bus]\nnonsense\n");
    let expected = [
        "5: not a [section]",
        "DECNET_WEBHOOK_RETRIES",
        "DECNET_WEBHOOK_TIMOUT (environment) is not a setting of decnet; did you mean DECNET_WEBHOOK_TIMEOUT?",
        "must be master or agent, not `both`",
        "DECNET_BUS_TYPE (environment) must be unix: this version does not support NATS",
        "DECNET_WEBHOOK_TIMEOUT (environment) must be from 100ms to 5m, not `1h`",
        "DECNET_WEBHOOK_CONCURRENCY (environment) must be a whole number from 1 to 256, not `0`",
        "DECNET_API_ENABLED (environment) must be true or false, not `yes`",
    ];
    for part in expected {
        assert_eq!(
            problems.iter().filter(|problem| problem.contains(part)).count(),
            1,
            "{part}\n{problems:#?}"
        );
    }
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
}

#[test]
fn concurrency_above_the_total_is_a_problem() {
    let both = [("DECNET_WEBHOOK_CONCURRENCY", "20"), ("DECNET_WEBHOOK_TOTAL_CONCURRENCY", "10")];
    assert_eq!(problems(&both, "").len(), 1);
    assert_eq!(problems(&both[1..], "").len(), 0, "the default may exceed the total");
}

#[test]
fn named_file_must_exist() {
    let problems = problems(&[("DECNET_CONFIG", "/nowhere/decnet.ini")], "");
    assert!(problems[0].contains("/nowhere/decnet.ini"), "{problems:?}");
}

#[test]
fn dev_null_means_no_ini_file() {
    assert_eq!(problems(&[("DECNET_CONFIG", "/dev/null")], "[decnet]\nmode = agent\n"), [""; 0]);
}

#[test]
fn secret_from_the_ini_file_is_never_shown() {
    for section in ["decnet", "master"] {
        let host = Host::new(&[], &format!("[{section}]\ndb-password = hunter2\njwt-secret = {JWT}\n"));
        let found = host.find();
        assert_eq!(found.problems, [""; 0]);
        let (value, source) = host.value("DECNET_DB_PASSWORD");
        assert!(value == "[secret]" && source.ends_with("decnet.ini:2"), "{value} {source}");
        assert_eq!(found.config.access.jwt_secret.as_ref().unwrap().expose(), JWT);
        let shown = format!("{found:?}");
        assert!(!shown.contains("hunter2") && !shown.contains(JWT), "{shown}");
    }
    let url = "mysql+asyncmy://decnet:hunter2@db/decnet";
    let found = Host::new(&[("DECNET_DB_URL", url), ("DECNET_DB_PASSWORD", "hunter2")], "").find();
    assert_eq!(found.problems, [""; 0]);
    assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
}

#[test]
fn unknown_keys_of_a_shared_section_cause_a_warning() {
    let found = Host::new(&[], "[bus]\nsokcet = /x\n[api]\nport = 1\n[web]\nport = 2\n").find();
    assert_eq!(found.problems, [""; 0]);
    assert_eq!(found.warnings.len(), 1, "{:?}", found.warnings);
    assert!(found.warnings[0].contains("[bus] sokcet"));
    let found = Host::new(&[], "[webhook]\ntimeout = 3s\n").find();
    assert!(
        found.warnings[0].contains("2: there is no section [webhook]; write `webhook-timeout` in [decnet]")
    );
}

#[test]
fn database_on_a_server_is_refused_only_when_opened() {
    let config = Host::new(&[("DECNET_DB_TYPE", "mysql"), ("DECNET_DB_HOST", "db")], "").config();
    assert_eq!(config.database.to_string(), "mysql://decnet@db:3306/decnet");
    assert!(config.database.path().is_err());
}

#[test]
fn generated_documentation_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let written = std::fs::read_to_string(path).unwrap_or_default();
    let regenerate = "run `cargo run -- docs configuration > docs/configuration.md`";
    assert!(written == page(), "docs/configuration.md is stale: {regenerate}");
}

const JWT: &str = "6f1ed002ab5595859014ebf0951522d9";

#[test]
fn session_secret_is_long_and_never_shown() {
    let host = Host::new(&[("DECNET_JWT_SECRET", JWT)], "");
    assert_eq!(host.value("DECNET_JWT_SECRET").0, "[secret]");
    assert_eq!(host.config().access.jwt_secret.unwrap().expose(), JWT);
    assert!(!format!("{:?}", host.config()).contains(JWT));
    let found = problems(&[("DECNET_JWT_SECRET", &JWT[1..])], "");
    assert_eq!(found, ["DECNET_JWT_SECRET (environment) must be a secret of at least 32 characters"]);
}

#[test]
fn session_secret_may_come_from_a_file_or_systemd() {
    let host = Host::new(&[("DECNET_JWT_SECRET_FILE", "/nowhere/secret")], "");
    assert!(host.find().problems[0].contains("/nowhere/secret cannot be read"));
    let mut host = Host::new(&[], "").file("decnet-jwt-secret", &format!("{JWT}\n"));
    assert!(host.config().access.jwt_secret.is_none());
    let dir = host.dir.path().to_string_lossy().into_owned();
    host.inputs.environment.insert("CREDENTIALS_DIRECTORY".into(), dir.clone());
    assert_eq!(host.config().access.jwt_secret.unwrap().expose(), JWT);
    let host = host.file("decnet-jwt-secret", "short\n");
    let found = host.find().problems;
    assert!(found[0].contains("fewer than 32") && !found[0].contains("short"), "{found:?}");
}

#[test]
fn byte_order_mark_is_skipped_with_a_warning() {
    let mark = '\u{feff}';
    let host = Host::new(&[], &format!("{mark}[decnet]\nwebhook-timeout = 3s\n"));
    let host = host.file(".env.local", &format!("{mark}DECNET_API_PORT=2\n"));
    let found = host.find();
    assert_eq!((found.config.worker.sender.deadline, found.config.api.port), (Duration::from_secs(3), 2));
    let [ini, dotenv] = &found.warnings[..] else { panic!("{:?}", found.warnings) };
    assert!(ini.contains("decnet.ini begins with a byte order mark (U+FEFF)"), "{ini}");
    assert!(dotenv.contains(".env.local begins with a byte order mark (U+FEFF)"), "{dotenv}");
}

#[test]
fn byte_order_mark_hides_the_first_line_from_services() {
    let host = with_unit(Host::new(&[], ""), &["a"]);
    let host = host.file("a", "\u{feff}DECNET_API_PORT=2\nDECNET_BUS_GROUP=staff\n");
    let found = host.find();
    assert_eq!((found.config.api.port, found.config.bus.group.as_str()), (8000, "staff"));
    assert!(found.warnings[0].contains("so systemd ignores its first line"), "{:?}", found.warnings);
}

#[test]
fn secret_after_a_byte_order_mark_is_refused() {
    let host = Host::new(&[], "").file("secret", &format!("\u{feff}{JWT}\n"));
    let path = host.dir.path().join("secret").display().to_string();
    let mut host = host;
    host.inputs.environment.insert("DECNET_JWT_SECRET_FILE".into(), path);
    let problems = host.find().problems;
    assert!(problems[0].contains("byte order mark (U+FEFF)") && !problems[0].contains(JWT), "{problems:?}");
}

#[test]
fn wildcard_origin_is_refused() {
    let host = Host::new(&[], "[web]\ncors-origins = https://dash.example, http://10.0.0.1:8080\n");
    assert_eq!(host.config().access.cors_origins, ["https://dash.example", "http://10.0.0.1:8080"]);
    assert!(problems(&[("DECNET_CORS_ORIGINS", "*")], "")[0].contains("`*` is not an origin"));
}

#[test]
fn command_uses_the_settings_of_the_units() {
    let host = Host::new(&[("DECNET_API_PORT", "1")], "[decnet]\nwebhook-timeout = 3s\n");
    let host = host.file("secrets", "DECNET_WEBHOOK_TIMEOUT=5s\n");
    let (unit, file) = (host.dir.path().join("unit"), host.dir.path().join("secrets"));
    let text = format!("EnvironmentFile=-{}\nEnvironment=DECNET_WEBHOOK_TIMEOUT=4s\n", file.display());
    std::fs::write(&unit, text + "Environment=DECNET_API_PORT=2\nEnvironment=DECNET_BUS_GROUP=a\n").unwrap();
    let host = Host { inputs: Inputs { units: vec![unit.clone()], ..host.inputs.clone() }, ..host };
    let of = |name: &str| host.value(name);
    assert_eq!(of("DECNET_API_PORT"), ("1".into(), "environment".into()));
    assert_eq!(of("DECNET_WEBHOOK_TIMEOUT"), ("5s".into(), format!("{}:1", file.display())));
    assert_eq!(of("DECNET_BUS_GROUP"), ("a".into(), format!("{}:4", unit.display())));
}

#[test]
fn last_value_of_a_name_counts_with_a_warning() {
    let text =
        "DECNET_BUS_GROUP=a\nOTHER=1\nOTHER=2\nDECNET_API_PORT=1\nDECNET_BUS_GROUP=b\nDECNET_API_PORT=\n";
    let host = Host::new(&[], "").file(".env.local", text);
    let (value, source) = host.value("DECNET_BUS_GROUP");
    assert!(value == "b" && source.ends_with(".env.local:5"), "{value} {source}");
    assert_eq!(host.value("DECNET_API_PORT").1, "default", "an empty value cancels an earlier value");
    let warnings = host.find().warnings;
    assert!(
        warnings[0]
            .ends_with(".env.local:1: DECNET_BUS_GROUP is set again on line 5, which takes precedence")
    );
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

/// Adds a services' unit that names these files, in this order.
fn with_unit(host: Host, files: &[&str]) -> Host {
    let unit = host.dir.path().join("unit");
    let line = |name: &&str| format!("EnvironmentFile=-{}\n", host.dir.path().join(name).display());
    std::fs::write(&unit, files.iter().map(line).collect::<String>()).unwrap();
    Host { inputs: Inputs { units: vec![unit], ..host.inputs.clone() }, ..host }
}

#[test]
fn command_reads_the_services_files_as_systemd_does() {
    let host = Host::new(&[], "")
        .file("one", "DECNET_BUS_GROUP=one\nDECNET_API_PORT=1\n")
        .file("two", "DECNET_BUS_GROUP=two\nDECNET_WEBHOOK_ALLOW_PRIVATE=true # all\n");
    let host = with_unit(host, &["one", "two"]);
    assert_eq!(
        (host.value("DECNET_BUS_GROUP").0, host.value("DECNET_API_PORT").0),
        ("two".into(), "1".into())
    );
    let found = host.find();
    assert!(!allows(&found.config, "10.0.0.1"));
    assert!(
        found.warnings[0].contains("two:2: systemd reads ` #` as part of the value"),
        "{:?}",
        found.warnings
    );
    assert!(found.warnings[1].contains("is `true # all`, which is read as false"), "{:?}", found.warnings);
}

#[test]
fn invalid_value_of_an_unused_setting_is_ignored() {
    let environment = [
        ("DECNET_JWT_SECRET_FILE", "/nowhere/secret"),
        ("DECNET_CORS_ORIGINS", "*"),
        ("DECNET_OTEL_ENDPOINT", "grpc://collector:4317"),
    ];
    let mut host = Host::new(&environment, "");
    assert_eq!(host.find().problems.len(), 2, "tracing is off");
    host.inputs.uses.api = false;
    assert_eq!(host.find().problems, [""; 0]);
    host.inputs.environment.insert("DECNET_DEVELOPER_TRACING".into(), "true".into());
    assert!(host.find().problems[0].starts_with("DECNET_OTEL_ENDPOINT"));
}

#[test]
fn unreadable_services_file_is_reported_to_its_users() {
    let mut host = with_unit(Host::new(&[("DECNET_DATA_DIR", "/data")], ""), &["closed", "missing"]);
    // Invalid UTF-8, which not even root can read as text.
    std::fs::write(host.dir.path().join("closed"), b"\xff").unwrap();
    host.chmod("closed", 0o600);
    assert_eq!(host.find().warnings, [""; 0], "a publisher does not use the data of the services");
    host.inputs.uses.services_data = true;
    let found = host.find();
    let [warning] = &found.warnings[..] else { panic!("{:?}", found.warnings) };
    assert!(warning.contains("closed cannot be read") && warning.ends_with("use sudo"), "{warning}");
}
