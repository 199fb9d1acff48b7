//! A documented rule, and a request that broke it.

/// A rule and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it demands.
    pub demand: &'static str,
    /// The document that says so.
    pub source: &'static str,
}

/// A rule that a request broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub rule: Rule,
    /// What was found.
    pub found: String,
}

/// The violations of one request.
#[derive(Debug, Default)]
pub struct Notes(pub(super) Vec<Violation>);

impl Rule {
    /// A rule.
    pub const fn new(demand: &'static str, source: &'static str) -> Rule {
        Rule { demand, source }
    }
}

impl Notes {
    /// Notes that `rule` was broken.
    pub fn breach(&mut self, rule: Rule, found: impl Into<String>) {
        self.0.push(Violation { rule, found: found.into() });
    }
}

/// What HTTP itself demands, and what this project demands of its own requests.
pub mod http {
    use super::Rule;

    /// Names the host.
    pub const HOST: Rule = Rule::new("exactly one Host", "RFC 9112 section 3.2");
    /// Names the client.
    pub const USER_AGENT: Rule = Rule::new(
        "a User-Agent",
        "our own rule for all; inputs.conf.spec: forceHttp10 = auto downgrades those without",
    );
    /// Names the body's length.
    pub const CONTENT_LENGTH: Rule =
        Rule::new("exactly one Content-Length", "RFC 9112 section 6.2; our own rule: a length, never chunks");
    /// Chunks slow OpenSearch down and cannot be signed.
    pub const NOT_CHUNKED: Rule =
        Rule::new("no Transfer-Encoding", "OpenSearch, Bulk API: chunked bodies; our own rule: a length, never chunks");
    /// A coding the receiver documents.
    pub const CODING: Rule =
        Rule::new("a documented Content-Encoding or none", "RFC 9110 section 8.4; the receiver's request headers");
    /// A body that is what its header says.
    pub const CODED_BODY: Rule = Rule::new("a compressed body that decompresses to its end", "RFC 9110 section 8.4.1");
}
