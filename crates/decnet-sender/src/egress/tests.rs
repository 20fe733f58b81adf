//! The decisions of the guard, address by address.

use super::*;

fn kind(guard: &EgressGuard, address: &str) -> Option<&'static str> {
    guard.check(address.parse().unwrap()).err().map(|forbidden| forbidden.kind)
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn special_purpose_blocks_are_forbidden_up_to_their_bounds() {
    let guard = EgressGuard::default();
    for (first, last) in [
        ("0.0.0.0", "0.255.255.255"),
        ("10.0.0.0", "10.255.255.255"),
        ("100.64.0.0", "100.127.255.255"),
        ("127.0.0.0", "127.255.255.255"),
        ("169.254.0.0", "169.254.255.255"),
        ("172.16.0.0", "172.31.255.255"),
        ("192.0.0.0", "192.0.0.255"),
        ("192.0.2.0", "192.0.2.255"),
        ("192.88.99.0", "192.88.99.255"),
        ("192.168.0.0", "192.168.255.255"),
        ("198.18.0.0", "198.19.255.255"),
        ("198.51.100.0", "198.51.100.255"),
        ("203.0.113.0", "203.0.113.255"),
        ("224.0.0.0", "255.255.255.255"),
        ("::", "::ffff:ffff"),
        ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
        ("100::", "100::ffff:ffff:ffff:ffff"),
        ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("4000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ] {
        assert!(kind(&guard, first).is_some(), "{first}");
        assert!(kind(&guard, last).is_some(), "{last}");
    }
}

#[test]
fn neighbours_of_special_purpose_blocks_are_permitted() {
    let guard = EgressGuard::default();
    for public in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "8.8.8.8",
        "2000::",
        "2001:200::",
        "2001:db7:ffff::1",
        "2001:db9::",
        "2003::1",
        "2606:4700::1111",
        "3ffe:ffff::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
    ] {
        assert_eq!(kind(&guard, public), None, "{public}");
    }
}

#[test]
fn forbidden_ipv4_addresses_embedded_in_ipv6_are_forbidden() {
    let guard = EgressGuard::default();
    for embedded in [
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.7",
        "::127.0.0.1",
        "64:ff9b::10.0.0.7",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2002:808:808::",
        "2001:0:808:808::",
        "::ffff:0:127.0.0.1",
        "64:ff9b:1::10.0.0.7",
    ] {
        assert!(kind(&guard, embedded).is_some(), "{embedded}");
    }
    assert_eq!(kind(&guard, "::ffff:127.0.0.1"), Some("loopback"));
    assert_eq!(kind(&guard, "64:ff9b::10.0.0.7"), Some("private network"));
}

#[test]
fn allow_private_permits_neither_metadata_nor_link_local() {
    let guard = EgressGuard::new(true, Vec::new());
    for address in ["127.0.0.1", "10.0.0.7", "0.0.0.0", "::1", "fc00::1", "fd00:ec3::254", "2002::1"] {
        assert_eq!(kind(&guard, address), None, "{address}");
    }
    for link_local in [
        "169.254.0.0",
        "169.254.1.1",
        "169.254.255.255",
        "fe80::",
        "fe80::1",
        "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "::ffff:169.254.1.1",
        "64:ff9b::169.254.1.1",
        "64:ff9b:1::169.254.1.1",
        "2002:a9fe:101::1",
    ] {
        assert_eq!(kind(&guard, link_local), Some(LINK_LOCAL), "{link_local}");
    }
    for metadata in [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "169.254.42.42",
        "169.254.0.23",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "fd00:a9fe:a9fe::1",
        "fd00:42::42",
        "fd00:100::100:200",
        "fe80::a9fe:a9fe",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "::ffff:0:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::169.254.169.254",
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:a9:fe:a9fe::",
        "64:ff9b:1:0:a9:fea9:fe00:0",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::",
        "2001:0:808:808::5601:5601",
        "fe80::5efe:169.254.169.254",
    ] {
        assert_eq!(kind(&guard, metadata), Some(METADATA), "{metadata}");
    }
}

#[test]
fn allowed_networks_are_permitted() {
    let guard = EgressGuard::new(false, nets(&["10.1.0.0/16", "127.0.0.2/32", "fc00::/7", "169.254.0.0/16"]));
    for address in ["10.1.2.3", "127.0.0.2", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "fd12::1", "169.254.1.1"]
    {
        assert_eq!(kind(&guard, address), None, "{address}");
    }
    for address in ["10.2.0.1", "127.0.0.1", "fe80::1"] {
        assert!(kind(&guard, address).is_some(), "{address}");
    }
    assert_eq!(kind(&guard, "169.254.169.254"), Some(METADATA));
    assert_eq!(kind(&guard, "fd00:ec2::254"), Some(METADATA));
}

/// A wider network was allowed for another purpose.
#[test]
fn link_local_addresses_need_a_network_within_their_block() {
    for everywhere in [&["0.0.0.0/0", "::/0"][..], &["169.0.0.0/8", "fe00::/8"]] {
        let guard = EgressGuard::new(true, nets(everywhere));
        for address in ["169.254.1.1", "fe80::1", "64:ff9b::169.254.1.1"] {
            assert_eq!(kind(&guard, address), Some(LINK_LOCAL), "{address} by {everywhere:?}");
        }
    }
    let guard = EgressGuard::new(false, nets(&["169.254.0.0/16", "fe80::/64"]));
    for address in ["169.254.1.1", "::ffff:169.254.1.1", "64:ff9b::169.254.1.1", "fe80::1"] {
        assert_eq!(kind(&guard, address), None, "{address}");
    }
    assert_eq!(kind(&guard, "fe80:0:0:1::1"), Some(LINK_LOCAL));
    assert_eq!(kind(&guard, "169.254.169.254"), Some(METADATA));
    assert_eq!(kind(&guard, "fe80::a9fe:a9fe"), Some(METADATA));
}

#[test]
fn metadata_address_is_permitted_only_by_its_own_network() {
    let guard = EgressGuard::new(true, nets(&["169.254.169.254/32", "fd00:ec2::254/128"]));
    assert_eq!(kind(&guard, "169.254.169.254"), None);
    assert_eq!(kind(&guard, "::ffff:169.254.169.254"), None);
    assert_eq!(kind(&guard, "fd00:ec2::254"), None);
    assert_eq!(kind(&guard, "169.254.170.2"), Some(METADATA));
    assert_eq!(kind(&guard, "2002:a9fe:a9fe::1"), Some(METADATA));
    assert_eq!(
        kind(&EgressGuard::new(true, nets(&["169.254.169.254/31"])), "169.254.169.254"),
        Some(METADATA)
    );
}

#[test]
fn mapped_network_means_the_ipv4_network() {
    let guard = EgressGuard::new(false, nets(&["::ffff:10.0.0.0/104"]));
    assert_eq!(kind(&guard, "10.255.0.1"), None);
    assert!(kind(&guard, "11.0.0.1").is_none() && kind(&guard, "127.0.0.1").is_some());
}

#[test]
fn error_names_the_setting_that_would_allow_the_address() {
    let text =
        |address: &str| EgressGuard::default().check(address.parse().unwrap()).unwrap_err().to_string();
    assert_eq!(
        text("10.0.0.7"),
        "forbidden address 10.0.0.7 (private network); to allow it set \
         DECNET_WEBHOOK_ALLOW_CIDRS=10.0.0.7/32 or DECNET_WEBHOOK_ALLOW_PRIVATE=true"
    );
    assert!(text("::1").contains("DECNET_WEBHOOK_ALLOW_CIDRS=::1/128 or"));
    for address in ["169.254.169.254", "169.254.1.1", "fe80::1", "fd20:ce::254"] {
        assert!(!text(address).contains("ALLOW_PRIVATE"), "{address}");
    }
    assert!(
        text("fe80::1").ends_with("(link-local); to allow it set DECNET_WEBHOOK_ALLOW_CIDRS=fe80::1/128")
    );
}

#[test]
fn added_network_is_permitted_in_addition_to_the_others() {
    let mut guard = EgressGuard::new(false, nets(&["10.1.0.0/16"]));
    guard.allow("127.0.0.1/32".parse().unwrap());
    assert_eq!(["10.1.2.3", "127.0.0.1"].map(|address| kind(&guard, address)), [None, None]);
    assert_eq!(kind(&guard, "127.0.0.2"), Some("loopback"));
}
