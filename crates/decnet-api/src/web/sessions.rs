//! Sessions of the dashboard, in memory: they end with the process.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use decnet_core::access::TokenDigest;
use decnet_core::limits::{
    DASHBOARD_SESSION_IDLE, DASHBOARD_SESSION_TTL, MAX_DASHBOARD_PRINCIPAL_SESSIONS, MAX_DASHBOARD_SESSIONS,
};
use decnet_core::redact::Secret;
use decnet_runtime::sync::lock;
use decnet_web::Notice;

use crate::auth::Principal;

/// The number of random bytes in an id, a form token or a nonce.
const RANDOM_BYTES: usize = 24;
/// The number of bytes in a handle.
const HANDLE_BYTES: usize = 8;

/// The sessions by the digest of their ids: memory that leaks does not reveal the cookie.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], Entry>>);

struct Entry {
    session: Arc<Session>,
    created_at: Instant,
    used_at: Instant,
}

/// One session.
pub(super) struct Session {
    /// The credential with which the visitor logged in.
    pub(super) bearer: Secret,
    /// The owner of the credential, as at the login.
    pub(super) principal: Principal,
    /// The address of the login.
    pub(super) address: IpAddr,
    /// The token that each form must contain.
    csrf: String,
    /// The result of the last action, until a page shows it.
    notice: Mutex<Option<Notice>>,
}

impl Session {
    /// Returns the form token.
    pub(super) fn csrf(&self) -> &str {
        &self.csrf
    }

    /// Returns whether a form contains the token; compares in constant time.
    pub(super) fn accepts(&self, csrf: &str) -> bool {
        TokenDigest::of(self.csrf.as_bytes()).matches(&TokenDigest::of(csrf.as_bytes()))
    }

    /// Sets the result that the next page shows.
    pub(super) fn notify(&self, notice: Notice) {
        *lock(&self.notice) = Some(notice);
    }

    /// Returns the result that was not shown yet.
    pub(super) fn take_notice(&self) -> Option<Notice> {
        lock(&self.notice).take()
    }
}

impl Sessions {
    /// Begins a session and returns its id. If there are too many sessions, one of the same principal ends, or otherwise the
    /// one that was used least recently.
    pub(super) fn begin(
        &self,
        principal: Principal,
        bearer: Secret,
        address: IpAddr,
        now: Instant,
    ) -> String {
        let id = random_text();
        let session = Session { bearer, principal, address, csrf: random_text(), notice: Mutex::default() };
        let mut sessions = lock(&self.0);
        sessions.retain(|_, entry| entry.is_alive(now));
        let own =
            sessions.values().filter(|entry| entry.session.principal.id == session.principal.id).count();
        if own >= MAX_DASHBOARD_PRINCIPAL_SESSIONS {
            evict(&mut sessions, |entry| entry.session.principal.id == session.principal.id);
        } else if sessions.len() >= MAX_DASHBOARD_SESSIONS {
            evict(&mut sessions, |_| true);
        }
        let entry = Entry { session: Arc::new(session), created_at: now, used_at: now };
        sessions.insert(digest(&id), entry);
        id
    }

    /// Returns the session with an id, and records its use.
    pub(super) fn find(&self, id: &str, now: Instant) -> Option<Arc<Session>> {
        let mut sessions = lock(&self.0);
        let entry = sessions.get_mut(&digest(id)).filter(|entry| entry.is_alive(now))?;
        entry.used_at = now;
        Some(Arc::clone(&entry.session))
    }

    /// Returns all sessions, the one that was used last first.
    pub(super) fn list(&self, now: Instant) -> Vec<Listed> {
        let sessions = lock(&self.0);
        let alive = sessions.iter().filter(|(_, entry)| entry.is_alive(now));
        let listed = alive.map(|(digest, Entry { session, created_at, used_at })| Listed {
            handle: handle(digest),
            session: Arc::clone(session),
            age: now.saturating_duration_since(*created_at),
            idle: now.saturating_duration_since(*used_at),
        });
        let mut listed: Vec<_> = listed.collect();
        listed.sort_by(|a, b| (a.idle, &a.handle).cmp(&(b.idle, &b.handle)));
        listed
    }

    /// Ends the sessions that `ends` selects by their handle. Returns their number.
    pub(super) fn end_where(&self, ends: impl Fn(&str, &Arc<Session>) -> bool) -> usize {
        let mut sessions = lock(&self.0);
        let before = sessions.len();
        sessions.retain(|digest, entry| !ends(&handle(digest), &entry.session));
        before - sessions.len()
    }

    /// Ends a session.
    pub(super) fn end(&self, id: &str) {
        lock(&self.0).remove(&digest(id));
    }
}

/// A session in a list.
pub(super) struct Listed {
    /// A name of the session that is not secret.
    pub(super) handle: String,
    pub(super) session: Arc<Session>,
    /// The time since the login.
    pub(super) age: Duration,
    /// The time since the last request.
    pub(super) idle: Duration,
}

impl Entry {
    fn is_alive(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.created_at) < DASHBOARD_SESSION_TTL
            && now.saturating_duration_since(self.used_at) < DASHBOARD_SESSION_IDLE
    }
}

fn evict(sessions: &mut HashMap<[u8; 32], Entry>, among: impl Fn(&Entry) -> bool) {
    let candidates = sessions.iter().filter(|(_, entry)| among(entry));
    let oldest = candidates.min_by_key(|(_, entry)| entry.used_at).map(|(id, _)| *id);
    if let Some(oldest) = oldest {
        sessions.remove(&oldest);
    }
}

fn digest(id: &str) -> [u8; 32] {
    TokenDigest::of(id.as_bytes()).as_bytes().try_into().unwrap_or_default()
}

/// Returns a name of a session that is not secret: a part of the digest of its id.
fn handle(digest: &[u8; 32]) -> String {
    hexadecimal(&digest[..HANDLE_BYTES])
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns random hexadecimal digits.
pub(super) fn random_text() -> String {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes).expect("the kernel provides random bytes");
    hexadecimal(&bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::auth::PrincipalId;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Begins a session of one of several owners.
    pub(in crate::web) fn begin(sessions: &Sessions, owner: usize, now: Instant) -> String {
        let id = PrincipalId::Token(owner.to_string().into());
        let principal = Principal { id, name: "ops".into(), scopes: None };
        sessions.begin(principal, Secret::new("dcn_a"), ADDRESS, now)
    }

    #[test]
    fn session_ends_when_idle_or_old_or_by_request() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let idle = begin(&sessions, 0, start);
        assert!(sessions.find(&idle, start + DASHBOARD_SESSION_IDLE).is_none());
        let old = begin(&sessions, 0, start);
        let mut now = start;
        while now < start + DASHBOARD_SESSION_TTL {
            assert!(sessions.find(&old, now).is_some());
            now += DASHBOARD_SESSION_IDLE / 2;
        }
        assert!(sessions.find(&old, now).is_none());
        let ended = begin(&sessions, 0, start);
        sessions.end(&ended);
        assert!(sessions.find(&ended, start).is_none() && sessions.find("guess", start).is_none());
    }

    #[test]
    fn sessions_are_bounded_per_principal_and_in_total() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let at = |n: usize| start + Duration::from_millis(n as u64);
        let other = begin(&sessions, 0, start);
        let own: Vec<_> =
            (0..=MAX_DASHBOARD_PRINCIPAL_SESSIONS).map(|n| begin(&sessions, 1, at(n))).collect();
        let now = at(1000);
        assert!(sessions.find(&other, now).is_some(), "another principal keeps its session");
        assert!(sessions.find(&own[0], now).is_none() && sessions.find(&own[1], now).is_some());
        for n in 0..2 * MAX_DASHBOARD_SESSIONS {
            begin(&sessions, 2 + n, at(2000 + n));
        }
        assert_eq!(lock(&sessions.0).len(), MAX_DASHBOARD_SESSIONS);
    }

    #[test]
    fn listed_sessions_can_be_ended_by_their_handles() {
        let (sessions, start) = (Sessions::default(), Instant::now());
        let [first, second] = [0, 1].map(|owner| begin(&sessions, owner, start));
        let now = start + Duration::from_secs(5);
        sessions.find(&first, now).unwrap();
        let listed = sessions.list(now);
        assert_eq!((listed.len(), listed[0].idle, listed[1].idle), (2, Duration::ZERO, listed[1].age));
        assert!(!listed[0].handle.contains(&first) && !first.contains(&listed[0].handle));
        let handle = listed[1].handle.clone();
        assert_eq!(sessions.end_where(|found, _| *found == handle), 1);
        assert!(sessions.find(&second, now).is_none() && sessions.find(&first, now).is_some());
        assert!(sessions.list(start + DASHBOARD_SESSION_TTL).is_empty(), "ended sessions are not listed");
    }

    #[test]
    fn form_token_belongs_to_one_session() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let [one, other] = [0, 0].map(|n| sessions.find(&begin(&sessions, n, now), now).unwrap());
        assert!(one.accepts(one.csrf()) && !one.accepts(other.csrf()) && !one.accepts(""));
    }

    #[test]
    fn notice_is_shown_once() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let session = sessions.find(&begin(&sessions, 0, now), now).unwrap();
        session.notify(Notice { text: "done".into(), is_error: false });
        assert!(session.take_notice().is_some() && session.take_notice().is_none());
    }
}
