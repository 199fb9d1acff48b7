//! A connection that a stand-in has accepted, plain or through TLS, and the ways in which it can end.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, Stream};
use socket2::SockRef;

/// One such connection.
pub(super) struct Wire {
    socket: Arc<TcpStream>,
    tls: Option<Box<ServerConnection>>,
}

/// The head of a TLS record of application data, 32 bytes long.
const RECORD_HEAD: &[u8] = &[0x17, 3, 3, 0, 32];

impl Wire {
    /// The connection on `socket`, whose last handle this should be: a reset comes when the last one goes.
    pub(super) fn new(socket: Arc<TcpStream>, tls: Option<&Arc<ServerConfig>>) -> Wire {
        let session = |config: &Arc<ServerConfig>| {
            Box::new(ServerConnection::new(Arc::clone(config)).expect("the configuration was accepted before"))
        };
        Wire { socket, tls: tls.map(session) }
    }

    /// Ends our direction in good order: `close_notify` in TLS, then FIN. What still comes is thrown away.
    pub(super) fn finish(mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.part();
    }

    /// Ends our direction with a fatal alert. What still comes is thrown away. Without TLS it is a FIN.
    pub(super) fn alert(mut self) {
        if let Some(tls) = &mut self.tls {
            // The library has no call for it, but answers with an alert to what nobody with the key has sent. Part of a
            // true record may lie before it, so there is more of it than a record can hold.
            let forged = [RECORD_HEAD, &[0; 32]].concat().repeat(1_000);
            let mut forged = &forged[..];
            while tls.process_new_packets().is_ok() && matches!(tls.read_tls(&mut forged), Ok(1..)) {}
        }
        self.part();
    }

    /// Resets the connection (RST): what the kernel holds for either side is gone.
    pub(super) fn reset(self) {
        let _ = SockRef::from(&*self.socket).set_linger(Some(Duration::ZERO));
    }

    /// FIN; then everything is read until the sender has closed too, because closing with something unread is a reset.
    fn part(mut self) {
        let _ = self.send_tls();
        let _ = self.socket.shutdown(Shutdown::Write);
        let mut dropped = [0; 4096];
        while matches!((&*self.socket).read(&mut dropped), Ok(1..)) {}
    }

    fn send_tls(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            tls.write_tls(&mut &*self.socket)?;
        }
        Ok(())
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => (&*self.socket).read(buffer),
            Some(tls) => Stream::new(&mut **tls, &mut &*self.socket).read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => (&*self.socket).write(bytes),
            Some(tls) => Stream::new(&mut **tls, &mut &*self.socket).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => Ok(()),
            Some(tls) => Stream::new(&mut **tls, &mut &*self.socket).flush(),
        }
    }
}
