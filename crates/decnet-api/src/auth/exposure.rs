//! The addresses on which an API without a credential may listen.

use std::net::{IpAddr, SocketAddr};

/// An API without a credential would be reachable from other hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the API would listen on {0}, which other hosts can reach, but has no credential yet; create a token first \
 (`decnet token create --name admin --scope admin`) or listen on 127.0.0.1 (DECNET_API_HOST)"
)]
pub struct Exposed(SocketAddr);

/// Checks that an API without a credential listens only on a loopback address, where the first credential is created.
///
/// # Errors
/// There is no credential and `address` is not a loopback address.
pub fn check_exposure(address: SocketAddr, has_credential: bool) -> Result<(), Exposed> {
    if has_credential || is_loopback(address.ip()) { Ok(()) } else { Err(Exposed(address)) }
}

/// Returns whether only this host can reach the address.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_needs_no_credential() {
        for (address, is_fine) in [
            ("127.0.0.1:8000", true),
            ("127.9.9.9:1", true),
            ("[::1]:8000", true),
            ("[::ffff:127.0.0.1]:8000", true),
            ("0.0.0.0:8000", false),
            ("[::]:8000", false),
            ("192.0.2.1:8000", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(check_exposure(address, false).is_ok(), is_fine, "{address}");
            assert!(check_exposure(address, true).is_ok());
        }
    }
}
