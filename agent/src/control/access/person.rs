//! Who asks: a name for the audit trail, by which way, with which role and for which tenants.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::Destination;

/// Somebody whom a door let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) struct Person {
    /// What the audit trail calls them: `uid 0`, or by the name of a token.
    pub(in crate::control) who: String,
    /// How they came.
    pub(in crate::control) via: Via,
    /// What they may.
    pub(in crate::control) role: Role,
    /// Whose events and destinations they may see.
    pub(in crate::control) reach: Reach,
}

/// How somebody came, as `siem.config_changed` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum Via {
    /// The command line, over the admin socket.
    Cli,
    /// A program with a token.
    Api,
    /// The page: after a login, or through a proxy that says who it is.
    Page,
}

/// What somebody may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Everything within reach.
    Admin,
    /// Look.
    Viewer,
}

/// Whose events and destinations somebody may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) enum Reach {
    /// Everybody's, and the agent itself.
    All,
    /// Those of these tenants.
    Tenants(BTreeSet<String>),
}

impl Person {
    /// Whether they may know of a destination: one that gets events of their tenants alone.
    pub(in crate::control) fn sees(&self, destination: &Destination) -> bool {
        self.reach.covers(&destination.tenants)
    }
}

impl Via {
    /// As audit events name it.
    pub(in crate::control) fn name(self) -> &'static str {
        match self {
            Via::Cli => "cli",
            Via::Api => "api",
            Via::Page => "page",
        }
    }
}

impl Reach {
    /// Whether events of this tenant are within it.
    pub(in crate::control) fn includes(&self, tenant: &str) -> bool {
        match self {
            Reach::All => true,
            Reach::Tenants(own) => own.contains(tenant),
        }
    }

    /// Whether all of `tenants`, as a destination's scope names them (`*` is everyone), are within it.
    pub(in crate::control) fn covers(&self, tenants: &[String]) -> bool {
        match self {
            Reach::All => true,
            Reach::Tenants(own) => tenants.iter().all(|tenant| own.contains(tenant)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_bound_to_tenants_sees_what_goes_to_those_alone() {
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let reach = Reach::Tenants(of(&["acme", "globex"]).into_iter().collect());
        assert!(reach.covers(&of(&["acme"])) && reach.covers(&of(&["globex", "acme"])));
        assert!(!reach.covers(&of(&["acme", "other"])) && !reach.covers(&of(&["*"])));
        assert!(Reach::All.covers(&of(&["*"])));
        assert!(reach.includes("acme") && !reach.includes("other") && Reach::All.includes("other"));
    }
}
