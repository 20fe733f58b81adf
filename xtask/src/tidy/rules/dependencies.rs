//! A heavy dependency has one home, and the core has no heavy dependency. This is why the crates are divided as they are.

use crate::tidy::packages::{Dependency, Package};
use crate::tidy::tree::Tree;
use crate::tidy::violation::Violation;

/// Dependencies that only some crates may use in production code, these crates, and the reason. Tests may use
/// the dependencies anywhere.
const HOMES: [(&str, &str, &str); 14] = [
    (
        "rusqlite sqlx libsqlite3-sys postgres tokio-postgres mysql_async",
        "decnet-store",
        "all SQL is in decnet-store",
    ),
    (
        "hyper hyper-util",
        "decnet-api decnet-telemetry decnet-testkit decnet decnet-bench",
        "the API, the receivers and the exporters speak HTTP by hyper; decnet-sender sends it without hyper",
    ),
    ("h2 httparse reqwest ureq isahc curl", "decnet-sender", "only decnet-sender sends webhooks"),
    ("axum axum-core axum-extra tower-http", "decnet-api", "the HTTP API is in decnet-api"),
    ("utoipa utoipa-axum", "decnet-api", "the OpenAPI document is generated in decnet-api"),
    ("ratatui crossterm", "decnet", "only the binary draws in a terminal"),
    (
        "prometheus-client opentelemetry-proto prost",
        "decnet-telemetry",
        "metrics and traces are exported by decnet-telemetry",
    ),
    ("tar", "decnet", "only the binary writes backups"),
    ("minijinja", "decnet decnet-format", "templates are unit files or the bodies of requests"),
    ("async-nats nats", "decnet-bus", "bus clients are in decnet-bus"),
    ("clap anyhow", "decnet decnet-bench xtask", "only binaries parse arguments and use untyped errors"),
    ("decnet-testkit", "decnet-bench", "the test kit is for tests and benchmarks only"),
    ("rcgen", "decnet-testkit", "only the test kit creates certificates"),
    ("decnet-bench", "decnet", "only `decnet bench` uses the library of the benchmark"),
];

/// Dependencies that the pure core may not use, not even in its tests.
const IMPURE: &str = "async-nats async-std axum getrandom h2 hyper hyper-util libc rand reqwest rusqlite rustix \
    rustls smol sqlx tempfile tokio tokio-util tracing";

/// Crates that must not depend on each other; they communicate through the store and the bus.
const INDEPENDENT: [&str; 2] = ["decnet-api", "decnet-dispatch"];

pub(super) fn check(packages: &[Package], tree: &Tree) -> Vec<Violation> {
    let dependencies =
        packages.iter().flat_map(|package| package.dependencies.iter().map(move |each| (package, each)));
    let violations = dependencies.filter_map(|(package, dependency)| {
        let why = violation_reason(&package.name, dependency)?;
        Some(violation(package, dependency, tree, why))
    });
    violations.collect()
}

fn violation_reason(package: &str, dependency: &Dependency) -> Option<&'static str> {
    let name = dependency.name.as_str();
    match name {
        _ if package == "decnet-core" && (lists(IMPURE, name) || name.starts_with("decnet-")) => {
            Some("the core is pure and does not depend on other crates of the workspace")
        }
        _ if INDEPENDENT.contains(&package) && INDEPENDENT.contains(&name) => {
            Some("decnet-api and decnet-dispatch communicate through the store and the bus")
        }
        _ if dependency.is_for_tests() => None,
        "decnet-bench" if dependency.uses_default_features => {
            Some("its program is not part of the product: set default-features = false")
        }
        "decnet-testkit" if !dependency.optional => {
            Some("the test kit is for tests and, optional, for the benchmark program")
        }
        _ => {
            let (_, crates, why) = HOMES.iter().find(|(dependencies, ..)| lists(dependencies, name))?;
            (!lists(crates, package)).then_some(*why)
        }
    }
}

/// Returns whether `name` is one of the names in `list`, which are separated by spaces.
fn lists(list: &str, name: &str) -> bool {
    list.split_whitespace().any(|listed| listed == name)
}

fn violation(package: &Package, dependency: &Dependency, tree: &Tree, why: &str) -> Violation {
    let names_it = |line: &str| {
        line.strip_prefix(dependency.name.as_str()).is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    let text = tree.file(&package.manifest).map_or("", |file| file.text.as_str());
    let line = text.lines().position(names_it).map_or(1, |index| index + 1);
    let message = format!("{} may not depend on {}: {why}", package.name, dependency.name);
    Violation::new(&package.manifest.to_string_lossy(), line, "dependencies", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(name: &str, kind: Option<&str>) -> Dependency {
        let (name, kind) = (name.to_owned(), kind.map(str::to_owned));
        Dependency { name, optional: false, uses_default_features: false, kind }
    }

    fn is_allowed(package: &str, name: &str, kind: Option<&str>) -> bool {
        violation_reason(package, &dependency(name, kind)).is_none()
    }

    #[test]
    fn heavy_dependency_stays_in_its_home() {
        assert!(is_allowed("decnet-store", "rusqlite", None));
        assert!(!is_allowed("decnet-dispatch", "rusqlite", None));
        assert!(!is_allowed("decnet", "sqlx", Some("build")));
        assert!(is_allowed("decnet", "hyper", None));
        assert!(!is_allowed("decnet-bus", "hyper", None));
        assert!(!is_allowed("decnet", "reqwest", None));
        assert!(!is_allowed("decnet", "axum", None));
        assert!(!is_allowed("decnet-store", "anyhow", None));
        assert!(is_allowed("decnet-api", "utoipa", None));
        assert!(!is_allowed("decnet", "utoipa", None));
        for tool in ["ratatui", "crossterm", "tar", "minijinja"] {
            assert!(is_allowed("decnet", tool, None), "{tool}");
            assert!(!is_allowed("decnet-dispatch", tool, None), "{tool}");
        }
    }

    #[test]
    fn tests_may_use_more_except_in_the_core() {
        assert!(is_allowed("decnet", "rusqlite", Some("dev")));
        assert!(is_allowed("decnet-dispatch", "decnet-testkit", Some("dev")));
        assert!(!is_allowed("decnet", "decnet-testkit", None));
        assert!(!is_allowed("decnet-dispatch", "rcgen", None));
        assert!(!is_allowed("decnet-core", "tokio", Some("dev")));
        assert!(!is_allowed("decnet-core", "decnet-bus", None));
        assert!(is_allowed("decnet-core", "url", None));
    }

    #[test]
    fn product_contains_only_the_library_of_the_benchmark() {
        assert!(is_allowed("decnet", "decnet-bench", None));
        let whole = Dependency { uses_default_features: true, ..dependency("decnet-bench", None) };
        assert!(violation_reason("decnet", &whole).is_some());
        let test_kit = Dependency { optional: true, ..dependency("decnet-testkit", None) };
        assert!(violation_reason("decnet-bench", &test_kit).is_none());
        assert!(!is_allowed("decnet-bench", "decnet-testkit", None));
    }

    #[test]
    fn only_the_sender_has_an_http_client() {
        assert!(is_allowed("decnet-sender", "h2", None));
        assert!(is_allowed("decnet-telemetry", "prost", None));
        assert!(!is_allowed("decnet", "h2", None));
    }

    #[test]
    fn api_and_dispatch_are_independent_even_in_tests() {
        assert!(!is_allowed("decnet-api", "decnet-dispatch", Some("dev")));
        assert!(!is_allowed("decnet-dispatch", "decnet-api", None));
    }

    #[test]
    fn violation_names_the_line_of_the_manifest() {
        let tree = Tree::of(&[(
            "crates/a/Cargo.toml",
            "[dependencies]\nrusqlite-x = 1\nrusqlite.workspace = true\n",
        )]);
        let dependencies = vec![dependency("rusqlite", None)];
        let package = Package {
            name: "a".into(),
            manifest: "crates/a/Cargo.toml".into(),
            dependencies,
            ..Package::default()
        };
        let found = check(&[package], &tree);
        assert!(
            found[0].to_string().starts_with("crates/a/Cargo.toml:3: dependencies: a may not"),
            "{found:?}"
        );
    }
}
