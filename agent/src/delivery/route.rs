//! The way to one destination from one shard: its endpoint and its secret, read again when they change.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::config::{Destination, Kind, Secret};
use crate::transport::{Endpoint, TlsClient};

/// See the module.
pub struct Route {
    destination: Arc<Destination>,
    endpoint: RefCell<Option<Rc<Endpoint>>>,
    token: RefCell<Option<Secret>>,
}

impl Route {
    /// The way to `destination`. Nothing is read yet.
    pub fn new(destination: Arc<Destination>) -> Route {
        let token = match &destination.kind {
            Kind::SplunkHec(hec) => Some(hec.token.clone()),
            Kind::Syslog(_) => None,
        };
        Route { destination, endpoint: RefCell::new(None), token: RefCell::new(token) }
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
            Kind::SplunkHec(hec) => (hec.url.host.clone(), hec.url.port, hec.url.tls),
            Kind::Syslog(syslog) => (syslog.host.clone(), syslog.port, syslog.transport.is_encrypted()),
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

    /// Hands the token to `use_it`; without one, an empty text.
    pub fn with_token<R>(&self, use_it: impl FnOnce(&str) -> R) -> R {
        match &*self.token.borrow() {
            Some(token) => use_it(token.reveal()),
            None => use_it(""),
        }
    }
}
