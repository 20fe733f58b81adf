//! Tests that `decnet init` installs what is missing, keeps other installations, and removes only what it installed.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use crate::image::{UNITS, files, foreign, init};
use crate::support::{Host, code, stderr};

#[test]
fn second_run_is_a_no_op_and_removal_keeps_data() {
    let host = Host::new();
    let (status, output) = init(&host, &[]);
    assert_eq!(status, 0, "{output}");
    assert!(!output.contains("[FAIL]"), "{output}");
    let root = host.path().join("root");
    let first = files(&root);
    assert_eq!(first.len(), 12, "{first:?}");
    assert_eq!(fs::metadata(root.join("etc/decnet/decnet.ini")).unwrap().mode() & 0o7777, 0o640);
    for (directory, mode) in [("var/lib/decnet", 0o700), ("var/log/decnet", 0o750)] {
        assert_eq!(fs::metadata(root.join(directory)).unwrap().mode() & 0o7777, mode, "{directory}");
    }
    let (status, output) = init(&host, &[]);
    assert_eq!(status, 0, "{output}");
    assert!(!output.contains("[ OK ]"), "{output}");
    assert_eq!(files(&root), first);

    fs::write(root.join("var/lib/decnet/queue.db"), "").unwrap();
    let (status, output) = init(&host, &["--deinit"]);
    assert_eq!(status, 0, "{output}");
    let left: Vec<_> = files(&root).into_iter().map(|(path, _)| path).collect();
    assert_eq!(left, [root.join("etc/decnet/decnet.ini"), root.join("var/lib/decnet/queue.db")]);
    let (status, output) = init(&host, &["--deinit", "--purge"]);
    assert_eq!(status, 2, "{output}");
    assert!(output.contains("--yes"), "{output}");
    let (status, output) = init(&host, &["--deinit", "--purge", "--yes"]);
    assert_eq!(status, 0, "{output}");
    assert_eq!(files(&root), []);
}

#[test]
fn dry_run_writes_nothing() {
    let host = Host::new();
    let (status, output) = init(&host, &["--dry-run"]);
    assert_eq!(status, 0, "{output}");
    assert!(output.contains("decnet-webhook.service: would be written"), "{output}");
    assert!(!host.path().join("root").exists());
    init(&host, &[]);
    let before = files(&host.path().join("root"));
    let (status, output) = init(&host, &["--deinit", "--purge", "--dry-run"]);
    assert_eq!(status, 0, "{output}");
    assert_eq!(files(&host.path().join("root")), before);
}

#[test]
fn operators_changes_are_kept_without_force() {
    let host = Host::new();
    init(&host, &[]);
    let (unit, ini) =
        (host.path().join(UNITS).join("decnet-bus.service"), host.path().join("root/etc/decnet/decnet.ini"));
    let written = fs::read_to_string(&unit).unwrap();
    fs::write(&unit, format!("{written}\n# mine\n")).unwrap();
    fs::write(&ini, "# mine\n").unwrap();
    let (_, output) = init(&host, &[]);
    assert!(output.contains("decnet-bus.service: differs; --force overwrites it"), "{output}");
    let (_, output) = init(&host, &["--only", "bus"]);
    assert!(output.contains("decnet-bus.service: differs; --force overwrites it"), "{output}");
    assert!(fs::read_to_string(&unit).unwrap().ends_with("# mine\n"));
    let (_, output) = init(&host, &["--force"]);
    assert!(output.contains("decnet-bus.service: updated"), "{output}");
    assert!(output.contains("decnet.ini: belongs to the operator; kept"), "{output}");
    assert_eq!(fs::read_to_string(&unit).unwrap(), written);
    assert_eq!(fs::read_to_string(&ini).unwrap(), "# mine\n");
    // --force is suggested only where it has an effect.
    let target = host.path().join(UNITS).join("decnet.target");
    fs::write(&target, fs::read_to_string(&target).unwrap() + "# mine\n").unwrap();
    let (_, output) = init(&host, &["--only", "bus", "--force"]);
    assert!(output.contains("decnet.target: is shared with other services; kept"), "{output}");
    let (_, output) = init(&host, &["--force"]);
    assert!(!output.contains("--force overwrites it"), "{output}");
}

#[test]
fn upgrade_inherits_the_settings_of_the_units() {
    let host = Host::new();
    let unit = |name: &str| fs::read_to_string(host.path().join(UNITS).join(name)).unwrap();
    let (status, output) =
        init(&host, &["--user", "honeypot", "--group", "trap", "--install-dir", "/srv/decnet"]);
    assert_eq!(status, 0, "{output}");
    init(&host, &["--only", "api", "--user", "reader", "--force"]);
    let before = ["decnet-api.service", "decnet-bus.service", "decnet-webhook.service"].map(unit);
    assert!(before[0].contains("\nUser=reader\n") && before[2].contains("\nUser=honeypot\n"));
    let newer = ["--binary", "/opt/bin/decnet"];
    let (status, output) = init(&host, &[&["--force"][..], &newer].concat());
    assert_eq!(status, 0, "{output}");
    for (name, before) in
        ["decnet-api.service", "decnet-bus.service", "decnet-webhook.service"].iter().zip(before)
    {
        assert_eq!(unit(name), before.replace("/usr/bin/decnet", "/opt/bin/decnet"), "{name}");
    }
}

#[test]
fn purge_keeps_the_data_of_a_package() {
    let host = Host::new();
    let root = host.path().join("root");
    init(&host, &["--vendor"]);
    fs::write(root.join("var/lib/decnet/queue.db"), "").unwrap();
    let there = files(&root);
    let (status, output) = init(&host, &["--deinit", "--purge", "--yes"]);
    assert_eq!(status, 0, "{output}");
    assert!(output.contains("purge: data and user are kept"), "{output}");
    assert_eq!(files(&root), there);
}

#[test]
fn other_installations_worker_is_replaced_and_restored() {
    let host = Host::new();
    let before = foreign(&host, "decnet-webhook.service", "trap");
    foreign(&host, "decnet-bus.service", "trap");
    fs::write(host.path().join(UNITS).join("decnet.target"), "[Unit]\nWants=decnet-bus.service\n").unwrap();
    let root = host.path().join("root");
    fs::create_dir_all(root.join("srv/decnet")).unwrap();
    fs::write(root.join("srv/decnet/decnet.db"), "").unwrap();
    let there = files(&root.join("etc"));

    let (status, output) = init(&host, &["--only", "webhook"]);
    assert_eq!(status, 0, "{output}");
    assert!(output.contains("the existing file (`/srv/decnet/.venv/bin/decnet x`) is saved as"), "{output}");
    let unit = host.path().join(UNITS).join("decnet-webhook.service");
    let ours = fs::read_to_string(&unit).unwrap();
    for line in [
        "User=trap",
        "Group=netops",
        "ExecStart=/usr/bin/decnet webhook",
        "EnvironmentFile=-/srv/decnet/.env.local",
        "Environment=DECNET_DB_URL=sqlite:////srv/decnet/decnet.db",
        "ReadWritePaths=/srv/decnet",
    ] {
        assert!(ours.lines().any(|found| found == line), "{line} is not in:\n{ours}");
    }
    let now = files(&root.join("etc"));
    for (path, text) in there.iter().filter(|(path, _)| *path != unit) {
        assert!(now.contains(&(path.clone(), text.clone())), "{} was changed", path.display());
    }
    assert_eq!(rules(&host), ["decnet-webhook.service"]);
    let (_, output) = init(&host, &["--only", "webhook"]);
    assert!(!output.contains("[ OK ]"), "{output}");

    // An update of the other installation rewrites its unit; the newest one is restored.
    let newer = foreign(&host, "decnet-webhook.service", "trap2");
    let (status, output) = init(&host, &["--only", "webhook"]);
    assert_eq!(status, 0, "{output}");
    assert!(newer != before && fs::read_to_string(&unit).unwrap().contains("\nUser=trap2\n"));
    let (status, output) = init(&host, &["--only", "webhook", "--deinit"]);
    assert_eq!(status, 0, "{output}");
    assert_eq!(fs::read_to_string(&unit).unwrap(), newer);
    assert!(host.path().join(UNITS).join("decnet.target").exists());
    assert!(rules(&host).is_empty());
}

/// Returns the units that the polkit rules allow: each rule contains exactly one unit's name.
fn rules(host: &Host) -> Vec<String> {
    let mut names = Vec::new();
    for (path, text) in files(&host.path().join("root/etc/polkit-1/rules.d")) {
        assert!(!text.contains(".test(") && text.contains("action.lookup(\"unit\") === "), "{text}");
        let quoted = text.split('"').skip(1).step_by(2);
        let units: Vec<_> = quoted.filter(|name| name.starts_with("decnet") && name.contains('.')).collect();
        assert_eq!(units.len(), 1, "{}: {text}", path.display());
        names.extend(units.into_iter().map(str::to_owned));
    }
    names
}

#[test]
fn polkit_rules_name_only_installed_units() {
    let host = Host::new();
    init(&host, &[]);
    let mut units: Vec<_> = files(&host.path().join(UNITS))
        .into_iter()
        .map(|(path, _)| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut named = rules(&host);
    units.sort();
    named.sort();
    assert_eq!(named, units);
    init(&host, &["--deinit", "--only", "api"]);
    assert!(!rules(&host).contains(&"decnet-api.service".to_owned()));
    init(&host, &["--deinit"]);
    assert!(rules(&host).is_empty());
}

#[test]
fn outdated_polkit_rule_for_all_units_is_removed() {
    let host = Host::new();
    foreign(&host, "decnet-bus.service", "trap");
    fs::write(host.path().join(UNITS).join("decnet.target"), "[Unit]\nWants=decnet-bus.service\n").unwrap();
    let of_all = host.path().join("root/etc/polkit-1/rules.d/50-decnet.rules");
    fs::create_dir_all(of_all.parent().unwrap()).unwrap();
    let ours = "// Written by `decnet init`. Where you change it, it is kept.\nvar isOurs = /^decnet-/;\n";
    for arguments in [&["--only", "webhook"][..], &["--only", "webhook", "--deinit"], &[], &["--deinit"]] {
        fs::write(&of_all, ours).unwrap();
        let (status, output) = init(&host, arguments);
        assert_eq!(status, 0, "{output}");
        assert!(!of_all.exists(), "{arguments:?}: {output}");
    }
    fs::write(&of_all, "// another's\n").unwrap();
    let (_, output) = init(&host, &["--only", "webhook"]);
    assert!(output.contains("50-decnet.rules: was not written by decnet init; kept"), "{output}");
    assert!(of_all.exists());
}

#[test]
fn failed_template_is_reported_and_does_not_stop_the_others() {
    let host = Host::new();
    let templates = host.path().join("deploy");
    fs::create_dir(&templates).unwrap();
    fs::write(templates.join("decnet-odd.service.j2"), "User={{ usr }}\n").unwrap();
    fs::write(templates.join("decnet-prober.service.j2"), "ExecStart={{ venv_dir }}/bin/decnet prober\n")
        .unwrap();
    let (status, output) = init(&host, &["--templates", templates.to_str().unwrap()]);
    assert_eq!(status, 1, "{output}");
    assert!(output.contains("decnet-odd.service: the template cannot be rendered"), "{output}");
    let units = host.path().join(UNITS);
    let prober = fs::read_to_string(units.join("decnet-prober.service")).unwrap();
    assert!(prober.ends_with("\nExecStart=/opt/decnet/.venv/bin/decnet prober\n"), "{prober}");
    let target = fs::read_to_string(units.join("decnet.target")).unwrap();
    assert!(target.contains("decnet-prober.service") && !target.contains("decnet-odd.service"), "{target}");

    // Units from templates are recognized and removed like the others.
    fs::write(templates.join("decnet-prober.service.j2"), "ExecStart=/bin/newer\n").unwrap();
    let (_, output) = init(&host, &["--templates", templates.to_str().unwrap()]);
    assert!(output.contains("decnet-prober.service: differs; --force overwrites it"), "{output}");
    let (status, output) = init(&host, &["--deinit", "--purge", "--yes"]);
    assert_eq!(status, 0, "{output}");
    assert_eq!(files(&host.path().join("root")), []);
}

#[test]
fn first_environment_with_decnets_program_is_used() {
    let host = Host::new();
    let templates = host.path().join("deploy");
    fs::create_dir(&templates).unwrap();
    let template = "ExecStart={{ venv_dir }}/bin/decnet prober\n";
    fs::write(templates.join("decnet-prober.service.j2"), template).unwrap();
    let arguments = ["--templates", templates.to_str().unwrap(), "--only", "prober", "--force"];
    let named = |more: &[&str]| {
        let (status, output) = init(&host, &[&arguments[..], more].concat());
        assert_eq!(status, 0, "{output}");
        let unit = fs::read_to_string(host.path().join(UNITS).join("decnet-prober.service")).unwrap();
        let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/opt/decnet/")).unwrap();
        line.trim_end_matches("/bin/decnet prober").to_owned()
    };
    let opt = host.path().join("root/opt/decnet");
    // An environment without the program is ignored.
    fs::create_dir_all(opt.join("venv/bin")).unwrap();
    assert_eq!(named(&[]), ".venv");
    for name in [".312", ".311", ".venv", "venv"] {
        fs::create_dir_all(opt.join(name).join("bin")).unwrap();
        fs::write(opt.join(name).join("bin/decnet"), "").unwrap();
        assert_eq!(named(&[]), name);
    }
    assert_eq!(named(&["--venv-dir", "/opt/decnet/.312"]), ".312");
}

#[test]
fn new_service_is_added_to_a_changed_target() {
    let host = Host::new();
    init(&host, &[]);
    let target = host.path().join(UNITS).join("decnet.target");
    let text = fs::read_to_string(&target).unwrap().replace("decnet-api.service ", "");
    fs::write(&target, format!("{text}# mine\n")).unwrap();
    let templates = host.path().join("deploy");
    fs::create_dir(&templates).unwrap();
    fs::write(templates.join("decnet-prober.service.j2"), "ExecStart=/bin/x\n").unwrap();
    let arguments = ["--templates", templates.to_str().unwrap()];
    let (status, output) = init(&host, &arguments);
    assert_eq!(status, 0, "{output}");
    assert!(output.contains("[ OK ]") && output.contains("decnet.target: updated"), "{output}");
    let renewed = fs::read_to_string(&target).unwrap();
    let wants = "\nWants=decnet-bus.service decnet-prober.service decnet-webhook.service\n";
    assert!(renewed.contains(wants) && renewed.ends_with("# mine\n"), "{renewed}");
    let (_, output) = init(&host, &arguments);
    assert!(output.contains("decnet.target: differs; --force overwrites it"), "{output}");
    assert_eq!(fs::read_to_string(&target).unwrap(), renewed);
}

#[test]
fn symlinks_in_an_image_resolve_within_it() {
    let host = Host::new();
    let (root, outside) = (host.path().join("root"), host.path().join("outside"));
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::create_dir_all(outside.join("system")).unwrap();
    fs::write(outside.join("decnet.ini"), "[database]\ntype = mysql\n").unwrap();
    // Resolved within the image, the targets of these links do not exist.
    for (link, place) in [
        ("etc/systemd", &outside),
        ("etc/decnet", &outside),
        ("var", &outside),
        ("etc/logrotate.d", &outside),
    ] {
        std::os::unix::fs::symlink(place, root.join(link)).unwrap();
    }
    let before = files(&outside);
    for arguments in [&[][..], &["--force"], &["--deinit", "--purge", "--yes"]] {
        let (_, output) = init(&host, arguments);
        assert!(output.contains("[FAIL]") || output.contains("[SKIP]"), "{output}");
        assert_eq!(files(&outside), before, "{arguments:?}: {output}");
    }
    assert_eq!(fs::read_dir(outside.join("system")).unwrap().count(), 0);
    // Links within the image are followed.
    fs::remove_file(root.join("etc/systemd")).unwrap();
    fs::create_dir_all(root.join("usr/systemd/system")).unwrap();
    std::os::unix::fs::symlink("/usr/systemd", root.join("etc/systemd")).unwrap();
    init(&host, &["--only", "bus"]);
    assert!(root.join("usr/systemd/system/decnet-bus.service").is_file());
}

#[test]
fn template_with_an_invalid_name_is_refused() {
    let host = Host::new();
    let templates = host.path().join("deploy");
    fs::create_dir(&templates).unwrap();
    let names = ["decnet-a b.service.j2", "decnet-a\"); evil(\".service.j2", "decnet-a\nb.service.j2"];
    for name in names {
        fs::write(templates.join(name), "ExecStart=/bin/x\n").unwrap();
    }
    let (status, output) = init(&host, &["--templates", templates.to_str().unwrap()]);
    assert_eq!(status, 1, "{output}");
    assert_eq!(
        output.matches("a service must be named decnet-NAME.service").count(),
        names.len(),
        "{output}"
    );
    let written = files(&host.path().join("root"));
    assert!(
        written.iter().all(|(path, text)| {
            !path.to_string_lossy().contains("decnet-a")
                || path.to_string_lossy().contains("decnet-api") && !text.contains("evil")
        }),
        "{written:?}"
    );
    assert!(host.path().join(UNITS).join("decnet-bus.service").exists(), "the others are installed");
}

#[test]
fn invalid_arguments_are_usage_errors() {
    let host = Host::new();
    for (arguments, expected) in [
        (&["--purge"][..], "--deinit"),
        (&["--install-dir", "opt/decnet"], "absolute"),
        (&["--user", "a\nExecStart=/bin/sh"], "is not a valid name"),
        (&["--only", "nothing"], "api, bus, webhook"),
    ] {
        let (status, output) = init(&host, arguments);
        assert_eq!(status, 2, "{arguments:?}: {output}");
        assert!(output.contains(expected), "{arguments:?}: {output}");
    }
    let (status, output) = init(&host, &["--templates", "/nowhere"]);
    assert_eq!(status, 1, "{output}");
    assert!(output.contains("--templates must name a directory"), "{output}");
    let agent = Host::new().with("DECNET_MODE", "agent");
    let (status, output) = init(&agent, &["--dry-run"]);
    assert_eq!(status, 2, "{output}");
    assert!(output.contains("agent"), "{output}");
}

#[test]
fn running_without_root_is_an_error() {
    let host = Host::new();
    // Other users may not be able to read the build directory.
    let program = host.path().join("decnet");
    fs::copy(env!("CARGO_BIN_EXE_decnet"), &program).unwrap();
    fs::set_permissions(host.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = std::process::Command::new(&program);
    command.arg("init").env_clear().current_dir(host.path());
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        std::os::unix::process::CommandExt::uid(&mut command, 65_534);
    }
    let output = command.output().unwrap();
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert!(stderr(&output).contains("must run as root"), "{}", stderr(&output));
}
