//! What Splunk's documentation demands of a request, rule by rule, each with the place it stands in.

use crate::receiver::Rule;

/// Takes events by POST.
pub const METHOD: Rule =
    Rule::new("only POST takes events", "Splunk, HEC REST API endpoints: POST services/collector/event");
/// One of the documented paths.
pub const PATH: Rule = Rule::new("one of the event, ack and health endpoints", "Splunk, HEC REST API endpoints");
/// How a token is shown.
pub const AUTHORIZATION: Rule = Rule::new(
    "Authorization: Splunk <token>, the word and one space",
    "Splunk, Format events for HEC: HTTP authentication",
);
/// An empty body says nothing.
pub const NOT_EMPTY: Rule = Rule::new("at least one event", "Splunk, Troubleshoot HEC: code 5");
/// No array.
pub const CONCATENATED: Rule =
    Rule::new("objects one after the other, not an array", "Splunk, Format events for HEC: event data; code 6");
/// Documented keys.
pub const ENVELOPE: Rule = Rule::new(
    "JSON objects with documented keys, each once and not empty",
    "Splunk, Format events for HEC: event metadata; code 6",
);
/// An event in each.
pub const EVENT_PRESENT: Rule = Rule::new("event is there", "Splunk, Troubleshoot HEC: code 12");
/// And it says something.
pub const EVENT_NOT_BLANK: Rule = Rule::new("event is not an empty string", "Splunk, Troubleshoot HEC: code 13");
/// Not too long.
pub const EVENT_SIZE: Rule = Rule::new("an event of at most 5 MB", "limits.conf.spec: [http] maxEventSize");
/// The classic mistake is milliseconds.
pub const TIME: Rule = Rule::new("time in epoch seconds", "Splunk, Format events for HEC: time is epoch seconds");
/// Indexed fields are flat.
pub const FLAT_FIELDS: Rule = Rule::new(
    "fields is a flat map of strings, numbers or arrays of them",
    "Splunk, Automate indexed field extractions: code 15",
);
/// What stands beside the event is about it.
pub const FIELDS_MATCH: Rule =
    Rule::new("fields name the event they belong to and its number", "this project's design, section 6: on the wire");
/// A channel is a GUID.
pub const CHANNEL_IS_GUID: Rule = Rule::new(
    "X-Splunk-Request-Channel, where there is one, is a GUID",
    "Splunk, About HEC indexer acknowledgment: channels; code 11",
);
/// Acknowledgement needs a channel.
pub const CHANNEL: Rule = Rule::new(
    "a channel with each request of a token that has acknowledgement",
    "Splunk, About HEC indexer acknowledgment: sending events; code 10",
);
/// What an ack query says.
pub const ACK_QUERY: Rule = Rule::new(
    "an ack query is {\"acks\":[…]} with ids that were given out on its channel",
    "Splunk, About HEC indexer acknowledgment: query for indexing status",
);
/// A channel's ids live on one indexer.
pub const COOKIE: Rule = Rule::new(
    "a channel's later requests carry the cookie that its first reply set",
    "inputs.conf.spec: channel_cookie, headerEnforcementMode; Splunk, HEC behind a load balancer",
);
