//! Opaque page cursors of delivery lists.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use decnet_store::queue::DeliveryId;

use crate::problem::Problem;

pub(super) fn write(id: DeliveryId) -> String {
    URL_SAFE_NO_PAD.encode(format!("d{id}"))
}

pub(super) fn read(cursor: &str) -> Result<DeliveryId, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let id = text.as_deref().and_then(|text| text.strip_prefix('d')?.parse().ok());
    id.ok_or_else(|| Problem::invalid("cursor: must be the `next` of a previous page"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_generated_cursors_are_accepted() {
        let id: DeliveryId = "1042.7".parse().unwrap();
        assert_eq!(read(&write(id)).unwrap(), id);
        for bad in ["", "x", "MTA0Mi43", "1042.7", "ZA", "äöü"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
