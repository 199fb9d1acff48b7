//! The way to one destination from one shard: its addresses, how TLS knows them, and what lets us in.
//!
//! Certificates are read on a helper thread, and again when their files change; what can't be read again leaves what was
//! read before in use, with a warning.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::targets::Targets;
use crate::config::{Destination, HttpUrl, Kind, TlsSettings};
use crate::credentials::Credentials;
use crate::runtime::{Runtime, offload_value};
use crate::time::Millis;
use crate::transport::{Endpoint, TlsClient, TlsError};
use crate::watch_files::WatchedFiles;

/// See the module.
pub struct Route {
    destination: Arc<Destination>,
    credentials: Arc<Credentials>,
    targets: RefCell<Targets>,
    tls: RefCell<Option<Tls>>,
    must_read: Cell<bool>,
    /// The destination has said that it reads no compressed bodies.
    wants_uncompressed: Cell<bool>,
}

struct Tls {
    client: Arc<TlsClient>,
    files: WatchedFiles,
    next_look: Millis,
}

impl Route {
    /// The way to `destination`. Nothing is read yet.
    pub fn new(destination: Arc<Destination>, credentials: Arc<Credentials>) -> Route {
        let targets = RefCell::new(Targets::new(destination.kind.urls().len()));
        Route {
            destination,
            credentials,
            targets,
            tls: RefCell::new(None),
            must_read: Cell::new(false),
            wants_uncompressed: Cell::new(false),
        }
    }

    /// What lets us in.
    pub fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }

    /// Which of its addresses are used next.
    pub fn targets(&self) -> &RefCell<Targets> {
        &self.targets
    }

    /// Where to connect for the address at `target`, and how TLS knows the peer.
    ///
    /// # Errors
    /// Why the certificates can't be used: what, where and what to do.
    pub async fn endpoint(&self, runtime: &Rc<dyn Runtime>, target: usize) -> Result<Endpoint, String> {
        let destination = &self.destination;
        let (host, port, has_tls) = match (&destination.kind, destination.kind.urls().get(target)) {
            (Kind::Syslog(syslog), _) => (syslog.host.clone(), syslog.port, syslog.transport.is_encrypted()),
            (_, Some(url)) => (url.host.clone(), url.port, url.tls),
            (_, None) => return Err(String::from("it has no address")),
        };
        let is_http = !destination.kind.urls().is_empty();
        Ok(Endpoint {
            proxy: if is_http { self.credentials.proxy_to(&host) } else { None },
            host,
            port,
            targets: Arc::clone(&destination.targets),
            tls: if has_tls { Some(self.tls(runtime).await?) } else { None },
            connect_timeout: destination.timeouts.connect,
            request_timeout: destination.timeouts.request,
        })
    }

    /// Certificates and secrets are read again at the next use, changed or not.
    pub fn refresh(&self) {
        self.must_read.set(true);
        self.credentials.read_again();
    }

    /// Whether the destination has said that it reads no compressed bodies.
    pub fn wants_uncompressed(&self) -> bool {
        self.wants_uncompressed.get()
    }

    /// The destination says that it reads no compressed bodies.
    pub fn want_uncompressed(&self) {
        tracing::warn!(destination = %self.destination.name, "it takes no compressed requests; they go uncompressed");
        self.wants_uncompressed.set(true);
    }

    /// The `Host` header of requests to the address at `target`.
    pub fn host_header(&self, target: usize) -> String {
        self.destination.kind.urls().get(target).map_or_else(String::new, HttpUrl::host_header)
    }

    async fn tls(&self, runtime: &Rc<dyn Runtime>) -> Result<Arc<TlsClient>, String> {
        let now = runtime.now();
        let must_read = self.must_read.replace(false);
        let known = {
            let mut tls = self.tls.borrow_mut();
            match &mut *tls {
                Some(tls) if !must_read && (tls.files.is_empty() || now < tls.next_look) => {
                    return Ok(Arc::clone(&tls.client));
                }
                Some(tls) => {
                    tls.next_look = now.plus(LOOK_EVERY);
                    Some(tls.files.clone())
                }
                None => None,
            }
        };
        let settings = self.destination.tls.clone();
        let read = offload_value(runtime, move || read(&settings, known.filter(|_| !must_read))).await;
        let mut tls = self.tls.borrow_mut();
        match (read, &mut *tls) {
            (Ok((files, None)), Some(tls)) => {
                tls.files = files;
                Ok(Arc::clone(&tls.client))
            }
            (Ok((files, Some(Ok(client)))), slot) => {
                let client = Arc::new(client);
                *slot = Some(Tls { client: Arc::clone(&client), files, next_look: now.plus(LOOK_EVERY) });
                Ok(client)
            }
            (Ok((_, Some(Err(problem)))), Some(tls)) => {
                tracing::warn!(
                    destination = %self.destination.name,
                    "{problem}, at {}; what was read before stays in use. {}", problem.place, problem.advice
                );
                Ok(Arc::clone(&tls.client))
            }
            (Ok((_, Some(Err(problem)))), None) => Err(format!("{problem}, at {}: {}", problem.place, problem.advice)),
            (Ok((_, None)), None) => Err(String::from("its certificates were not read")),
            (Err(panicked), _) => Err(panicked.to_string()),
        }
    }
}

/// Looks at the files, and reads them when they changed since they were `known`, or were not known. Blocks on the disk.
fn read(settings: &TlsSettings, known: Option<WatchedFiles>) -> (WatchedFiles, Option<Result<TlsClient, TlsError>>) {
    if let Some(mut files) = known
        && !files.have_changed()
    {
        return (files, None);
    }
    let identity = settings.identity.iter().flat_map(|(certificate, key)| [certificate, key]);
    let files = WatchedFiles::new(settings.ca_file.iter().chain(identity).cloned());
    (files, Some(TlsClient::new(settings)))
}

/// How often files are looked at.
const LOOK_EVERY: Millis = Millis::from_secs(5);
