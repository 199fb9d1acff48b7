//! How a fault is brought about: what stands at the other end, what the settings name, what the machine is told.
//!
//! A plant keeps what it has planted: servers end and files go when it is dropped.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use scaidrive_tests::agent_config::quoted;
use scaidrive_tests::ports::free_port;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::chains::Chains;
use crate::faults::Fault;
use crate::stand::{Answers, Stand};

/// What kind of destination is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    Https,
    PlainHttps,
    Hec,
    PlainHec,
    Elastic,
    PlainElastic,
    Sentinel,
    Collector,
    Datadog,
    Sumo,
    TcpSyslog,
    TlsSyslog,
    Udp,
    Relp,
    RelpTls,
}

/// How a fault is brought about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plant {
    /// The secret can't be had.
    Secret(SecretFault),
    /// The name can't be looked up.
    Name(Lookup),
    /// The port is closed.
    NobodyListens,
    /// The port swallows what comes.
    Filtered,
    /// The system has no way to the network.
    NoRoute,
    /// A router says that the machine is not there.
    NoHost,
    /// There is something with the proxy.
    Proxy(ProxyFault),
    /// There is something with TLS.
    Tls(Certificate),
    /// Whatever comes, these bytes are said to it, and then the connection is closed.
    Bytes(&'static [u8]),
    /// The same, and the connection stays.
    BytesAndHold(&'static [u8]),
    /// These bytes are said before anything comes, and the connection stays.
    Greets(&'static [u8]),
    /// The connection is closed at once.
    Closes,
    /// The connection is closed when something has come.
    ClosesAfterRequest,
    /// Nothing is ever said.
    Silent,
    /// Every request is answered so.
    Answer { status: u16, headers: &'static [(&'static str, &'static str)], body: &'static str },
    /// The same where tokens are issued.
    Token { status: u16, body: &'static str },
    /// Nobody listens where tokens are issued.
    TokenServerGone,
    /// This machine's clock is wrong, and a signature does not count for it.
    Clock { minutes: i64 },
    /// What is accepted is never found.
    AcceptsAndLoses,
    /// The key has the form of another kind of key.
    ApplicationKey,
    /// Messages are taken only when a line feed ends them.
    LineFeedsOnly,
    /// The session is opened, and the message refused.
    RelpRefuses,
}

/// How a secret can't be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecretFault {
    Missing,
    Empty,
    Unreadable,
    TwoLines,
    NoVariable,
}

/// How a name can't be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    Unknown,
    NoAddress,
    Failing,
    Silent,
}

/// What is wrong with a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxyFault {
    Gone,
    Nameless,
    Answers(u16),
    RefusesLogin,
    Nonsense,
    Closes,
    Silent,
}

/// What is wrong with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certificate {
    Good,
    GoodAndSilent,
    Expired,
    NotYet,
    UnknownAuthority,
    SelfSigned,
    NoIntermediate,
    OtherName,
    RenewedAuthority,
    ForClients,
    Tls12Only,
    DemandsClient,
    DemandsClient12,
    RefusesClient,
    ClientExpired,
}

/// What the machine is told that is not so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deceit {
    /// A name, and what the resolver says to it.
    pub(crate) name: Option<(&'static str, Lookup)>,
    /// Connecting fails so.
    pub(crate) connect: Option<std::io::ErrorKind>,
    /// How far the wall clock is off, in milliseconds.
    pub(crate) clock_ms: i64,
}

/// What lets us in, wherever anything may do; no report may hold it.
pub(crate) const SECRET: &str = "s3cret-0f-the-test";

/// Everything that one fault needs, until it is dropped.
pub(crate) struct Planted {
    /// The destination, as a file of destinations has it.
    pub(crate) toml: String,
    pub(crate) deceit: Deceit,
    dir: TempDir,
    stands: Vec<Stand>,
    /// A port with a full queue, and what fills it.
    full: Option<(Socket, Vec<Socket>)>,
}

impl Planted {
    /// Where relative paths of the destination start.
    pub(crate) fn file(&self) -> std::path::PathBuf {
        self.dir.path().join("new.toml")
    }

    /// Plants `fault`.
    pub(crate) fn new(fault: &Fault) -> Planted {
        let dir = tempfile::tempdir().expect("a folder can be made");
        let mut planted =
            Planted { toml: String::new(), deceit: Deceit::default(), dir, stands: Vec::new(), full: None };
        let lines = planted.lines(fault);
        planted.toml = format!("[[destination]]\nname = \"planted\"\n{}\n", lines.join("\n"));
        planted
    }

    fn lines(&mut self, fault: &Fault) -> Vec<String> {
        let chains = Chains::new(self.dir.path());
        let mut extra: Vec<String> = fault.set.iter().map(|line| (*line).to_owned()).collect();
        let (mut host, mut token_server) = ("localhost".to_owned(), None);
        let mut secret = Secret::Good;
        let port = match fault.plant {
            Plant::Secret(trouble) => {
                secret = Secret::Bad(trouble);
                free_port()
            }
            Plant::Name(lookup) => {
                host = "siem.example".to_owned();
                self.deceit.name = Some(("siem.example", lookup));
                free_port()
            }
            Plant::NobodyListens => free_port(),
            Plant::Filtered => self.fill_a_port(),
            Plant::NoRoute => {
                // Every system refuses to connect to a multicast address, and says that there is no way to it.
                host = "224.0.0.1".to_owned();
                9
            }
            Plant::NoHost => {
                self.deceit.connect = Some(std::io::ErrorKind::HostUnreachable);
                free_port()
            }
            Plant::Proxy(trouble) => {
                extra.push(self.proxy(trouble));
                host = "siem.example".to_owned();
                443
            }
            Plant::Tls(trouble) => {
                let (config, serve) = chains.server(trouble);
                extra.extend(chains.client_lines(trouble, self.dir.path()));
                self.stand_with(Some(config), serve)
            }
            Plant::Bytes(bytes) => self.stand(Answers::bytes(bytes, false)),
            Plant::BytesAndHold(bytes) => self.stand(Answers::bytes(bytes, true)),
            Plant::Greets(bytes) => self.stand(Answers::Greets(bytes)),
            Plant::Closes => self.stand(Answers::Closes),
            Plant::ClosesAfterRequest => self.stand(Answers::bytes(b"", false)),
            Plant::Silent => self.stand(Answers::Silent),
            Plant::Answer { status, headers, body } => self.stand(Answers::http(status, headers, body)),
            Plant::Token { status, body } => {
                token_server = Some(self.stand(Answers::http(status, &[], body)));
                self.stand(Answers::http(204, &[], ""))
            }
            Plant::TokenServerGone => {
                token_server = Some(free_port());
                self.stand(Answers::http(204, &[], ""))
            }
            Plant::Clock { minutes } => {
                self.deceit.clock_ms = minutes * 60_000;
                let body = "{\"Error\":\"InvalidAuthorization\",\"Message\":\"The date is too far from now\"}";
                self.stand(Answers::Dated { status: 403, body })
            }
            Plant::AcceptsAndLoses => self.stand(Answers::LosesDocuments),
            Plant::ApplicationKey => {
                secret = Secret::ApplicationKey;
                self.stand(Answers::http(403, &[], "{\"errors\":[{\"status\":\"403\",\"title\":\"Forbidden\"}]}"))
            }
            Plant::LineFeedsOnly => self.stand(Answers::LineFeedsOnly),
            Plant::RelpRefuses => self.stand(Answers::RelpRefuses),
        };
        if is_encrypted(fault.to) && !fault.set.iter().any(|line| line.starts_with("tls =")) {
            extra.push(format!("tls.ca_file = {}", path(&chains.ca_file)));
            extra.push("tls.server_name = \"localhost\"".to_owned());
        }
        let mut lines = self.kind_lines(fault.to, &host, port, token_server, secret);
        lines.extend(extra);
        lines
    }

    /// The lines of one kind of destination at `host` and `port`.
    fn kind_lines(&mut self, to: To, host: &str, port: u16, token_server: Option<u16>, secret: Secret) -> Vec<String> {
        let secure = format!("url = \"https://{host}:{port}\"");
        let plain = format!("url = \"http://{host}:{port}\"");
        let secret = |this: &Planted, good: &str| this.secret(secret, good);
        let syslog = |transport: &str| {
            vec![
                "type = \"syslog\"".to_owned(),
                format!("transport = \"{transport}\""),
                format!("host = \"{host}\""),
                format!("port = {port}"),
            ]
        };
        let of = |kind: &str, url: String, rest: Vec<String>| [vec![format!("type = \"{kind}\""), url], rest].concat();
        match to {
            To::Https => of("https", secure, vec![format!("bearer_token = {}", secret(self, SECRET))]),
            To::PlainHttps => of("https", plain, vec![format!("bearer_token = {}", secret(self, SECRET))]),
            To::Hec => of("splunk_hec", secure, vec![format!("token = {}", secret(self, SECRET))]),
            To::PlainHec => of("splunk_hec", plain, vec![format!("token = {}", secret(self, SECRET))]),
            To::Elastic => of("elastic", secure, vec![format!("api_key = {}", secret(self, SECRET))]),
            To::PlainElastic => of("elastic", plain, vec![format!("api_key = {}", secret(self, SECRET))]),
            To::Sentinel => {
                let token_server = token_server.unwrap_or_else(|| {
                    let token = "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"token\"}";
                    self.stand(Answers::http(200, &[("Content-Type", "application/json")], token))
                });
                let secret = secret(self, SECRET);
                of(
                    "sentinel",
                    plain,
                    vec![
                        "rule = \"dcr-00000000000000000000000000000000\"".to_owned(),
                        "tenant_id = \"00000000-0000-0000-0000-00000000000a\"".to_owned(),
                        "client_id = \"00000000-0000-0000-0000-00000000000b\"".to_owned(),
                        format!("client_secret = {secret}"),
                        format!("authority = \"http://localhost:{token_server}\""),
                    ],
                )
            }
            To::Collector => of(
                "sentinel",
                plain,
                vec![
                    "api = \"data_collector\"".to_owned(),
                    "workspace_id = \"00000000-0000-0000-0000-00000000000c\"".to_owned(),
                    format!("workspace_key = {}", secret(self, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")),
                ],
            ),
            To::Datadog => {
                of("datadog", plain, vec![format!("api_key = {}", secret(self, "0123456789abcdef0123456789abcdef"))])
            }
            To::Sumo => {
                let address = format!("http://{host}:{port}/receiver/v1/http/ZaVnC4dhaV0");
                vec!["type = \"sumo_logic\"".to_owned(), format!("secret_url = {}", secret(self, &address))]
            }
            To::TcpSyslog => syslog("tcp"),
            To::TlsSyslog => syslog("tls"),
            To::Udp => syslog("udp"),
            To::Relp => syslog("relp"),
            To::RelpTls => syslog("relp_tls"),
        }
    }

    /// A secret as the configuration names it.
    fn secret(&self, secret: Secret, good: &str) -> String {
        let file = self.dir.path().join("secret");
        let text = match secret {
            Secret::Good => good,
            Secret::ApplicationKey => "0123456789abcdef0123456789abcdef01234567",
            Secret::Bad(SecretFault::Empty) => "\n",
            Secret::Bad(SecretFault::TwoLines) => "one\ntwo\n",
            Secret::Bad(SecretFault::Missing) => return format!("{{ file = {} }}", path(&file)),
            Secret::Bad(SecretFault::NoVariable) => return "{ env = \"NO_SUCH_VARIABLE\" }".to_owned(),
            // A folder can be read by nobody, root included.
            Secret::Bad(SecretFault::Unreadable) => return format!("{{ file = {} }}", path(self.dir.path())),
        };
        std::fs::write(&file, text).expect("the test's folder can be written");
        format!("{{ file = {} }}", path(&file))
    }

    fn proxy(&mut self, trouble: ProxyFault) -> String {
        let (host, port) = match trouble {
            ProxyFault::Gone => ("localhost", free_port()),
            ProxyFault::Nameless => {
                self.deceit.name = Some(("proxy.example", Lookup::Unknown));
                ("proxy.example", 3128)
            }
            ProxyFault::Answers(302) => {
                let to = &[("Location", "http://portal.example.net/login")];
                ("localhost", self.stand(Answers::http(302, to, "")))
            }
            ProxyFault::Answers(status) => ("localhost", self.stand(Answers::http(status, &[], ""))),
            ProxyFault::RefusesLogin => ("localhost", self.stand(Answers::http(407, &[], ""))),
            ProxyFault::Nonsense => ("localhost", self.stand(Answers::bytes(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", false))),
            ProxyFault::Closes => ("localhost", self.stand(Answers::bytes(b"", false))),
            ProxyFault::Silent => ("localhost", self.stand(Answers::Silent)),
        };
        let login = if trouble == ProxyFault::RefusesLogin {
            let file = self.dir.path().join("password");
            std::fs::write(&file, SECRET).expect("the test's folder can be written");
            format!(", user = \"siem\", password = {{ file = {} }}", path(&file))
        } else {
            String::new()
        };
        format!("proxy = {{ url = \"http://{host}:{port}\"{login} }}")
    }

    fn stand(&mut self, answers: Answers) -> u16 {
        self.stand_with(None, answers)
    }

    fn stand_with(&mut self, tls: Option<Arc<ServerConfig>>, answers: Answers) -> u16 {
        let stand = Stand::open(tls, answers);
        let port = stand.port();
        self.stands.push(stand);
        port
    }

    /// A port whose queue of connections is full: the kernel then drops what comes, as a firewall does.
    fn fill_a_port(&mut self) -> u16 {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port is free");
        socket.listen(0).expect("a port can be listened on");
        let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("it has an address");
        let fillers = (0..4)
            .map(|_| {
                let filler = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
                filler.set_nonblocking(true).expect("sockets can be made so");
                // It is under way; whether it comes through is all the same.
                let _ = filler.connect(&address.into());
                filler
            })
            .collect();
        self.full = Some((socket, fillers));
        address.port()
    }
}

/// What the file of a secret holds.
#[derive(Clone, Copy)]
enum Secret {
    Good,
    ApplicationKey,
    Bad(SecretFault),
}

fn is_encrypted(to: To) -> bool {
    matches!(to, To::Https | To::Hec | To::Elastic | To::TlsSyslog | To::RelpTls)
}

pub(crate) fn path(path: &Path) -> String {
    quoted(&path.display().to_string())
}
