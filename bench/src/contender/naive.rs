//! The naive loop as a contender: this same program under another name, see [`crate::naive_loop`].

use std::os::unix::net::UnixStream;
use std::process::Command;

use super::{Contender, Framing, Input, Job, Process, Running, Socket};
use crate::scenario::{Destinations, Kind};

/// `scaidrive-bench naive-loop`.
pub(crate) struct Naive;

impl Contender for Naive {
    fn name(&self) -> &'static str {
        "naive loop"
    }

    fn version(&self) -> Result<String, String> {
        Ok(format!("scaidrive-bench {}", env!("CARGO_PKG_VERSION")))
    }

    fn cannot(&self, job: &Job<'_>) -> Option<String> {
        let wire = job.destinations.first()?.wire;
        let is_plain = wire.kind == Kind::Hec && !wire.tls && !wire.gzip;
        let has_one = job.setup.destinations == Destinations::One;
        (!is_plain || !has_one).then(|| "the naive loop writes plain HTTP to one receiver, nothing else".to_owned())
    }

    fn start(&self, job: &Job<'_>) -> Result<Running, String> {
        let this = std::env::current_exe().map_err(|error| error.to_string())?;
        let (socket, log) = (job.dir.join("naive.sock"), job.dir.join("naive.log"));
        let to = job.destinations.first().ok_or("the naive loop needs a receiver")?.address;
        let mut command = Command::new(this);
        command.arg("naive-loop").arg(&socket).arg(to.to_string()).arg(&log);
        command.envs(job.environment.iter().cloned());
        let is_ready = || UnixStream::connect(&socket).is_ok();
        let process = Process::start(job.dir, &mut command, is_ready)?;
        let input = Input { socket: Socket::Unix(socket.clone()), framing: Framing::Lines, acks: false };
        Ok(Running { process, input, files: Vec::new(), admin: None })
    }
}
