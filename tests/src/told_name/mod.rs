//! A name whose address the test tells, and tells anew, as somebody can who owns a domain.
//!
//! A library loaded before all others takes the place of `getaddrinfo` in the agent's process, for this one name.

use std::fs;
use std::path::PathBuf;

use crate::agent_process::Agent;
use crate::c_source::compile;

/// The name.
pub const NAME: &str = "told.invalid";

/// The handle on its address.
pub struct ToldName {
    file: PathBuf,
}

impl ToldName {
    /// Puts the library into `agent`, which is not started yet. The name has no address for now.
    ///
    /// # Errors
    /// Why that is not possible here.
    pub fn install(agent: &mut Agent) -> Result<ToldName, String> {
        let dir = agent.dir().join("told-name");
        fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
        let library = compile(include_str!("told_name.c"), &dir, "told_name.so", &["-shared", "-fPIC"], &["-ldl"])?;
        let name = ToldName { file: dir.join("address") };
        agent.set_env("LD_PRELOAD", library);
        agent.set_env("TOLD_NAME", NAME);
        agent.set_env("TOLD_NAME_FILE", name.file.clone());
        name.leads_to("");
        Ok(name)
    }

    /// From now on this is its address; none when it is empty.
    pub fn leads_to(&self, address: &str) {
        let fresh = self.file.with_extension("new");
        fs::write(&fresh, address)
            .and_then(|()| fs::rename(&fresh, &self.file))
            .expect("there is room for the test's files");
    }
}
