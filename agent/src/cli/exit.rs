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
