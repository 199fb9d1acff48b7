//! The command line: what it takes, which code it ends with, and a file for each command.
//!
//! | file | what it holds |
//! |---|---|
//! | `args.rs` | every command and option |
//! | `exit.rs` | the exit codes |
//! | `problem.rs` | why a command failed |
//! | `output.rs` | the only place that writes to the terminal |
//! | `client.rs` | asking a running agent over its admin socket |
//! | `words.rs` | spans, sizes and times as people read them; tables |
//! | `run.rs`, `status.rs`, `reload.rs`, `tail.rs`, `emit.rs`, `destination.rs`, `deadletter.rs`, `token.rs`, `log.rs` | a command each |
//! | `template.rs`, `probe.rs`, `deadletter/change.rs` | the larger subcommands |
//! | `top.rs` | the command `top`, a live table |
//! | `signals.rs` | what ends a command in order |
//! | `content.rs` | the command `content`; `content/tar.rs` is its archive |
//! | `completions.rs`, `man.rs` | what shells complete with; the pages of the manual |
//! | `check.rs` | the command `check`; `check_golden.txt` is what it says of a file with many mistakes |

use std::ffi::OsString;
use std::io;
use std::path::Path;

use clap::Parser;
use clap::error::ErrorKind;

use crate::config::{Config, Surroundings};
use crate::sys;

mod args;
mod check;
mod client;
mod completions;
mod content;
mod deadletter;
pub(crate) mod destination;
mod emit;
mod exit;
mod log;
mod man;
mod output;
mod probe;
mod problem;
mod reload;
mod run;
mod signals;
pub(crate) mod status;
mod tail;
pub(crate) mod template;
mod token;
mod top;
pub(crate) mod words;

pub use args::{
    CONFIG_DEFAULT, CheckArgs, Cli, Command, CompletionsArgs, ContentCommand, ContentExportArgs, ContentListArgs,
    DeadletterChosenArgs, DeadletterCommand, DeadletterDropArgs, DeadletterEditArgs, DeadletterListArgs,
    DeadletterReplayArgs, DeadletterShowArgs, DemoArgs, DestinationCommand, DestinationListArgs, DestinationNameArgs,
    DestinationPreviewArgs, DestinationReplayArgs, DestinationShowArgs, DestinationTemplateArgs, DestinationTestArgs,
    EmitArgs, EmitEvent, LogCommand, LogExportArgs, LogInspectArgs, LogVerifyArgs, ManArgs, ReloadArgs, StatusArgs,
    TailArgs, TokenCommand, TokenCreateArgs, TokenListArgs, TokenRevokeArgs, TopArgs,
};
pub use exit::Exit;
pub use output::{Colour, Output};
pub use problem::Failure;
pub(crate) use problem::chain;
pub(crate) use signals::on_end;

/// Runs the command that `args` (the program's name first) asks for, on this process's streams.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    let (mut data, mut talk) = (io::stdout().lock(), io::stderr());
    let mut output = Output::new(&mut data, &mut talk, Colour::here());
    // Other commands hold secrets too. What may not be raised is 0 already, and does nearly the same.
    if let Err(problem) = sys::refuse_core_dumps()
        && problem.kind() != io::ErrorKind::PermissionDenied
    {
        output.talk(&format!("core dumps, which would hold secrets, are as the system has set them: {problem}"));
    }
    let exit = run_with(args, &Surroundings::here(), &mut output);
    output.finish(exit)
}

/// Runs the command that `args` asks for. All it says goes to `output`.
pub fn run_with(
    args: impl IntoIterator<Item = OsString>,
    surroundings: &Surroundings,
    output: &mut Output<'_>,
) -> Exit {
    let ended = match Cli::try_parse_from(args) {
        Ok(cli) => dispatch(cli, surroundings, output),
        Err(error) => answer(&error, output),
    };
    ended.unwrap_or_else(|failure| {
        output.failure(&failure);
        failure.exit
    })
}

fn dispatch(cli: Cli, surroundings: &Surroundings, output: &mut Output<'_>) -> Result<Exit, Failure> {
    match cli.command {
        Command::Check(args) => Ok(check::run(&cli.config, &args, surroundings, output)),
        Command::Schema => {
            output.json(&crate::config::json_schema());
            Ok(Exit::Ok)
        }
        Command::Run => run::run(&cli.config, surroundings, output),
        Command::Status(args) => status::run(&cli.config, &args, surroundings, output),
        Command::Reload(args) => reload::run(&cli.config, &args, surroundings, output),
        Command::Top(args) => top::run(&cli.config, &args, surroundings, output),
        Command::Tail(args) => tail::run(&cli.config, &args, surroundings, output),
        Command::Emit(args) => emit::run(&cli.config, &args, surroundings, output),
        Command::Destination(command) => destination::run(&cli.config, &command, surroundings, output),
        Command::Deadletter(command) => deadletter::run(&cli.config, &command, surroundings, output),
        Command::Token(command) => token::run(&cli.config, &command, surroundings, output),
        Command::Log(command) => log::run(&cli.config, &command, surroundings, output),
        Command::Content(command) => content::run(&command, output),
        Command::Completions(args) => completions::run(&args, output),
        Command::Man(args) => man::run(&args, output),
        Command::Demo(args) => crate::demo::run(&args, output),
    }
}

/// The configuration at `path`; `None` when it can't be used, which is then said.
fn configuration(path: &Path, surroundings: &Surroundings, output: &mut Output<'_>) -> Option<Config> {
    match Config::load(path, surroundings) {
        Ok((config, _)) => Some(config),
        Err(problems) => {
            output.problems(&problems);
            output.talk(&check::verdict(path, &problems));
            None
        }
    }
}

/// What clap stopped at: help and version were asked for, everything else is a usage error.
fn answer(error: &clap::Error, output: &mut Output<'_>) -> Result<Exit, Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            output.styled(&error.render(), true);
            Ok(Exit::Ok)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            output.styled(&error.render(), false);
            Ok(Exit::Usage)
        }
        _ => Err(Failure::usage(error)),
    }
}

#[cfg(test)]
mod tests;
