//! How grave an event is, and the word or number each format has for that.
//!
//! `low`, `medium` and `high` are synonyms of `notice`, `warning` and `error`. Letter case does not matter. A word that
//! is none of these is [`Severity::Unknown`]: the event is accepted, passes every severity filter, and is translated
//! like `notice` where the format has no word for "unknown".

/// The severity of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Of interest to developers only.
    Debug,
    /// Ordinary.
    Info,
    /// Ordinary but worth a look; `low` is the same.
    Notice,
    /// Something may be wrong; `medium` is the same.
    Warning,
    /// Something is wrong; `high` is the same.
    Error,
    /// Someone should act now.
    Critical,
    /// A word this program does not know.
    Unknown,
}

impl Severity {
    /// Every severity, least grave first, `Unknown` last.
    pub const ALL: [Severity; 7] = [
        Severity::Debug,
        Severity::Info,
        Severity::Notice,
        Severity::Warning,
        Severity::Error,
        Severity::Critical,
        Severity::Unknown,
    ];

    /// The severity an event's word stands for; `Unknown` for every other word.
    pub fn from_text(word: &str) -> Severity {
        Severity::from_bytes(word.as_bytes())
    }

    /// Like [`Severity::from_text`].
    pub(crate) fn from_bytes(word: &[u8]) -> Severity {
        let known = WORDS.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
        known.map_or(Severity::Unknown, |(_, severity)| *severity)
    }

    /// The canonical word.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Debug => "debug",
            Severity::Info => "info",
            Severity::Notice => "notice",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
            Severity::Unknown => "unknown",
        }
    }

    /// Syslog severity, 7 (debug) down to 2 (critical). RFC 5424, section 6.2.1.
    pub fn syslog(self) -> u8 {
        match self {
            Severity::Debug => 7,
            Severity::Info => 6,
            Severity::Notice | Severity::Unknown => 5,
            Severity::Warning => 4,
            Severity::Error => 3,
            Severity::Critical => 2,
        }
    }

    /// CEF severity, 0 to 10.
    pub fn cef(self) -> u8 {
        match self {
            Severity::Debug => 0,
            Severity::Info => 2,
            Severity::Notice | Severity::Unknown => 3,
            Severity::Warning => 5,
            Severity::Error => 8,
            Severity::Critical => 10,
        }
    }

    /// LEEF severity, 1 to 10.
    pub fn leef(self) -> u8 {
        self.cef().max(1)
    }

    /// OCSF `severity_id`: 0 unknown, 1 informational, 2 low, 3 medium, 4 high, 5 critical.
    pub fn ocsf(self) -> u8 {
        match self {
            Severity::Debug | Severity::Info => 1,
            Severity::Notice => 2,
            Severity::Warning => 3,
            Severity::Error => 4,
            Severity::Critical => 5,
            Severity::Unknown => 0,
        }
    }

    /// ASIM `EventSeverity`. ASIM has no word above `High`.
    pub fn asim(self) -> &'static str {
        match self {
            Severity::Debug | Severity::Info => "Informational",
            Severity::Notice | Severity::Unknown => "Low",
            Severity::Warning => "Medium",
            Severity::Error | Severity::Critical => "High",
        }
    }

    /// Datadog log `status`.
    pub fn datadog(self) -> &'static str {
        match self {
            Severity::Warning => "warn",
            Severity::Unknown => "notice",
            other => other.as_str(),
        }
    }

    /// The number that stands for this severity in a stored index: its place in [`Severity::ALL`].
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_code(code: u8) -> Option<Severity> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

const WORDS: [(&str, Severity); 9] = [
    ("info", Severity::Info),
    ("notice", Severity::Notice),
    ("warning", Severity::Warning),
    ("error", Severity::Error),
    ("critical", Severity::Critical),
    ("debug", Severity::Debug),
    ("low", Severity::Notice),
    ("medium", Severity::Warning),
    ("high", Severity::Error),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_its_row_of_the_translation_table() {
        let rows = [
            ("debug", 7, 0, 1, 1, "Informational", "debug"),
            ("info", 6, 2, 2, 1, "Informational", "info"),
            ("notice", 5, 3, 3, 2, "Low", "notice"),
            ("low", 5, 3, 3, 2, "Low", "notice"),
            ("warning", 4, 5, 5, 3, "Medium", "warn"),
            ("medium", 4, 5, 5, 3, "Medium", "warn"),
            ("error", 3, 8, 8, 4, "High", "error"),
            ("high", 3, 8, 8, 4, "High", "error"),
            ("critical", 2, 10, 10, 5, "High", "critical"),
            ("WARNING", 4, 5, 5, 3, "Medium", "warn"),
            ("severe", 5, 3, 3, 0, "Low", "notice"),
            ("", 5, 3, 3, 0, "Low", "notice"),
        ];
        for (word, syslog, cef, leef, ocsf, asim, datadog) in rows {
            let severity = Severity::from_text(word);
            let found = (severity.syslog(), severity.cef(), severity.leef(), severity.ocsf());
            assert_eq!(found, (syslog, cef, leef, ocsf), "{word}");
            assert_eq!((severity.asim(), severity.datadog()), (asim, datadog), "{word}");
        }
    }

    #[test]
    fn a_code_comes_back_as_the_same_severity() {
        for severity in Severity::ALL {
            assert_eq!(Severity::from_code(severity.code()), Some(severity));
        }
        assert_eq!(Severity::from_code(7), None);
    }
}
