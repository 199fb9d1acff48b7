//! `completions`: what a shell completes command lines with, from the same description as `--help`.

use clap::CommandFactory;

use super::{Cli, CompletionsArgs, Exit, Failure, Output};

/// Prints the script for one shell.
pub(super) fn run(args: &CompletionsArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "scaidrive-siem", &mut script);
    output.data(String::from_utf8_lossy(&script).trim_end());
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use clap_complete::Shell;

    use super::*;
    use crate::cli::Colour;

    #[test]
    fn each_shell_knows_every_command_and_option() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let (mut data, mut talk) = (Vec::new(), Vec::new());
            let mut output = Output::new(&mut data, &mut talk, Colour::default());
            assert_eq!(run(&CompletionsArgs { shell }, &mut output), Ok(Exit::Ok));
            let script = String::from_utf8(data).unwrap();
            let mut left = vec![Cli::command()];
            while let Some(command) = left.pop() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
                for option in command.get_arguments().filter_map(|known| known.get_long()) {
                    assert!(script.contains(option), "{shell}: --{option} of {}", command.get_name());
                }
                left.extend(command.get_subcommands().cloned());
            }
        }
    }
}
