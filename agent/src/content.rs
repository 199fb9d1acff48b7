//! Starter content: searches, dashboards and alerts for each SIEM, as its own files say them. They lie in
//! `packaging/content/` and are part of this program, so that they fit what it sends.
//!
//! Each set asks the same questions of the default shape: who could not sign in, what went outside, what was downloaded, who
//! changed what, whether numbers are missing, what was lost and said so, and how the agents are. That each field they name
//! goes out, and each action is in the catalogue, is tested where the formats are (`codecs/tests/content.rs`).

use scaidrive_codecs::{Shape, hec, sentinel};

use crate::config::{Destination, Kind, SentinelApi};

/// The content for one SIEM.
#[derive(Debug)]
pub(crate) struct Set {
    /// The type of the destinations that it is for; `opensearch` for OpenSearch's side of `elastic`.
    pub(crate) kind: &'static str,
    /// The SIEM.
    pub(crate) siem: &'static str,
    /// What is in it.
    pub(crate) holds: &'static str,
    /// Its files.
    pub(crate) files: &'static [File],
}

/// A file of a set.
#[derive(Debug)]
pub(crate) struct File {
    /// Where it lies below the set's folder, with `/` between folders.
    pub(crate) path: &'static str,
    /// What is in it.
    pub(crate) text: &'static str,
}

macro_rules! files {
    ($kind:literal: $($path:literal),+ $(,)?) => {
        &[$(File { path: $path, text: include_str!(concat!("../../packaging/content/", $kind, "/", $path)) }),+]
    };
}

/// Every set there is.
pub(crate) static SETS: [Set; 6] = [
    Set {
        kind: "splunk_hec",
        siem: "Splunk",
        holds: "an app with searches, alerts and a dashboard",
        files: files!("splunk_hec":
            "scaidrive_audit/README.md",
            "scaidrive_audit/default/app.conf",
            "scaidrive_audit/default/data/ui/nav/default.xml",
            "scaidrive_audit/default/data/ui/views/scaidrive_audit.xml",
            "scaidrive_audit/default/fields.conf",
            "scaidrive_audit/default/macros.conf",
            "scaidrive_audit/default/props.conf",
            "scaidrive_audit/default/savedsearches.conf",
            "scaidrive_audit/metadata/default.meta",
        ),
    },
    Set {
        kind: "sentinel",
        siem: "Microsoft Sentinel",
        holds: "a template with queries, analytic rules and a workbook; the queries as text",
        files: files!("sentinel":
            "README.md",
            "queries/administrative_changes.kql",
            "queries/agent_health.kql",
            "queries/downloads.kql",
            "queries/external_links.kql",
            "queries/failed_sign_ins.kql",
            "queries/losses.kql",
            "queries/missing_numbers.kql",
            "queries/silent_agents.kql",
            "queries/statements.kql",
            "scaidrive.json",
        ),
    },
    Set {
        kind: "elastic",
        siem: "Kibana",
        holds: "saved objects with a dashboard, and detection rules",
        files: files!("elastic": "README.md", "dashboard.ndjson", "missing_numbers.esql", "rules.ndjson"),
    },
    Set {
        kind: "opensearch",
        siem: "OpenSearch Dashboards",
        holds: "saved objects with a dashboard, and monitors",
        files: files!("opensearch":
            "README.md",
            "dashboard.ndjson",
            "missing_numbers.json",
            "monitors/failed_sign_ins.json",
            "monitors/losses.json",
            "monitors/missing_numbers.json",
            "monitors/silent_agents.json",
        ),
    },
    Set {
        kind: "datadog",
        siem: "Datadog",
        holds: "a dashboard, monitors and a pipeline",
        files: files!("datadog":
            "README.md",
            "dashboard.json",
            "monitors/failed_sign_ins.json",
            "monitors/losses.json",
            "monitors/silent_agents.json",
            "pipeline.json",
        ),
    },
    Set {
        kind: "sumo_logic",
        siem: "Sumo Logic",
        holds: "a folder with searches and a dashboard",
        files: files!("sumo_logic": "README.md", "content.json"),
    },
];

/// The sets that fit what a destination sends, by their kinds. None where its shape, or the name under which its events are
/// found, is another than the content asks for.
pub(crate) fn fitting(destination: &Destination) -> &'static [&'static str] {
    match &destination.kind {
        Kind::SplunkHec(hec) if hec.shape == Shape::Canonical && hec.sourcetype == hec::SOURCETYPE => &["splunk_hec"],
        Kind::Sentinel(sentinel) => match &sentinel.api {
            SentinelApi::LogsIngestion(settings) if settings.stream == sentinel::STREAM => &["sentinel"],
            _ => &[],
        },
        Kind::Elastic(elastic) if elastic.shape == Shape::Canonical && elastic.target.starts_with(TARGETS) => {
            &["elastic", "opensearch"]
        }
        Kind::Datadog(datadog) if datadog.labels.source == DATADOG_SOURCE => &["datadog"],
        Kind::SumoLogic(sumo) if sumo.shape == Shape::Canonical => match sumo.source_category.as_deref() {
            Some(SUMO_CATEGORY) => &["sumo_logic"],
            _ => &[],
        },
        _ => &[],
    }
}

/// What the targets begin with that the index patterns of the content cover.
const TARGETS: &str = "logs-scaidrive.audit-";
/// The source that the queries for Datadog ask for.
const DATADOG_SOURCE: &str = "scaidrive";
/// The source category that the queries for Sumo Logic ask for.
const SUMO_CATEGORY: &str = "scaidrive/audit";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Surroundings};

    fn kinds(lines: &str) -> &'static [&'static str] {
        let lookup = |_: &str| Some("0123456789abcdef0123456789abcdef".to_owned());
        let here = Surroundings { host_name: "n".to_owned(), cpus: 1, credentials: None, lookup };
        let text = format!("[[destination]]\nname = \"d\"\n{lines}\n");
        let (config, problems) = Config::unsaved(text, Path::new("d.toml"), &here);
        fitting(config.unwrap_or_else(|| panic!("{problems:?}")).destinations.first().unwrap())
    }

    /// The files below `folder`, by their paths from `root`.
    fn below(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(root, &path, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_in_one_set_and_each_set_begins_with_how_to_use_it() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/content");
        let mut found = BTreeSet::new();
        below(&root, &root, &mut found);
        let path = |set: &Set, file: &File| format!("{}/{}", set.kind, file.path);
        let listed: Vec<String> = SETS.iter().flat_map(|set| set.files.iter().map(|file| path(set, file))).collect();
        assert_eq!(listed.len(), found.len());
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), found);
        for set in &SETS {
            assert!(set.files[0].path.ends_with("README.md"), "{}", set.kind);
        }
    }

    #[test]
    fn a_destination_at_its_defaults_has_the_content_of_its_kind_and_a_set_for_each_name() {
        const URL: &str = "url = \"https://siem.example\"\n";
        let splunk = format!("type = \"splunk_hec\"\n{URL}token = {{ env = \"T\" }}\n");
        let sentinel = format!(
            "type = \"sentinel\"\n{URL}rule = \"dcr-00000000000000000000000000000000\"\nmanaged_identity = \"system\"\n"
        );
        let elastic = format!("type = \"elastic\"\n{URL}api_key = {{ env = \"T\" }}\n");
        let sumo = format!("type = \"sumo_logic\"\n{URL}token = {{ env = \"T\" }}\n");
        for (lines, more, expected) in [
            (splunk.as_str(), "", &["splunk_hec"][..]),
            (&splunk, "shape = \"ecs\"", &[]),
            (&splunk, "sourcetype = \"other\"", &[]),
            (&sentinel, "", &["sentinel"]),
            (&sentinel, "shape = \"asim\"", &[]),
            (&elastic, "", &["elastic", "opensearch"]),
            (&elastic, "target = \"logs-scaidrive.audit-acme\"", &["elastic", "opensearch"]),
            (&elastic, "target = \"audit\"", &[]),
            ("type = \"datadog\"\napi_key = { env = \"T\" }\n", "", &["datadog"]),
            ("type = \"datadog\"\napi_key = { env = \"T\" }\n", "source = \"other\"", &[]),
            (&sumo, "", &["sumo_logic"]),
            (&sumo, "source_category = \"other\"", &[]),
            ("type = \"syslog\"\nhost = \"siem.example\"\n", "", &[]),
        ] {
            let kinds = kinds(&format!("{lines}{more}"));
            assert_eq!(kinds, expected, "{lines}{more}");
            assert!(kinds.iter().all(|kind| SETS.iter().any(|set| set.kind == *kind)), "{kinds:?}");
        }
    }
}
