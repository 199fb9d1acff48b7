//! The command.

use scaidrive_siem::cli::{self, Exit};

fn main() -> Exit {
    cli::main(std::env::args_os())
}
