//! docs/configuration.md, made from the table.

use std::fmt::Write as _;

use super::keys::{self, Info, Shown};

const INTRODUCTION: &str = "\
# Configuration

Each setting is looked for in this order; the first place that has it wins:

1. the command line (`--data-dir`, `--config`, `-v`),
2. the environment; for a command in your hand also what the unit `decnet-webhook.service` gives the services: its
   `EnvironmentFile=`, where you may read it, and its `Environment=`,
3. the INI file: `/etc/decnet/decnet.ini`, or what `--config` or `DECNET_CONFIG` names,
4. `.env.local`, then `.env`, in the working directory,
5. the default.

An empty value counts as not set. In the INI file, key `foo-bar` of section `[decnet]`, or of the section of
the mode in force (`[master]` or `[agent]`), is `DECNET_FOO_BAR`; some settings have a place in a section of
their own besides. Comments start with `#` or `;`. A secret may stand there, as it may for DECNET; there is a warning if
group or others can read the file, so `.env.local` is the better place.

A file is used only if nobody else can have written it: a regular file that belongs to root or to the user of the command,
cannot be written by group or others, and lies in a directory of which the same holds. Root also uses files of the services'
user below the services' directories. Any other `.env.local`, `.env` or `/etc/decnet/decnet.ini` is ignored with a warning; one
that `--config` or `DECNET_CONFIG` names is an error. The rule for every path is in
[threat-model.md](threat-model.md#files-and-programs).

`decnet check` prints every setting that is in force and where it comes from, and reports everything that is
wrong at once. A wrong value, or an unknown name that starts with `DECNET_WEBHOOK_`, stops every command with
exit code 2; other unknown `DECNET_` names are left alone, for DECNET has many of its own. `DECNET_JWT_SECRET`,
`DECNET_JWT_SECRET_FILE` and `DECNET_CORS_ORIGINS` are read only by what serves or checks the API, and
`DECNET_OTEL_ENDPOINT` only where `DECNET_DEVELOPER_TRACING` is `true`.

Of a name that is in `.env.local` twice the last one counts, and there is a warning. Give comments lines of their own: a
service gets the file from systemd, for which ` #` after a value is part of it.

Durations are written `500ms`, `10s`, `2m`, `1h` or `7d` (a bare number is seconds), sizes `10GiB`, `500MB` or
in bytes.

Of the names that other programs use too, `NO_COLOR` is respected, and so are `SSL_CERT_FILE` (a PEM file) and
`SSL_CERT_DIR` (directories, separated by colons): where either is set, the trusted root certificates come from there
alone instead of the system's store. They count in the environment of the process, for a service also in `.env.local`.
`HTTP_PROXY`, `HTTPS_PROXY` and `ALL_PROXY` are ignored: requests go to their receivers directly. Where one is set,
`decnet check` and the log say so.
";

/// The page, whole.
pub(crate) fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    let mut group = "";
    for info in keys::ALL {
        if info.group != group {
            group = info.group;
            write!(page, "\n## {group}\n").expect("a String takes all text");
        }
        entry(&mut page, info).expect("a String takes all text");
    }
    page
}

fn entry(page: &mut String, info: &Info) -> std::fmt::Result {
    write!(page, "\n### `{}`\n\n{}\n\n", info.name, info.meaning)?;
    writeln!(page, "- Value: {}", info.form)?;
    if !info.default.is_empty() {
        writeln!(page, "- Default: `{}`", info.default)?;
    }
    if let Some((section, key)) = info.ini {
        writeln!(page, "- INI: `[{section}] {key}`")?;
    } else if info.name != keys::CONFIG.info.name {
        let key = info.name.trim_start_matches("DECNET_").to_ascii_lowercase().replace('_', "-");
        writeln!(page, "- INI: `[decnet] {key}`")?;
    }
    if info.shown == Shown::Never {
        writeln!(page, "- A secret: never shown")?;
    }
    writeln!(page, "- Why change it: {}", info.reason)
}
