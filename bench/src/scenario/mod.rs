//! What is measured, as data: each scenario is a value, and nothing here runs anything.
//!
//! A [`Scenario`] asks one question. It has [`Case`]s, which are run in turn, A B A B, and are told apart by their label;
//! an [`Estimate`] that was written before measuring; and the [`Goal`]s of the rows of the table that it answers.
//!
//! | file | holds |
//! |---|---|
//! | [`case`] | who runs how, under which load |
//! | [`goal`] | metrics, goals, and how a figure is held against one |
//! | [`row`] | the table of figures to reach, a variant a row |
//! | [`table`] | the scenarios themselves |

pub(crate) mod case;
pub(crate) mod goal;
pub(crate) mod row;
pub(crate) mod table;

pub(crate) use case::{Aim, Case, Destinations, Durability, Kind, Load, Runtime, Setup, Wire};
pub(crate) use goal::{Bound, Estimate, Goal, Metric, Sense};
pub(crate) use row::Row;
pub(crate) use scaidrive_codecs::Shape;

/// One question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    /// How it is called on the command line.
    pub(crate) name: &'static str,
    /// What is asked, here and below with `code` between backticks.
    pub(crate) question: &'static str,
    /// What is peculiar about how it is measured; the page says the rest once for all.
    pub(crate) method: &'static str,
    /// How events travel to the receiver.
    pub(crate) wire: Wire,
    /// Whose events.
    pub(crate) tenants: Tenants,
    /// Who is compared with whom, in groups, so that rivals are spelt once for several scenarios.
    pub(crate) cases: &'static [&'static [Case]],
    /// What was expected before anything was measured.
    pub(crate) estimates: &'static [Estimate],
    /// What has to be reached.
    pub(crate) goals: &'static [Goal],
    /// How often each case runs.
    pub(crate) rounds: usize,
}

impl Scenario {
    /// Every case of every group, in order.
    pub(crate) fn cases(&self) -> impl Iterator<Item = &'static Case> + use<> {
        self.cases.iter().copied().flatten()
    }

    /// How many of `there` processors sender, contender and receiver share: two, or as many as a goal asks for where the
    /// machine has them.
    pub(crate) fn cores(&self, there: usize) -> usize {
        let asked = self.goals.iter().map(|goal| goal.cores).filter(|cores| *cores <= there).max();
        asked.unwrap_or(0).max(CORES).min(there)
    }
}

/// A small machine.
const CORES: usize = 2;

/// How many tenants there are and how unevenly they write: the k-th writes in proportion to `1 / k^exponent`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tenants {
    pub(crate) count: u32,
    pub(crate) exponent: f64,
}

impl Tenants {
    /// A hosting node's mixture: a few customers write most.
    pub(crate) const ZIPF: Tenants = Tenants { count: 500, exponent: 1.0 };

    /// All write the same.
    pub(crate) const fn even(count: u32) -> Tenants {
        Tenants { count, exponent: 0.0 }
    }
}
