//! `decnet completions`: completion scripts for shells.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::output;

/// Prints a completion script for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet completions bash > /usr/share/bash-completion/completions/decnet
  decnet completions zsh > ~/.zfunc/_decnet
  decnet completions fish > ~/.config/fish/completions/decnet.fish")]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    output::raw(&script(args.shell))
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "decnet", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_of_dead_deliveries_are_completed() {
        let script = String::from_utf8(script(Shell::Bash)).unwrap();
        for reason in decnet_core::delivery::Reason::ALL {
            assert!(script.contains(reason.as_str()), "{reason}");
        }
    }

    #[test]
    fn every_script_completes_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(script(shell)).unwrap();
            for name in ["subscription", "redeliver", "watch"] {
                assert!(script.contains(name), "{shell} does not complete {name}");
            }
        }
    }
}
