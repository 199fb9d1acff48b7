//! Prometheus' text format, version 0.0.4: families of samples, each with its HELP and TYPE.

use std::fmt::{self, Write};

/// Text that is being put together.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

/// What kind of numbers a family has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size, with `le` labels.
    Histogram,
}

/// A metric whose samples are being written.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: String,
}

impl Exposition {
    /// Begins a family. `name` is without the prefix that all have.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let name = format!("{PREFIX}{name}");
        push(&mut self.text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: &mut self.text, name }
    }

    /// A family of one sample without labels.
    pub(super) fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl fmt::Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// All of it.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// One sample.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl fmt::Display) {
        self.with_suffix("", labels, value);
    }

    /// A sample of a histogram: `_bucket`, `_sum` or `_count`.
    pub(super) fn with_suffix(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl fmt::Display) {
        push(self.text, format_args!("{}{suffix}", self.name));
        for (at, (name, text)) in labels.iter().enumerate() {
            push(self.text, format_args!("{}{name}=\"", if at == 0 { '{' } else { ',' }));
            push_escaped(self.text, text);
            self.text.push('"');
        }
        let close = if labels.is_empty() { "" } else { "}" };
        push(self.text, format_args!("{close} {value}\n"));
    }
}

fn push(text: &mut String, more: fmt::Arguments<'_>) {
    text.write_fmt(more).expect("a string takes any text");
}

fn push_escaped(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            _ => text.push(c),
        }
    }
}

/// What every name begins with.
const PREFIX: &str = "scaidrive_siem_";

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::HashMap;

    /// A sample's full name, labels and value.
    pub(in crate::control::metrics) type Sample = (String, Vec<(String, String)>, f64);

    /// A family as a scraper reads it.
    #[derive(Debug, Default, PartialEq)]
    pub(in crate::control::metrics) struct Read {
        pub(in crate::control::metrics) help: String,
        pub(in crate::control::metrics) kind: String,
        pub(in crate::control::metrics) samples: Vec<Sample>,
    }

    /// Reads an exposition strictly; panics at whatever a scraper would stumble over. Keys are family names.
    pub(in crate::control::metrics) fn parse(text: &str) -> HashMap<String, Read> {
        let mut families: HashMap<String, Read> = HashMap::new();
        let mut current = String::new();
        assert!(text.ends_with('\n'), "the last line must end");
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect(line);
                assert!(!families.contains_key(name), "{name} comes twice");
                current = name.to_owned();
                families.insert(current.clone(), Read { help: help.to_owned(), ..Read::default() });
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect(line);
                assert_eq!(name, current, "TYPE follows its HELP");
                families.get_mut(name).expect(line).kind = kind.to_owned();
            } else {
                let sample = parse_sample(line);
                let family = families.get_mut(&current).expect("a sample stands under its family");
                let suffix = sample.0.strip_prefix(&current).expect("a sample has its family's name");
                match family.kind.as_str() {
                    "histogram" => assert!(matches!(suffix, "_bucket" | "_sum" | "_count"), "{line}"),
                    _ => assert_eq!(suffix, "", "{line}"),
                }
                assert!(
                    !family.samples.iter().any(|seen| (&seen.0, &seen.1) == (&sample.0, &sample.1)),
                    "twice: {line}"
                );
                family.samples.push(sample);
            }
        }
        families
    }

    fn parse_sample(line: &str) -> Sample {
        let name_len = line.find(['{', ' ']).expect(line);
        let (name, mut rest) = line.split_at(name_len);
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':'), "{line}");
        let mut labels = Vec::new();
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside;
            loop {
                let (label, after) = rest.split_once("=\"").expect(line);
                let mut value = String::new();
                let mut chars = after.chars();
                loop {
                    match chars.next().expect(line) {
                        '"' => break,
                        '\\' => match chars.next().expect(line) {
                            'n' => value.push('\n'),
                            c @ ('\\' | '"') => value.push(c),
                            c => panic!("unknown escape {c} in {line}"),
                        },
                        c => value.push(c),
                    }
                }
                labels.push((label.to_owned(), value));
                rest = chars.as_str();
                match rest.strip_prefix(',') {
                    Some(more) => rest = more,
                    None => {
                        rest = rest.strip_prefix('}').expect(line);
                        break;
                    }
                }
            }
        }
        (name.to_owned(), labels, rest.trim_start().parse().expect(line))
    }

    #[test]
    fn what_is_written_is_read_by_an_independent_parser() {
        let mut exposition = Exposition::default();
        let mut family = exposition.family("things_total", Kind::Counter, "Things.");
        family.sample(&[("name", "a\"b\\c\nd"), ("kind", "x")], 3_u64);
        family.sample(&[], 0.25);
        let read = parse(&exposition.into_text());
        let things = &read["scaidrive_siem_things_total"];
        assert_eq!((things.help.as_str(), things.kind.as_str()), ("Things.", "counter"));
        let labels = vec![("name".to_owned(), "a\"b\\c\nd".to_owned()), ("kind".to_owned(), "x".to_owned())];
        assert_eq!(things.samples[0], ("scaidrive_siem_things_total".to_owned(), labels, 3.0));
        assert_eq!(things.samples[1].2, 0.25);
    }
}
