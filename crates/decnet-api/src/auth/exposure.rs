//! On which addresses an API without a credential may listen.

use std::net::{IpAddr, SocketAddr};

/// An API that nobody could use yet, offered to the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the API would listen on {0}, which others can reach, and there is no credential yet; make a token first \
     (`decnet token create --name admin --scope admin`), or listen on 127.0.0.1 (DECNET_API_HOST)"
)]
pub struct Exposed(SocketAddr);

/// Without a credential the API listens on loopback addresses only: the first one is made there.
///
/// # Errors
/// Another address, and no credential.
pub fn check_exposure(address: SocketAddr, has_credential: bool) -> Result<(), Exposed> {
    if has_credential || is_loopback(address.ip()) { Ok(()) } else { Err(Exposed(address)) }
}

/// An address of this host that no other host can reach.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_goes_without_a_credential() {
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
