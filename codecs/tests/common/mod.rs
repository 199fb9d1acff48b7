//! Golden files: exact bytes that must not change unnoticed.

use std::path::Path;

/// Compares `found` with `tests/golden/{name}`. With `GOLDEN=write` in the environment the file is written instead;
/// the change then shows in review.
pub(crate) fn golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(found, expected, "{name} has changed; if that is meant, run again with GOLDEN=write");
}
