//! PLACEHOLDER
use scaidrive_tests::matrix::Cell;

pub(crate) fn cells(_events: u64) -> Vec<Cell> {
    Vec::new()
}
