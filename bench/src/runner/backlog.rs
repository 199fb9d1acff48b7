//! A start with a log full of undelivered events, and their delivery: what is not there after the start was lost.

use super::stage::{Unusual, drop_page_cache};
use super::{Lab, NoFigures, Stage, Taken};
use crate::scenario::{Case, Metric, Scenario};

pub(super) fn run(scenario: &Scenario, case: &Case, lab: &Lab, events: u64) -> Result<Taken, NoFigures> {
    let unusual = Unusual { is_first_down: true, ..Unusual::default() };
    let mut stage = Stage::set_unusually(scenario, case, lab, unusual)?;
    let mut flood = stage.producers(events, 256, 1);
    flood.run(stage.input()).map_err(|error| stage.explained(&error))?;
    let mut is_cold = false;
    let (mut stage, took) = stage.restart(|| is_cold = drop_page_cache())?;
    stage.raise_first()?;
    stage.wait_for_first()?;
    let lost = stage.lost(events);
    let mut taken = stage.taken();
    taken.figures = vec![
        (Metric::Ready, took.as_secs_f64() * 1e3),
        (Metric::FoundAgain, (events - lost) as f64),
        (Metric::Lost, lost as f64),
        (Metric::Repeated, stage.repeated() as f64),
    ];
    if !is_cold {
        taken.remarks.push("the page cache was not dropped: that takes root".to_owned());
    }
    Ok(taken)
}
