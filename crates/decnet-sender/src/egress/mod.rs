//! The egress guard: the addresses to which requests may be sent, so that a subscription's URL cannot reach into the
//! operator's network (server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

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

/// Addresses at which cloud providers serve credentials to any client on the host, from their manuals. Most of the IPv6 addresses
/// are unique local addresses (RFC 4193), which a permission for private networks would include.
const METADATA_ADDRESSES: [IpAddr; 16] = [
    v4(169, 254, 169, 254), // AWS, Azure, Google, Oracle, DigitalOcean, ...
    v4(169, 254, 170, 2),   // AWS ECS task credentials
    v4(169, 254, 170, 23),  // AWS EKS pod identity
    v4(169, 254, 42, 42),   // Scaleway
    v4(169, 254, 0, 23),    // Tencent
    v4(100, 100, 100, 200), // Alibaba
    v4(192, 0, 0, 192),     // Oracle, classic
    v4(168, 63, 129, 16),   // Azure's platform service
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]), // AWS
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23]), // AWS EKS pod identity
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]), // Google
    v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe]), // Oracle
    v6([0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1]), // Akamai (Linode)
    v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42]), // Scaleway
    v6([0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200]), // Alibaba
    v6([0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe]), // OpenStack
];

/// The link-local blocks (RFC 3927, RFC 4291 section 2.5.6), which are not routed and in which clouds add services.
const LINK_LOCAL_BLOCKS: [IpNet; 2] =
    [net(v4(169, 254, 0, 0), 16), net(v6([0xfe80, 0, 0, 0, 0, 0, 0, 0]), 10)];

/// IANA IPv4 Special-Purpose Address Registry (RFC 6890) with multicast (RFC 5771), and IANA IPv6 Special-Purpose Address Registry.
/// IPv6 blocks outside 2000::/3 are not global unicast, so they are forbidden anyway; they are listed because of their names.
const FORBIDDEN: [(IpNet, &str); 30] = [
    (net(v4(0, 0, 0, 0), 8), "this network"),
    (net(v4(10, 0, 0, 0), 8), "private network"),
    (net(v4(100, 64, 0, 0), 10), "shared address space"),
    (net(v4(127, 0, 0, 0), 8), "loopback"),
    (net(v4(169, 254, 0, 0), 16), LINK_LOCAL),
    (net(v4(172, 16, 0, 0), 12), "private network"),
    (net(v4(192, 0, 0, 0), 24), "protocol assignments"),
    (net(v4(192, 0, 2, 0), 24), "documentation"),
    (net(v4(192, 88, 99, 0), 24), "6to4 relay"),
    (net(v4(192, 168, 0, 0), 16), "private network"),
    (net(v4(198, 18, 0, 0), 15), "benchmarking"),
    (net(v4(198, 51, 100, 0), 24), "documentation"),
    (net(v4(203, 0, 113, 0), 24), "documentation"),
    (net(v4(224, 0, 0, 0), 4), "multicast"),
    (net(v4(255, 255, 255, 255), 32), "broadcast"),
    (net(v4(240, 0, 0, 0), 4), "reserved"),
    (net(v6([0; 8]), 128), "unspecified"),
    (net(v6([0, 0, 0, 0, 0, 0, 0, 1]), 128), "loopback"),
    (net(v6([0; 8]), 96), "IPv4-compatible"),
    (net(v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0]), 48), "local NAT64"),
    (net(v6([0x100, 0, 0, 0, 0, 0, 0, 0]), 64), "discard-only"),
    (net(v6([0x2001, 0, 0, 0, 0, 0, 0, 0]), 23), "protocol assignments"),
    (net(v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0]), 32), "documentation"),
    (net(v6([0x2002, 0, 0, 0, 0, 0, 0, 0]), 16), "6to4"),
    (net(v6([0x3fff, 0, 0, 0, 0, 0, 0, 0]), 20), "documentation"),
    (net(v6([0x5f00, 0, 0, 0, 0, 0, 0, 0]), 16), "segment routing"),
    (net(v6([0xfc00, 0, 0, 0, 0, 0, 0, 0]), 7), "private network"),
    (net(v6([0xfe80, 0, 0, 0, 0, 0, 0, 0]), 10), LINK_LOCAL),
    (net(v6([0xfec0, 0, 0, 0, 0, 0, 0, 0]), 10), "site-local"),
    (net(v6([0xff00, 0, 0, 0, 0, 0, 0, 0]), 8), "multicast"),
];

impl EgressGuard {
    /// Creates a guard. `allow_private` permits all addresses except link-local and metadata addresses. `allow` permits
    /// the networks that it lists: a link-local address only by a network within its block, a metadata address only by a
    /// network of exactly that address (`/32` or `/128`).
    #[must_use]
    pub fn new(allow_private: bool, allow: Vec<IpNet>) -> Self {
        Self { allow_private, allow: allow.into_iter().map(canonical_net).collect() }
    }

    /// Also permits the addresses of a network.
    pub fn allow(&mut self, net: IpNet) {
        *self = Self::new(self.allow_private, self.allow.iter().copied().chain([net]).collect());
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
        if readings(address).any(|address| METADATA_ADDRESSES.contains(&address)) {
            return Some(METADATA);
        }
        if readings(address).any(|address| LINK_LOCAL_BLOCKS.iter().any(|block| block.contains(&address))) {
            return (!self.allows_link_local(address)).then_some(LINK_LOCAL);
        }
        if self.allow_private || self.allow.iter().any(|net| net.contains(&address)) {
            return None;
        }
        if let Some(inner) = nat64(address) {
            return self.forbidden_kind(inner);
        }
        let special = FORBIDDEN.iter().find(|(net, _)| net.contains(&address)).map(|(_, kind)| *kind);
        let is_reserved = matches!(address, IpAddr::V6(address) if address.segments()[0] >> 13 != 1);
        special.or(is_reserved.then_some("reserved"))
    }

    /// Returns whether the address is in a permitted network that lies within a link-local block.
    fn allows_link_local(&self, address: IpAddr) -> bool {
        let address = nat64(address).unwrap_or(address);
        let is_within_block = |net: &IpNet| LINK_LOCAL_BLOCKS.iter().any(|block| block.contains(net));
        self.allow.iter().any(|net| is_within_block(net) && net.contains(&address))
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

/// Returns the IPv4 address behind the well-known NAT64 prefix (RFC 6052), by which a host without IPv4 reaches IPv4.
fn nat64(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(address) = address else { return None };
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments() else { return None };
    Some(join(high, low))
}

/// Returns the address itself, and every IPv4 address that a translator or tunnel on the path could extract from an IPv6 address.
fn readings(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let embedded = if let IpAddr::V6(address) = address { Some(embedded_v4(address)) } else { None };
    std::iter::once(address).chain(embedded.into_iter().flatten())
}

fn embedded_v4(address: Ipv6Addr) -> impl Iterator<Item = IpAddr> {
    let (s, o) = (address.segments(), address.octets());
    let last = join(s[6], s[7]);
    let teredo = s[0] == 0x2001 && s[1] == 0; // RFC 4380 section 4: server, and client with its bits flipped
    let isatap = s[4] & 0xfdff == 0 && s[5] == 0x5efe; // RFC 5214 section 6.1
    let local_nat64 = s[..3] == [0x64, 0xff9b, 1]; // RFC 8215; the position depends on the prefix length
    let low_only = s[..4] == [0; 4]; // IPv4-compatible, IPv4-mapped, and SIIT's ::ffff:0:0/96
    [
        (low_only || isatap || local_nat64 || nat64(address.into()).is_some()).then_some(last),
        local_nat64.then(|| v4(o[6], o[7], o[9], o[10])),
        local_nat64.then(|| v4(o[7], o[9], o[10], o[11])),
        local_nat64.then(|| v4(o[9], o[10], o[11], o[12])),
        (s[0] == 0x2002).then(|| join(s[1], s[2])),
        teredo.then(|| join(s[2], s[3])),
        teredo.then(|| join(!s[6], !s[7])),
    ]
    .into_iter()
    .flatten()
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h))
}

const fn net(address: IpAddr, prefix_len: u8) -> IpNet {
    IpNet::new_assert(address, prefix_len)
}

/// Returns the IPv4 address with these halves.
fn join(high: u16, low: u16) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
}

/// Returns a mapped network as the IPv4 network that it represents: `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
fn canonical_net(net: IpNet) -> IpNet {
    match (net.addr().to_canonical(), net.prefix_len().checked_sub(96)) {
        (address @ IpAddr::V4(_), Some(length)) if net.addr().is_ipv6() => IpNet::new_assert(address, length),
        _ => net,
    }
}

#[cfg(test)]
mod tests;
