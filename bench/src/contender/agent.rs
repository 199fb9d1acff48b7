//! This project's agent: the release build, configured as an operator would.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use scaidrive_tests::agent_config::{AgentConfig, Destination as Configured, quoted, quoted_list};
use scaidrive_tests::agent_process::BINARY;
use scaidrive_tests::http;

use super::{Contender, Destination, Framing, Input, Job, Process, Running, Socket};
use crate::scenario::{Durability, Kind, Runtime, Shape};

/// `scaidrive-siem run`.
pub(crate) struct Agent;

impl Contender for Agent {
    fn name(&self) -> &'static str {
        "agent"
    }

    fn version(&self) -> Result<String, String> {
        let output = Command::new(binary()).arg("--version").output().map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn cannot(&self, _job: &Job<'_>) -> Option<String> {
        None
    }

    fn start(&self, job: &Job<'_>) -> Result<Running, String> {
        let config = configured(job).map_err(|error| format!("cannot write the agent's files: {error}"))?;
        let text = config.to_toml();
        let file = job.dir.join("agent.toml");
        fs::write(&file, &text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        let mut command = Command::new(binary());
        command.arg("run").arg("--config").arg(&file).envs(job.environment.iter().cloned());
        let process = Process::start(job.dir, &mut command, || {
            let is_ready = http::get(config.admin, "/readyz").is_ok_and(|reply| reply.status == 200);
            is_ready && UnixStream::connect(&config.socket).is_ok()
        })?;
        let input = Input { socket: Socket::Unix(config.socket.clone()), framing: Framing::Lines, acks: true };
        Ok(Running { process, input, files: vec![("agent.toml".to_owned(), text)], admin: Some(config.admin) })
    }
}

fn configured(job: &Job<'_>) -> std::io::Result<AgentConfig> {
    let mut config = AgentConfig::new(job.dir);
    config.shards = job.setup.shards;
    config.runtime = match job.setup.runtime {
        Runtime::Auto => "auto",
        Runtime::IoUring => "io_uring",
        Runtime::Epoll => "epoll",
    }
    .to_owned();
    let segment_mib = if job.setup.buffer_mib > 1024 { 64 } else { 32 };
    config.set_buffer("max_size", &format!("\"{}MiB\"", job.setup.buffer_mib));
    config.set_buffer("segment_size", &format!("\"{segment_mib}MiB\""));
    if job.durability == Durability::Fast {
        config.set_buffer("durability", "\"os\"");
    }
    let secret = secret(job.dir)?;
    for destination in &job.destinations {
        let mut configured = configured_destination(destination, &secret);
        if job.setup.shape != Shape::Canonical {
            configured.set("shape", &quoted(job.setup.shape.name()));
        }
        if job.setup.is_redacted {
            let key = quoted(&secret.display().to_string());
            let value = format!("{{ mask = [\"ip\"], hash = [\"user_email\"], key = {{ file = {key} }} }}");
            configured.set("redact", &value);
        }
        config.add(configured);
    }
    Ok(config)
}

fn configured_destination(destination: &Destination, secret: &Path) -> Configured {
    let scheme = if destination.wire.tls { "https" } else { "http" };
    let url = format!("{scheme}://localhost:{}", destination.address.port());
    let mut configured = match destination.wire.kind {
        Kind::Hec => Configured::hec(&destination.name, &url, secret),
        Kind::Elastic => Configured { name: destination.name.clone(), lines: Vec::new() }
            .with("type", "\"elastic\"")
            .with("url", &quoted(&url))
            .with("api_key", &format!("{{ file = {} }}", quoted(&secret.display().to_string())))
            .with("tenants", "[\"*\"]"),
        Kind::Syslog => {
            let transport = if destination.wire.tls { "tls" } else { "tcp" };
            Configured::syslog(&destination.name, transport, destination.address)
        }
    };
    if destination.wire.kind != Kind::Syslog {
        configured.set("compression", if destination.wire.gzip { "\"gzip\"" } else { "\"none\"" });
    }
    if !destination.tenants.is_empty() {
        let names: Vec<&str> = destination.tenants.iter().map(String::as_str).collect();
        configured.set("tenants", &quoted_list(&names));
    }
    match &destination.ca_file {
        Some(ca_file) => configured.trusting(ca_file),
        None => configured,
    }
}

/// A file with a token that the receivers do not look at.
fn secret(dir: &Path) -> std::io::Result<PathBuf> {
    let path = dir.join("token");
    fs::write(&path, "00000000-0000-0000-0000-000000000000")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(path)
}

/// The release build, which `main` has made and named.
fn binary() -> PathBuf {
    std::env::var_os(BINARY).map_or_else(|| PathBuf::from("scaidrive-siem"), PathBuf::from)
}
