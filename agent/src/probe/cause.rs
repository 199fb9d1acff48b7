//! Every cause that a test can name: its code, the stage that fails by it, what it is in plain words, and what to do.
//!
//! Codes never change: scripts and other people's documents name them. In the texts `{host}` and `{at}` stand for the
//! destination's host, alone and with its port; `{proxy}` for the proxy's, `{secret}` for the key that names what lets us in,
//! `{target}` for what is written to there. What the other side said is told apart from these.

use super::stage::Stage::{
    self, Accepted, Answer, Authentication, Connect, Found, Permission, Proxy, Resolve, Settings, Tls,
};

/// Why a test failed.
#[derive(Debug, PartialEq, Eq)]
pub struct Cause {
    /// Its name, for machines.
    pub code: &'static str,
    /// The stage that fails by it, unless whoever names it knows better.
    pub stage: Stage,
    /// What it is, in plain words, without a full stop.
    pub what: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// All causes, by their stages.
#[must_use]
pub fn all() -> &'static [&'static Cause] {
    ALL
}

const fn row(code: &'static str, stage: Stage, what: &'static str, remedy: &'static str) -> Cause {
    Cause { code, stage, what, remedy }
}

pub(super) static SECRET_MISSING: Cause = row(
    "secret_missing",
    Settings,
    "the file that {secret} names is not there",
    "put the secret into that file, or name the right one",
);
pub(super) static SECRET_EMPTY: Cause = row(
    "secret_empty",
    Settings,
    "there is nothing in the file that {secret} names",
    "put the secret into it, on one line",
);
pub(super) static SECRET_UNREADABLE: Cause = row(
    "secret_unreadable",
    Settings,
    "the file that {secret} names cannot be read by this user",
    "let the agent's user read it (chown root:scaidrive-siem, chmod 0640), and make sure that it is a file",
);
pub(super) static SECRET_MALFORMED: Cause = row(
    "secret_malformed",
    Settings,
    "what {secret} names can be no secret: it holds more than one line, spaces, or bytes that are no text",
    "copy the secret again, alone and on one line",
);
pub(super) static SECRET_VARIABLE_UNSET: Cause = row(
    "secret_variable_unset",
    Settings,
    "the environment of this process does not hold what {secret} names",
    "set the variable, pass the credential (LoadCredential= in the unit), or name a file",
);
pub(super) static CERTIFICATE_FILE_UNUSABLE: Cause = row(
    "certificate_file_unusable",
    Settings,
    "a file of certificates or keys that tls names cannot be used",
    "name files in PEM that the agent's user may read",
);
pub(super) static SETTINGS_UNUSABLE: Cause = row(
    "settings_unusable",
    Settings,
    "the settings cannot be used as they are written",
    "correct them; `scaidrive-siem check` says all that is wrong",
);
pub(super) static EVENT_UNFIT: Cause = row(
    "event_unfit",
    Settings,
    "the format cannot carry even the event of a test",
    "raise the limit that the words name, such as max_len",
);
pub(super) static NAME_UNKNOWN: Cause = row(
    "name_unknown",
    Resolve,
    "no name server knows {host}",
    "correct the host name, or have it entered in the DNS that this machine asks (/etc/resolv.conf)",
);
pub(super) static NAME_WITHOUT_ADDRESS: Cause = row(
    "name_without_address",
    Resolve,
    "the name {host} is known and has no address",
    "have an A or AAAA record made for it, or write the name that has one",
);
pub(super) static NAME_SERVER_FAILED: Cause = row(
    "name_server_failed",
    Resolve,
    "the name servers that this machine asks give no answer about {host}: they cannot be reached, or they fail",
    "look at /etc/resolv.conf and at the way to the servers it names; `getent hosts {host}` shows the same",
);
pub(super) static NAME_SERVER_SILENT: Cause = row(
    "name_server_silent",
    Resolve,
    "the name servers that this machine asks say nothing in time",
    "look at /etc/resolv.conf, and let port 53 (UDP and TCP) through the firewall on the way to them",
);
pub(super) static ADDRESS_NOT_ALLOWED: Cause = row(
    "address_not_allowed",
    Connect,
    "{at} is at an address that this destination may not be at",
    "correct the address; an operator can allow one in agent.allow_targets, or with targets = \"any\"",
);
pub(super) static CONNECTION_REFUSED: Cause = row(
    "connection_refused",
    Connect,
    "nobody listens at {at}: the machine is there and refuses the connection",
    "start the receiver, correct the port, or have its firewall accept connections rather than reject them",
);
pub(super) static CONNECTION_NOT_ANSWERED: Cause = row(
    "connection_not_answered",
    Connect,
    "nothing comes back from {at}: a firewall swallows the packets, or the machine is down",
    "let TCP to {at} through the firewalls on the way; if the way out leads through a proxy, set proxy",
);
pub(super) static NETWORK_UNREACHABLE: Cause = row(
    "network_unreachable",
    Connect,
    "this machine has no route to the network of {host}",
    "add the route (or IPv6, if that is what the name leads to), or correct the address",
);
pub(super) static HOST_UNREACHABLE: Cause = row(
    "host_unreachable",
    Connect,
    "a router on the way says that {host} cannot be reached",
    "see that the machine is up and the address right; a firewall may also answer so",
);
pub(super) static CONNECTION_ENDED: Cause = row(
    "connection_ended",
    Connect,
    "the connection to {at} ended before anything was said",
    "look at what stands between: a load balancer without a server behind it, or an address filter at the receiver",
);
pub(super) static LOCAL_SHORTAGE: Cause = row(
    "local_shortage",
    Connect,
    "this machine could not make the connection: it lacks descriptors, ports or rights",
    "look at the limits of this process (LimitNOFILE=) and at local firewall rules",
);
pub(super) static PROXY_NAME_UNKNOWN: Cause = row(
    "proxy_name_unknown",
    Resolve,
    "the name of the proxy, {proxy}, leads nowhere",
    "correct proxy.url, or have its name entered in the DNS that this machine asks",
);
pub(super) static PROXY_UNREACHABLE: Cause = row(
    "proxy_unreachable",
    Connect,
    "the proxy {proxy} cannot be reached",
    "start it or correct proxy.url; if {host} is reached without it, add {host} to proxy.no_proxy",
);
pub(super) static PROXY_WANTS_LOGIN: Cause = row(
    "proxy_wants_login",
    Proxy,
    "the proxy {proxy} wants a user and a password, and none are set",
    "set proxy.user and proxy.password",
);
pub(super) static PROXY_REFUSES_LOGIN: Cause = row(
    "proxy_refuses_login",
    Proxy,
    "the proxy {proxy} does not accept proxy.user with proxy.password",
    "put the right password into the file that proxy.password names",
);
pub(super) static PROXY_FORBIDS: Cause = row(
    "proxy_forbids",
    Proxy,
    "the proxy {proxy} does not let this machine through to {at}",
    "have its administrator allow CONNECT to {at} for this machine",
);
pub(super) static PROXY_CANNOT_TUNNEL: Cause = row(
    "proxy_cannot_tunnel",
    Proxy,
    "the proxy {proxy} takes no CONNECT: it is no forward proxy, or tunnels are switched off",
    "name a forward proxy in proxy.url, and have CONNECT to {at} allowed there",
);
pub(super) static PROXY_CANNOT_REACH: Cause = row(
    "proxy_cannot_reach",
    Proxy,
    "the proxy {proxy} cannot reach {at} itself",
    "have the way from the proxy to {at} opened, and its name known there",
);
pub(super) static PROXY_NOT_HTTP: Cause = row(
    "proxy_not_http",
    Proxy,
    "whoever listens at {proxy} speaks no HTTP, so it is no proxy",
    "correct host and port in proxy.url",
);
pub(super) static PROXY_CLOSED: Cause = row(
    "proxy_closed",
    Proxy,
    "the proxy {proxy} closes the connection without an answer",
    "look at its log; it may accept certain machines only, or speak TLS on this port",
);
pub(super) static PROXY_SILENT: Cause = row(
    "proxy_silent",
    Proxy,
    "the proxy {proxy} takes the connection and says nothing",
    "look whether the proxy works, and whether it can reach {at}",
);
pub(super) static PROXY_REDIRECTS: Cause = row(
    "proxy_redirects",
    Proxy,
    "the proxy {proxy} sends us to a page for people instead of letting us through",
    "have this machine excepted from its sign-in, or set what it wants in proxy.user and proxy.password",
);
pub(super) static PROXY_ANSWERS_OTHERWISE: Cause = row(
    "proxy_answers_otherwise",
    Proxy,
    "the proxy {proxy} did not let us through",
    "look at its log for what the status it answered means",
);
pub(super) static CERTIFICATE_EXPIRED: Cause = row(
    "certificate_expired",
    Tls,
    "the certificate of {host} has expired",
    "renew it there; if it is still good, this machine's clock is ahead: set it (NTP)",
);
pub(super) static CERTIFICATE_NOT_YET_VALID: Cause = row(
    "certificate_not_yet_valid",
    Tls,
    "the certificate of {host} is not valid yet",
    "if it was issued just now, wait; otherwise this machine's clock is behind: set it (NTP)",
);
pub(super) static CERTIFICATE_AUTHORITY_UNKNOWN: Cause = row(
    "certificate_authority_unknown",
    Tls,
    "the certificate of {host} is from an authority that is not trusted here",
    "put the certificate of that authority into tls.ca, or into a file that tls.ca_file names, if it is yours",
);
pub(super) static CERTIFICATE_SELF_SIGNED: Cause = row(
    "certificate_self_signed",
    Tls,
    "the certificate of {host} is signed by itself and not by an authority that is trusted here",
    "have it replaced by one of an authority; or, if it is known to be the right one, put it into a file and name that in tls.ca_file",
);
pub(super) static CERTIFICATE_CHAIN_INCOMPLETE: Cause = row(
    "certificate_chain_incomplete",
    Tls,
    "{host} shows its own certificate without the intermediate ones that lead to an authority",
    "have the whole chain installed there (certificate first, then intermediates); or put the intermediate certificate into tls.ca_file",
);
pub(super) static CERTIFICATE_NAME_WRONG: Cause = row(
    "certificate_name_wrong",
    Tls,
    "the certificate is not for {host}",
    "connect by a name that it is for, or set tls.server_name to it, or have one issued for {host}",
);
pub(super) static CERTIFICATE_SIGNATURE_WRONG: Cause = row(
    "certificate_signature_wrong",
    Tls,
    "the certificate of {host} names an authority that is trusted here and is not signed with its key: that authority was made anew",
    "put the present certificate of the authority into tls.ca_file",
);
pub(super) static CERTIFICATE_PURPOSE_WRONG: Cause = row(
    "certificate_purpose_wrong",
    Tls,
    "the certificate of {host} may not be used by servers",
    "have one issued there whose extended key usage has serverAuth",
);
pub(super) static CERTIFICATE_NOT_PINNED: Cause = row(
    "certificate_not_pinned",
    Tls,
    "the certificate of {host} is not one of tls.fingerprints",
    "if it was renewed, put the new fingerprint there beside the old one; if not, somebody else answers",
);
pub(super) static CERTIFICATE_REVOKED: Cause =
    row("certificate_revoked", Tls, "the certificate of {host} was revoked", "have it replaced there");
pub(super) static CERTIFICATE_UNACCEPTABLE: Cause = row(
    "certificate_unacceptable",
    Tls,
    "the certificate of {host} cannot be accepted",
    "have it replaced there by one that follows RFC 5280",
);
pub(super) static CERTIFICATE_MISSING: Cause =
    row("certificate_missing", Tls, "{host} shows no certificate", "configure one there");
pub(super) static TLS_VERSION_REFUSED: Cause = row(
    "tls_version_refused",
    Tls,
    "{host} and this agent have no version of TLS in common",
    "allow TLS 1.2 or 1.3 there; tls.min_version = \"1.3\" here also refuses servers that know 1.2 only",
);
pub(super) static TLS_NO_COMMON_CIPHER: Cause = row(
    "tls_no_common_cipher",
    Tls,
    "{host} refuses the handshake: no cipher in common, or no certificate that fits",
    "allow ECDHE with AES-GCM or ChaCha20 there (RFC 9325), and see that a certificate is configured",
);
pub(super) static TLS_NAME_NOT_SERVED: Cause = row(
    "tls_name_not_served",
    Tls,
    "whoever answers at {at} serves no host called {host}",
    "connect by the name that it serves, or set tls.server_name to it",
);
pub(super) static TLS_NAME_IMPOSSIBLE: Cause =
    row("tls_name_impossible", Tls, "{host} can stand in no certificate", "write a host name, or set tls.server_name");
pub(super) static TLS_CLOSED: Cause = row(
    "tls_closed",
    Tls,
    "the connection is closed when TLS begins",
    "this is often a port without TLS, or a balancer with nobody behind it: check port and scheme (or transport)",
);
pub(super) static TLS_NOT_ANSWERED: Cause = row(
    "tls_not_answered",
    Tls,
    "{at} takes the connection and does not answer the TLS handshake",
    "a plain syslog or RELP port behaves so: check the port, or choose the transport without TLS",
);
pub(super) static TLS_FAILED: Cause =
    row("tls_failed", Tls, "TLS with {host} failed", "look at the log of the receiver for the same moment");
pub(super) static CLIENT_CERTIFICATE_REQUIRED: Cause = row(
    "client_certificate_required",
    Tls,
    "{host} demands a certificate of this agent, and none is set",
    "set tls.cert_file and tls.key_file to one that it accepts",
);
pub(super) static CLIENT_CERTIFICATE_REFUSED: Cause = row(
    "client_certificate_refused",
    Tls,
    "{host} does not accept the certificate of this agent",
    "have it issued by the authority that {host} trusts for clients, or add its authority or fingerprint there",
);
pub(super) static CLIENT_CERTIFICATE_EXPIRED: Cause = row(
    "client_certificate_expired",
    Tls,
    "the certificate of this agent has expired",
    "renew what tls.cert_file names; the agent reads it again by itself",
);
pub(super) static PORT_IS_PLAIN_HTTP: Cause = row(
    "port_is_plain_http",
    Tls,
    "{at} speaks HTTP without TLS",
    "write http:// if that is meant, or the port that speaks TLS",
);
pub(super) static PORT_SPEAKS_NO_TLS: Cause = row(
    "port_speaks_no_tls",
    Tls,
    "whoever listens at {at} does not speak TLS",
    "correct the port, or write what speaks without TLS (http://, transport = \"tcp\" or \"relp\") if that is meant",
);
pub(super) static PORT_SPEAKS_HTTP: Cause = row(
    "port_speaks_http",
    Answer,
    "a web server answers at {at}",
    "correct the port: HTTP is what destinations of other types speak",
);
pub(super) static PORT_SPEAKS_HTTP2: Cause = row(
    "port_speaks_http2",
    Answer,
    "{at} speaks HTTP/2 only, and this agent HTTP/1.1",
    "have HTTP/1.1 allowed there, or name the port that speaks it",
);
pub(super) static PORT_SPEAKS_SSH: Cause =
    row("port_speaks_ssh", Answer, "an SSH server answers at {at}", "correct the port");
pub(super) static PORT_SPEAKS_SMTP: Cause =
    row("port_speaks_smtp", Answer, "a mail server answers at {at}", "correct the port");
pub(super) static PORT_SPEAKS_FTP: Cause =
    row("port_speaks_ftp", Answer, "an FTP server answers at {at}", "correct the port");
pub(super) static PORT_SPEAKS_REDIS: Cause =
    row("port_speaks_redis", Answer, "a Redis server answers at {at}", "correct the port");
pub(super) static PORT_SPEAKS_MYSQL: Cause =
    row("port_speaks_mysql", Answer, "a MySQL or MariaDB server answers at {at}", "correct the port");
pub(super) static PORT_WANTS_TLS: Cause = row(
    "port_wants_tls",
    Answer,
    "{at} speaks TLS, and what is set speaks to it without",
    "write https:// (for syslog: transport = \"tls\", for RELP: \"relp_tls\")",
);
pub(super) static ANSWER_NOT_HTTP: Cause =
    row("answer_not_http", Answer, "whoever listens at {at} does not speak HTTP", "correct the port");
pub(super) static ANSWER_NOT_RELP: Cause = row(
    "answer_not_relp",
    Answer,
    "whoever listens at {at} does not speak RELP",
    "correct the port; rsyslog needs imrelp there, plain TCP is transport = \"tcp\"",
);
pub(super) static ANSWER_CUT_OFF: Cause = row(
    "answer_cut_off",
    Answer,
    "the connection ended in the middle of the answer",
    "look at the receiver's log, and at what stands between: a proxy that times out, or a crash",
);
pub(super) static ANSWER_STOPPED: Cause = row(
    "answer_stopped",
    Answer,
    "an answer began and did not come to its end in time",
    "look whether the receiver is overloaded; a larger timeouts.request waits longer",
);
pub(super) static CLOSED_WITHOUT_ANSWER: Cause = row(
    "closed_without_answer",
    Answer,
    "the connection was closed without an answer",
    "look at the receiver's log; a port that wants TLS and an address filter behave so",
);
pub(super) static NOT_ANSWERED: Cause = row(
    "not_answered",
    Answer,
    "{at} takes what is sent and says nothing",
    "check the port, and whether the receiver hangs; a larger timeouts.request waits longer",
);
pub(super) static REQUEST_NOT_TAKEN: Cause =
    row("request_not_taken", Answer, "{at} does not take what is sent", "look whether the receiver hangs");
pub(super) static ELASTIC_NODE_PORT: Cause = row(
    "elastic_node_port",
    Answer,
    "{at} is the port by which nodes of the cluster speak to each other",
    "write the port of the HTTP interface, usually 9200",
);
pub(super) static KIBANA_PORT: Cause = row(
    "kibana_port",
    Answer,
    "Kibana answers at {at}",
    "write the address of Elasticsearch, usually port 9200 (in Elastic Cloud the one called Elasticsearch endpoint)",
);
pub(super) static SPLUNK_WEB_PORT: Cause = row(
    "splunk_web_port",
    Answer,
    "{at} is Splunk's page for people",
    "write the port of the HTTP Event Collector, usually 8088",
);
pub(super) static SPLUNK_MANAGEMENT_PORT: Cause = row(
    "splunk_management_port",
    Answer,
    "{at} is Splunk's management port",
    "write the port of the HTTP Event Collector, usually 8088",
);
pub(super) static LOGIN_PAGE: Cause = row(
    "login_page",
    Answer,
    "a login page answers in place of the receiver",
    "somebody in between wants a person to sign in (a single sign-on gateway, a captive portal): have this machine or this path excepted there",
);
pub(super) static PAGE_FOR_PEOPLE: Cause = row(
    "page_for_people",
    Answer,
    "a web page answers in place of the receiver",
    "correct host, port and path of the address: this is a web server or a proxy's page",
);
pub(super) static REDIRECTED_TO_LOGIN: Cause = row(
    "redirected_to_login",
    Answer,
    "we are sent to a page where people sign in",
    "a captive portal or a single sign-on gateway stands in between: have this machine or this path excepted there",
);
pub(super) static CAPTIVE_PORTAL: Cause = row(
    "captive_portal",
    Answer,
    "the network wants somebody to sign in before it lets anything through (HTTP 511)",
    "have this machine excepted from the portal",
);
pub(super) static REDIRECTED: Cause = row(
    "redirected",
    Answer,
    "we are sent elsewhere; redirects are not followed, because events and credentials must not end up wherever somebody points",
    "write the address that the answer names, if it is the right one",
);
pub(super) static REDIRECTED_TO_HTTPS: Cause =
    row("redirected_to_https", Answer, "we are sent to the same place with HTTPS", "write https:// in the address");
pub(super) static GATEWAY_WITHOUT_SERVER: Cause = row(
    "gateway_without_server",
    Answer,
    "a gateway or load balancer answers and reaches nobody behind it",
    "see that the receiver behind it runs and is known to it as healthy",
);
pub(super) static ANSWER_UNEXPECTED: Cause = row(
    "answer_unexpected",
    Answer,
    "what answers is not what this type of destination expects",
    "correct host, port and path of the address",
);
pub(super) static PATH_UNKNOWN: Cause =
    row("path_unknown", Answer, "{host} knows no such path", "correct the path of the address");
pub(super) static METHOD_REFUSED: Cause = row(
    "method_refused",
    Answer,
    "{host} does not take this method on this path",
    "set method to one that it takes, or correct the path",
);
pub(super) static SOURCE_UNKNOWN: Cause = row(
    "source_unknown",
    Answer,
    "the address leads to no HTTP source",
    "copy the whole address of the source again (Manage Data, Collection, Show URL)",
);
pub(super) static SOURCE_ELSEWHERE: Cause = row(
    "source_elsewhere",
    Answer,
    "this source lives in another deployment of Sumo Logic",
    "copy the whole address of the source again; it begins with the host that the answer names",
);
pub(super) static RELP_VERSION_UNKNOWN: Cause = row(
    "relp_version_unknown",
    Answer,
    "{at} speaks a version of RELP that is not known here",
    "bring the receiver and this agent to versions of RELP that both know: 0 and 1 are known here",
);
pub(super) static CREDENTIALS_MISSING: Cause = row(
    "credentials_missing",
    Authentication,
    "{host} wants to know who we are, and no credentials are set",
    "set credentials for this destination",
);
pub(super) static CREDENTIALS_REFUSED: Cause = row(
    "credentials_refused",
    Authentication,
    "{host} does not accept the credentials",
    "put valid ones into what {secret} names; the agent reads them again by itself",
);
pub(super) static CLOCK_WRONG: Cause = row(
    "clock_wrong",
    Authentication,
    "this machine's clock differs so much from that of {host} that what is signed or dated here does not count there",
    "set this machine's clock, and keep it right with NTP",
);
pub(super) static TOKEN_DISABLED: Cause = row(
    "token_disabled",
    Authentication,
    "the token is disabled",
    "enable it in Splunk (Settings, Data inputs, HTTP Event Collector), and see in the Global Settings there that all tokens are enabled",
);
pub(super) static TOKEN_STRIPPED: Cause = row(
    "token_stripped",
    Authentication,
    "the collector got no token, though one was sent: something in between takes the Authorization header out",
    "have the proxy or balancer in between pass the Authorization header on",
);
pub(super) static TOKEN_UNKNOWN: Cause = row(
    "token_unknown",
    Authentication,
    "the collector does not know the token",
    "copy its value again (Settings, Data inputs, HTTP Event Collector) into what {secret} names; behind a balancer every indexer must know it",
);
pub(super) static API_KEY_EXPIRED: Cause = row(
    "api_key_expired",
    Authentication,
    "the API key has expired or was invalidated",
    "make a new one, put it into what {secret} names, and note when that one ends",
);
pub(super) static API_KEY_REFUSED: Cause = row(
    "api_key_refused",
    Authentication,
    "the API key is not valid at this site: it was mistyped or revoked, or belongs to another site of Datadog",
    "make site the one whose address you see when you use Datadog, and put one of its API keys into what {secret} names",
);
pub(super) static APPLICATION_KEY_SHOWN: Cause = row(
    "application_key_shown",
    Authentication,
    "what {secret} names has the form of an application key, and logs are taken with API keys only",
    "put an API key there (Organization Settings, API Keys): it has 32 digits, an application key 40",
);
pub(super) static SOURCE_URL_OUTDATED: Cause = row(
    "source_url_outdated",
    Authentication,
    "the source no longer accepts this address or token: they were made anew, or the collector was deleted",
    "copy the whole address of the source again into what {secret} names; right after it was made anew this may take some minutes",
);
pub(super) static TENANT_UNKNOWN: Cause = row(
    "tenant_unknown",
    Authentication,
    "Entra ID knows no such tenant in this cloud",
    "correct tenant_id, and cloud if the tenant is in a national one",
);
pub(super) static APPLICATION_UNKNOWN: Cause = row(
    "application_unknown",
    Authentication,
    "the tenant has no application with this client_id",
    "correct client_id (Application (client) ID, not Object ID) or tenant_id",
);
pub(super) static CLIENT_SECRET_EXPIRED: Cause = row(
    "client_secret_expired",
    Authentication,
    "the client secret has expired",
    "make a new one (Certificates & secrets of the app registration) and put its value into what {secret} names",
);
pub(super) static CLIENT_SECRET_WRONG: Cause = row(
    "client_secret_wrong",
    Authentication,
    "the client secret is wrong",
    "put the secret's value there, not its id; it is shown only when it is made",
);
pub(super) static FEDERATION_MISMATCH: Cause = row(
    "federation_mismatch",
    Authentication,
    "the token of the other issuer fits no federated credential of the application",
    "make issuer, subject and audience of the federated credential those of the token",
);
pub(super) static TOKEN_SCOPE_WRONG: Cause = row(
    "token_scope_wrong",
    Authentication,
    "the scope that a token is asked for does not exist",
    "correct cloud (for Sentinel), or scope and audience (for oauth)",
);
pub(super) static TOKEN_REFUSED: Cause = row(
    "token_refused",
    Authentication,
    "the token that was issued is not accepted: it is for another audience or cloud, or not of this tenant",
    "make cloud, tenant_id and url belong together (for oauth: scope and audience)",
);
pub(super) static TOKEN_NOT_ISSUED: Cause = row(
    "token_not_issued",
    Authentication,
    "no token is issued for these credentials",
    "correct the client's id and secret",
);
pub(super) static TOKEN_SERVER_WRONG: Cause = row(
    "token_server_wrong",
    Authentication,
    "what answers where tokens are issued issues none",
    "correct authority (for oauth: token_url)",
);
pub(super) static TOKEN_SERVER_UNREACHABLE: Cause = row(
    "token_server_unreachable",
    Authentication,
    "whoever issues tokens cannot be reached",
    "open the way to it (login.microsoftonline.com for Azure), also through the proxy; or correct authority or token_url",
);
pub(super) static TOKEN_SERVER_SILENT: Cause = row(
    "token_server_silent",
    Authentication,
    "whoever issues tokens does not answer in time",
    "open the way to it, also through the proxy, and test again",
);
pub(super) static TOKEN_SERVER_BUSY: Cause = row(
    "token_server_busy",
    Authentication,
    "whoever issues tokens cannot issue any now",
    "test again in some minutes",
);
pub(super) static IDENTITY_FILE_UNUSABLE: Cause = row(
    "identity_file_unusable",
    Authentication,
    "what shows who asks for a token cannot be used",
    "see that the certificate, key or token file named in the settings is there, and that this user may read it",
);
pub(super) static WORKSPACE_KEY_WRONG: Cause = row(
    "workspace_key_wrong",
    Authentication,
    "the signature made with the workspace's key is not accepted",
    "copy the primary or secondary key of this workspace again into what {secret} names",
);
pub(super) static AWS_KEYS_MISSING: Cause = row(
    "aws_keys_missing",
    Authentication,
    "there are no AWS keys to sign with",
    "give the machine or container a role, or set access_key_id and secret_access_key under aws",
);
pub(super) static SIGNATURE_REFUSED: Cause = row(
    "signature_refused",
    Authentication,
    "AWS does not accept the signature",
    "make region and service under aws those of the domain, and see that the secret belongs to the access key",
);
pub(super) static FORBIDDEN: Cause = row(
    "forbidden",
    Permission,
    "{host} knows us and does not let us do this",
    "give this identity the right to send there, or allow this machine's address",
);
pub(super) static INDEX_REFUSED: Cause = row(
    "index_refused",
    Permission,
    "the token may not write to the index {target}",
    "add the index to the token's allowed indexes (and see that it exists), or name another in index",
);
pub(super) static ACKNOWLEDGEMENT_DISABLED: Cause = row(
    "acknowledgement_disabled",
    Permission,
    "ack is \"on\", and the token has no indexer acknowledgement",
    "enable it for the token, or write ack = \"auto\"",
);
pub(super) static INDEX_MISSING: Cause = row(
    "index_missing",
    Permission,
    "there is no index or data stream {target}, and the cluster has not made it by itself",
    "make it (`scaidrive-siem destination template` prints what it needs), or correct target",
);
pub(super) static INDEX_AUTO_CREATE_OFF: Cause = row(
    "index_auto_create_off",
    Permission,
    "there is no index or data stream {target}, and the cluster makes none by itself (action.auto_create_index)",
    "make it beforehand, or allow its name in action.auto_create_index",
);
pub(super) static TEMPLATE_MISSING: Cause = row(
    "template_missing",
    Permission,
    "there is no data stream {target}, and no index template makes one of that name",
    "install the template that `scaidrive-siem destination template` prints",
);
pub(super) static INDEX_CREATE_RIGHT_MISSING: Cause = row(
    "index_create_right_missing",
    Permission,
    "these credentials may not make {target}, which is not there yet",
    "give them auto_configure on it, or make the data stream beforehand",
);
pub(super) static INDEX_WRITE_RIGHT_MISSING: Cause = row(
    "index_write_right_missing",
    Permission,
    "these credentials may not write to {target}",
    "give them create_doc (for op = \"index\": index) on it",
);
pub(super) static ROLE_MISSING: Cause = row(
    "role_missing",
    Permission,
    "the identity has no role that lets it write through this data collection rule",
    "assign it Monitoring Metrics Publisher on the rule itself; that takes effect within 30 minutes",
);
pub(super) static RULE_UNKNOWN: Cause = row(
    "rule_unknown",
    Permission,
    "this endpoint knows no such data collection rule",
    "copy rule (immutableId) and url (logsIngestion endpoint) from the JSON view of the same rule",
);
pub(super) static STREAM_UNKNOWN: Cause = row(
    "stream_unknown",
    Permission,
    "the data collection rule declares no stream {target}",
    "correct stream, or declare it: `scaidrive-siem destination template` prints the rule",
);
pub(super) static WORKSPACE_UNKNOWN: Cause = row(
    "workspace_unknown",
    Permission,
    "there is no such workspace, or it is closed",
    "correct workspace_id, and cloud if it is in a national one",
);
pub(super) static RELP_OPEN_REFUSED: Cause = row(
    "relp_open_refused",
    Permission,
    "the receiver refuses the RELP session",
    "look at its log; it may accept certain senders only (permittedPeer)",
);
pub(super) static RELP_WITHOUT_SYSLOG: Cause = row(
    "relp_without_syslog",
    Permission,
    "the receiver speaks RELP and takes no syslog messages by it",
    "enable the syslog command there",
);
pub(super) static DATAGRAM_PORT_CLOSED: Cause = row(
    "datagram_port_closed",
    Accepted,
    "nobody listens for datagrams at {at}: the machine answered so (ICMP)",
    "start the receiver with UDP on that port, or correct the port",
);
pub(super) static DATAGRAM_TOO_LONG: Cause =
    row("datagram_too_long", Accepted, "the datagram is too long for the way to {host}", "set max_len lower");
pub(super) static RECEIVER_CLOSES_AT_ONCE: Cause = row(
    "receiver_closes_at_once",
    Accepted,
    "the receiver takes the connection and closes it before anything was sent",
    "it accepts certain senders only, or has too many connections: look at its log and its list of allowed senders",
);
pub(super) static RECEIVER_CLOSES_AT_MESSAGE: Cause = row(
    "receiver_closes_at_message",
    Accepted,
    "the receiver closes the connection when a message comes",
    "look at its log: header, framing or length may not be what it expects, or it wants TLS (transport = \"tls\")",
);
pub(super) static FRAMING_NOT_UNDERSTOOD: Cause = row(
    "framing_not_understood",
    Accepted,
    "the receiver closes at a message with octet counting, and takes the same message ended by a line feed",
    "set framing = \"line_feed\"",
);
pub(super) static RELP_MESSAGE_REFUSED: Cause =
    row("relp_message_refused", Accepted, "the receiver refuses the message", "look at its log for the same moment");
pub(super) static RECEIVER_STOPS_READING: Cause = row(
    "receiver_stops_reading",
    Accepted,
    "the receiver does not read what is sent",
    "look whether its queue is full or its disk",
);
pub(super) static MEDIA_TYPE_REFUSED: Cause = row(
    "media_type_refused",
    Accepted,
    "{host} does not take this media type, or no compressed bodies",
    "set content_type or body to what it takes; compression = \"none\" sends uncompressed",
);
pub(super) static REQUEST_NOT_UNDERSTOOD: Cause = row(
    "request_not_understood",
    Accepted,
    "{host} does not understand the request",
    "set body, template and content_type to what it expects",
);
pub(super) static BODY_TOO_LARGE: Cause = row(
    "body_too_large",
    Accepted,
    "{host} takes no body of this size, small as it is",
    "raise its limit, or that of the proxy in between",
);
pub(super) static THROTTLED: Cause = row(
    "throttled",
    Accepted,
    "{host} takes no more for now",
    "wait, or have the quota raised; rate_limit keeps the agent below it",
);
pub(super) static SERVER_FAILED: Cause =
    row("server_failed", Accepted, "{host} failed over the request", "look at its log for the same moment");
pub(super) static UNAVAILABLE: Cause =
    row("unavailable", Accepted, "{host} is not available now", "wait until it is, and test again");
pub(super) static STATUS_UNEXPECTED: Cause = row(
    "status_unexpected",
    Accepted,
    "the answer has another status than those that success lists",
    "add the status to success if it means success",
);
pub(super) static EVENT_REFUSED: Cause =
    row("event_refused", Accepted, "{host} refuses the event", "look at its words: they name what it does not take");
pub(super) static COLLECTOR_BUSY: Cause = row(
    "collector_busy",
    Accepted,
    "the collector is busy",
    "wait; if it stays so, the indexers behind it do not keep up",
);
pub(super) static COLLECTOR_FULL: Cause = row(
    "collector_full",
    Accepted,
    "the collector's queues are full",
    "see that the indexers behind it work and have room",
);
pub(super) static COLLECTOR_STOPPING: Cause =
    row("collector_stopping", Accepted, "the collector is shutting down", "test again when it has started");
pub(super) static CHANNEL_MISSING: Cause = row(
    "channel_missing",
    Accepted,
    "the token has indexer acknowledgement and wants a channel, and ack is \"off\"",
    "write ack = \"auto\", or switch acknowledgement off for the token",
);
pub(super) static INDEXED_FIELDS_REFUSED: Cause = row(
    "indexed_fields_refused",
    Accepted,
    "the collector refuses the indexed fields",
    "see that fields are allowed for the token's sourcetype, and that no index-time rule gets in their way",
);
pub(super) static MAPPING_TYPE_WRONG: Cause = row(
    "mapping_type_wrong",
    Accepted,
    "a field has another type in the mapping of {target} than in the event",
    "install the template that `scaidrive-siem destination template` prints, then roll the data stream over (or reindex)",
);
pub(super) static MAPPING_STRICT: Cause = row(
    "mapping_strict",
    Accepted,
    "the mapping of {target} takes no fields that it does not know",
    "add the fields of the template that `scaidrive-siem destination template` prints, or set dynamic to true or false",
);
pub(super) static MAPPING_FULL: Cause = row(
    "mapping_full",
    Accepted,
    "the mapping of {target} has as many fields as it may have",
    "map payload as flattened (flat_object for OpenSearch), as `scaidrive-siem destination template` does, and roll over",
);
pub(super) static INDEX_READ_ONLY: Cause = row(
    "index_read_only",
    Accepted,
    "{target} is read-only: the disks of the cluster are nearly full",
    "make room there; the block is lifted by itself, or with index.blocks.read_only_allow_delete: null",
);
pub(super) static DOCUMENT_ID_REFUSED: Cause =
    row("document_id_refused", Accepted, "this server takes no document ids of others", "write document_id = \"none\"");
pub(super) static TARGET_IS_DATA_STREAM: Cause = row(
    "target_is_data_stream",
    Accepted,
    "{target} is a data stream, and those are only appended to",
    "write op = \"create\"",
);
pub(super) static SET_ASIDE_IN_FAILURE_STORE: Cause = row(
    "set_aside_in_failure_store",
    Accepted,
    "the event went to the failure store of {target} and not to the stream",
    "look into it (GET {target}::failures/_search) for why; mostly the mapping or a pipeline",
);
pub(super) static COLUMN_TYPE_WRONG: Cause = row(
    "column_type_wrong",
    Accepted,
    "a column of the stream has another type than the event",
    "redeploy the rule that `scaidrive-siem destination template` prints",
);
pub(super) static ACCEPTED_AND_NOT_FOUND: Cause = row(
    "accepted_and_not_found",
    Found,
    "the event was accepted and is not there: something behind drops it",
    "look at the ingest pipelines of {target} (drop processors) and at rules that route it elsewhere",
);

/// Codes of warnings: of what works today.
pub(super) const WARNING_CERTIFICATE: &str = "certificate_expires_soon";
pub(super) const WARNING_CLOCK: &str = "clock_differs";
pub(super) const WARNING_NOT_CONFIRMED: &str = "not_confirmed";
pub(super) const WARNING_NOT_FOUND_YET: &str = "not_found_yet";
pub(super) const WARNING_COMPRESSION: &str = "compression_refused";
pub(super) const WARNING_SLOW_DOWN: &str = "asks_for_less";

static ALL: &[&Cause] = &[
    &SECRET_MISSING,
    &SECRET_EMPTY,
    &SECRET_UNREADABLE,
    &SECRET_MALFORMED,
    &SECRET_VARIABLE_UNSET,
    &CERTIFICATE_FILE_UNUSABLE,
    &SETTINGS_UNUSABLE,
    &EVENT_UNFIT,
    &NAME_UNKNOWN,
    &NAME_WITHOUT_ADDRESS,
    &NAME_SERVER_FAILED,
    &NAME_SERVER_SILENT,
    &ADDRESS_NOT_ALLOWED,
    &CONNECTION_REFUSED,
    &CONNECTION_NOT_ANSWERED,
    &NETWORK_UNREACHABLE,
    &HOST_UNREACHABLE,
    &CONNECTION_ENDED,
    &LOCAL_SHORTAGE,
    &PROXY_NAME_UNKNOWN,
    &PROXY_UNREACHABLE,
    &PROXY_WANTS_LOGIN,
    &PROXY_REFUSES_LOGIN,
    &PROXY_FORBIDS,
    &PROXY_CANNOT_TUNNEL,
    &PROXY_CANNOT_REACH,
    &PROXY_NOT_HTTP,
    &PROXY_CLOSED,
    &PROXY_SILENT,
    &PROXY_REDIRECTS,
    &PROXY_ANSWERS_OTHERWISE,
    &CERTIFICATE_EXPIRED,
    &CERTIFICATE_NOT_YET_VALID,
    &CERTIFICATE_AUTHORITY_UNKNOWN,
    &CERTIFICATE_SELF_SIGNED,
    &CERTIFICATE_CHAIN_INCOMPLETE,
    &CERTIFICATE_NAME_WRONG,
    &CERTIFICATE_SIGNATURE_WRONG,
    &CERTIFICATE_PURPOSE_WRONG,
    &CERTIFICATE_NOT_PINNED,
    &CERTIFICATE_REVOKED,
    &CERTIFICATE_UNACCEPTABLE,
    &CERTIFICATE_MISSING,
    &TLS_VERSION_REFUSED,
    &TLS_NO_COMMON_CIPHER,
    &TLS_NAME_NOT_SERVED,
    &TLS_NAME_IMPOSSIBLE,
    &TLS_CLOSED,
    &TLS_NOT_ANSWERED,
    &TLS_FAILED,
    &CLIENT_CERTIFICATE_REQUIRED,
    &CLIENT_CERTIFICATE_REFUSED,
    &CLIENT_CERTIFICATE_EXPIRED,
    &PORT_IS_PLAIN_HTTP,
    &PORT_SPEAKS_NO_TLS,
    &PORT_SPEAKS_HTTP,
    &PORT_SPEAKS_HTTP2,
    &PORT_SPEAKS_SSH,
    &PORT_SPEAKS_SMTP,
    &PORT_SPEAKS_FTP,
    &PORT_SPEAKS_REDIS,
    &PORT_SPEAKS_MYSQL,
    &PORT_WANTS_TLS,
    &ANSWER_NOT_HTTP,
    &ANSWER_NOT_RELP,
    &ANSWER_CUT_OFF,
    &ANSWER_STOPPED,
    &CLOSED_WITHOUT_ANSWER,
    &NOT_ANSWERED,
    &REQUEST_NOT_TAKEN,
    &ELASTIC_NODE_PORT,
    &KIBANA_PORT,
    &SPLUNK_WEB_PORT,
    &SPLUNK_MANAGEMENT_PORT,
    &LOGIN_PAGE,
    &PAGE_FOR_PEOPLE,
    &REDIRECTED_TO_LOGIN,
    &CAPTIVE_PORTAL,
    &REDIRECTED,
    &REDIRECTED_TO_HTTPS,
    &GATEWAY_WITHOUT_SERVER,
    &ANSWER_UNEXPECTED,
    &PATH_UNKNOWN,
    &METHOD_REFUSED,
    &SOURCE_UNKNOWN,
    &SOURCE_ELSEWHERE,
    &RELP_VERSION_UNKNOWN,
    &CREDENTIALS_MISSING,
    &CREDENTIALS_REFUSED,
    &CLOCK_WRONG,
    &TOKEN_DISABLED,
    &TOKEN_STRIPPED,
    &TOKEN_UNKNOWN,
    &API_KEY_EXPIRED,
    &API_KEY_REFUSED,
    &APPLICATION_KEY_SHOWN,
    &SOURCE_URL_OUTDATED,
    &TENANT_UNKNOWN,
    &APPLICATION_UNKNOWN,
    &CLIENT_SECRET_EXPIRED,
    &CLIENT_SECRET_WRONG,
    &FEDERATION_MISMATCH,
    &TOKEN_SCOPE_WRONG,
    &TOKEN_REFUSED,
    &TOKEN_NOT_ISSUED,
    &TOKEN_SERVER_WRONG,
    &TOKEN_SERVER_UNREACHABLE,
    &TOKEN_SERVER_SILENT,
    &TOKEN_SERVER_BUSY,
    &IDENTITY_FILE_UNUSABLE,
    &WORKSPACE_KEY_WRONG,
    &AWS_KEYS_MISSING,
    &SIGNATURE_REFUSED,
    &FORBIDDEN,
    &INDEX_REFUSED,
    &ACKNOWLEDGEMENT_DISABLED,
    &INDEX_MISSING,
    &INDEX_AUTO_CREATE_OFF,
    &TEMPLATE_MISSING,
    &INDEX_CREATE_RIGHT_MISSING,
    &INDEX_WRITE_RIGHT_MISSING,
    &ROLE_MISSING,
    &RULE_UNKNOWN,
    &STREAM_UNKNOWN,
    &WORKSPACE_UNKNOWN,
    &RELP_OPEN_REFUSED,
    &RELP_WITHOUT_SYSLOG,
    &DATAGRAM_PORT_CLOSED,
    &DATAGRAM_TOO_LONG,
    &RECEIVER_CLOSES_AT_ONCE,
    &RECEIVER_CLOSES_AT_MESSAGE,
    &FRAMING_NOT_UNDERSTOOD,
    &RELP_MESSAGE_REFUSED,
    &RECEIVER_STOPS_READING,
    &MEDIA_TYPE_REFUSED,
    &REQUEST_NOT_UNDERSTOOD,
    &BODY_TOO_LARGE,
    &THROTTLED,
    &SERVER_FAILED,
    &UNAVAILABLE,
    &STATUS_UNEXPECTED,
    &EVENT_REFUSED,
    &COLLECTOR_BUSY,
    &COLLECTOR_FULL,
    &COLLECTOR_STOPPING,
    &CHANNEL_MISSING,
    &INDEXED_FIELDS_REFUSED,
    &MAPPING_TYPE_WRONG,
    &MAPPING_STRICT,
    &MAPPING_FULL,
    &INDEX_READ_ONLY,
    &DOCUMENT_ID_REFUSED,
    &TARGET_IS_DATA_STREAM,
    &SET_ASIDE_IN_FAILURE_STORE,
    &COLUMN_TYPE_WRONG,
    &ACCEPTED_AND_NOT_FOUND,
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_there_once_and_says_what_and_what_to_do() {
        let mut codes = HashSet::new();
        for cause in all() {
            assert!(codes.insert(cause.code), "{} is there twice", cause.code);
            assert!(cause.code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'));
            assert!(cause.what.len() > 15 && cause.remedy.len() > 10, "{}", cause.code);
            assert!(!cause.what.ends_with('.') && !cause.remedy.ends_with('.'), "{}", cause.code);
        }
    }

    #[test]
    fn no_cause_says_no_more_than_that_it_did_not_work() {
        for cause in all() {
            assert!(
                !cause.what.contains("connection failed") && !cause.code.contains("unknown_error"),
                "{}",
                cause.code
            );
        }
    }

    #[test]
    fn causes_stand_in_the_order_of_no_more_than_their_own_rooms() {
        assert!(Stage::ALL.windows(2).all(|pair| pair[0] < pair[1]));
        for stage in Stage::ALL {
            assert!(all().iter().any(|cause| cause.stage == stage), "{}", stage.name());
        }
    }
}
