//! What can be wrong with a destination, as data: each fault, how it is planted, and which stage and cause code have to be
//! said of it. The codes were written down here before the code that names them; `main.rs` plants one after another.
//!
//! Bodies of replies are those that the vendors document ("Possible error codes" of Splunk's HEC; the error types of
//! Elasticsearch and OpenSearch; "Microsoft Entra authentication and authorization error codes"; the Logs Ingestion and
//! Data Collector APIs; Datadog's and Sumo Logic's HTTP replies), or that the named servers are known to give.

use crate::plant::{Certificate, Lookup, Plant, ProxyFault, SecretFault, To};

/// One thing that can be wrong.
pub(crate) struct Fault {
    /// In a few words.
    pub(crate) what: &'static str,
    /// With which kind of destination.
    pub(crate) to: To,
    /// How it is brought about.
    pub(crate) plant: Plant,
    /// Further keys of the destination.
    pub(crate) set: &'static [&'static str],
    /// The stage that fails.
    pub(crate) stage: &'static str,
    /// The code of the cause.
    pub(crate) code: &'static str,
}

const fn fault(what: &'static str, to: To, plant: Plant, stage: &'static str, code: &'static str) -> Fault {
    Fault { what, to, plant, set: &[], stage, code }
}

const fn set(fault: Fault, set: &'static [&'static str]) -> Fault {
    Fault { set, ..fault }
}

/// A reply without headers worth mentioning.
const fn answer(status: u16, body: &'static str) -> Plant {
    Plant::Answer { status, headers: &[], body }
}

const fn answer_with(status: u16, headers: &'static [(&'static str, &'static str)], body: &'static str) -> Plant {
    Plant::Answer { status, headers, body }
}

/// Waiting for a machine that says nothing takes as long as it is told to; this tells it less than is usual.
const HASTY: &[&str] = &["timeouts = { connect = \"2s\", request = \"2s\" }"];

const HTML: &[(&str, &str)] = &[("Content-Type", "text/html; charset=utf-8")];
const LOGIN: &str = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><form method=\"post\" action=\"/login\">\
    <input name=\"user\"><input type=\"password\" name=\"password\"></form></body></html>";
const WELCOME: &str = "<html><head><title>Welcome to nginx!</title></head><body><h1>It works</h1></body></html>";

pub(crate) const FAULTS: &[Fault] = &[
    // Before anything goes out: what the settings name.
    fault("the token's file is missing", To::Hec, Plant::Secret(SecretFault::Missing), "settings", "secret_missing"),
    fault("the token's file is empty", To::Hec, Plant::Secret(SecretFault::Empty), "settings", "secret_empty"),
    fault(
        "the token's file cannot be read",
        To::Hec,
        Plant::Secret(SecretFault::Unreadable),
        "settings",
        "secret_unreadable",
    ),
    fault(
        "the token's file holds two lines",
        To::Hec,
        Plant::Secret(SecretFault::TwoLines),
        "settings",
        "secret_malformed",
    ),
    fault(
        "the token's variable is not set",
        To::Hec,
        Plant::Secret(SecretFault::NoVariable),
        "settings",
        "secret_variable_unset",
    ),
    set(
        fault(
            "the authority's file holds no certificate",
            To::Https,
            Plant::NobodyListens,
            "settings",
            "certificate_file_unusable",
        ),
        &["tls = { ca_file = \"/dev/null\" }"],
    ),
    set(
        fault("a key of the settings is mistyped", To::Https, Plant::NobodyListens, "settings", "settings_unusable"),
        &["compresion = \"gzip\""],
    ),
    // Names.
    fault("the name does not exist", To::Https, Plant::Name(Lookup::Unknown), "resolve", "name_unknown"),
    fault("the name has no address", To::Elastic, Plant::Name(Lookup::NoAddress), "resolve", "name_without_address"),
    fault("the name server is down", To::TlsSyslog, Plant::Name(Lookup::Failing), "resolve", "name_server_failed"),
    fault("the name server says nothing", To::Https, Plant::Name(Lookup::Silent), "resolve", "name_server_silent"),
    fault(
        "a datagram's receiver has an unknown name",
        To::Udp,
        Plant::Name(Lookup::Unknown),
        "resolve",
        "name_unknown",
    ),
    // The way.
    fault("nobody listens", To::Hec, Plant::NobodyListens, "connect", "connection_refused"),
    fault("a firewall swallows the first packet", To::Elastic, Plant::Filtered, "connect", "connection_not_answered"),
    fault("there is no route", To::TcpSyslog, Plant::NoRoute, "connect", "network_unreachable"),
    fault("the machine is not there", To::Https, Plant::NoHost, "connect", "host_unreachable"),
    fault("nobody listens for datagrams", To::Udp, Plant::NobodyListens, "accepted", "datagram_port_closed"),
    // A proxy on the way.
    fault(
        "nobody listens where the proxy should be",
        To::Https,
        Plant::Proxy(ProxyFault::Gone),
        "connect",
        "proxy_unreachable",
    ),
    fault(
        "the proxy's name does not exist",
        To::Https,
        Plant::Proxy(ProxyFault::Nameless),
        "resolve",
        "proxy_name_unknown",
    ),
    fault("the proxy wants a login", To::Https, Plant::Proxy(ProxyFault::Answers(407)), "proxy", "proxy_wants_login"),
    fault(
        "the proxy refuses the login",
        To::Https,
        Plant::Proxy(ProxyFault::RefusesLogin),
        "proxy",
        "proxy_refuses_login",
    ),
    fault(
        "the proxy forbids this destination",
        To::Https,
        Plant::Proxy(ProxyFault::Answers(403)),
        "proxy",
        "proxy_forbids",
    ),
    fault(
        "the proxy knows no CONNECT",
        To::Https,
        Plant::Proxy(ProxyFault::Answers(405)),
        "proxy",
        "proxy_cannot_tunnel",
    ),
    fault(
        "the proxy cannot reach the destination",
        To::Https,
        Plant::Proxy(ProxyFault::Answers(502)),
        "proxy",
        "proxy_cannot_reach",
    ),
    fault("the proxy speaks no HTTP", To::Https, Plant::Proxy(ProxyFault::Nonsense), "proxy", "proxy_not_http"),
    fault("the proxy closes", To::Https, Plant::Proxy(ProxyFault::Closes), "proxy", "proxy_closed"),
    set(fault("the proxy says nothing", To::Https, Plant::Proxy(ProxyFault::Silent), "proxy", "proxy_silent"), HASTY),
    fault(
        "the proxy sends to a page for people",
        To::Https,
        Plant::Proxy(ProxyFault::Answers(302)),
        "proxy",
        "proxy_redirects",
    ),
    // TLS.
    fault("its certificate has expired", To::Https, Plant::Tls(Certificate::Expired), "tls", "certificate_expired"),
    fault(
        "its certificate is not valid yet",
        To::Hec,
        Plant::Tls(Certificate::NotYet),
        "tls",
        "certificate_not_yet_valid",
    ),
    fault(
        "its certificate is from an unknown authority",
        To::Elastic,
        Plant::Tls(Certificate::UnknownAuthority),
        "tls",
        "certificate_authority_unknown",
    ),
    fault(
        "its certificate is signed by itself",
        To::Hec,
        Plant::Tls(Certificate::SelfSigned),
        "tls",
        "certificate_self_signed",
    ),
    fault(
        "an intermediate certificate is missing",
        To::Https,
        Plant::Tls(Certificate::NoIntermediate),
        "tls",
        "certificate_chain_incomplete",
    ),
    fault(
        "its certificate is for another name",
        To::TlsSyslog,
        Plant::Tls(Certificate::OtherName),
        "tls",
        "certificate_name_wrong",
    ),
    fault(
        "its authority was made anew under the old name",
        To::Https,
        Plant::Tls(Certificate::RenewedAuthority),
        "tls",
        "certificate_signature_wrong",
    ),
    fault(
        "its certificate is one for clients",
        To::Https,
        Plant::Tls(Certificate::ForClients),
        "tls",
        "certificate_purpose_wrong",
    ),
    set(
        fault(
            "its certificate is not the pinned one",
            To::TlsSyslog,
            Plant::Tls(Certificate::Good),
            "tls",
            "certificate_not_pinned",
        ),
        &[
            "tls.fingerprints = [\"sha-256:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\"]",
        ],
    ),
    set(
        fault(
            "it speaks TLS 1.2, and 1.3 is demanded",
            To::Https,
            Plant::Tls(Certificate::Tls12Only),
            "tls",
            "tls_version_refused",
        ),
        &["tls.min_version = \"1.3\""],
    ),
    fault(
        "it speaks TLS 1.0 at most",
        To::Https,
        Plant::Bytes(b"\x15\x03\x01\x00\x02\x02\x46"),
        "tls",
        "tls_version_refused",
    ),
    fault(
        "no cipher is common to both",
        To::Https,
        Plant::Bytes(b"\x15\x03\x03\x00\x02\x02\x28"),
        "tls",
        "tls_no_common_cipher",
    ),
    fault(
        "it serves no such name",
        To::Https,
        Plant::Bytes(b"\x15\x03\x03\x00\x02\x02\x70"),
        "tls",
        "tls_name_not_served",
    ),
    fault(
        "a client certificate is demanded and there is none",
        To::Https,
        Plant::Tls(Certificate::DemandsClient),
        "tls",
        "client_certificate_required",
    ),
    fault(
        "a client certificate is demanded over TLS 1.2",
        To::Hec,
        Plant::Tls(Certificate::DemandsClient12),
        "tls",
        "client_certificate_required",
    ),
    fault(
        "the client certificate is of a stranger",
        To::RelpTls,
        Plant::Tls(Certificate::RefusesClient),
        "tls",
        "client_certificate_refused",
    ),
    fault(
        "the client certificate has expired",
        To::TlsSyslog,
        Plant::Tls(Certificate::ClientExpired),
        "tls",
        "client_certificate_expired",
    ),
    fault(
        "TLS meets plain HTTP",
        To::Https,
        Plant::Bytes(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        "tls",
        "port_is_plain_http",
    ),
    fault("TLS meets a port that closes", To::Elastic, Plant::Closes, "tls", "tls_closed"),
    set(
        fault(
            "TLS meets a port that waits, as plain syslog does",
            To::TlsSyslog,
            Plant::Silent,
            "tls",
            "tls_not_answered",
        ),
        HASTY,
    ),
    // Somebody else is there.
    fault(
        "SSH answers where TLS should",
        To::Https,
        Plant::Greets(b"SSH-2.0-OpenSSH_9.6\r\n"),
        "tls",
        "port_speaks_ssh",
    ),
    fault(
        "a mail server answers where TLS should",
        To::TlsSyslog,
        Plant::Greets(b"220 mail.example.com ESMTP Postfix\r\n"),
        "tls",
        "port_speaks_smtp",
    ),
    fault(
        "SSH answers where HTTP should",
        To::PlainHttps,
        Plant::Greets(b"SSH-2.0-OpenSSH_9.6\r\n"),
        "answer",
        "port_speaks_ssh",
    ),
    fault(
        "Redis answers where HTTP should",
        To::PlainHec,
        Plant::Bytes(b"-ERR wrong number of arguments for 'post' command\r\n"),
        "answer",
        "port_speaks_redis",
    ),
    fault(
        "MySQL answers where HTTP should",
        To::PlainElastic,
        Plant::Greets(b"\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00"),
        "answer",
        "port_speaks_mysql",
    ),
    fault(
        "an FTP server answers where RELP should",
        To::Relp,
        Plant::Greets(b"220 (vsFTPd 3.0.5)\r\n"),
        "answer",
        "port_speaks_ftp",
    ),
    fault(
        "a web server answers where syslog should",
        To::TcpSyslog,
        Plant::Bytes(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
        "answer",
        "port_speaks_http",
    ),
    fault(
        "only HTTP/2 is spoken",
        To::PlainHttps,
        Plant::Bytes(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"),
        "answer",
        "port_speaks_http2",
    ),
    fault(
        "plain HTTP meets TLS",
        To::PlainHec,
        Plant::Bytes(b"\x15\x03\x01\x00\x02\x02\x46"),
        "answer",
        "port_wants_tls",
    ),
    fault(
        "plain HTTP meets TLS that explains itself",
        To::PlainElastic,
        answer_with(400, HTML, "<html><body>The plain HTTP request was sent to HTTPS port</body></html>"),
        "answer",
        "port_wants_tls",
    ),
    fault(
        "plain syslog meets TLS",
        To::TcpSyslog,
        Plant::Bytes(b"\x15\x03\x03\x00\x02\x02\x46"),
        "answer",
        "port_wants_tls",
    ),
    fault(
        "something unknown answers where HTTP should",
        To::PlainHttps,
        Plant::Bytes(b"\x7f\x01hello\n\x00\x00\r\n\r\n"),
        "answer",
        "answer_not_http",
    ),
    fault(
        "something unknown answers where RELP should",
        To::Relp,
        Plant::Bytes(b"what?\n"),
        "answer",
        "answer_not_relp",
    ),
    // The wrong door of the right house.
    fault(
        "Elasticsearch's port for nodes",
        To::PlainElastic,
        Plant::Bytes(b"This is not an HTTP port"),
        "answer",
        "elastic_node_port",
    ),
    fault(
        "Kibana",
        To::PlainElastic,
        answer_with(
            404,
            &[("kbn-name", "kibana")],
            "{\"statusCode\":404,\"error\":\"Not Found\",\"message\":\"Not Found\"}",
        ),
        "answer",
        "kibana_port",
    ),
    fault(
        "Splunk's web port",
        To::PlainHec,
        answer_with(303, &[("Location", "http://localhost/en-US/account/login"), ("Server", "Splunkd")], ""),
        "answer",
        "splunk_web_port",
    ),
    fault(
        "Splunk's management port",
        To::PlainHec,
        answer_with(
            404,
            &[("Content-Type", "text/xml; charset=UTF-8"), ("Server", "Splunkd")],
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><response><messages><msg type=\"ERROR\">Not Found</msg></messages></response>",
        ),
        "answer",
        "splunk_management_port",
    ),
    // Somebody in between.
    fault("a login page answers 200", To::PlainHec, answer_with(200, HTML, LOGIN), "answer", "login_page"),
    fault(
        "a login page answers 200 to any receiver",
        To::PlainHttps,
        answer_with(200, HTML, LOGIN),
        "answer",
        "login_page",
    ),
    fault("a page for people answers 200", To::Sumo, answer_with(200, HTML, WELCOME), "answer", "page_for_people"),
    fault(
        "a captive portal redirects",
        To::PlainHttps,
        answer_with(302, &[("Location", "http://portal.example.net/login?url=x")], ""),
        "answer",
        "redirected_to_login",
    ),
    fault("a captive portal says so", To::PlainElastic, answer_with(511, HTML, LOGIN), "answer", "captive_portal"),
    fault(
        "it redirects elsewhere",
        To::PlainHttps,
        answer_with(308, &[("Location", "https://intake.example.net/v2/events")], ""),
        "answer",
        "redirected",
    ),
    fault(
        "it redirects to HTTPS",
        To::PlainHttps,
        answer_with(301, &[("Location", "https://localhost/events")], ""),
        "answer",
        "redirected_to_https",
    ),
    // What does not come.
    fault("it closes without an answer", To::PlainHttps, Plant::ClosesAfterRequest, "answer", "closed_without_answer"),
    fault(
        "its answer is cut off",
        To::PlainHttps,
        Plant::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{\"par"),
        "answer",
        "answer_cut_off",
    ),
    fault("it takes the connection and says nothing", To::PlainHec, Plant::Silent, "answer", "not_answered"),
    set(
        fault(
            "it agrees on TLS and says nothing",
            To::Https,
            Plant::Tls(Certificate::GoodAndSilent),
            "answer",
            "not_answered",
        ),
        HASTY,
    ),
    set(
        fault(
            "it begins its answer and stops",
            To::PlainElastic,
            Plant::BytesAndHold(b"HTTP/1.1 200 OK\r\nContent-"),
            "answer",
            "answer_stopped",
        ),
        HASTY,
    ),
    set(fault("a RELP server says nothing", To::Relp, Plant::Silent, "answer", "not_answered"), HASTY),
    // What HTTP says.
    fault("the path is unknown", To::PlainHttps, answer(404, "not found"), "answer", "path_unknown"),
    fault(
        "the method is not allowed",
        To::PlainHttps,
        answer_with(405, &[("Allow", "PUT")], ""),
        "answer",
        "method_refused",
    ),
    fault("the media type is not taken", To::PlainHttps, answer(415, ""), "accepted", "media_type_refused"),
    fault(
        "the request is not understood",
        To::PlainHttps,
        answer(400, "{\"error\":\"expected an object\"}"),
        "accepted",
        "request_not_understood",
    ),
    fault("the credentials are refused", To::PlainHttps, answer(401, ""), "authentication", "credentials_refused"),
    fault("this identity may not", To::PlainHttps, answer(403, ""), "permission", "forbidden"),
    fault("the body is too large", To::PlainHttps, answer(413, ""), "accepted", "body_too_large"),
    fault(
        "there is too much of it",
        To::PlainHttps,
        answer_with(429, &[("Retry-After", "60")], ""),
        "accepted",
        "throttled",
    ),
    fault("the server fails", To::PlainHttps, answer(500, "oops"), "accepted", "server_failed"),
    fault(
        "a gateway reaches nobody behind it",
        To::PlainHttps,
        answer_with(502, HTML, "<html><h1>502 Bad Gateway</h1></html>"),
        "answer",
        "gateway_without_server",
    ),
    fault("it is not available", To::PlainHttps, answer(503, ""), "accepted", "unavailable"),
    set(
        fault(
            "another status than the expected one",
            To::PlainHttps,
            answer(200, "{}"),
            "accepted",
            "status_unexpected",
        ),
        &["success = [201]"],
    ),
    fault(
        "the clock of this machine is wrong, and a signature shows it",
        To::Collector,
        Plant::Clock { minutes: 25 },
        "authentication",
        "clock_wrong",
    ),
    // Splunk.
    fault(
        "the token is disabled",
        To::PlainHec,
        answer(403, "{\"text\":\"Token disabled\",\"code\":1}"),
        "authentication",
        "token_disabled",
    ),
    fault(
        "something strips the token",
        To::PlainHec,
        answer(401, "{\"text\":\"Token is required\",\"code\":2}"),
        "authentication",
        "token_stripped",
    ),
    fault(
        "the token is unknown",
        To::PlainHec,
        answer(403, "{\"text\":\"Invalid token\",\"code\":4}"),
        "authentication",
        "token_unknown",
    ),
    fault(
        "the token may not write to the index",
        To::PlainHec,
        answer(400, "{\"text\":\"Incorrect index\",\"code\":7,\"invalid-event-number\":1}"),
        "permission",
        "index_refused",
    ),
    fault(
        "the collector is busy",
        To::PlainHec,
        answer(503, "{\"text\":\"Server is busy\",\"code\":9}"),
        "accepted",
        "collector_busy",
    ),
    set(
        fault(
            "the token wants a channel",
            To::PlainHec,
            answer(400, "{\"text\":\"Data channel is missing\",\"code\":10}"),
            "accepted",
            "channel_missing",
        ),
        &["ack = \"off\""],
    ),
    set(
        fault(
            "acknowledgement is demanded and disabled",
            To::PlainHec,
            answer(400, "{\"text\":\"ACK is disabled\",\"code\":14}"),
            "permission",
            "acknowledgement_disabled",
        ),
        &["ack = \"on\""],
    ),
    fault(
        "indexed fields are refused",
        To::PlainHec,
        answer(400, "{\"text\":\"Error in handling indexed fields\",\"code\":15,\"invalid-event-number\":0}"),
        "accepted",
        "indexed_fields_refused",
    ),
    fault(
        "the collector's queues are full",
        To::PlainHec,
        answer(429, "{\"text\":\"Queue is at capacity\",\"code\":26}"),
        "accepted",
        "collector_full",
    ),
    fault(
        "the collector shuts down",
        To::PlainHec,
        answer(503, "{\"text\":\"Server is shutting down\",\"code\":23}"),
        "accepted",
        "collector_stopping",
    ),
    // Elasticsearch and OpenSearch.
    fault(
        "the index is missing",
        To::PlainElastic,
        answer(
            200,
            "{\"took\":1,\"errors\":true,\"items\":[{\"create\":{\"status\":404,\"error\":{\"type\":\"index_not_found_exception\",\"reason\":\"no such index [audit]\"}}}]}",
        ),
        "permission",
        "index_missing",
    ),
    fault(
        "the index may not be made by itself",
        To::PlainElastic,
        answer(
            200,
            "{\"took\":1,\"errors\":true,\"items\":[{\"create\":{\"status\":404,\"error\":{\"type\":\"index_not_found_exception\",\"reason\":\"no such index [audit] and [action.auto_create_index] is [false]\"}}}]}",
        ),
        "permission",
        "index_auto_create_off",
    ),
    fault(
        "the template of the data stream is missing",
        To::PlainElastic,
        answer(
            200,
            "{\"took\":1,\"errors\":true,\"items\":[{\"create\":{\"status\":404,\"error\":{\"type\":\"index_not_found_exception\",\"reason\":\"no such index [logs-scaidrive.audit-default] and composable template [logs] forbids index auto creation\"}}}]}",
        ),
        "permission",
        "template_missing",
    ),
    fault(
        "the right to make the index is missing",
        To::PlainElastic,
        answer(
            403,
            "{\"error\":{\"type\":\"security_exception\",\"reason\":\"action [indices:admin/auto_create] is unauthorized for API key id [k] of user [u] on indices [audit], this action is granted by the index privileges [auto_configure,create_index,manage,all]\"},\"status\":403}",
        ),
        "permission",
        "index_create_right_missing",
    ),
    fault(
        "the right to write is missing",
        To::PlainElastic,
        answer(
            200,
            "{\"took\":1,\"errors\":true,\"items\":[{\"create\":{\"status\":403,\"error\":{\"type\":\"security_exception\",\"reason\":\"action [indices:data/write/bulk[s]] is unauthorized for API key id [k] of user [u] on indices [audit], this action is granted by the index privileges [create_doc,create,index,write,all]\"}}}]}",
        ),
        "permission",
        "index_write_right_missing",
    ),
    fault(
        "the API key has ended",
        To::PlainElastic,
        answer(401, "{\"error\":{\"type\":\"security_exception\",\"reason\":\"api key is expired\"},\"status\":401}"),
        "authentication",
        "api_key_expired",
    ),
    fault(
        "the API key is unknown",
        To::PlainElastic,
        answer(
            401,
            "{\"error\":{\"type\":\"security_exception\",\"reason\":\"unable to find apikey with id k\"},\"status\":401}",
        ),
        "authentication",
        "credentials_refused",
    ),
    fault(
        "a field has another type in the mapping",
        To::PlainElastic,
        answer(
            200,
            "{\"took\":1,\"errors\":true,\"items\":[{\"create\":{\"status\":400,\"error\":{\"type\":\"document_parsing_exception\",\"reason\":\"[1:95] failed to parse field [payload] of type [long] in document with id 'x'\"}}}]}",
        ),
        "accepted",
        "mapping_type_wrong",
    ),
    fault(
        "the mapping is strict",
        To::PlainElastic,
        answer(
            200,
            "{\"took\":1,\"errors\":true,\"items\":[{\"create\":{\"status\":400,\"error\":{\"type\":\"strict_dynamic_mapping_exception\",\"reason\":\"[1:40] mapping set to strict, dynamic introduction of [siem] within [_doc] is not allowed\"}}}]}",
        ),
        "accepted",
        "mapping_strict",
    ),
    fault(
        "the mapping has too many fields",
        To::PlainElastic,
        answer(
            200,
            "{\"took\":1,\"errors\":true,\"items\":[{\"create\":{\"status\":400,\"error\":{\"type\":\"illegal_argument_exception\",\"reason\":\"Limit of total fields [1000] has been exceeded while adding new fields [3]\"}}}]}",
        ),
        "accepted",
        "mapping_full",
    ),
    fault(
        "the disk is at its flood stage",
        To::PlainElastic,
        answer(
            200,
            "{\"took\":1,\"errors\":true,\"items\":[{\"create\":{\"status\":429,\"error\":{\"type\":\"cluster_block_exception\",\"reason\":\"index [audit] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];\"}}}]}",
        ),
        "accepted",
        "index_read_only",
    ),
    fault(
        "the server takes no ids of others",
        To::PlainElastic,
        answer(
            200,
            "{\"took\":1,\"errors\":true,\"items\":[{\"create\":{\"status\":400,\"error\":{\"type\":\"illegal_argument_exception\",\"reason\":\"Document ID is not supported in create/index operation request\"}}}]}",
        ),
        "accepted",
        "document_id_refused",
    ),
    set(
        fault(
            "the target is a data stream",
            To::PlainElastic,
            answer(
                200,
                "{\"took\":1,\"errors\":true,\"items\":[{\"index\":{\"status\":400,\"error\":{\"type\":\"illegal_argument_exception\",\"reason\":\"only write ops with an op_type of create are allowed in data streams\"}}}]}",
            ),
            "accepted",
            "target_is_data_stream",
        ),
        &["op = \"index\""],
    ),
    fault(
        "the document went to the failure store",
        To::PlainElastic,
        answer(
            200,
            "{\"took\":1,\"errors\":false,\"items\":[{\"create\":{\"status\":201,\"failure_store\":\"used\"}}]}",
        ),
        "accepted",
        "set_aside_in_failure_store",
    ),
    fault(
        "a pipeline drops what was accepted",
        To::PlainElastic,
        Plant::AcceptsAndLoses,
        "found",
        "accepted_and_not_found",
    ),
    // Sentinel.
    fault(
        "the tenant does not exist",
        To::Sentinel,
        Plant::Token {
            status: 400,
            body: "{\"error\":\"invalid_request\",\"error_description\":\"AADSTS90002: Tenant 'x' not found.\",\"error_codes\":[90002]}",
        },
        "authentication",
        "tenant_unknown",
    ),
    fault(
        "the application does not exist",
        To::Sentinel,
        Plant::Token {
            status: 400,
            body: "{\"error\":\"unauthorized_client\",\"error_description\":\"AADSTS700016: Application not found.\",\"error_codes\":[700016]}",
        },
        "authentication",
        "application_unknown",
    ),
    fault(
        "the client secret has expired",
        To::Sentinel,
        Plant::Token {
            status: 401,
            body: "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000222: The provided client secret keys are expired.\",\"error_codes\":[7000222]}",
        },
        "authentication",
        "client_secret_expired",
    ),
    fault(
        "the client secret is wrong",
        To::Sentinel,
        Plant::Token {
            status: 401,
            body: "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid client secret provided.\",\"error_codes\":[7000215]}",
        },
        "authentication",
        "client_secret_wrong",
    ),
    fault(
        "the clock makes an assertion invalid",
        To::Sentinel,
        Plant::Token {
            status: 401,
            body: "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS700024: Client assertion is not within its valid time range.\",\"error_codes\":[700024]}",
        },
        "authentication",
        "clock_wrong",
    ),
    fault(
        "a page answers where tokens are issued",
        To::Sentinel,
        Plant::Token { status: 200, body: LOGIN },
        "authentication",
        "token_server_wrong",
    ),
    fault(
        "nobody listens where tokens are issued",
        To::Sentinel,
        Plant::TokenServerGone,
        "authentication",
        "token_server_unreachable",
    ),
    fault(
        "tokens cannot be issued now",
        To::Sentinel,
        Plant::Token { status: 503, body: "" },
        "authentication",
        "token_server_busy",
    ),
    fault(
        "the role on the rule is missing",
        To::Sentinel,
        answer(
            403,
            "{\"error\":{\"code\":\"OperationFailed\",\"message\":\"The authentication token provided does not have access to ingest data for the data collection rule with immutable Id 'dcr-x'.\"}}",
        ),
        "permission",
        "role_missing",
    ),
    fault(
        "the rule is unknown",
        To::Sentinel,
        answer(
            404,
            "{\"error\":{\"code\":\"NotFound\",\"message\":\"Data collection rule with immutable Id 'dcr-x' not found.\"}}",
        ),
        "permission",
        "rule_unknown",
    ),
    fault(
        "the stream is unknown",
        To::Sentinel,
        answer(
            400,
            "{\"error\":{\"code\":\"InvalidStream\",\"message\":\"The stream Custom-ScaiDriveAudit was not configured in the data collection rule.\"}}",
        ),
        "permission",
        "stream_unknown",
    ),
    fault(
        "a column has another type",
        To::Sentinel,
        answer(
            400,
            "{\"error\":{\"code\":\"InvalidPayload\",\"message\":\"Invalid value for column TimeGenerated: type datetime expected.\"}}",
        ),
        "accepted",
        "column_type_wrong",
    ),
    fault(
        "the token is for another cloud",
        To::Sentinel,
        answer(
            401,
            "{\"error\":{\"code\":\"InvalidToken\",\"message\":\"The authentication token has an invalid audience.\"}}",
        ),
        "authentication",
        "token_refused",
    ),
    fault(
        "the workspace's key is wrong",
        To::Collector,
        answer(
            403,
            "{\"Error\":\"InvalidAuthorization\",\"Message\":\"An invalid signature was specified in the Authorization header\"}",
        ),
        "authentication",
        "workspace_key_wrong",
    ),
    fault(
        "the workspace is closed",
        To::Collector,
        answer(400, "{\"Error\":\"InactiveCustomer\",\"Message\":\"The workspace has been closed.\"}"),
        "permission",
        "workspace_unknown",
    ),
    // Datadog and Sumo Logic.
    fault(
        "the API key is wrong",
        To::Datadog,
        answer(403, "{\"errors\":[{\"status\":\"403\",\"title\":\"Forbidden\"}]}"),
        "authentication",
        "api_key_refused",
    ),
    fault(
        "the API key is one of another site",
        To::Datadog,
        answer(403, "Forbidden"),
        "authentication",
        "api_key_refused",
    ),
    fault(
        "an application key stands for the API key",
        To::Datadog,
        Plant::ApplicationKey,
        "authentication",
        "application_key_shown",
    ),
    fault(
        "the source's address was made anew",
        To::Sumo,
        answer(401, "{\"status\":401,\"code\":\"unauthorized\"}"),
        "authentication",
        "source_url_outdated",
    ),
    fault("there is no such source", To::Sumo, answer(404, ""), "answer", "source_unknown"),
    fault(
        "the source lives in another deployment",
        To::Sumo,
        answer_with(301, &[("Location", "https://endpoint4.collection.eu.sumologic.com/receiver/v1/http/x")], ""),
        "answer",
        "source_elsewhere",
    ),
    // Syslog and RELP.
    fault("the receiver closes at once", To::TcpSyslog, Plant::Closes, "accepted", "receiver_closes_at_once"),
    fault(
        "the receiver does not know octet counting",
        To::TcpSyslog,
        Plant::LineFeedsOnly,
        "accepted",
        "framing_not_understood",
    ),
    fault(
        "the receiver closes at the first message",
        To::TcpSyslog,
        Plant::ClosesAfterRequest,
        "accepted",
        "receiver_closes_at_message",
    ),
    fault(
        "RELP is refused",
        To::Relp,
        Plant::Bytes(b"1 rsp 19 500 not authorized\n\n"),
        "permission",
        "relp_open_refused",
    ),
    fault(
        "RELP has another version",
        To::Relp,
        Plant::Bytes(b"1 rsp 44 200 OK\nrelp_version=7\ncommands=syslog,other\n\n"),
        "answer",
        "relp_version_unknown",
    ),
    fault(
        "RELP without syslog",
        To::Relp,
        Plant::Bytes(b"1 rsp 36 200 OK\nrelp_version=0\ncommands=file\n\n"),
        "permission",
        "relp_without_syslog",
    ),
    fault("RELP refuses the message", To::Relp, Plant::RelpRefuses, "accepted", "relp_message_refused"),
    fault("RELP closes while it is asked", To::Relp, Plant::ClosesAfterRequest, "answer", "closed_without_answer"),
];
