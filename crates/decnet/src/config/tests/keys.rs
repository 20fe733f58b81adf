//! The table of settings.

use crate::config::keys::ALL;

#[test]
fn names_are_unique_and_have_the_prefix_of_decnet() {
    for info in ALL {
        assert!(info.name.starts_with("DECNET_") || info.name == "NO_PROXY", "{}", info.name);
        assert_eq!(ALL.iter().filter(|other| other.name == info.name).count(), 1, "{}", info.name);
        for text in [info.group, info.form, info.meaning, info.reason] {
            assert!(!text.is_empty(), "{} has an empty description", info.name);
        }
    }
}
