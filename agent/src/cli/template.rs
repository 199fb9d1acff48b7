//! `destination template`: what has to be set up at the SIEM before the first event arrives.
//!
//! Made from the configuration file alone. The JSON is data; what to do with it, and why most kinds need nothing, is talk.

use std::path::Path;

use scaidrive_codecs::elastic::{Flavor, Op, index_template};
use scaidrive_codecs::sentinel::data_collection_rule;

use super::args::DestinationTemplateArgs;
use super::{Exit, Failure, Output};
use crate::config::{Auth, Destination, Elastic, Kind, SentinelApi, Surroundings};
use crate::control::destinations::find;

/// Prints the template of the destination that `args` names.
pub(super) fn run(
    path: &Path,
    args: &DestinationTemplateArgs,
    surroundings: &Surroundings,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let Some(config) = super::configuration(path, surroundings, output) else { return Ok(Exit::Config) };
    let destination = find(&config, &args.destination).map_err(|unknown| Failure {
        exit: Exit::Usage,
        what: unknown.what,
        place: path.display().to_string(),
        advice: unknown.advice,
    })?;
    let flavor = args.flavor.as_deref();
    if flavor.is_some() && !matches!(destination.kind, Kind::Elastic(_)) {
        return Err(Failure {
            exit: Exit::Usage,
            what: format!("--flavor has no meaning for a destination of type {}", destination.kind.name()),
            place: "the command line".to_owned(),
            advice: "leave it out".to_owned(),
        });
    }
    let (template, hints) = of(&destination, flavor);
    template.iter().for_each(|template| output.data(template.trim_end()));
    hints.iter().for_each(|hint| output.talk(hint));
    Ok(Exit::Ok)
}

/// The JSON, where something is needed, and what to say about it.
pub(crate) fn of(destination: &Destination, flavor: Option<&str>) -> (Option<String>, Vec<String>) {
    let nothing = |why: &str| (None, vec![format!("nothing has to be set up for {}: {why}", destination.name)]);
    match &destination.kind {
        Kind::Elastic(elastic) => {
            let is_signed = destination.auth.iter().any(|auth| matches!(auth, Auth::Aws(_)));
            let flavor = match flavor {
                Some("opensearch") => Flavor::OpenSearch,
                None if is_signed => Flavor::OpenSearch,
                _ => Flavor::Elasticsearch,
            };
            (Some(index_template(&elastic.for_codec(), flavor)), index_hints(elastic, flavor))
        }
        Kind::Sentinel(sentinel) => match &sentinel.api {
            SentinelApi::LogsIngestion(settings) => (Some(data_collection_rule(settings)), rule_hints()),
            SentinelApi::DataCollector(settings) => nothing(&format!(
                "the table {}_CL comes into being with the first event, and its columns with their first values",
                settings.log_type
            )),
        },
        Kind::SplunkHec(hec) => nothing(&format!(
            "an event is JSON with its time beside it, which Splunk reads under any sourcetype; {} only names it. The \
             token, and the index it may write to, are made in Splunk",
            hec.sourcetype
        )),
        Kind::Datadog(_) => {
            nothing("the intake takes JSON and finds the attributes by itself; facets can be added at any time")
        }
        Kind::SumoLogic(_) => nothing("the HTTP source takes JSON by lines, and its fields are found when searched"),
        Kind::Https(_) => nothing("what the receiver needs is known to those who run it"),
        Kind::Syslog(_) => nothing("a syslog receiver takes what comes; all that it must know is in each message"),
    }
}

fn index_hints(elastic: &Elastic, flavor: Flavor) -> Vec<String> {
    let target = &elastic.target;
    let whose = match flavor {
        Flavor::Elasticsearch => "Elasticsearch (for OpenSearch: --flavor opensearch)",
        Flavor::OpenSearch => "OpenSearch (for Elasticsearch: --flavor elasticsearch)",
    };
    let mut hints = vec![
        format!("an index template for {whose}; send it before the first event arrives:"),
        format!("  PUT _index_template/{target}    with this JSON as the body"),
    ];
    match elastic.op {
        Op::Create => {
            hints.push(format!("  PUT _data_stream/{target}       without a body, or leave it to the first event"));
            hints.push("a data stream that is there already takes it up with its next rollover".to_owned());
        }
        Op::Index => {
            hints.push("an index that is there already keeps the mapping it has".to_owned());
        }
    }
    hints
}

fn rule_hints() -> Vec<String> {
    [
        "an ARM template with the table and the data collection rule; deploy it in the workspace's resource group:",
        "  az deployment group create --resource-group GROUP --template-file FILE --parameters workspaceName=NAME",
        "its output `endpoint` becomes url, and `immutableId` becomes rule, of this destination",
        "the identity that sends needs the role Monitoring Metrics Publisher on the rule",
    ]
    .map(str::to_owned)
    .into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::Value;

    use super::*;
    use crate::cli::Colour;

    const DESTINATIONS: &str = r#"
[[destination]]
name = "elastic"
type = "elastic"
url = "https://elastic.example:9200"
api_key = { file = "secret" }

[[destination]]
name = "plain"
type = "elastic"
url = "https://elastic.example:9200"
op = "index"
target = "audit"
api_key = { file = "secret" }

[[destination]]
name = "amazon"
type = "elastic"
url = "https://opensearch.example"
aws = { region = "eu-central-1" }

[[destination]]
name = "sentinel"
type = "sentinel"
url = "https://dce.example"
rule = "dcr-00000000000000000000000000000000"
managed_identity = "system"

[[destination]]
name = "splunk"
type = "splunk_hec"
url = "https://splunk.example:8088"
token = { file = "secret" }

[[destination]]
name = "syslog"
type = "syslog"
host = "syslog.example"
"#;

    /// Exit code, data and talk, or why it failed.
    fn template(name: &str, flavor: Option<&str>) -> Result<(String, String), Failure> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.toml");
        std::fs::write(&path, DESTINATIONS).unwrap();
        let secret = directory.path().join("secret");
        std::fs::write(&secret, "hush").unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        let surroundings = Surroundings { host_name: "n".to_owned(), cpus: 1, credentials: None, lookup: |_| None };
        let args = DestinationTemplateArgs { destination: name.to_owned(), flavor: flavor.map(str::to_owned) };
        let (mut data, mut talk) = (Vec::new(), Vec::new());
        let mut output = Output::new(&mut data, &mut talk, Colour::default());
        assert_eq!(run(&path, &args, &surroundings, &mut output)?, Exit::Ok);
        Ok((String::from_utf8(data).unwrap(), String::from_utf8(talk).unwrap()))
    }

    #[test]
    fn the_json_alone_is_data_and_what_to_do_with_it_is_talk() {
        let (data, talk) = template("elastic", None).unwrap();
        let json: Value = serde_json::from_str(&data).unwrap();
        assert_eq!(json["index_patterns"][0], "logs-scaidrive.audit-default");
        assert_eq!(json["template"]["mappings"]["properties"]["payload"]["type"], "flattened");
        for words in ["PUT _index_template/logs-scaidrive.audit-default ", "PUT _data_stream/logs-scaidrive.audit"] {
            assert!(talk.contains(words), "{words}: {talk}");
        }
        let (data, talk) = template("plain", None).unwrap();
        assert!(!data.contains("data_stream") && !talk.contains("_data_stream"), "{talk}");
        let (data, talk) = template("sentinel", None).unwrap();
        let json: Value = serde_json::from_str(&data).unwrap();
        assert_eq!(json["resources"][1]["type"], "Microsoft.Insights/dataCollectionRules");
        assert!(talk.contains("az deployment group create") && talk.contains("Monitoring Metrics Publisher"), "{talk}");
    }

    #[test]
    fn a_flavor_is_guessed_from_the_credentials_and_can_be_named() {
        let payload = |name, flavor| {
            let (data, _) = template(name, flavor).unwrap();
            serde_json::from_str::<Value>(&data).unwrap()["template"]["mappings"]["properties"]["payload"]["type"]
                .clone()
        };
        assert_eq!(payload("amazon", None), "flat_object");
        assert_eq!(payload("amazon", Some("elasticsearch")), "flattened");
        assert_eq!(payload("elastic", Some("opensearch")), "flat_object");
        let refused = template("splunk", Some("opensearch")).unwrap_err();
        assert_eq!((refused.exit, refused.place.as_str()), (Exit::Usage, "the command line"));
    }

    #[test]
    fn what_needs_nothing_says_why_and_prints_no_data() {
        for name in ["splunk", "syslog"] {
            let (data, talk) = template(name, None).unwrap();
            assert_eq!(data, "");
            assert!(talk.starts_with(&format!("nothing has to be set up for {name}: ")) && talk.len() > 60, "{talk}");
        }
        let unknown = template("elastik", None).unwrap_err();
        assert_eq!((unknown.exit, unknown.advice.as_str()), (Exit::Usage, "did you mean \"elastic\"?"));
    }
}
