//! What a scrape of `/metrics` says (Prometheus text format 0.0.4).

/// One scrape.
#[derive(Debug, Default)]
pub struct Metrics(Vec<Sample>);

/// One line of a scrape.
#[derive(Debug, PartialEq)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// Labels in the order in which they were written.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
}

impl Metrics {
    /// Reads a scrape.
    ///
    /// # Panics
    /// At a line that is neither a comment nor a sample: a scraper would drop the whole scrape.
    pub fn parse(text: &str) -> Metrics {
        Metrics(text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(parse_sample).collect())
    }

    /// Every sample of the scrape.
    pub fn samples(&self) -> &[Sample] {
        &self.0
    }

    /// The samples called `name` that carry all of `labels`.
    pub fn select<'a>(&'a self, name: &'a str, labels: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = &'a Sample> {
        self.0.iter().filter(move |sample| {
            let carries = |(key, value): &(&str, &str)| sample.labels.iter().any(|(k, v)| k == key && v == value);
            sample.name == name && labels.iter().all(carries)
        })
    }

    /// The sum over the samples called `name` that carry all of `labels`; `None` when there are none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut values = self.select(name, labels).map(|sample| sample.value).peekable();
        values.peek().is_some().then(|| values.sum())
    }
}

fn parse_sample(line: &str) -> Sample {
    try_parse_sample(line).unwrap_or_else(|| panic!("not a sample line: {line:?}"))
}

fn try_parse_sample(line: &str) -> Option<Sample> {
    let (name_end, after_labels, labels) = match line.find('{') {
        Some(open) => {
            let (labels, length) = parse_labels(&line[open + 1..])?;
            (open, open + 1 + length, labels)
        }
        None => {
            let end = line.find(' ')?;
            (end, end, Vec::new())
        }
    };
    let value = line[after_labels..].split_ascii_whitespace().next()?.parse().ok()?;
    Some(Sample { name: line[..name_end].to_owned(), labels, value })
}

/// Reads `a="b",c="d"}` and returns the labels and the length read, the closing brace included.
fn parse_labels(text: &str) -> Option<(Vec<(String, String)>, usize)> {
    let mut labels = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, text.len() - after.len()));
        }
        let (name, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, plain) => value.push(plain),
            }
        };
        labels.push((name.to_owned(), value));
        rest = &after[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_is_read_with_labels_and_escapes() {
        let text =
            "# HELP x y\n# TYPE x counter\nx_total 3\nx_total{a=\"1\",b=\"q\\\"\\\\}\"} 4.5\nx_total{a=\"2\"} +Inf\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.samples().len(), 3);
        assert_eq!(metrics.sum("x_total", &[("a", "1")]), Some(4.5));
        assert_eq!(metrics.samples()[1].labels[1].1, "q\"\\}");
        assert_eq!(metrics.sum("x_total", &[("a", "3")]), None);
    }
}
