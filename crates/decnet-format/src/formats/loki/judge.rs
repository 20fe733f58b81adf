//! The replies of Loki: the reasons for which it discards entries are texts
//! (<https://grafana.com/docs/loki/latest/operations/request-validation-rate-limits/>).

use decnet_core::delivery::{Reason, Verdict};

use crate::reply::{Judgement, Reply};
use crate::spec::Options;

/// The default of `block_ingestion_status_code`: Loki discards the entries, although the status is a success.
const BLOCKED: u16 = 260;
/// A part of the text for a Loki without structured metadata.
const NO_METADATA: &str = "structured metadata, but this feature is disallowed";

/// Entries that are too old, too new, out of order or too long are refused with 400, and other entries of the request are stored.
/// A smaller batch stores these again, and Loki drops an entry with the same time, labels and line.
pub(super) fn judge(_: &Options, reply: &Reply<'_>, _: usize) -> Judgement {
    let text = String::from_utf8_lossy(reply.body);
    let detail = text.trim();
    let verdict = match reply.status {
        BLOCKED => Verdict::Retry { reason: Reason::ServerError, after: None },
        // Every other request would be refused too.
        400 if detail.contains(NO_METADATA) => {
            return Judgement::whole(Verdict::Hold)
                .because(format!("set the option metadata=false: {detail}"));
        }
        _ => Judgement::for_credentials(reply).whole,
    };
    match verdict {
        Verdict::Delivered => Judgement::whole(verdict),
        _ if detail.is_empty() => Judgement::whole(verdict),
        _ => Judgement::whole(verdict).because(detail),
    }
}
