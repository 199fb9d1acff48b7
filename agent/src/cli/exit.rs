//! How the command ends: the codes of BSD's `sysexits.h`, and what goes with each.

use std::process::{ExitCode, Termination};

/// How the command ended. Systemd is told not to restart after `Usage` and `Config`: they need a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All is well.
    Ok = 0,
    /// The command did its work, and what it looked at is not well.
    CheckFailed = 1,
    /// The command line can't be understood.
    Usage = 64,
    /// Something that is needed is not there: the agent does not run, or another holds the state directory.
    Unavailable = 69,
    /// The agent itself is at fault.
    Internal = 70,
    /// Reading or writing failed.
    Io = 74,
    /// This user may not do that.
    Permission = 77,
    /// The configuration can't be used.
    Config = 78,
}

impl Exit {
    /// Each of them, by its number.
    pub(crate) const ALL: [Exit; 8] = [
        Exit::Ok,
        Exit::CheckFailed,
        Exit::Usage,
        Exit::Unavailable,
        Exit::Internal,
        Exit::Io,
        Exit::Permission,
        Exit::Config,
    ];

    /// What it means, for the manual.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Exit::Ok => "all is well",
            Exit::CheckFailed => "what was looked at or handed over is not well",
            Exit::Usage => "the command line can't be used",
            Exit::Unavailable => "something needed is not there, such as a running agent",
            Exit::Internal => "a fault of the agent",
            Exit::Io => "reading or writing failed",
            Exit::Permission => "this user may not",
            Exit::Config => "the configuration can't be used",
        }
    }

    /// The number that the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}
