//! The command.

use scaidrive_siem::cli::{self, Exit};
use scaidrive_siem::heap::{self, Heap};

#[global_allocator]
static HEAP: Heap = Heap::of_the_system();

fn main() -> Exit {
    // Of an agent this is the thread of the control plane.
    heap::wipe_here();
    cli::main(std::env::args_os())
}
