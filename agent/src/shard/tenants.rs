//! Which outlets a tenant's events go to: looked up once per event, so that a thousand destinations, each for one
//! tenant, cost little more than one.

use std::rc::Rc;

use scaidrive_codecs::Scope;

use crate::tenant_map::TenantMap;

/// The places in whose scope each tenant is, learned as tenants appear.
#[derive(Debug, Default)]
pub(super) struct TenantTable {
    known: TenantMap<Known>,
}

#[derive(Debug)]
struct Known {
    tenant: Box<str>,
    places: Rc<[u32]>,
}

impl TenantTable {
    /// Positions of the scopes that include `tenant`, in order.
    pub(super) fn places<'a>(&mut self, hash: u64, tenant: &str, scopes: impl Iterator<Item = &'a Scope>) -> Rc<[u32]> {
        if let Some(known) = self.known.get(&hash) {
            // Two tenants may share a hash; only the id decides whose event it is.
            if *known.tenant == *tenant {
                return Rc::clone(&known.places);
            }
            return including(tenant, scopes);
        }
        if self.known.len() >= TENANTS_MAX {
            self.known.clear();
        }
        let places = including(tenant, scopes);
        self.known.insert(hash, Known { tenant: tenant.into(), places: Rc::clone(&places) });
        places
    }

    /// The scopes have changed.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }
}

fn including<'a>(tenant: &str, scopes: impl Iterator<Item = &'a Scope>) -> Rc<[u32]> {
    (0u32..).zip(scopes).filter(|(_, scope)| scope.includes(tenant)).map(|(place, _)| place).collect()
}

/// Tenants remembered at once.
const TENANTS_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tenants_with_one_hash_never_get_each_others_events() {
        let scopes: Vec<Scope> =
            ["a", "b", "*"].iter().filter_map(|tenant| Scope::compile(&[tenant.to_string()]).ok()).collect();
        let mut table = TenantTable::default();
        assert_eq!(*table.places(7, "a", scopes.iter()), [0, 2]);
        assert_eq!(*table.places(7, "b", scopes.iter()), [1, 2]);
        assert_eq!(*table.places(7, "a", scopes.iter()), [0, 2]);
    }
}
