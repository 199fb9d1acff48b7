//! The agent's own events for an audit trail that is no SIEM: pages of the chronicle.
//!
//! Who reads keeps the cursor, which is good over restarts of either side; a page says when something between its cursor
//! and its events is missing. An event about a destination of several tenants names them as `of_tenants`, and is for those
//! who may see them all; any other is for those who may see its `tenant_id`.

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::access::Reach;
use crate::chronicle::{Chronicle, Cursor, Page};
use crate::concern::Concern;

/// A page of the agent's own events.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AgentEvents {
    /// Oldest first.
    pub events: Vec<AgentEvent>,
    /// What to ask for next as `after`, also where there are no events.
    pub next: String,
    /// The place before the oldest event that is kept.
    pub oldest: String,
    /// Events between `after` and `next` are missing: more came than are kept, or the disk lost them.
    pub lost: bool,
    /// There is more already.
    pub has_more: bool,
}

/// One event.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AgentEvent {
    /// The place behind it.
    pub cursor: String,
    /// The event.
    #[schema(value_type = Value)]
    pub event: Box<RawValue>,
}

/// A page of the events behind `after` that belong to tenants within `reach`. Blocks on the disk.
///
/// # Errors
/// When the chronicle can't be read.
pub(super) fn page(
    chronicle: &Chronicle,
    after: Option<Cursor>,
    limit: usize,
    reach: &Reach,
) -> io::Result<AgentEvents> {
    Ok(told(chronicle.page(after, limit, |line| is_shown(line, reach))?))
}

/// Whether an event of the agent is about a tenant within `reach`, or about a destination all of whose tenants are.
pub(super) fn is_shown(line: &[u8], reach: &Reach) -> bool {
    let is_within = |Concern { tenant_id, of_tenants }: Concern| {
        reach.includes(&tenant_id) || (!of_tenants.is_empty() && reach.covers(&of_tenants))
    };
    *reach == Reach::All || serde_json::from_slice(line).is_ok_and(is_within)
}

fn told(page: Page) -> AgentEvents {
    let events = page.events.into_iter().filter_map(|kept| {
        let event = serde_json::from_slice(&kept.line).ok()?;
        Some(AgentEvent { cursor: kept.cursor.to_string(), event })
    });
    AgentEvents {
        events: events.collect(),
        next: page.next.to_string(),
        oldest: page.oldest.to_string(),
        lost: page.is_lossy,
        has_more: page.has_more,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_bound_to_tenants_reads_what_is_about_them_and_no_cursor_comes_twice() {
        let directory = tempfile::tempdir().unwrap();
        let (chronicle, _) = Chronicle::open(directory.path(), 1).unwrap();
        for (n, tenant) in ["_agent", "acme", "other", "acme"].iter().enumerate() {
            chronicle.note(format!("{{\"n\":{n},\"tenant_id\":\"{tenant}\"}}").into_bytes());
        }
        chronicle.close();
        chronicle.write();
        let acme = Reach::Tenants(["acme".to_owned()].into());
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = page(&chronicle, after, 1, &acme).unwrap();
            after = Some(page.next.parse().unwrap());
            assert!(!page.lost);
            seen.extend(page.events.iter().map(|of| (of.cursor.clone(), of.event.get().to_owned())));
            if !page.has_more {
                break;
            }
        }
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert!(seen[0].1.contains("\"n\":1") && seen[1].1.contains("\"n\":3") && seen[0].0 != seen[1].0);
        assert_eq!(page(&chronicle, None, 9, &Reach::All).unwrap().events.len(), 4);
    }

    #[test]
    fn what_is_about_a_destination_of_several_tenants_is_read_by_those_who_may_see_them_all() {
        let line = br#"{"tenant_id":"_agent","of_tenants":["acme","globex"]}"#;
        let of = |tenants: &[&str]| Reach::Tenants(tenants.iter().map(|name| (*name).to_owned()).collect());
        for (tenants, is_read) in [
            (&["acme", "globex"][..], true),
            (&["acme", "globex", "other"], true),
            (&["acme"], false),
            (&["globex"], false),
            (&["other"], false),
            (&["_agent"], true),
        ] {
            assert_eq!(is_shown(line, &of(tenants)), is_read, "{tenants:?}");
        }
        assert!(!is_shown(br#"{"tenant_id":"_agent","of_tenants":[]}"#, &of(&["acme"])));
        assert!(!is_shown(br#"{"tenant_id":"_agent","of_tenants":["*"]}"#, &of(&["acme"])));
    }
}
