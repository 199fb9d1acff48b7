//! Which tenants' events a destination may see at all.

use crate::hash::Hasher;

/// The tenants of one destination: all of them, or a list of exact ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Sorted, without doubles; `None` means every tenant.
    tenants: Option<Vec<String>>,
}

/// Why a list of tenants is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// The list is empty.
    #[error("no tenant is named; write [\"*\"] for every tenant")]
    Empty,
    /// The list has more than [`TENANTS_MAX`] names.
    #[error("{count} tenants are named; at most {TENANTS_MAX} are allowed")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// A name that is empty or holds a `*`: who may see a tenant's events is never a guess.
    #[error("`{name}` is not a tenant id; ids are written out in full, and \"*\" alone means every tenant")]
    NotAnId {
        /// The name.
        name: String,
    },
}

impl Scope {
    /// Reads a list of tenant ids. A `"*"` anywhere in it means every tenant.
    ///
    /// # Errors
    /// See [`ScopeError`].
    pub fn compile(tenants: &[String]) -> Result<Scope, ScopeError> {
        if tenants.is_empty() {
            return Err(ScopeError::Empty);
        }
        if tenants.len() > TENANTS_MAX {
            return Err(ScopeError::TooMany { count: tenants.len() });
        }
        let not_an_id = |name: &&String| name.is_empty() || name.contains('*') && *name != "*";
        if let Some(name) = tenants.iter().find(not_an_id) {
            return Err(ScopeError::NotAnId { name: name.clone() });
        }
        if tenants.iter().any(|name| name == "*") {
            return Ok(Scope { tenants: None });
        }
        let mut exact = tenants.to_vec();
        exact.sort_unstable();
        exact.dedup();
        Ok(Scope { tenants: Some(exact) })
    }

    /// Whether the scope includes this tenant, given by its unescaped id.
    pub fn includes(&self, tenant: &str) -> bool {
        let Some(exact) = &self.tenants else { return true };
        exact.binary_search_by(|name| name.as_str().cmp(tenant)).is_ok()
    }

    /// The tenants by name, sorted, or `None` for every tenant.
    pub fn exact(&self) -> Option<&[String]> {
        self.tenants.as_deref()
    }

    /// The tenant, if it is exactly one.
    pub fn only_tenant(&self) -> Option<&str> {
        match self.exact() {
            Some([only]) => Some(only),
            _ => None,
        }
    }

    /// A hash of what the scope means: equal for lists that differ only in order or repetition.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = Hasher::new();
        match &self.tenants {
            None => hasher.write_text("every tenant"),
            Some(exact) => {
                hasher.write_text("these tenants");
                exact.iter().for_each(|name| hasher.write_text(name));
            }
        }
        hasher.finish()
    }
}

/// A scope may name this many tenants.
pub const TENANTS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(tenants: &[&str]) -> Result<Scope, ScopeError> {
        Scope::compile(&tenants.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_star_includes_every_tenant_and_the_agents_own() {
        for list in [&["*"][..], &["tnt_1", "*"]] {
            let all = scope(list).unwrap();
            assert!(all.includes("tnt_2") && all.includes("_agent") && all.includes(""));
            assert_eq!((all.exact(), all.only_tenant()), (None, None));
        }
    }

    #[test]
    fn a_list_includes_exactly_its_names() {
        let two = scope(&["tnt_b", "tnt_a", "tnt_b"]).unwrap();
        assert!(two.includes("tnt_a") && two.includes("tnt_b"));
        for other in ["tnt_", "tnt_aa", "TNT_A", "", "*", "_agent"] {
            assert!(!two.includes(other), "{other}");
        }
        assert_eq!(two.exact().unwrap(), ["tnt_a", "tnt_b"]);
        assert_eq!(two.only_tenant(), None);
        assert_eq!(scope(&["tnt_a"]).unwrap().only_tenant(), Some("tnt_a"));
    }

    #[test]
    fn lists_that_name_no_one_or_guess_are_refused() {
        assert_eq!(scope(&[]), Err(ScopeError::Empty));
        assert_eq!(scope(&["tnt_*"]), Err(ScopeError::NotAnId { name: "tnt_*".into() }));
        assert_eq!(scope(&["*", ""]), Err(ScopeError::NotAnId { name: "".into() }));
        let many = vec!["t".to_owned(); TENANTS_MAX + 1];
        assert_eq!(Scope::compile(&many), Err(ScopeError::TooMany { count: TENANTS_MAX + 1 }));
    }

    #[test]
    fn the_fingerprint_follows_the_meaning() {
        let fingerprint = |list: &[&str]| scope(list).unwrap().fingerprint();
        assert_eq!(fingerprint(&["a", "b"]), fingerprint(&["b", "a", "b"]));
        assert_eq!(fingerprint(&["*"]), fingerprint(&["a", "*"]));
        assert_ne!(fingerprint(&["a", "b"]), fingerprint(&["ab"]));
        assert_ne!(fingerprint(&["a"]), fingerprint(&["*"]));
    }
}
