//! What a test found, as a value: for the command line, the page and the API alike.
//!
//! A stage that was not looked at says so; nothing counts as well because nothing was heard of it.

use serde::Serialize;
use utoipa::ToSchema;

use super::cause::Cause;
use super::stage::Stage;

/// What a test of one destination found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = TestReport)]
pub struct Report {
    /// The destination's name.
    pub destination: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it is.
    pub address: String,
    /// Whether nothing failed.
    pub ok: bool,
    /// Every stage, in order.
    pub stages: Vec<StageReport>,
    /// What failed, if something did: the stages after it were not looked at.
    pub failure: Option<Failure>,
    /// What works today and may not tomorrow, or could not be made sure of.
    pub warnings: Vec<Warning>,
    /// The event that was sent; none where it can't have arrived.
    pub event: Option<TestEvent>,
    /// How long all of it took.
    pub took_ms: u64,
}

/// How one stage went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct StageReport {
    /// Which.
    pub stage: Stage,
    /// How it ended.
    pub state: StageState,
    /// How long it took; none where an answer to something else has shown it, or nothing was done.
    pub took_ms: Option<u64>,
    /// What there is to know about it: an address, a version, why it was left out.
    pub note: Option<String>,
}

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageState {
    /// Well.
    Ok,
    /// Not well; [`Report::failure`] says why.
    Failed,
    /// There was nothing to look at, or no way to.
    Skipped,
}

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = TestFailure)]
pub struct Failure {
    /// At which stage.
    pub stage: Stage,
    /// The code of the cause; see [`super::cause::all`].
    pub code: &'static str,
    /// The cause in plain words.
    pub cause: String,
    /// What to do.
    pub remedy: String,
    /// What the other side or the system said, without secrets.
    pub said: Option<String>,
}

/// What should be looked at although nothing failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = TestWarning)]
pub struct Warning {
    /// Its name, for machines.
    pub code: &'static str,
    /// In plain words.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// The event of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TestEvent {
    /// Its `event_id`.
    pub event_id: String,
    /// Its `action`, always `siem.test`.
    pub action: &'static str,
    /// Its tenant: the destination's own where its scope is exactly one.
    pub tenant_id: String,
    /// When it was made (RFC 3339, UTC).
    pub timestamp: String,
    /// What finds it there.
    pub query: String,
    /// Where that is to be asked.
    pub ask: String,
}

/// What a judge has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) stage: Stage,
    pub(super) cause: &'static Cause,
    /// What the other side or the system said.
    pub(super) said: Option<String>,
    /// Whoever says so has looked at who we are and what we may, and has no objection to either.
    pub(super) knows_us: bool,
}

impl Finding {
    /// At the stage where this cause belongs.
    pub(super) fn of(cause: &'static Cause) -> Finding {
        Finding { stage: cause.stage, cause, said: None, knows_us: false }
    }

    /// The same at another stage.
    pub(super) fn at(self, stage: Stage) -> Finding {
        Finding { stage, ..self }
    }

    /// The same with somebody's words.
    pub(super) fn saying(self, said: impl Into<String>) -> Finding {
        let said = Some(said.into()).filter(|said: &String| !said.is_empty());
        Finding { said, ..self }
    }

    /// The same, by somebody who knows us.
    pub(super) fn knowing_us(self) -> Finding {
        Finding { knows_us: true, ..self }
    }
}

/// What stands for the placeholders in the texts of causes.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) host: String,
    pub(super) at: String,
    pub(super) proxy: String,
    pub(super) secret: String,
    pub(super) target: String,
}

impl Names {
    /// A text of a cause with the names of one destination.
    pub(super) fn fill(&self, text: &str) -> String {
        let pairs = [
            ("{host}", &self.host),
            ("{at}", &self.at),
            ("{proxy}", &self.proxy),
            ("{secret}", &self.secret),
            ("{target}", &self.target),
        ];
        pairs.iter().fold(text.to_owned(), |text, (place, name)| text.replace(place, name))
    }
}

impl Failure {
    pub(super) fn new(finding: Finding, names: &Names) -> Failure {
        let Finding { stage, cause, said, .. } = finding;
        Failure { stage, code: cause.code, cause: names.fill(cause.what), remedy: names.fill(cause.remedy), said }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::cause;

    #[test]
    fn no_text_of_a_cause_keeps_a_placeholder() {
        let names = Names {
            host: "siem".into(),
            at: "siem:1".into(),
            proxy: "proxy:3".into(),
            secret: "token".into(),
            target: "audit".into(),
        };
        for cause in cause::all() {
            let failure = Failure::new(Finding::of(cause), &names);
            assert!(!failure.cause.contains(['{', '}']) && !failure.remedy.contains(['{', '}']), "{failure:?}");
        }
    }
}
