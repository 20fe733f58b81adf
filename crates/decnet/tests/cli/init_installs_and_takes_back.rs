//! `decnet init` makes what is missing, keeps what is another's, and takes back what it made.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use crate::image::{UNITS, files, foreign, init};
use crate::support::{Host, code, stderr};

#[test]
fn a_second_run_has_nothing_to_do_and_a_removal_leaves_settings_and_data() {
    let host = Host::new();
    let (status, said) = init(&host, &[]);
    assert_eq!(status, 0, "{said}");
    assert!(!said.contains("[FAIL]"), "{said}");
    let root = host.path().join("root");
    let first = files(&root);
    assert_eq!(first.len(), 12, "{first:?}");
    assert_eq!(fs::metadata(root.join("etc/decnet/decnet.ini")).unwrap().mode() & 0o7777, 0o640);
    for (directory, mode) in [("var/lib/decnet", 0o700), ("var/log/decnet", 0o750)] {
        assert_eq!(fs::metadata(root.join(directory)).unwrap().mode() & 0o7777, mode, "{directory}");
    }
    let (status, said) = init(&host, &[]);
    assert_eq!(status, 0, "{said}");
    assert!(!said.contains("[ OK ]"), "{said}");
    assert_eq!(files(&root), first);

    fs::write(root.join("var/lib/decnet/queue.db"), "").unwrap();
    let (status, said) = init(&host, &["--deinit"]);
    assert_eq!(status, 0, "{said}");
    let left: Vec<_> = files(&root).into_iter().map(|(path, _)| path).collect();
    assert_eq!(left, [root.join("etc/decnet/decnet.ini"), root.join("var/lib/decnet/queue.db")]);
    let (status, said) = init(&host, &["--deinit", "--purge"]);
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("--yes"), "{said}");
    let (status, said) = init(&host, &["--deinit", "--purge", "--yes"]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(files(&root), []);
}

#[test]
fn a_dry_run_writes_nothing() {
    let host = Host::new();
    let (status, said) = init(&host, &["--dry-run"]);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("decnet-webhook.service: would be written"), "{said}");
    assert!(!host.path().join("root").exists());
    init(&host, &[]);
    let before = files(&host.path().join("root"));
    let (status, said) = init(&host, &["--deinit", "--purge", "--dry-run"]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(files(&host.path().join("root")), before);
}

#[test]
fn an_operators_change_is_kept_until_force_renews_it() {
    let host = Host::new();
    init(&host, &[]);
    let (unit, ini) =
        (host.path().join(UNITS).join("decnet-bus.service"), host.path().join("root/etc/decnet/decnet.ini"));
    let written = fs::read_to_string(&unit).unwrap();
    fs::write(&unit, format!("{written}\n# mine\n")).unwrap();
    fs::write(&ini, "# mine\n").unwrap();
    let (_, said) = init(&host, &[]);
    assert!(said.contains("decnet-bus.service: differs; --force renews it"), "{said}");
    let (_, said) = init(&host, &["--only", "bus"]);
    assert!(said.contains("decnet-bus.service: differs; --force renews it"), "{said}");
    assert!(fs::read_to_string(&unit).unwrap().ends_with("# mine\n"));
    let (_, said) = init(&host, &["--force"]);
    assert!(said.contains("decnet-bus.service: renewed"), "{said}");
    assert!(said.contains("decnet.ini: is yours, and kept"), "{said}");
    assert_eq!(fs::read_to_string(&unit).unwrap(), written);
    assert_eq!(fs::read_to_string(&ini).unwrap(), "# mine\n");
    // What is advised comes true: where --force renews nothing, it is not advised.
    let target = host.path().join(UNITS).join("decnet.target");
    fs::write(&target, fs::read_to_string(&target).unwrap() + "# mine\n").unwrap();
    let (_, said) = init(&host, &["--only", "bus", "--force"]);
    assert!(said.contains("decnet.target: is other services' too, and kept"), "{said}");
    let (_, said) = init(&host, &["--force"]);
    assert!(!said.contains("--force renews it"), "{said}");
}

#[test]
fn an_upgrade_takes_over_what_the_units_say() {
    let host = Host::new();
    let unit = |name: &str| fs::read_to_string(host.path().join(UNITS).join(name)).unwrap();
    let (status, said) =
        init(&host, &["--user", "honeypot", "--group", "trap", "--install-dir", "/srv/decnet"]);
    assert_eq!(status, 0, "{said}");
    init(&host, &["--only", "api", "--user", "reader", "--force"]);
    let before = ["decnet-api.service", "decnet-bus.service", "decnet-webhook.service"].map(unit);
    assert!(before[0].contains("\nUser=reader\n") && before[2].contains("\nUser=honeypot\n"));
    let newer = ["--binary", "/opt/bin/decnet"];
    let (status, said) = init(&host, &[&["--force"][..], &newer].concat());
    assert_eq!(status, 0, "{said}");
    for (name, before) in
        ["decnet-api.service", "decnet-bus.service", "decnet-webhook.service"].iter().zip(before)
    {
        assert_eq!(unit(name), before.replace("/usr/bin/decnet", "/opt/bin/decnet"), "{name}");
    }
}

#[test]
fn a_purge_leaves_the_data_of_a_package() {
    let host = Host::new();
    let root = host.path().join("root");
    init(&host, &["--vendor"]);
    fs::write(root.join("var/lib/decnet/queue.db"), "").unwrap();
    let there = files(&root);
    let (status, said) = init(&host, &["--deinit", "--purge", "--yes"]);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("purge: data and user stay"), "{said}");
    assert_eq!(files(&root), there);
}

#[test]
fn one_worker_is_replaced_beside_another_decnet_and_put_back() {
    let host = Host::new();
    let before = foreign(&host, "decnet-webhook.service", "trap");
    foreign(&host, "decnet-bus.service", "trap");
    fs::write(host.path().join(UNITS).join("decnet.target"), "[Unit]\nWants=decnet-bus.service\n").unwrap();
    let root = host.path().join("root");
    fs::create_dir_all(root.join("srv/decnet")).unwrap();
    fs::write(root.join("srv/decnet/decnet.db"), "").unwrap();
    let there = files(&root.join("etc"));

    let (status, said) = init(&host, &["--only", "webhook"]);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("put in the place of `/srv/decnet/.venv/bin/decnet x`"), "{said}");
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
        assert!(now.contains(&(path.clone(), text.clone())), "{} was touched", path.display());
    }
    assert_eq!(rules(&host), ["decnet-webhook.service"]);
    let (_, said) = init(&host, &["--only", "webhook"]);
    assert!(!said.contains("[ OK ]"), "{said}");

    // An update of the other writes its unit again: what comes back is the newest.
    let newer = foreign(&host, "decnet-webhook.service", "trap2");
    let (status, said) = init(&host, &["--only", "webhook"]);
    assert_eq!(status, 0, "{said}");
    assert!(newer != before && fs::read_to_string(&unit).unwrap().contains("\nUser=trap2\n"));
    let (status, said) = init(&host, &["--only", "webhook", "--deinit"]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(fs::read_to_string(&unit).unwrap(), newer);
    assert!(host.path().join(UNITS).join("decnet.target").exists());
    assert!(rules(&host).is_empty());
}

/// The units that the polkit rules are for, by the only names that stand in them.
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
fn the_group_may_start_units_that_are_installed_and_no_free_name() {
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
fn a_rule_that_allows_more_than_the_units_goes() {
    let host = Host::new();
    foreign(&host, "decnet-bus.service", "trap");
    fs::write(host.path().join(UNITS).join("decnet.target"), "[Unit]\nWants=decnet-bus.service\n").unwrap();
    let of_all = host.path().join("root/etc/polkit-1/rules.d/50-decnet.rules");
    fs::create_dir_all(of_all.parent().unwrap()).unwrap();
    let ours = "// Written by `decnet init`. Where you change it, it is kept.\nvar isOurs = /^decnet-/;\n";
    for arguments in [&["--only", "webhook"][..], &["--only", "webhook", "--deinit"], &[], &["--deinit"]] {
        fs::write(&of_all, ours).unwrap();
        let (status, said) = init(&host, arguments);
        assert_eq!(status, 0, "{said}");
        assert!(!of_all.exists(), "{arguments:?}: {said}");
    }
    fs::write(&of_all, "// another's\n").unwrap();
    let (_, said) = init(&host, &["--only", "webhook"]);
    assert!(said.contains("50-decnet.rules: is another's, and kept"), "{said}");
    assert!(of_all.exists());
}

#[test]
fn a_template_that_fails_is_said_and_hides_nothing() {
    let host = Host::new();
    let templates = host.path().join("deploy");
    fs::create_dir(&templates).unwrap();
    fs::write(templates.join("decnet-odd.service.j2"), "User={{ usr }}\n").unwrap();
    fs::write(templates.join("decnet-prober.service.j2"), "ExecStart={{ venv_dir }}/bin/decnet prober\n")
        .unwrap();
    let (status, said) = init(&host, &["--templates", templates.to_str().unwrap()]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("decnet-odd.service: the template cannot be rendered"), "{said}");
    let units = host.path().join(UNITS);
    let prober = fs::read_to_string(units.join("decnet-prober.service")).unwrap();
    assert!(prober.ends_with("\nExecStart=/opt/decnet/.venv/bin/decnet prober\n"), "{prober}");
    let target = fs::read_to_string(units.join("decnet.target")).unwrap();
    assert!(target.contains("decnet-prober.service") && !target.contains("decnet-odd.service"), "{target}");

    // What a template has made is known again, and goes with the rest.
    fs::write(templates.join("decnet-prober.service.j2"), "ExecStart=/bin/newer\n").unwrap();
    let (_, said) = init(&host, &["--templates", templates.to_str().unwrap()]);
    assert!(said.contains("decnet-prober.service: differs; --force renews it"), "{said}");
    let (status, said) = init(&host, &["--deinit", "--purge", "--yes"]);
    assert_eq!(status, 0, "{said}");
    assert_eq!(files(&host.path().join("root")), []);
}

#[test]
fn first_environment_with_decnets_program_is_named() {
    let host = Host::new();
    let templates = host.path().join("deploy");
    fs::create_dir(&templates).unwrap();
    let template = "ExecStart={{ venv_dir }}/bin/decnet prober\n";
    fs::write(templates.join("decnet-prober.service.j2"), template).unwrap();
    let arguments = ["--templates", templates.to_str().unwrap(), "--only", "prober", "--force"];
    let named = |more: &[&str]| {
        let (status, said) = init(&host, &[&arguments[..], more].concat());
        assert_eq!(status, 0, "{said}");
        let unit = fs::read_to_string(host.path().join(UNITS).join("decnet-prober.service")).unwrap();
        let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/opt/decnet/")).unwrap();
        line.trim_end_matches("/bin/decnet prober").to_owned()
    };
    let opt = host.path().join("root/opt/decnet");
    // An environment without the program is none.
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
fn new_service_joins_the_target_and_changes_stay() {
    let host = Host::new();
    init(&host, &[]);
    let target = host.path().join(UNITS).join("decnet.target");
    let text = fs::read_to_string(&target).unwrap().replace("decnet-api.service ", "");
    fs::write(&target, format!("{text}# mine\n")).unwrap();
    let templates = host.path().join("deploy");
    fs::create_dir(&templates).unwrap();
    fs::write(templates.join("decnet-prober.service.j2"), "ExecStart=/bin/x\n").unwrap();
    let arguments = ["--templates", templates.to_str().unwrap()];
    let (status, said) = init(&host, &arguments);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("[ OK ]") && said.contains("decnet.target: renewed"), "{said}");
    let renewed = fs::read_to_string(&target).unwrap();
    let wants = "\nWants=decnet-bus.service decnet-prober.service decnet-webhook.service\n";
    assert!(renewed.contains(wants) && renewed.ends_with("# mine\n"), "{renewed}");
    let (_, said) = init(&host, &arguments);
    assert!(said.contains("decnet.target: differs; --force renews it"), "{said}");
    assert_eq!(fs::read_to_string(&target).unwrap(), renewed);
}

#[test]
fn links_of_an_image_do_not_lead_out_of_it() {
    let host = Host::new();
    let (root, outside) = (host.path().join("root"), host.path().join("outside"));
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::create_dir_all(outside.join("system")).unwrap();
    fs::write(outside.join("decnet.ini"), "[database]\ntype = mysql\n").unwrap();
    // As an image has them: what they name is in the image, where nothing is.
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
        let (_, said) = init(&host, arguments);
        assert!(said.contains("[FAIL]") || said.contains("[SKIP]"), "{said}");
        assert_eq!(files(&outside), before, "{arguments:?}: {said}");
    }
    assert_eq!(fs::read_dir(outside.join("system")).unwrap().count(), 0);
    // Links within it are followed.
    fs::remove_file(root.join("etc/systemd")).unwrap();
    fs::create_dir_all(root.join("usr/systemd/system")).unwrap();
    std::os::unix::fs::symlink("/usr/systemd", root.join("etc/systemd")).unwrap();
    init(&host, &["--only", "bus"]);
    assert!(root.join("usr/systemd/system/decnet-bus.service").is_file());
}

#[test]
fn template_with_a_name_that_is_not_plain_is_refused() {
    let host = Host::new();
    let templates = host.path().join("deploy");
    fs::create_dir(&templates).unwrap();
    let names = ["decnet-a b.service.j2", "decnet-a\"); evil(\".service.j2", "decnet-a\nb.service.j2"];
    for name in names {
        fs::write(templates.join(name), "ExecStart=/bin/x\n").unwrap();
    }
    let (status, said) = init(&host, &["--templates", templates.to_str().unwrap()]);
    assert_eq!(status, 1, "{said}");
    assert_eq!(said.matches("a service is called decnet-NAME.service").count(), names.len(), "{said}");
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
fn what_cannot_be_meant_is_wrong_usage() {
    let host = Host::new();
    for (arguments, says) in [
        (&["--purge"][..], "--deinit"),
        (&["--install-dir", "opt/decnet"], "absolute"),
        (&["--user", "a\nExecStart=/bin/sh"], "is no name"),
        (&["--only", "nothing"], "api, bus, webhook"),
    ] {
        let (status, said) = init(&host, arguments);
        assert_eq!(status, 2, "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    let (status, said) = init(&host, &["--templates", "/nowhere"]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("--templates names a directory"), "{said}");
    let agent = Host::new().with("DECNET_MODE", "agent");
    let (status, said) = init(&agent, &["--dry-run"]);
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("agent"), "{said}");
}

#[test]
fn who_is_not_root_is_told_so() {
    let host = Host::new();
    // Where the build is may be closed to others.
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
