//! The templates of the files that init writes.

use std::path::{Path, PathBuf};

use decnet_core::limits::{
    API_SERVICE_GIB, BUS_SERVICE_GIB, SERVICE_STOP_TIMEOUT, SERVICE_WATCHDOG, WORKER_SERVICE_GIB,
};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::config::Database;
use crate::failure::Usage;
use crate::trust::Trust;

/// The text in the first line that identifies a file written by init.
const MARKER: &str = "Written by `decnet init`.";

/// The parts that units include.
const PARTS: [(&str, &str); 3] = [
    ("common.j2", include_str!("common.j2")),
    ("state.j2", include_str!("state.j2")),
    ("hardening.j2", include_str!("hardening.j2")),
];
const UNITS: [(&str, &str); 3] = [
    ("decnet-bus.service.j2", include_str!("decnet-bus.service.j2")),
    ("decnet-webhook.service.j2", include_str!("decnet-webhook.service.j2")),
    ("decnet-api.service.j2", include_str!("decnet-api.service.j2")),
];
/// The templates of shared files.
const SHARED: [(&str, &str); 6] = [
    ("decnet.target", include_str!("decnet.target.j2")),
    ("sysusers", include_str!("sysusers.j2")),
    ("tmpfiles", include_str!("tmpfiles.j2")),
    ("logrotate", include_str!("logrotate.j2")),
    ("polkit", include_str!("polkit.j2")),
    ("ini", include_str!("decnet.ini.j2")),
];

/// The variables available to templates. Any other name is an error.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Variables {
    pub(super) install_dir: String,
    pub(super) venv_dir: String,
    pub(super) user: String,
    pub(super) group: String,
    /// This program.
    pub(super) decnet: String,
    /// The catalog of an existing DECNET in its installation directory, which the units must name if no setting does.
    pub(super) catalog: Option<String>,
    /// The catalog that the services' settings name, if any.
    #[serde(skip)]
    pub(super) database: Option<Database>,
    /// The catalog's directory if it is outside the services' own directories. The services must be able to write there.
    pub(super) writable: Option<PathBuf>,
    /// The services that `decnet.target` pulls in.
    pub(super) services: Vec<String>,
    /// The unit of a polkit rule.
    pub(super) unit: String,
}

impl Variables {
    /// Returns the catalog that the services will open, if it is known. A relative path is resolved against their working
    /// directory.
    ///
    /// # Errors
    /// The catalog is on a server.
    pub(super) fn effective_catalog(&self) -> Result<Option<PathBuf>, Usage> {
        let named = self.database.as_ref().map(Database::path).transpose()?;
        let path = named.or(self.catalog.as_deref().map(Path::new));
        Ok(path.map(|path| Path::new(&self.install_dir).join(path)))
    }
}

/// Returns the line that marks a file as written by init.
fn marker(comment: &str) -> String {
    format!("{comment} {MARKER} Your changes are kept; --force overwrites them.")
}

/// Returns whether init wrote a file with this text.
pub(super) fn is_ours(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.contains(MARKER))
}

/// All templates.
pub(super) struct Templates {
    environment: Environment<'static>,
    /// The names of services, sorted, each with the error of its template, if any.
    pub(super) services: Vec<(String, Option<String>)>,
}

impl Templates {
    /// Loads the embedded templates and those of a directory, which override embedded templates. If `trust` is given, only trusted
    /// files are used.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(super) fn load(directory: Option<&Path>, trust: Option<&Trust>) -> anyhow::Result<Self> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // Block tags must not leave empty lines.
        let syntax = SyntaxConfig::builder()
            .keep_trailing_newline(true)
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?;
        environment.set_syntax(syntax);
        environment.add_global("marker", marker("#"));
        environment.add_global("marker_js", marker("//"));
        for (name, value) in [
            ("stop_timeout", SERVICE_STOP_TIMEOUT.as_secs()),
            ("watchdog", SERVICE_WATCHDOG.as_secs()),
            ("bus_gib", BUS_SERVICE_GIB),
            ("worker_gib", WORKER_SERVICE_GIB),
            ("api_gib", API_SERVICE_GIB),
        ] {
            environment.add_global(name, value);
        }
        let mut templates = Self { environment, services: Vec::new() };
        for (name, text) in PARTS.iter().chain(&SHARED) {
            templates.environment.add_template(name, text)?;
        }
        for (name, text) in UNITS {
            templates.add_unit(name, Ok(text.to_owned()));
        }
        if let Some(directory) = directory {
            for (name, text) in super::template_dir::units(directory, trust)? {
                templates.add_unit(&name, text);
            }
        }
        Ok(templates)
    }

    fn add_unit(&mut self, name: &str, text: Result<String, String>) {
        let service = name.trim_end_matches(".j2").to_owned();
        let added = text.and_then(|text| {
            self.environment.add_template_owned(service.clone(), text).map_err(|error| render_error(&error))
        });
        self.services.retain(|(known, _)| *known != service);
        self.services.push((service, added.err()));
        self.services.sort();
    }

    /// Renders a service or one of the shared files. The marker is added if the template does not contain it.
    ///
    /// # Errors
    /// The template is invalid, for instance because of an undefined name.
    pub(super) fn render(&self, name: &str, variables: &Variables) -> Result<String, String> {
        let template = self.environment.get_template(name).map_err(|error| render_error(&error))?;
        let text = template.render(Serde(variables)).map_err(|error| render_error(&error))?;
        Ok(if is_ours(&text) { text } else { format!("{}\n{text}", marker("#")) })
    }
}

fn render_error(error: &minijinja::Error) -> String {
    format!("the template cannot be rendered: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        let text = |text: &str| text.to_owned();
        Variables {
            install_dir: text("/opt/decnet"),
            venv_dir: text("/opt/decnet/.venv"),
            user: text("decnet"),
            group: text("netops"),
            decnet: text("/usr/bin/decnet"),
            services: vec![text("decnet-bus.service"), text("decnet-webhook.service")],
            ..Variables::default()
        }
    }

    #[test]
    fn every_embedded_file_renders_with_its_marker() {
        let templates = Templates::load(None, None).unwrap();
        let names = templates.services.iter().map(|(name, problem)| (name.as_str(), problem.is_none()));
        for (name, is_good) in names.chain(SHARED.map(|(name, _)| (name, true))) {
            let text = templates.render(name, &variables()).unwrap();
            assert!(
                is_good && is_ours(&text) && !text.contains("{{") && text.ends_with('\n'),
                "{name}: {text}"
            );
        }
    }

    #[test]
    fn units_contain_the_documented_settings() {
        let templates = Templates::load(None, None).unwrap();
        for (name, _) in &templates.services {
            let text = templates.render(name, &variables()).unwrap();
            for line in [
                "Type=notify",
                "WatchdogSec=60",
                "TimeoutStopSec=15",
                "Restart=on-failure",
                "StartLimitIntervalSec=0",
                "RestartPreventExitStatus=2",
                "NotifyAccess=main",
                "User=decnet",
                "Group=netops",
                "EnvironmentFile=-/opt/decnet/.env.local",
                "CapabilityBoundingSet=",
                "NoNewPrivileges=yes",
                "ProtectSystem=strict",
                "PrivateTmp=yes",
                "LimitCORE=0",
            ] {
                assert!(text.lines().any(|found| found == line), "{name} lacks {line}:\n{text}");
            }
        }
        for (name, memory) in [("bus", "2G"), ("webhook", "4G"), ("api", "2G")] {
            let text = templates.render(&format!("decnet-{name}.service"), &variables()).unwrap();
            assert!(text.contains(&format!("\nMemoryMax={memory}\n")), "{name}:\n{text}");
        }
        let webhook = templates.render("decnet-webhook.service", &variables()).unwrap();
        assert!(webhook.contains("After=network-online.target decnet-bus.service\n"));
        assert!(webhook.contains("Wants=network-online.target decnet-bus.service\n"));
        let target = templates.render("decnet.target", &variables()).unwrap();
        assert!(target.contains("Wants=decnet-bus.service decnet-webhook.service\n"));
    }

    #[test]
    fn undefined_name_fails_only_its_own_template() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("decnet-prober.service.j2", "User={{ user }}\nExecStart={{ venv_dir }}/bin/decnet prober\n");
        write("decnet-odd.service.j2", "User={{ usr }}\n");
        write("decnet-broken.service.j2", "User={{ user\n");
        write("other.service.j2", "User={{ usr }}\n");
        let templates = Templates::load(Some(dir.path()), None).unwrap();
        let names: Vec<_> = templates.services.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "decnet-api.service",
                "decnet-broken.service",
                "decnet-bus.service",
                "decnet-odd.service",
                "decnet-prober.service",
                "decnet-webhook.service"
            ]
        );
        assert!(templates.services[1].1.is_some());
        assert!(templates.render("decnet-odd.service", &variables()).unwrap_err().contains("undefined"));
        let prober = templates.render("decnet-prober.service", &variables()).unwrap();
        let (marker, unit) = prober.split_once('\n').unwrap();
        assert!(is_ours(marker), "{marker}");
        assert_eq!(unit, "User=decnet\nExecStart=/opt/decnet/.venv/bin/decnet prober\n");
    }
}
