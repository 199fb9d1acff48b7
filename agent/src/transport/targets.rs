//! Which addresses may be connected to: what is looked at is the address of the connection itself, so that a name whose
//! address changes gets nobody further than the address they wrote.
//!
//! | address | refused to |
//! |---|---|
//! | where clouds tell a machine its secrets | everybody, unless the operator allows it |
//! | the agent's own ports | everybody, unless the operator allows it |
//! | of this machine, its networks, or of nobody in the internet | destinations with `targets = "public"` |
//!
//! IPv6 addresses that stand for an IPv4 address are judged as that one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// What a destination may connect to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// Whether it may be in the internet alone.
    pub public_only: bool,
    /// Where the agent itself listens.
    pub own: Vec<SocketAddr>,
    /// What the operator allows to everybody.
    pub allowed: Vec<Allowed>,
}

/// An address that the operator allows, on all ports or on one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The address.
    pub ip: IpAddr,
    /// The port; all of them when `None`.
    pub port: Option<u16>,
}

impl Allowed {
    /// What is written as `169.254.169.254`, `127.0.0.1:8910`, `fd00:ec2::254` or `[::1]:8910`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Allowed> {
        let whole = text.parse().ok().map(|ip| Allowed { ip, port: None });
        whole.or_else(|| text.parse().ok().map(|at: SocketAddr| Allowed { ip: at.ip(), port: Some(at.port()) }))
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}", SocketAddr::new(self.ip, port)),
            None => write!(f, "{}", self.ip),
        }
    }
}

/// Why an address may not be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Barred {
    /// A machine's secrets are told there.
    #[error("machines of a cloud are told their secrets there")]
    Metadata,
    /// The agent listens there.
    #[error("the agent itself listens there")]
    Own,
    /// Nobody in the internet has it.
    #[error("it is not in the internet, and this destination may be nowhere else")]
    NotPublic,
}

/// Whether a connection to `ip` and `port` may be made. `is_here` says whether this machine has an address.
///
/// # Errors
/// Why not.
pub fn is_allowed(ip: IpAddr, port: u16, targets: &Targets, is_here: fn(IpAddr) -> bool) -> Result<(), Barred> {
    let ip = plain(ip);
    let fits = |allowed: &Allowed| plain(allowed.ip) == ip && allowed.port.is_none_or(|known| known == port);
    // Who may be in the internet alone is not whom the operator means.
    if targets.public_only && !is_public(ip) {
        return Err(Barred::NotPublic);
    }
    if targets.allowed.iter().any(fits) {
        return Ok(());
    }
    if METADATA.contains(&ip) {
        return Err(Barred::Metadata);
    }
    let is_own = |own: &SocketAddr| {
        let listens = plain(own.ip());
        let is_near = ip.is_loopback() || ip.is_unspecified();
        let is_same = listens == ip || (listens.is_loopback() && is_near);
        own.port() == port && (is_same || (listens.is_unspecified() && (is_near || is_here(ip))))
    };
    if targets.own.iter().any(is_own) { Err(Barred::Own) } else { Ok(()) }
}

/// The address that a host is, as it is written: an address itself, this machine, or a name by which machines of a cloud ask
/// for their secrets, wherever it would be looked up. `None` for every other name.
pub fn known_address(host: &str) -> Option<IpAddr> {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    if host == "localhost" || host.ends_with(".localhost") {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    let named = METADATA_NAMES.iter().find(|name| **name == host).map(|_| METADATA[0]);
    named.or_else(|| host.parse().ok())
}

/// Whether this machine has an address: nothing else can be bound to.
pub fn is_here(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

/// The IPv4 address that an IPv6 address stands for, if it does: mapped and compatible ones (RFC 4291, section 2.5.5),
/// NAT64 (RFC 6052) and 6to4 (RFC 3056).
fn plain(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let part = |at: usize| {
        let [high, low] = [v6.segments()[at], v6.segments()[at + 1]].map(u16::to_be_bytes);
        IpAddr::V4(Ipv4Addr::new(high[0], high[1], low[0], low[1]))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => part(6),
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => part(6),
        [0x2002, ..] => part(1),
        _ => ip,
    }
}

/// Whether an address may belong to somebody in the internet (IANA, special-purpose address registries).
fn is_public(ip: IpAddr) -> bool {
    if METADATA.contains(&ip) {
        return false;
    }
    match ip {
        IpAddr::V4(ip) => {
            !SPECIAL_V4.iter().any(|(net, bits)| u32::from(ip) >> (32 - bits) == u32::from(*net) >> (32 - bits))
        }
        // All of the internet is in 2000::/3, and some of that is not it.
        IpAddr::V6(ip) => {
            let within =
                |(net, bits): &(Ipv6Addr, u32)| u128::from(ip) >> (128 - bits) == u128::from(*net) >> (128 - bits);
            within(&GLOBAL_V6) && !SPECIAL_V6.iter().any(within)
        }
    }
}

/// Where clouds tell a machine about itself: AWS, Azure, Google and most others; containers and pods of AWS; Azure's
/// agent; Oracle; Alibaba; the same of AWS and Google in IPv6.
const METADATA: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 42, 42)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 0, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe)),
];

/// Names that lead there: of Google, AWS, Azure, IBM, Tencent and Equinix. Somebody's own name for it is seen by its address.
const METADATA_NAMES: &[&str] = &[
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
    "metadata.azure.internal",
    "metadata.azure.com",
    "api.metadata.cloud.ibm.com",
    "metadata.tencentyun.com",
    "metadata.platformequinix.com",
    "metadata.packet.net",
];

/// Networks that are not the internet's, each with the length of its prefix.
const SPECIAL_V4: &[(Ipv4Addr, u32)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast, reserved, broadcast.
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
const SPECIAL_V6: &[(Ipv6Addr, u32)] = &[
    // Protocol assignments, with Teredo, which hides an IPv4 address; documentation, twice.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(at: &str, targets: &Targets) -> Result<(), Barred> {
        let at: SocketAddr = at.parse().unwrap();
        is_allowed(at.ip(), at.port(), targets, |ip| ip == IpAddr::from([192, 168, 7, 7]))
    }

    #[test]
    fn who_may_be_in_the_internet_alone_reaches_nothing_else() {
        let public = Targets { public_only: true, ..Targets::default() };
        for at in [
            "127.0.0.1:514",
            "127.9.9.9:80",
            "0.0.0.0:80",
            "10.1.2.3:443",
            "172.16.0.1:443",
            "172.31.255.255:443",
            "192.168.1.1:443",
            "100.64.0.1:443",
            "169.254.1.1:80",
            "169.254.169.254:80",
            "224.0.0.1:514",
            "255.255.255.255:514",
            "198.18.0.1:1",
            "[::1]:80",
            "[::]:80",
            "[fe80::1]:80",
            "[fc00::1]:80",
            "[fd12:3456::1]:80",
            "[ff02::1]:80",
            "[::ffff:127.0.0.1]:80",
            "[::ffff:10.0.0.1]:80",
            "[::127.0.0.1]:80",
            "[64:ff9b::a9fe:a9fe]:80",
            "[2002:7f00:1::]:80",
            "[2001::1]:80",
            "[2001:db8::1]:80",
            "[100::1]:80",
            "168.63.129.16:80",
        ] {
            assert_eq!(ask(at, &public), Err(Barred::NotPublic), "{at}");
        }
        for at in [
            "8.8.8.8:443",
            "172.15.0.1:443",
            "172.32.0.1:443",
            "100.63.0.1:1",
            "100.128.0.1:1",
            "223.255.255.255:1",
            "[2606:4700::1]:443",
            "[64:ff9b::808:808]:443",
            "[2002:808:808::]:443",
        ] {
            assert_eq!(ask(at, &public), Ok(()), "{at}");
        }
        let allowed = Targets { allowed: vec![Allowed::parse("127.0.0.1").unwrap()], ..public };
        assert_eq!(ask("127.0.0.1:514", &allowed), Err(Barred::NotPublic), "that is for other destinations");
    }

    #[test]
    fn the_clouds_secrets_and_the_agents_own_ports_are_for_nobody_whom_the_operator_does_not_mean() {
        let own = ["127.0.0.1:8911", "0.0.0.0:8910", "192.168.9.9:8912"].map(|at| at.parse().unwrap()).to_vec();
        let any = Targets { own, ..Targets::default() };
        for at in [
            "169.254.169.254:80",
            "169.254.170.2:80",
            "100.100.100.200:80",
            "[fd00:ec2::254]:80",
            "[::ffff:169.254.169.254]:80",
            "[64:ff9b::a9fe:a9fe]:80",
        ] {
            assert_eq!(ask(at, &any), Err(Barred::Metadata), "{at}");
        }
        for at in [
            "127.0.0.1:8911",
            "127.0.0.2:8911",
            "0.0.0.0:8911",
            "[::1]:8911",
            "[::ffff:127.0.0.1]:8911",
            "127.0.0.1:8910",
            "192.168.7.7:8910",
            "192.168.9.9:8912",
        ] {
            assert_eq!(ask(at, &any), Err(Barred::Own), "{at}");
        }
        for at in
            ["127.0.0.1:8088", "10.0.0.1:443", "192.168.1.1:8910", "192.168.7.7:8911", "127.0.0.1:8912", "8.8.8.8:8911"]
        {
            assert_eq!(ask(at, &any), Ok(()), "{at}");
        }
        let allowed = ["169.254.169.254", "127.0.0.1:8910"].map(|text| Allowed::parse(text).unwrap()).to_vec();
        let any = Targets { allowed, ..any };
        assert_eq!(ask("169.254.169.254:80", &any), Ok(()));
        assert_eq!((ask("127.0.0.1:8910", &any), ask("127.0.0.1:8911", &any)), (Ok(()), Err(Barred::Own)));
    }

    #[test]
    fn what_the_operator_allows_is_written_with_a_port_or_without() {
        for text in ["169.254.169.254", "127.0.0.1:8910", "fd00:ec2::254", "[::1]:8910"] {
            assert_eq!(Allowed::parse(text).unwrap().to_string(), text);
        }
        assert!(Allowed::parse("metadata.google.internal").is_none() && Allowed::parse("10.0.0.0/8").is_none());
    }

    #[test]
    fn names_by_which_clouds_tell_their_secrets_are_judged_like_their_address() {
        let any = Targets::default();
        for name in ["metadata.google.internal", "Metadata.GOOGLE.internal.", "metadata", "instance-data"] {
            let ip = known_address(name).unwrap();
            assert_eq!(is_allowed(ip, 80, &any, |_| false), Err(Barred::Metadata), "{name}");
            let allowed = Targets { allowed: vec![Allowed::parse("169.254.169.254").unwrap()], ..Targets::default() };
            assert_eq!(is_allowed(ip, 80, &allowed, |_| false), Ok(()), "the operator allows it");
        }
        for (name, ip) in
            [("localhost", "127.0.0.1"), ("a.localhost.", "127.0.0.1"), ("[::1]", "::1"), ("8.8.8.8", "8.8.8.8")]
        {
            assert_eq!(known_address(name), ip.parse().ok(), "{name}");
        }
        for name in ["siem.example", "metadata.google.internal.example", "notlocalhost", ""] {
            assert_eq!(known_address(name), None, "{name}");
        }
    }

    #[test]
    fn this_machine_knows_its_own_addresses() {
        assert!(is_here("127.0.0.1".parse().unwrap()) && !is_here("8.8.8.8".parse().unwrap()));
    }
}
