//! Why a command failed, in the three lines that every message of the agent has: what, where, what to do.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::exit::Exit;
use crate::config::nearest;

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code that goes with it.
    pub exit: Exit,
    /// What failed, in plain words, without a full stop.
    pub what: String,
    /// Where: a key, a file, a path, the command line.
    pub place: String,
    /// What to do about it.
    pub advice: String,
}

impl Failure {
    /// A command line that can't be understood.
    pub(crate) fn usage(error: &clap::Error) -> Failure {
        Failure {
            exit: Exit::Usage,
            what: usage_what(error),
            place: "the command line".to_owned(),
            advice: usage_advice(error),
        }
    }
}

/// An error and what caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn usage_what(error: &clap::Error) -> String {
    let argument = || context(error, ContextKind::InvalidArg).join(", ");
    let value = || context(error, ContextKind::InvalidValue).join(", ");
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            format!("there is no command `{}`", context(error, ContextKind::InvalidSubcommand).join(" "))
        }
        ErrorKind::UnknownArgument => format!("`{}` is not known here", argument()),
        ErrorKind::MissingRequiredArgument => format!("something is missing: {}", argument()),
        ErrorKind::InvalidValue if value().is_empty() => format!("{} needs a value", argument()),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => format!("{} can't be \"{}\"", argument(), value()),
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            first.strip_prefix("error: ").unwrap_or(first).to_owned()
        }
    }
}

fn usage_advice(error: &clap::Error) -> String {
    let meant: Vec<String> = [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue]
        .into_iter()
        .flat_map(|kind| context(error, kind))
        .collect();
    let written = context(error, ContextKind::InvalidSubcommand).join(" ");
    if let Some(meant) = nearest(&written, meant.iter().map(String::as_str)).or(meant.first().map(String::as_str)) {
        return format!("did you mean `{meant}`? `{} --help` shows all there is", command(error));
    }
    match context(error, ContextKind::ValidValue).as_slice() {
        [] => format!("`{} --help` shows all there is", command(error)),
        valid => format!("it takes one of {}", valid.join(", ")),
    }
}

/// The command that was meant, as far as it was understood: the first words of how it is used.
fn command(error: &clap::Error) -> String {
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    let words = usage.split_whitespace().skip(2).take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
    ["scaidrive-siem"].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

fn context(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) if !text.is_empty() => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}
