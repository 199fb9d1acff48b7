//! Spans, sizes, counts and times as people read them, and tables of them.

use scaidrive_codecs::time::write_rfc3339;

/// A span: `450 ms`, `1.5 s`, `12 s`, `7 m`, `3 h`, `5 d`.
pub(crate) fn span(ms: u64) -> String {
    match ms {
        0 => "0 s".to_owned(),
        ms if ms < 1_000 => format!("{ms} ms"),
        ms if ms < 10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        ms if ms < 120_000 => format!("{} s", ms / 1000),
        ms if ms < 7_200_000 => format!("{} m", ms / 60_000),
        ms if ms < 172_800_000 => format!("{} h", ms / 3_600_000),
        ms => format!("{} d", ms / 86_400_000),
    }
}

/// A size in powers of 1,024.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut amount = bytes as f64;
    let mut unit = "B";
    for larger in units {
        if amount < 1024.0 {
            break;
        }
        amount /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{amount:.1} {unit}") }
}

/// A number in groups of three digits.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A moment (RFC 3339, UTC).
pub(crate) fn moment(epoch_ms: i64) -> String {
    let mut text = Vec::new();
    write_rfc3339(epoch_ms, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Lines of columns as wide as their widest cell; what begins with a digit stands to the right.
pub(super) fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let is_number = |column: usize| {
        let mut cells = rows.iter().skip(1).filter_map(|row| row.get(column)).peekable();
        cells.peek().is_some() && cells.all(|cell| cell.starts_with(|c: char| c.is_ascii_digit()))
    };
    let numbers: Vec<bool> = (0..columns).map(is_number).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(at, cell)| {
            let width = widths[at];
            if numbers[at] { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        let spans = [0, 450, 9_999, 12_000, 600_000, 7_200_000, 200_000_000].map(span);
        assert_eq!(spans, ["0 s", "450 ms", "9.9 s", "12 s", "10 m", "2 h", "2 d"]);
        assert_eq!([0, 1023, 1536, 64 << 20, 3 << 40].map(size), ["0 B", "1023 B", "1.5 KiB", "64.0 MiB", "3.0 TiB"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(moment(0), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_table_lines_up() {
        let rows = [["NAME", "EVENTS"], ["a", "12"], ["longer", "1,234"]];
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        assert_eq!(table(&rows), ["NAME    EVENTS", "a           12", "longer   1,234"]);
        assert!(table(&[]).is_empty());
    }
}
