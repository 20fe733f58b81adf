//! Sample events, as a network of honeypots might publish them: for the demo and for tests of receivers.

use serde_json::{Value, json};

/// The addresses of attackers, from the networks reserved for documentation (RFC 5737).
const ATTACKERS: [&str; 4] = ["192.0.2.17", "198.51.100.4", "203.0.113.99", "198.51.100.212"];
const DECKIES: [&str; 3] = ["decky-web-01", "decky-ssh-02", "decky-smb-03"];
const USERS: [&str; 4] = ["root", "admin", "oracle", "pi"];

/// A sample event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The topic.
    pub topic: String,
    /// The type.
    pub kind: &'static str,
    /// The payload, an object.
    pub payload: Value,
}

/// The names of the families of samples: `canary.triggered` for the topics `canary.*.triggered`.
pub const FAMILIES: [&str; 7] = [
    "attacker.observed",
    "attacker.session.started",
    "credential.captured",
    "decky.traffic",
    "attacker.scored",
    "canary.triggered",
    "attacker.session.ended",
];

/// Returns the sample of a family, always the same one; `None` if there is no such family.
#[must_use]
pub fn of_family(name: &str) -> Option<Sample> {
    FAMILIES.iter().position(|family| *family == name).map(sample)
}

/// Returns the `n`th sample of an endless sequence, in which the families take turns.
#[must_use]
pub fn sample(n: usize) -> Sample {
    let attacker = ATTACKERS[n / 7 % ATTACKERS.len()];
    let decky = DECKIES[n / 3 % DECKIES.len()];
    let user = USERS[n % USERS.len()];
    let (topic, kind, payload) = match n % FAMILIES.len() {
        0 => ("attacker.observed".into(), "observed", json!({"ip": attacker, "decky": decky, "port": 22})),
        1 => (
            "attacker.session.started".into(),
            "session.started",
            json!({"ip": attacker, "decky": decky, "service": "ssh", "session": format!("s-{n:05}")}),
        ),
        2 => (
            "credential.captured".into(),
            "captured",
            json!({"ip": attacker, "decky": decky, "user": user, "service": "ssh"}),
        ),
        3 => (
            format!("decky.{decky}.traffic"),
            "traffic",
            json!({"bytes_in": 1400 + n % 900, "bytes_out": 5200}),
        ),
        4 => (
            "attacker.scored".into(),
            "scored",
            json!({"ip": attacker, "score": 40 + n % 60, "reasons": ["credential stuffing", "scanner"]}),
        ),
        5 => (
            format!("canary.token-{}.triggered", n % 5),
            "triggered",
            json!({"ip": attacker, "path": "/backup.zip"}),
        ),
        _ => (
            "attacker.session.ended".into(),
            "session.ended",
            json!({"ip": attacker, "decky": decky, "seconds": 3 + n % 40, "commands": n % 12}),
        ),
    };
    Sample { topic, kind, payload }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_has_a_valid_topic_and_a_payload() {
        for n in 0..100 {
            let Sample { topic, kind, payload } = sample(n);
            assert!(
                crate::topic::Pattern::new(&topic).is_ok_and(|pattern| !pattern.has_wildcard()),
                "{topic}"
            );
            assert!(!kind.is_empty() && payload.is_object());
        }
    }
    #[test]
    fn family_names_the_topic_of_its_sample() {
        for family in FAMILIES {
            let sample = of_family(family).unwrap();
            let (first, last) = (family.split('.').next(), family.split('.').next_back());
            assert_eq!(sample.topic.split('.').next(), first, "{family}");
            assert_eq!(sample.topic.split('.').next_back(), last, "{family}");
        }
        assert_eq!(of_family("other"), None);
    }
}
