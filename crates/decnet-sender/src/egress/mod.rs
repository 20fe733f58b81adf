//! The egress guard: the addresses to which requests may be sent, so that a subscription's URL cannot reach into the
//! operator's network (server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The egress guard, which permits or forbids addresses. Only addresses that it permits are dialled.
#[derive(Debug, Clone, Default)]
pub struct EgressGuard {
    allow_private: bool,
    allow: Box<[IpNet]>,
}

/// An address that the guard forbids. The text names the setting that would allow it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("forbidden address {address} ({kind}); {}", self.remedy())]
pub struct ForbiddenAddress {
    /// The address, as an IPv4 address if it is an IPv4 address mapped into IPv6.
    pub address: IpAddr,
    /// The kind of address, such as `loopback`.
    pub kind: &'static str,
}

const METADATA: &str = "cloud metadata";
const LINK_LOCAL: &str = "link-local";

/// Addresses at which cloud providers serve credentials to any client on the host, from their manuals.
const METADATA_V4: [Ipv4Addr; 8] = [
    Ipv4Addr::new(169, 254, 169, 254), // AWS, Azure, Google, Oracle, DigitalOcean, ...
    Ipv4Addr::new(169, 254, 170, 2),   // AWS ECS task credentials
    Ipv4Addr::new(169, 254, 170, 23),  // AWS EKS pod identity
    Ipv4Addr::new(169, 254, 42, 42),   // Scaleway
    Ipv4Addr::new(169, 254, 0, 23),    // Tencent
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle, classic
    Ipv4Addr::new(168, 63, 129, 16),   // Azure's platform service
];
/// IPv6 addresses at which cloud providers serve credentials. Most are unique local addresses (RFC 4193), which a
/// permission for private networks would include.
const METADATA_V6: [Ipv6Addr; 8] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), // AWS
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),  // AWS EKS pod identity
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),  // Google
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), // Oracle
    Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1), // Akamai (Linode)
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),   // Scaleway
    Ipv6Addr::new(0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200), // Alibaba
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe), // OpenStack
];

/// The link-local blocks (RFC 3927, RFC 4291 section 2.5.6), which are not routed and in which clouds add services.
const LINK_LOCAL_V4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16);
const LINK_LOCAL_V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10);

/// IANA IPv4 Special-Purpose Address Registry (RFC 6890), with multicast (RFC 5771).
const FORBIDDEN_V4: [(Ipv4Addr, u8, &str); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private network"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared address space"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, LINK_LOCAL),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private network"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "protocol assignments"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relay"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private network"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarking"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::BROADCAST, 32, "broadcast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// IANA IPv6 Special-Purpose Address Registry. Blocks outside 2000::/3 are not global unicast, so they are forbidden
/// anyway; they are listed because of their names.
const FORBIDDEN_V6: [(Ipv6Addr, u8, &str); 14] = [
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (Ipv6Addr::UNSPECIFIED, 96, "IPv4-compatible"),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, "local NAT64"),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, "discard-only"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "protocol assignments"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation"),
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, "segment routing"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "private network"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, LINK_LOCAL),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, "site-local"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
];

impl EgressGuard {
    /// Creates a guard. `allow_private` permits all addresses except link-local and metadata addresses. `allow` permits
    /// the networks that it lists: a link-local address only by a network within its block, a metadata address only by a
    /// network of exactly that address (`/32` or `/128`).
    #[must_use]
    pub fn new(allow_private: bool, allow: Vec<IpNet>) -> Self {
        Self { allow_private, allow: allow.into_iter().map(canonical_net).collect() }
    }

    /// Checks that requests may be sent to an address. An IPv4 address mapped into IPv6 counts as the IPv4 address.
    ///
    /// # Errors
    /// [`ForbiddenAddress`], with the kind of address and the setting that would allow it.
    pub fn check(&self, address: IpAddr) -> Result<(), ForbiddenAddress> {
        let canonical = address.to_canonical();
        match self.forbidden_kind(canonical) {
            None => Ok(()),
            Some(kind) => Err(ForbiddenAddress { address: canonical, kind }),
        }
    }

    fn forbidden_kind(&self, address: IpAddr) -> Option<&'static str> {
        if self.allows_exactly(address) {
            return None;
        }
        if is_metadata(address) {
            return Some(METADATA);
        }
        if is_link_local(address) {
            return (!self.allows_link_local(address)).then_some(LINK_LOCAL);
        }
        if self.allow_private || self.allow.iter().any(|net| net.contains(&address)) {
            return None;
        }
        match address {
            IpAddr::V4(address) => kind_v4(address),
            IpAddr::V6(address) => match nat64(address) {
                Some(inner) => self.forbidden_kind(inner.into()),
                None => kind_v6(address),
            },
        }
    }

    /// Returns whether the address is in a permitted network that lies within a link-local block.
    fn allows_link_local(&self, address: IpAddr) -> bool {
        let within_block = |net: &IpNet| match net {
            IpNet::V4(net) => LINK_LOCAL_V4.contains(net),
            IpNet::V6(net) => LINK_LOCAL_V6.contains(net),
        };
        let inner = if let IpAddr::V6(address) = address { nat64(address).map(IpAddr::V4) } else { None };
        let address = inner.unwrap_or(address);
        self.allow.iter().any(|net| within_block(net) && net.contains(&address))
    }

    fn allows_exactly(&self, address: IpAddr) -> bool {
        self.allow.iter().any(|net| net.prefix_len() == net.max_prefix_len() && net.addr() == address)
    }
}

impl ForbiddenAddress {
    fn remedy(&self) -> String {
        let length = if self.address.is_ipv4() { 32 } else { 128 };
        let cidr = format!("to allow it set DECNET_WEBHOOK_ALLOW_CIDRS={}/{length}", self.address);
        if matches!(self.kind, METADATA | LINK_LOCAL) {
            cidr
        } else {
            cidr + " or DECNET_WEBHOOK_ALLOW_PRIVATE=true"
        }
    }
}

fn kind_v4(address: Ipv4Addr) -> Option<&'static str> {
    let within = |net: Ipv4Addr, length| Ipv4Net::new_assert(net, length).contains(&address);
    FORBIDDEN_V4.iter().find(|(net, length, _)| within(*net, *length)).map(|(.., kind)| *kind)
}

fn kind_v6(address: Ipv6Addr) -> Option<&'static str> {
    let within = |net: Ipv6Addr, length| Ipv6Net::new_assert(net, length).contains(&address);
    let special = FORBIDDEN_V6.iter().find(|(net, length, _)| within(*net, *length)).map(|(.., kind)| *kind);
    let is_global_unicast = address.segments()[0] >> 13 == 1;
    special.or_else(|| (!is_global_unicast).then_some("reserved"))
}

/// Returns the IPv4 address behind the well-known NAT64 prefix (RFC 6052), by which a host without IPv4 reaches IPv4.
fn nat64(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments() else { return None };
    Some(v4(high, low))
}

fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => METADATA_V4.contains(&address),
        IpAddr::V6(address) => {
            METADATA_V6.contains(&address) || embedded_v4(address).any(|inner| METADATA_V4.contains(&inner))
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => LINK_LOCAL_V4.contains(&address),
        IpAddr::V6(address) => {
            LINK_LOCAL_V6.contains(&address)
                || embedded_v4(address).any(|inner| LINK_LOCAL_V4.contains(&inner))
        }
    }
}

/// Returns every IPv4 address that a translator or tunnel on the path could extract from an IPv6 address.
fn embedded_v4(address: Ipv6Addr) -> impl Iterator<Item = Ipv4Addr> {
    let (s, o) = (address.segments(), address.octets());
    let last = v4(s[6], s[7]);
    let teredo = s[0] == 0x2001 && s[1] == 0; // RFC 4380 section 4: server, and client with its bits flipped
    let isatap = s[4] & 0xfdff == 0 && s[5] == 0x5efe; // RFC 5214 section 6.1
    let local_nat64 = s[..3] == [0x64, 0xff9b, 1]; // RFC 8215; the position depends on the prefix length
    let low_only = s[..4] == [0; 4]; // IPv4-compatible, IPv4-mapped, and SIIT's ::ffff:0:0/96
    [
        (low_only || isatap || local_nat64 || nat64(address).is_some()).then_some(last),
        local_nat64.then(|| Ipv4Addr::new(o[6], o[7], o[9], o[10])),
        local_nat64.then(|| Ipv4Addr::new(o[7], o[9], o[10], o[11])),
        local_nat64.then(|| Ipv4Addr::new(o[9], o[10], o[11], o[12])),
        (s[0] == 0x2002).then(|| v4(s[1], s[2])),
        teredo.then(|| v4(s[2], s[3])),
        teredo.then(|| v4(!s[6], !s[7])),
    ]
    .into_iter()
    .flatten()
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

/// Returns a mapped network as the IPv4 network that it represents: `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
fn canonical_net(net: IpNet) -> IpNet {
    match (net.addr().to_canonical(), net.prefix_len().checked_sub(96)) {
        (IpAddr::V4(address), Some(length)) if net.addr().is_ipv6() => {
            Ipv4Net::new_assert(address, length).into()
        }
        _ => net,
    }
}

#[cfg(test)]
mod tests;
