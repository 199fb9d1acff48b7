//! The way to one destination from one shard: its endpoint and its secret, read again when they change.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::config::{Destination, HttpUrl, Kind, Secret, SplunkHec, SyslogTransport};
use crate::transport::{Endpoint, TlsClient};

/// See the module.
pub struct Route {
    destination: Arc<Destination>,
    host_header: String,
    endpoint: RefCell<Option<Rc<Endpoint>>>,
    token: RefCell<Option<Secret>>,
    /// The destination has said that it reads no compressed bodies.
    wants_uncompressed: Cell<bool>,
}

impl Route {
    /// The way to `destination`. Nothing is read yet.
    pub fn new(destination: Arc<Destination>) -> Route {
        let token = destination.secrets().first().map(|(_, token)| (*token).clone());
        let host_header = destination.kind.urls().first().map_or_else(String::new, HttpUrl::host_header);
        Route {
            destination,
            host_header,
            endpoint: RefCell::new(None),
            token: RefCell::new(token),
            wants_uncompressed: Cell::new(false),
        }
    }

    /// Where to connect, and how TLS knows the peer.
    ///
    /// # Errors
    /// Why the certificates can't be used: what, where and what to do.
    pub fn endpoint(&self) -> Result<Rc<Endpoint>, String> {
        if let Some(endpoint) = &*self.endpoint.borrow() {
            return Ok(Rc::clone(endpoint));
        }
        let destination = &self.destination;
        let (host, port, has_tls) = match &destination.kind {
            Kind::SplunkHec(SplunkHec { url, .. }) => (url.host.clone(), url.port, url.tls),
            Kind::Syslog(syslog) => (syslog.host.clone(), syslog.port, syslog.transport == SyslogTransport::Tls),
        };
        let tls = if has_tls {
            Some(Arc::new(TlsClient::new(&destination.tls).map_err(|problem| problem.to_string())?))
        } else {
            None
        };
        let endpoint = Rc::new(Endpoint {
            host,
            port,
            tls,
            connect_timeout: destination.timeouts.connect,
            request_timeout: destination.timeouts.request,
        });
        *self.endpoint.borrow_mut() = Some(Rc::clone(&endpoint));
        Ok(endpoint)
    }

    /// Certificates and secrets are read again at the next use.
    pub fn refresh(&self) {
        *self.endpoint.borrow_mut() = None;
        if let Some(token) = &mut *self.token.borrow_mut() {
            match token.read_again() {
                Ok(fresh) => *token = fresh,
                // The old one may still do; why the new one can't be read is for the operator.
                Err(problem) => tracing::warn!(destination = %self.destination.name, "{problem}"),
            }
        }
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

    /// The `Host` header of requests; empty where there are none.
    pub fn host_header(&self) -> &str {
        &self.host_header
    }

    /// What requests show to be let in.
    pub fn credential_headers(&self) -> Vec<(String, String)> {
        let token = self.token.borrow();
        let header = token.as_ref().map(|token| (String::from("Authorization"), format!("Splunk {}", token.reveal())));
        header.into_iter().collect()
    }
}
