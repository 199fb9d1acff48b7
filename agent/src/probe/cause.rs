//! Every cause that a test can name: its code, the stage that fails by it, what it is in plain words, and what to do.
//!
//! Codes never change: scripts and other people's documents name them. In the texts `{host}` and `{at}` stand for the
//! destination's host, alone and with its port; `{proxy}` for the proxy's, `{secret}` for the key that names what lets us in,
//! `{target}` for what is written to there. What the other side said is told apart from these.

use super::stage::Stage;

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

/// Each cause under its name, and all of them in [`ALL`].
macro_rules! causes {
    ($($name:ident: $code:literal, $stage:ident, $what:literal, $remedy:literal;)*) => {
        $(pub(super) static $name: Cause =
            Cause { code: $code, stage: Stage::$stage, what: $what, remedy: $remedy };)*

        static ALL: &[&Cause] = &[$(&$name),*];
    };
}

causes! {
    SECRET_MISSING: "secret_missing", Settings,
        "the file that {secret} names is not there",
        "put the secret into that file, or name the right one";
    SECRET_EMPTY: "secret_empty", Settings,
        "there is nothing in the file that {secret} names",
        "put the secret into it, on one line";
    SECRET_UNREADABLE: "secret_unreadable", Settings,
        "the file that {secret} names cannot be read by this user",
        "let the agent's user read it (chown root:scaidrive-siem, chmod 0640), and make sure that it is a file";
    SECRET_MALFORMED: "secret_malformed", Settings,
        "what {secret} names can be no secret: it holds more than one line, spaces, or bytes that are no text",
        "copy the secret again, alone and on one line";
    SECRET_VARIABLE_UNSET: "secret_variable_unset", Settings,
        "the environment of this process does not hold what {secret} names",
        "set the variable, pass the credential (LoadCredential= in the unit), or name a file";
    CERTIFICATE_FILE_UNUSABLE: "certificate_file_unusable", Settings,
        "a file of certificates or keys that tls names cannot be used",
        "name files in PEM that the agent's user may read";
    SETTINGS_UNUSABLE: "settings_unusable", Settings,
        "the settings cannot be used as they are written",
        "correct them; `scaidrive-siem check` says all that is wrong";
    EVENT_UNFIT: "event_unfit", Settings,
        "the format cannot carry even the event of a test",
        "raise the limit that the words name, such as max_len";
    NAME_UNKNOWN: "name_unknown", Resolve,
        "no name server knows {host}",
        "correct the host name, or have it entered in the DNS that this machine asks (/etc/resolv.conf)";
    NAME_WITHOUT_ADDRESS: "name_without_address", Resolve,
        "the name {host} is known and has no address",
        "have an A or AAAA record made for it, or write the name that has one";
    NAME_SERVER_FAILED: "name_server_failed", Resolve,
        "the name servers that this machine asks give no answer about {host}: they cannot be reached, or they fail",
        "look at /etc/resolv.conf and at the way to the servers it names; `getent hosts {host}` shows the same";
    NAME_SERVER_SILENT: "name_server_silent", Resolve,
        "the name servers that this machine asks say nothing in time",
        "look at /etc/resolv.conf, and let port 53 (UDP and TCP) through the firewall on the way to them";
    ADDRESS_NOT_ALLOWED: "address_not_allowed", Connect,
        "{at} is at an address that this destination may not be at",
        "correct the address; an operator can allow one in agent.allow_targets, or with targets = \"any\"";
    CONNECTION_REFUSED: "connection_refused", Connect,
        "nobody listens at {at}: the machine is there and refuses the connection",
        "start the receiver, correct the port, or have its firewall accept connections rather than reject them";
    CONNECTION_NOT_ANSWERED: "connection_not_answered", Connect,
        "nothing comes back from {at}: a firewall swallows the packets, or the machine is down",
        "let TCP to {at} through the firewalls on the way; if the way out leads through a proxy, set proxy";
    NETWORK_UNREACHABLE: "network_unreachable", Connect,
        "this machine has no route to the network of {host}",
        "add the route (or IPv6, if that is what the name leads to), or correct the address";
    HOST_UNREACHABLE: "host_unreachable", Connect,
        "a router on the way says that {host} cannot be reached",
        "see that the machine is up and the address right; a firewall may also answer so";
    CONNECTION_ENDED: "connection_ended", Connect,
        "the connection to {at} ended before anything was said",
        "look at what stands between: a load balancer without a server behind it, or an address filter at the receiver";
    LOCAL_SHORTAGE: "local_shortage", Connect,
        "this machine could not make the connection: it lacks descriptors, ports or rights",
        "look at the limits of this process (LimitNOFILE=) and at local firewall rules";
    PROXY_NAME_UNKNOWN: "proxy_name_unknown", Resolve,
        "the name of the proxy, {proxy}, leads nowhere",
        "correct proxy.url, or have its name entered in the DNS that this machine asks";
    PROXY_UNREACHABLE: "proxy_unreachable", Connect,
        "the proxy {proxy} cannot be reached",
        "start it or correct proxy.url; if {host} is reached without it, add {host} to proxy.no_proxy";
    PROXY_WANTS_LOGIN: "proxy_wants_login", Proxy,
        "the proxy {proxy} wants a user and a password, and none are set",
        "set proxy.user and proxy.password";
    PROXY_REFUSES_LOGIN: "proxy_refuses_login", Proxy,
        "the proxy {proxy} does not accept proxy.user with proxy.password",
        "put the right password into the file that proxy.password names";
    PROXY_FORBIDS: "proxy_forbids", Proxy,
        "the proxy {proxy} does not let this machine through to {at}",
        "have its administrator allow CONNECT to {at} for this machine";
    PROXY_CANNOT_TUNNEL: "proxy_cannot_tunnel", Proxy,
        "the proxy {proxy} takes no CONNECT: it is no forward proxy, or tunnels are switched off",
        "name a forward proxy in proxy.url, and have CONNECT to {at} allowed there";
    PROXY_CANNOT_REACH: "proxy_cannot_reach", Proxy,
        "the proxy {proxy} cannot reach {at} itself",
        "have the way from the proxy to {at} opened, and its name known there";
    PROXY_NOT_HTTP: "proxy_not_http", Proxy,
        "whoever listens at {proxy} speaks no HTTP, so it is no proxy",
        "correct host and port in proxy.url";
    PROXY_CLOSED: "proxy_closed", Proxy,
        "the proxy {proxy} closes the connection without an answer",
        "look at its log; it may accept certain machines only, or speak TLS on this port";
    PROXY_SILENT: "proxy_silent", Proxy,
        "the proxy {proxy} takes the connection and says nothing",
        "look whether the proxy works, and whether it can reach {at}";
    PROXY_REDIRECTS: "proxy_redirects", Proxy,
        "the proxy {proxy} sends us to a page for people instead of letting us through",
        "have this machine excepted from its sign-in, or set what it wants in proxy.user and proxy.password";
    PROXY_ANSWERS_OTHERWISE: "proxy_answers_otherwise", Proxy,
        "the proxy {proxy} did not let us through",
        "look at its log for what the status it answered means";
    CERTIFICATE_EXPIRED: "certificate_expired", Tls,
        "the certificate of {host} has expired",
        "renew it there; if it is still good, this machine's clock is ahead: set it (NTP)";
    CERTIFICATE_NOT_YET_VALID: "certificate_not_yet_valid", Tls,
        "the certificate of {host} is not valid yet",
        "if it was issued just now, wait; otherwise this machine's clock is behind: set it (NTP)";
    CERTIFICATE_AUTHORITY_UNKNOWN: "certificate_authority_unknown", Tls,
        "the certificate of {host} is from an authority that is not trusted here",
        "put the certificate of that authority into tls.ca, or into a file that tls.ca_file names, if it is yours";
    CERTIFICATE_SELF_SIGNED: "certificate_self_signed", Tls,
        "the certificate of {host} is signed by itself and not by an authority that is trusted here",
        "have it replaced by one of an authority; or, if it is known to be the right one, put it into a file and name that in tls.ca_file";
    CERTIFICATE_CHAIN_INCOMPLETE: "certificate_chain_incomplete", Tls,
        "{host} shows its own certificate without the intermediate ones that lead to an authority",
        "have the whole chain installed there (certificate first, then intermediates); or put the intermediate certificate into tls.ca_file";
    CERTIFICATE_NAME_WRONG: "certificate_name_wrong", Tls,
        "the certificate is not for {host}",
        "connect by a name that it is for, or set tls.server_name to it, or have one issued for {host}";
    CERTIFICATE_SIGNATURE_WRONG: "certificate_signature_wrong", Tls,
        "the certificate of {host} names an authority that is trusted here and is not signed with its key: that authority was made anew",
        "put the present certificate of the authority into tls.ca_file";
    CERTIFICATE_PURPOSE_WRONG: "certificate_purpose_wrong", Tls,
        "the certificate of {host} may not be used by servers",
        "have one issued there whose extended key usage has serverAuth";
    CERTIFICATE_NOT_PINNED: "certificate_not_pinned", Tls,
        "the certificate of {host} is not one of tls.fingerprints",
        "if it was renewed, put the new fingerprint there beside the old one; if not, somebody else answers";
    CERTIFICATE_REVOKED: "certificate_revoked", Tls,
        "the certificate of {host} was revoked",
        "have it replaced there";
    CERTIFICATE_UNACCEPTABLE: "certificate_unacceptable", Tls,
        "the certificate of {host} cannot be accepted",
        "have it replaced there by one that follows RFC 5280";
    CERTIFICATE_MISSING: "certificate_missing", Tls,
        "{host} shows no certificate",
        "configure one there";
    TLS_VERSION_REFUSED: "tls_version_refused", Tls,
        "{host} and this agent have no version of TLS in common",
        "allow TLS 1.2 or 1.3 there; tls.min_version = \"1.3\" here also refuses servers that know 1.2 only";
    TLS_NO_COMMON_CIPHER: "tls_no_common_cipher", Tls,
        "{host} refuses the handshake: no cipher in common, or no certificate that fits",
        "allow ECDHE with AES-GCM or ChaCha20 there (RFC 9325), and see that a certificate is configured";
    TLS_NAME_NOT_SERVED: "tls_name_not_served", Tls,
        "whoever answers at {at} serves no host called {host}",
        "connect by the name that it serves, or set tls.server_name to it";
    TLS_NAME_IMPOSSIBLE: "tls_name_impossible", Tls,
        "{host} can stand in no certificate",
        "write a host name, or set tls.server_name";
    TLS_CLOSED: "tls_closed", Tls,
        "the connection is closed when TLS begins",
        "this is often a port without TLS, or a balancer with nobody behind it: check port and scheme (or transport)";
    TLS_NOT_ANSWERED: "tls_not_answered", Tls,
        "{at} takes the connection and does not answer the TLS handshake",
        "a plain syslog or RELP port behaves so: check the port, or choose the transport without TLS";
    TLS_FAILED: "tls_failed", Tls,
        "TLS with {host} failed",
        "look at the log of the receiver for the same moment";
    CLIENT_CERTIFICATE_REQUIRED: "client_certificate_required", Tls,
        "{host} demands a certificate of this agent, and none is set",
        "set tls.cert_file and tls.key_file to one that it accepts";
    CLIENT_CERTIFICATE_REFUSED: "client_certificate_refused", Tls,
        "{host} does not accept the certificate of this agent",
        "have it issued by the authority that {host} trusts for clients, or add its authority or fingerprint there";
    CLIENT_CERTIFICATE_EXPIRED: "client_certificate_expired", Tls,
        "the certificate of this agent has expired",
        "renew what tls.cert_file names; the agent reads it again by itself";
    PORT_IS_PLAIN_HTTP: "port_is_plain_http", Tls,
        "{at} speaks HTTP without TLS",
        "write http:// if that is meant, or the port that speaks TLS";
    PORT_SPEAKS_NO_TLS: "port_speaks_no_tls", Tls,
        "whoever listens at {at} does not speak TLS",
        "correct the port, or write what speaks without TLS (http://, transport = \"tcp\" or \"relp\") if that is meant";
    PORT_SPEAKS_HTTP: "port_speaks_http", Answer,
        "a web server answers at {at}",
        "correct the port: HTTP is what destinations of other types speak";
    PORT_SPEAKS_HTTP2: "port_speaks_http2", Answer,
        "{at} speaks HTTP/2 only, and this agent HTTP/1.1",
        "have HTTP/1.1 allowed there, or name the port that speaks it";
    PORT_SPEAKS_SSH: "port_speaks_ssh", Answer,
        "an SSH server answers at {at}",
        "correct the port";
    PORT_SPEAKS_SMTP: "port_speaks_smtp", Answer,
        "a mail server answers at {at}",
        "correct the port";
    PORT_SPEAKS_FTP: "port_speaks_ftp", Answer,
        "an FTP server answers at {at}",
        "correct the port";
    PORT_SPEAKS_REDIS: "port_speaks_redis", Answer,
        "a Redis server answers at {at}",
        "correct the port";
    PORT_SPEAKS_MYSQL: "port_speaks_mysql", Answer,
        "a MySQL or MariaDB server answers at {at}",
        "correct the port";
    PORT_WANTS_TLS: "port_wants_tls", Answer,
        "{at} speaks TLS, and what is set speaks to it without",
        "write https:// (for syslog: transport = \"tls\", for RELP: \"relp_tls\")";
    ANSWER_NOT_HTTP: "answer_not_http", Answer,
        "whoever listens at {at} does not speak HTTP",
        "correct the port";
    ANSWER_NOT_RELP: "answer_not_relp", Answer,
        "whoever listens at {at} does not speak RELP",
        "correct the port; rsyslog needs imrelp there, plain TCP is transport = \"tcp\"";
    ANSWER_CUT_OFF: "answer_cut_off", Answer,
        "the connection ended in the middle of the answer",
        "look at the receiver's log, and at what stands between: a proxy that times out, or a crash";
    ANSWER_STOPPED: "answer_stopped", Answer,
        "an answer began and did not come to its end in time",
        "look whether the receiver is overloaded; a larger timeouts.request waits longer";
    CLOSED_WITHOUT_ANSWER: "closed_without_answer", Answer,
        "the connection was closed without an answer",
        "look at the receiver's log; a port that wants TLS and an address filter behave so";
    NOT_ANSWERED: "not_answered", Answer,
        "{at} takes what is sent and says nothing",
        "check the port, and whether the receiver hangs; a larger timeouts.request waits longer";
    REQUEST_NOT_TAKEN: "request_not_taken", Answer,
        "{at} does not take what is sent",
        "look whether the receiver hangs";
    ELASTIC_NODE_PORT: "elastic_node_port", Answer,
        "{at} is the port by which nodes of the cluster speak to each other",
        "write the port of the HTTP interface, usually 9200";
    KIBANA_PORT: "kibana_port", Answer,
        "Kibana answers at {at}",
        "write the address of Elasticsearch, usually port 9200 (in Elastic Cloud the one called Elasticsearch endpoint)";
    SPLUNK_WEB_PORT: "splunk_web_port", Answer,
        "{at} is Splunk's page for people",
        "write the port of the HTTP Event Collector, usually 8088";
    SPLUNK_MANAGEMENT_PORT: "splunk_management_port", Answer,
        "{at} is Splunk's management port",
        "write the port of the HTTP Event Collector, usually 8088";
    LOGIN_PAGE: "login_page", Answer,
        "a login page answers in place of the receiver",
        "somebody in between wants a person to sign in (a single sign-on gateway, a captive portal): have this machine or this path excepted there";
    PAGE_FOR_PEOPLE: "page_for_people", Answer,
        "a web page answers in place of the receiver",
        "correct host, port and path of the address: this is a web server or a proxy's page";
    REDIRECTED_TO_LOGIN: "redirected_to_login", Answer,
        "we are sent to a page where people sign in",
        "a captive portal or a single sign-on gateway stands in between: have this machine or this path excepted there";
    CAPTIVE_PORTAL: "captive_portal", Answer,
        "the network wants somebody to sign in before it lets anything through (HTTP 511)",
        "have this machine excepted from the portal";
    REDIRECTED: "redirected", Answer,
        "we are sent elsewhere; redirects are not followed, because events and credentials must not end up wherever somebody points",
        "write the address that the answer names, if it is the right one";
    REDIRECTED_TO_HTTPS: "redirected_to_https", Answer,
        "we are sent to the same place with HTTPS",
        "write https:// in the address";
    GATEWAY_WITHOUT_SERVER: "gateway_without_server", Answer,
        "a gateway or load balancer answers and reaches nobody behind it",
        "see that the receiver behind it runs and is known to it as healthy";
    ANSWER_UNEXPECTED: "answer_unexpected", Answer,
        "what answers is not what this type of destination expects",
        "correct host, port and path of the address";
    PATH_UNKNOWN: "path_unknown", Answer,
        "{host} knows no such path",
        "correct the path of the address";
    METHOD_REFUSED: "method_refused", Answer,
        "{host} does not take this method on this path",
        "set method to one that it takes, or correct the path";
    SOURCE_UNKNOWN: "source_unknown", Answer,
        "the address leads to no HTTP source",
        "copy the whole address of the source again (Manage Data, Collection, Show URL)";
    SOURCE_ELSEWHERE: "source_elsewhere", Answer,
        "this source lives in another deployment of Sumo Logic",
        "copy the whole address of the source again; it begins with the host that the answer names";
    RELP_VERSION_UNKNOWN: "relp_version_unknown", Answer,
        "{at} speaks a version of RELP that is not known here",
        "bring the receiver and this agent to versions of RELP that both know: 0 and 1 are known here";
    CREDENTIALS_MISSING: "credentials_missing", Authentication,
        "{host} wants to know who we are, and no credentials are set",
        "set credentials for this destination";
    CREDENTIALS_REFUSED: "credentials_refused", Authentication,
        "{host} does not accept the credentials",
        "put valid ones into what {secret} names; the agent reads them again by itself";
    CLOCK_WRONG: "clock_wrong", Authentication,
        "this machine's clock differs so much from that of {host} that what is signed or dated here does not count there",
        "set this machine's clock, and keep it right with NTP";
    TOKEN_DISABLED: "token_disabled", Authentication,
        "the token is disabled",
        "enable it in Splunk (Settings, Data inputs, HTTP Event Collector), and see in the Global Settings there that all tokens are enabled";
    TOKEN_STRIPPED: "token_stripped", Authentication,
        "the collector got no token, though one was sent: something in between takes the Authorization header out",
        "have the proxy or balancer in between pass the Authorization header on";
    TOKEN_UNKNOWN: "token_unknown", Authentication,
        "the collector does not know the token",
        "copy its value again (Settings, Data inputs, HTTP Event Collector) into what {secret} names; behind a balancer every indexer must know it";
    API_KEY_EXPIRED: "api_key_expired", Authentication,
        "the API key has expired or was invalidated",
        "make a new one, put it into what {secret} names, and note when that one ends";
    API_KEY_REFUSED: "api_key_refused", Authentication,
        "the API key is not valid at this site: it was mistyped or revoked, or belongs to another site of Datadog",
        "make site the one whose address you see when you use Datadog, and put one of its API keys into what {secret} names";
    APPLICATION_KEY_SHOWN: "application_key_shown", Authentication,
        "what {secret} names has the form of an application key, and logs are taken with API keys only",
        "put an API key there (Organization Settings, API Keys): it has 32 digits, an application key 40";
    SOURCE_URL_OUTDATED: "source_url_outdated", Authentication,
        "the source no longer accepts this address or token: they were made anew, or the collector was deleted",
        "copy the whole address of the source again into what {secret} names; right after it was made anew this may take some minutes";
    TENANT_UNKNOWN: "tenant_unknown", Authentication,
        "Entra ID knows no such tenant in this cloud",
        "correct tenant_id, and cloud if the tenant is in a national one";
    APPLICATION_UNKNOWN: "application_unknown", Authentication,
        "the tenant has no application with this client_id",
        "correct client_id (Application (client) ID, not Object ID) or tenant_id";
    CLIENT_SECRET_EXPIRED: "client_secret_expired", Authentication,
        "the client secret has expired",
        "make a new one (Certificates & secrets of the app registration) and put its value into what {secret} names";
    CLIENT_SECRET_WRONG: "client_secret_wrong", Authentication,
        "the client secret is wrong",
        "put the secret's value there, not its id; it is shown only when it is made";
    FEDERATION_MISMATCH: "federation_mismatch", Authentication,
        "the token of the other issuer fits no federated credential of the application",
        "make issuer, subject and audience of the federated credential those of the token";
    TOKEN_SCOPE_WRONG: "token_scope_wrong", Authentication,
        "the scope that a token is asked for does not exist",
        "correct cloud (for Sentinel), or scope and audience (for oauth)";
    TOKEN_REFUSED: "token_refused", Authentication,
        "the token that was issued is not accepted: it is for another audience or cloud, or not of this tenant",
        "make cloud, tenant_id and url belong together (for oauth: scope and audience)";
    TOKEN_NOT_ISSUED: "token_not_issued", Authentication,
        "no token is issued for these credentials",
        "correct the client's id and secret";
    TOKEN_SERVER_WRONG: "token_server_wrong", Authentication,
        "what answers where tokens are issued issues none",
        "correct authority (for oauth: token_url)";
    TOKEN_SERVER_UNREACHABLE: "token_server_unreachable", Authentication,
        "whoever issues tokens cannot be reached",
        "open the way to it (login.microsoftonline.com for Azure), also through the proxy; or correct authority or token_url";
    TOKEN_SERVER_SILENT: "token_server_silent", Authentication,
        "whoever issues tokens does not answer in time",
        "open the way to it, also through the proxy, and test again";
    TOKEN_SERVER_BUSY: "token_server_busy", Authentication,
        "whoever issues tokens cannot issue any now",
        "test again in some minutes";
    IDENTITY_FILE_UNUSABLE: "identity_file_unusable", Authentication,
        "what shows who asks for a token cannot be used",
        "see that the certificate, key or token file named in the settings is there, and that this user may read it";
    WORKSPACE_KEY_WRONG: "workspace_key_wrong", Authentication,
        "the signature made with the workspace's key is not accepted",
        "copy the primary or secondary key of this workspace again into what {secret} names";
    AWS_KEYS_MISSING: "aws_keys_missing", Authentication,
        "there are no AWS keys to sign with",
        "give the machine or container a role, or set access_key_id and secret_access_key under aws";
    SIGNATURE_REFUSED: "signature_refused", Authentication,
        "AWS does not accept the signature",
        "make region and service under aws those of the domain, and see that the secret belongs to the access key";
    FORBIDDEN: "forbidden", Permission,
        "{host} knows us and does not let us do this",
        "give this identity the right to send there, or allow this machine's address";
    INDEX_REFUSED: "index_refused", Permission,
        "the token may not write to the index {target}",
        "add the index to the token's allowed indexes (and see that it exists), or name another in index";
    ACKNOWLEDGEMENT_DISABLED: "acknowledgement_disabled", Permission,
        "ack is \"on\", and the token has no indexer acknowledgement",
        "enable it for the token, or write ack = \"auto\"";
    INDEX_MISSING: "index_missing", Permission,
        "there is no index or data stream {target}, and the cluster has not made it by itself",
        "make it (`scaidrive-siem destination template` prints what it needs), or correct target";
    INDEX_AUTO_CREATE_OFF: "index_auto_create_off", Permission,
        "there is no index or data stream {target}, and the cluster makes none by itself (action.auto_create_index)",
        "make it beforehand, or allow its name in action.auto_create_index";
    TEMPLATE_MISSING: "template_missing", Permission,
        "there is no data stream {target}, and no index template makes one of that name",
        "install the template that `scaidrive-siem destination template` prints";
    INDEX_CREATE_RIGHT_MISSING: "index_create_right_missing", Permission,
        "these credentials may not make {target}, which is not there yet",
        "give them auto_configure on it, or make the data stream beforehand";
    INDEX_WRITE_RIGHT_MISSING: "index_write_right_missing", Permission,
        "these credentials may not write to {target}",
        "give them create_doc (for op = \"index\": index) on it";
    ROLE_MISSING: "role_missing", Permission,
        "the identity has no role that lets it write through this data collection rule",
        "assign it Monitoring Metrics Publisher on the rule itself; that takes effect within 30 minutes";
    RULE_UNKNOWN: "rule_unknown", Permission,
        "this endpoint knows no such data collection rule",
        "copy rule (immutableId) and url (logsIngestion endpoint) from the JSON view of the same rule";
    STREAM_UNKNOWN: "stream_unknown", Permission,
        "the data collection rule declares no stream {target}",
        "correct stream, or declare it: `scaidrive-siem destination template` prints the rule";
    WORKSPACE_UNKNOWN: "workspace_unknown", Permission,
        "there is no such workspace, or it is closed",
        "correct workspace_id, and cloud if it is in a national one";
    RELP_OPEN_REFUSED: "relp_open_refused", Permission,
        "the receiver refuses the RELP session",
        "look at its log; it may accept certain senders only (permittedPeer)";
    RELP_WITHOUT_SYSLOG: "relp_without_syslog", Permission,
        "the receiver speaks RELP and takes no syslog messages by it",
        "enable the syslog command there";
    DATAGRAM_PORT_CLOSED: "datagram_port_closed", Accepted,
        "nobody listens for datagrams at {at}: the machine answered so (ICMP)",
        "start the receiver with UDP on that port, or correct the port";
    DATAGRAM_TOO_LONG: "datagram_too_long", Accepted,
        "the datagram is too long for the way to {host}",
        "set max_len lower";
    RECEIVER_CLOSES_AT_ONCE: "receiver_closes_at_once", Accepted,
        "the receiver takes the connection and closes it before anything was sent",
        "it accepts certain senders only, or has too many connections: look at its log and its list of allowed senders";
    RECEIVER_CLOSES_AT_MESSAGE: "receiver_closes_at_message", Accepted,
        "the receiver closes the connection when a message comes",
        "look at its log: header, framing or length may not be what it expects, or it wants TLS (transport = \"tls\")";
    FRAMING_NOT_UNDERSTOOD: "framing_not_understood", Accepted,
        "the receiver closes at a message with octet counting, and takes the same message ended by a line feed",
        "set framing = \"line_feed\"";
    RELP_MESSAGE_REFUSED: "relp_message_refused", Accepted,
        "the receiver refuses the message",
        "look at its log for the same moment";
    RECEIVER_STOPS_READING: "receiver_stops_reading", Accepted,
        "the receiver does not read what is sent",
        "look whether its queue is full or its disk";
    MEDIA_TYPE_REFUSED: "media_type_refused", Accepted,
        "{host} does not take this media type, or no compressed bodies",
        "set content_type or body to what it takes; compression = \"none\" sends uncompressed";
    REQUEST_NOT_UNDERSTOOD: "request_not_understood", Accepted,
        "{host} does not understand the request",
        "set body, template and content_type to what it expects";
    BODY_TOO_LARGE: "body_too_large", Accepted,
        "{host} takes no body of this size, small as it is",
        "raise its limit, or that of the proxy in between";
    THROTTLED: "throttled", Accepted,
        "{host} takes no more for now",
        "wait, or have the quota raised; rate_limit keeps the agent below it";
    SERVER_FAILED: "server_failed", Accepted,
        "{host} failed over the request",
        "look at its log for the same moment";
    UNAVAILABLE: "unavailable", Accepted,
        "{host} is not available now",
        "wait until it is, and test again";
    STATUS_UNEXPECTED: "status_unexpected", Accepted,
        "the answer has another status than those that success lists",
        "add the status to success if it means success";
    EVENT_REFUSED: "event_refused", Accepted,
        "{host} refuses the event",
        "look at its words: they name what it does not take";
    COLLECTOR_BUSY: "collector_busy", Accepted,
        "the collector is busy",
        "wait; if it stays so, the indexers behind it do not keep up";
    COLLECTOR_FULL: "collector_full", Accepted,
        "the collector's queues are full",
        "see that the indexers behind it work and have room";
    COLLECTOR_STOPPING: "collector_stopping", Accepted,
        "the collector is shutting down",
        "test again when it has started";
    CHANNEL_MISSING: "channel_missing", Accepted,
        "the token has indexer acknowledgement and wants a channel, and ack is \"off\"",
        "write ack = \"auto\", or switch acknowledgement off for the token";
    INDEXED_FIELDS_REFUSED: "indexed_fields_refused", Accepted,
        "the collector refuses the indexed fields",
        "see that fields are allowed for the token's sourcetype, and that no index-time rule gets in their way";
    MAPPING_TYPE_WRONG: "mapping_type_wrong", Accepted,
        "a field has another type in the mapping of {target} than in the event",
        "install the template that `scaidrive-siem destination template` prints, then roll the data stream over (or reindex)";
    MAPPING_STRICT: "mapping_strict", Accepted,
        "the mapping of {target} takes no fields that it does not know",
        "add the fields of the template that `scaidrive-siem destination template` prints, or set dynamic to true or false";
    MAPPING_FULL: "mapping_full", Accepted,
        "the mapping of {target} has as many fields as it may have",
        "map payload as flattened (flat_object for OpenSearch), as `scaidrive-siem destination template` does, and roll over";
    INDEX_READ_ONLY: "index_read_only", Accepted,
        "{target} is read-only: the disks of the cluster are nearly full",
        "make room there; the block is lifted by itself, or with index.blocks.read_only_allow_delete: null";
    DOCUMENT_ID_REFUSED: "document_id_refused", Accepted,
        "this server takes no document ids of others",
        "write document_id = \"none\"";
    TARGET_IS_DATA_STREAM: "target_is_data_stream", Accepted,
        "{target} is a data stream, and those are only appended to",
        "write op = \"create\"";
    SET_ASIDE_IN_FAILURE_STORE: "set_aside_in_failure_store", Accepted,
        "the event went to the failure store of {target} and not to the stream",
        "look into it (GET {target}::failures/_search) for why; mostly the mapping or a pipeline";
    COLUMN_TYPE_WRONG: "column_type_wrong", Accepted,
        "a column of the stream has another type than the event",
        "redeploy the rule that `scaidrive-siem destination template` prints";
    ACCEPTED_AND_NOT_FOUND: "accepted_and_not_found", Found,
        "the event was accepted and is not there: something behind drops it",
        "look at the ingest pipelines of {target} (drop processors) and at rules that route it elsewhere";
}

/// Codes of warnings: of what works today.
pub(super) const WARNING_CERTIFICATE: &str = "certificate_expires_soon";
pub(super) const WARNING_CLOCK: &str = "clock_differs";
pub(super) const WARNING_NOT_CONFIRMED: &str = "not_confirmed";
pub(super) const WARNING_NOT_FOUND_YET: &str = "not_found_yet";
pub(super) const WARNING_COMPRESSION: &str = "compression_refused";
pub(super) const WARNING_SLOW_DOWN: &str = "asks_for_less";

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
