//! The generator of docs/configuration.md.

use std::fmt::Write as _;

use super::keys::{self, Disclosure, Info};

const INTRODUCTION: &str = "\
# Configuration

The value of each setting comes from the first of these sources that has it:

1. the command line (`--data-dir`, `--config`, `-v`),
2. the environment; for a command that an operator runs, also the `EnvironmentFile=` (if readable) and the `Environment=`
   of the unit `decnet-webhook.service`,
3. the INI file: `/etc/decnet/decnet.ini`, or the file that `--config` or `DECNET_CONFIG` names,
4. `.env.local`, then `.env`, in the working directory,
5. the default.

An empty value counts as not set. In the INI file, the key `foo-bar` sets `DECNET_FOO_BAR` if it is in section `[decnet]`, or
in the section of the current mode (`[master]` or `[agent]`). Some settings also have a key in a section of their own.
Comments start with `#` or `;`. The INI file may contain secrets, as DECNET's may. There is a warning if group or others can
read it, so `.env.local` is the better place.

A file is used only if no other user can have written it. It must be a regular file that belongs to root or to the user of the
command, and group or others must not be able to write it. The same must hold for its directory. Root also uses files of the
services' user below the services' directories. Any other `.env.local`, `.env` or `/etc/decnet/decnet.ini` is ignored with a
warning. A file that `--config` or `DECNET_CONFIG` names causes an error instead. The rule for every path is in
[threat-model.md](threat-model.md#files-and-programs).

`decnet check` prints every effective setting with its source, and reports all problems at once. An invalid value, or an
unknown name that starts with `DECNET_WEBHOOK_`, stops every command with exit code 2. Other unknown `DECNET_` names are
ignored, because DECNET has many of its own. `DECNET_JWT_SECRET`, `DECNET_JWT_SECRET_FILE` and `DECNET_CORS_ORIGINS` are read
only by commands that serve or check the API, and `DECNET_OTEL_ENDPOINT` only if `DECNET_DEVELOPER_TRACING` is `true`.

If `.env.local` contains a name twice, the last one counts, and there is a warning. Put comments on lines of their own: systemd
loads the file for a service, and reads ` #` after a value as part of the value.

Durations are written `500ms`, `10s`, `2m`, `1h` or `7d` (a bare number is seconds), sizes `10GiB`, `500MB` or
in bytes.

These names that other programs share are respected: `NO_COLOR`, `SSL_CERT_FILE` (a PEM file) and `SSL_CERT_DIR` (directories,
separated by colons). If either of the last two is set, only the certificates there are trusted as roots, not the system's
store. They are read from the environment of the process, for a service also from `.env.local`. `HTTP_PROXY`, `HTTPS_PROXY`
and `ALL_PROXY` are ignored: requests go directly to their receivers. If one is set, `decnet check` and the log report it.
";

/// Returns the whole page.
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
    if info.disclosure == Disclosure::Never {
        writeln!(page, "- A secret: never shown")?;
    }
    writeln!(page, "- Notes: {}", info.reason)
}
