//! The list of subscriptions, with search, a filter by state, orders, and pages; and their names for forms.

use std::cmp::Ordering;
use std::convert::Infallible;

use axum::extract::{Query, State};
use decnet_core::limits::{DASHBOARD_PAGE_ROWS, MAX_DASHBOARD_SUGGESTIONS};
use decnet_web::chart::Sparkline;
use decnet_web::names::Names;
use decnet_web::page::SubscriptionsPage;
use decnet_web::receiver::Receiver;
use decnet_web::{Count, Text, encode};
use serde::Deserialize;

use super::SharedDashboard;
use super::reply::{self, PageReply};
use super::subscription_order::{Order, Position};
use super::visitor::Visitor;

/// The filter, the order, and the last row of the previous page.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ListQuery {
    q: String,
    state: String,
    sort: String,
    after_rank: String,
    after: String,
    after_uuid: String,
}

pub(super) async fn page(
    State(dashboard): State<SharedDashboard>,
    visitor: Visitor,
    Query(query): Query<ListQuery>,
) -> PageReply {
    let snapshot = dashboard.snapshots.get(&dashboard.state).await?;
    let (mut receivers, matching, next) = select(&snapshot.receivers, &query);
    let order = Order::parse(&query.sort);
    let state = &dashboard.state;
    let Ok(activity) =
        state.activity.get(async || Ok::<_, Infallible>(state.metrics.activity().await.into())).await;
    for receiver in &mut receivers {
        let pairs = activity.get(receiver.uuid.raw());
        receiver.activity = pairs.map(|pairs| Sparkline::new(pairs)).unwrap_or_default();
    }
    reply::page(&SubscriptionsPage {
        frame: visitor.into_frame(),
        receivers,
        columns: order.columns(|order| link(&query, order)),
        orders: order.choices(),
        search: query.q,
        state: query.state,
        matching,
        total: Count(snapshot.receivers.len() as u64),
        next,
    })
}

/// What a visitor has typed.
#[derive(Deserialize)]
pub(super) struct NameQuery {
    #[serde(default)]
    subscription: String,
}

/// Suggests names of subscriptions.
pub(super) async fn suggest(
    State(dashboard): State<SharedDashboard>,
    _: Visitor,
    Query(query): Query<NameQuery>,
) -> PageReply {
    let snapshot = dashboard.snapshots.get(&dashboard.state).await?;
    reply::page(&Names { names: names(&snapshot.receivers, &query.subscription) })
}

/// Returns the first names that contain a text, each once.
pub(super) fn names(all: &[Receiver], part: &str) -> Vec<Text> {
    let part = part.trim().to_lowercase();
    let found = all.iter().map(|receiver| &receiver.name);
    let mut names: Vec<&Text> = Vec::new();
    for name in found.filter(|name| name.raw().to_lowercase().contains(&part)) {
        // Equal names follow each other.
        if names.last() != Some(&name) {
            names.push(name);
        }
        if names.len() == MAX_DASHBOARD_SUGGESTIONS {
            break;
        }
    }
    names.into_iter().cloned().collect()
}

/// Returns one page of the rows that match, the number of all that match, and the link to the next page.
fn select(all: &[Receiver], query: &ListQuery) -> (Vec<Receiver>, Count, Option<String>) {
    let search = query.q.trim().to_lowercase();
    let is_found = |receiver: &&Receiver| {
        let texts = [&receiver.name, &receiver.url, &receiver.uuid];
        (search.is_empty() || texts.iter().any(|text| text.raw().to_lowercase().contains(&search)))
            && (query.state.is_empty() || receiver.is(&query.state))
    };
    let order = Order::parse(&query.sort);
    let matching = all.iter().filter(is_found).map(|receiver| (order.position(receiver), receiver));
    let mut matching: Vec<_> = matching.collect();
    let count = Count(matching.len() as u64);
    let rank = query.after_rank.parse().unwrap_or(0);
    let after = Position { rank, name: &query.after, uuid: &query.after_uuid };
    if !query.after_uuid.is_empty() {
        matching.retain(|(position, _)| order.compare(*position, after) == Ordering::Greater);
    }
    matching.sort_unstable_by(|(a, _), (b, _)| order.compare(*a, *b));
    let last = matching.get(DASHBOARD_PAGE_ROWS).and(matching.get(DASHBOARD_PAGE_ROWS - 1));
    let next = last.map(|(last, _)| {
        let (name, uuid) = (encode(last.name), encode(last.uuid));
        format!("{}&after_rank={}&after={name}&after_uuid={uuid}", link(query, order), last.rank)
    });
    matching.truncate(DASHBOARD_PAGE_ROWS);
    (matching.into_iter().map(|(_, receiver)| receiver.clone()).collect(), count, next)
}

/// Returns the link to the first page in an order.
fn link(query: &ListQuery, order: Order) -> String {
    let (search, state) = (encode(&query.q), encode(&query.state));
    format!("/subscriptions?q={search}&state={state}&sort={}", order.value())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use decnet_core::time::UnixMicros;
    use decnet_web::Time;

    use super::super::snapshot::key;
    use super::*;

    /// Returns subscriptions of which two each have the same name, and many the same counts and times.
    fn receivers(count: usize) -> Vec<Receiver> {
        let at = |n: usize| (n > 0).then(|| UnixMicros(1_776_988_800_000_000 + n as i64).into());
        let receiver = |n: usize| Receiver {
            uuid: format!("uuid-{n}").into(),
            name: format!("receiver {:04}", n / 2).into(),
            url: "https://a.example/…".into(),
            state: if n.is_multiple_of(10) { "tripped" } else { "active" },
            failures: Count(n as u64 % 3),
            error: None,
            waiting: Count(n as u64 * 7919 % 101),
            dead: Count(0),
            delivered: Count(0),
            oldest: None,
            last_success: at(n % 13),
            last_failure: at(n % 17),
            activity: Sparkline::default(),
        };
        let mut all: Vec<_> = (0..count).map(receiver).collect();
        all.sort_by(|a, b| key(a).cmp(&key(b)));
        all
    }

    /// Returns the query of a link, as a browser would send it.
    fn query_of(link: &str) -> ListQuery {
        let uri = link.parse().unwrap();
        Query::try_from_uri(&uri).unwrap().0
    }

    /// Follows the links from page to page.
    fn all_pages(all: &[Receiver], first: &ListQuery) -> Vec<Receiver> {
        let (mut query, mut seen) = (first.clone(), Vec::new());
        loop {
            let (page, _, next) = select(all, &query);
            assert!(page.len() <= DASHBOARD_PAGE_ROWS);
            seen.extend(page);
            let Some(next) = next else { return seen };
            query = query_of(&next);
        }
    }

    fn uuids(receivers: &[Receiver]) -> Vec<&str> {
        receivers.iter().map(|receiver| receiver.uuid.raw()).collect()
    }

    #[test]
    fn pages_contain_every_match_once_in_every_order() {
        let all = receivers(1001);
        let query = |sort: &str, state: &str| ListQuery {
            sort: sort.into(),
            state: state.into(),
            q: "uuid-".into(),
            ..ListQuery::default()
        };
        for name in ["name", "trouble", "waiting", "dead", "last_success", "last_failure"] {
            for sort in [name.to_owned(), format!("-{name}")] {
                let order = Order::parse(&sort);
                let mut expected = all.clone();
                expected.sort_by(|a, b| order.compare(order.position(a), order.position(b)));
                assert_eq!(uuids(&all_pages(&all, &query(&sort, ""))), uuids(&expected), "{sort}");
                expected.retain(|receiver| receiver.is("tripped"));
                assert_eq!(uuids(&all_pages(&all, &query(&sort, "tripped"))), uuids(&expected), "{sort}");
            }
        }
        assert_eq!(select(&all, &query("", "tripped")).1, Count(101));
    }

    #[test]
    fn ten_thousand_subscriptions_are_paged() {
        let all = receivers(10_000);
        let first = ListQuery { sort: "-waiting".into(), ..ListQuery::default() };
        let seen = all_pages(&all, &first);
        assert!(seen.is_sorted_by(|a, b| a.waiting >= b.waiting));
        assert_eq!(uuids(&seen).into_iter().collect::<HashSet<_>>().len(), 10_000);
    }

    #[test]
    fn row_that_moves_between_two_pages_hides_no_other() {
        let mut all = receivers(120);
        let (_, _, next) = select(&all, &ListQuery { sort: "-waiting".into(), ..ListQuery::default() });
        let before = all_pages(&all, &query_of(&next.clone().unwrap()));
        // The last row of the first page is now the first of all.
        let last = query_of(&next.clone().unwrap()).after_uuid;
        let moved = all.iter_mut().find(|receiver| receiver.uuid.raw() == last).unwrap();
        moved.waiting = Count(1_000_000);
        assert_eq!(uuids(&all_pages(&all, &query_of(&next.unwrap()))), uuids(&before));
    }

    #[test]
    fn orders_are_those_of_their_names() {
        let all = receivers(200);
        let first = |sort: &str| {
            let (page, ..) = select(&all, &ListQuery { sort: sort.into(), ..ListQuery::default() });
            page.into_iter().next().unwrap()
        };
        assert_eq!(first("").name.raw(), "receiver 0000");
        assert_eq!(first("-name").name.raw(), "receiver 0099");
        assert_eq!(first("-waiting").waiting, Count(100));
        assert!(first("-trouble").is_in_trouble() && !first("trouble").is_in_trouble());
        assert!(first("last_success").last_success.is_none(), "never comes before every time");
        let newest = all.iter().filter_map(|receiver| receiver.last_failure.clone()).max_by_key(Time::micros);
        assert_eq!(first("-last_failure").last_failure, newest);
    }

    #[test]
    fn search_finds_names_hosts_and_uuids() {
        let all = receivers(20);
        let found = |q: &str| select(&all, &ListQuery { q: q.into(), ..ListQuery::default() }).1;
        assert_eq!(
            (found("RECEIVER 0003"), found("uuid-19"), found("a.example")),
            (Count(2), Count(1), Count(20))
        );
        assert_eq!(found("nothing"), Count(0));
    }

    #[test]
    fn suggestions_are_few_and_different() {
        let all = receivers(1000);
        let names = names(&all, " RECEIVER ");
        assert_eq!(names.len(), MAX_DASHBOARD_SUGGESTIONS);
        assert_eq!((names[0].raw(), names[1].raw()), ("receiver 0000", "receiver 0001"));
        assert_eq!(super::names(&all, "0499"), [Text::from("receiver 0499")]);
    }
}
