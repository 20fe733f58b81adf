//! What a failure means and what to do about it.

use decnet_core::delivery::Reason;

/// The explanation of a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// The reason in a few words.
    pub title: &'static str,
    /// What happened.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

impl Advice {
    const fn new(title: &'static str, meaning: &'static str, remedy: &'static str) -> Self {
        Self { title, meaning, remedy }
    }
}

/// Returns the explanation of a reason by its stable name.
#[must_use]
pub fn advice(reason: &str) -> Advice {
    reason.parse().map_or(
        Advice::new(
            "Unknown reason",
            "This version does not know the reason.",
            "Update the program that shows this page.",
        ),
        of,
    )
}

/// Returns the names of all reasons.
pub fn names() -> impl Iterator<Item = &'static str> {
    Reason::ALL.into_iter().map(Reason::as_str)
}

fn of(reason: Reason) -> Advice {
    match reason {
        Reason::Resolve | Reason::Forbidden | Reason::Connect | Reason::Tls => connecting(reason),
        Reason::Timeout | Reason::Disconnected | Reason::Protocol | Reason::Internal => exchanging(reason),
        Reason::Expired | Reason::Deleted | Reason::Erased => giving_up(reason),
        Reason::Filter | Reason::Template | Reason::Unauthorized => configured(reason),
        _ => answered(reason),
    }
}

fn connecting(reason: Reason) -> Advice {
    match reason {
        Reason::Resolve => Advice::new(
            "Host not found",
            "The name of the receiver could not be resolved to an address.",
            "Check the host name in the URL, and the DNS of this host.",
        ),
        Reason::Forbidden => Advice::new(
            "Address not allowed",
            "The name leads to a private or local address, which requests may not reach.",
            "If the receiver is yours, add its network to DECNET_WEBHOOK_ALLOW_CIDRS; otherwise correct the URL.",
        ),
        Reason::Connect => Advice::new(
            "No connection",
            "The receiver did not accept a connection.",
            "Check that the receiver is running, that its port is right, and that no firewall is in between.",
        ),
        _ => Advice::new(
            "TLS failed",
            "The encrypted connection could not be set up.",
            "Check the receiver's certificate: its names, its expiry, and whether this host trusts its issuer.",
        ),
    }
}

fn exchanging(reason: Reason) -> Advice {
    match reason {
        Reason::Timeout => Advice::new(
            "No reply in time",
            "The receiver was connected but did not answer within the time limit.",
            "Let the receiver answer first and work afterwards, or raise the subscription's timeout.",
        ),
        Reason::Disconnected => Advice::new(
            "Connection closed",
            "The receiver closed the connection before it replied.",
            "Check the log of the receiver, and of the proxy in front of it, for this time.",
        ),
        Reason::Protocol => Advice::new(
            "Invalid reply",
            "The receiver's reply is not valid HTTP or is too large.",
            "Check that the URL leads to an HTTP server, with the right scheme and port.",
        ),
        _ => Advice::new(
            "Internal error",
            "The request could not be sent because of an error in this program.",
            "See the log of the worker, and report the error.",
        ),
    }
}

fn answered(reason: Reason) -> Advice {
    match reason {
        Reason::Redirect => Advice::new(
            "Redirect",
            "The receiver answered with a redirect, which is never followed.",
            "Set the subscription's URL to the final address.",
        ),
        Reason::BodyRefused => Advice::new(
            "Body rejected",
            "The receiver rejects this body, so the same request would fail again.",
            "Read the receiver's reply; change the receiver, or the batching of the subscription.",
        ),
        Reason::Gone => Advice::new(
            "Receiver gone",
            "The receiver answered 410: it wants no further requests.",
            "If that is a mistake, fix the receiver and enable the subscription; otherwise delete it.",
        ),
        Reason::RetryRequested => Advice::new(
            "Try again",
            "The receiver asked for the same request again (408 or 425).",
            "Nothing, if it is rare; otherwise check the load of the receiver.",
        ),
        Reason::Throttled => Advice::new(
            "Too many requests",
            "The receiver limits the rate of requests (429).",
            "Set a rate or batches in the subscription, or raise the receiver's limit.",
        ),
        Reason::ServerError => Advice::new(
            "Receiver failed",
            "The receiver answered with a server error (5xx).",
            "Read the receiver's reply and its log; redeliver once it works.",
        ),
        _ => Advice::new(
            "Rejected",
            "The receiver rejected the request, and a retry would not change that.",
            "Read the receiver's reply: often the URL, a token in a header or the signing secret is wrong.",
        ),
    }
}

fn configured(reason: Reason) -> Advice {
    match reason {
        Reason::Filter => Advice::new(
            "Filter failed",
            "The subscription's filter has no value for this event, so it is not known whether to send it.",
            "Correct the filter, for example with has(); then redeliver.",
        ),
        Reason::Template => Advice::new(
            "Not rendered",
            "The format or the template of the subscription could not make a request of the event.",
            "Try the event with `decnet subscription try`, correct the template, then redeliver.",
        ),
        _ => Advice::new(
            "Credentials refused",
            "The destination or its authorization server refuses the subscription's credentials.",
            "Set new credentials with `decnet subscription update`. Deliveries wait and resume once a probe succeeds.",
        ),
    }
}

fn giving_up(reason: Reason) -> Advice {
    match reason {
        Reason::Expired => Advice::new(
            "Waited too long",
            "The delivery waited longer than events are kept.",
            "Fix the receiver, then redeliver; raise the retention if outages last longer.",
        ),
        Reason::Deleted => Advice::new(
            "Subscription deleted",
            "The subscription was deleted while the delivery waited.",
            "Nothing: a deleted subscription receives no events.",
        ),
        _ => Advice::new(
            "Event erased",
            "The content of the event was erased before it was delivered.",
            "Nothing: the content no longer exists.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_advice() {
        let mut titles: Vec<_> = Reason::ALL.iter().map(|reason| advice(reason.as_str()).title).collect();
        titles.sort_unstable();
        titles.dedup();
        assert_eq!(titles.len(), Reason::ALL.len());
        assert!(!titles.contains(&advice("no such reason").title));
    }
}
