//! One subscription's lane: what of its deliveries is in memory, and what it may do now.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use decnet_core::concurrency::Window;
use decnet_core::health::Health;
use decnet_core::limits::{
    LANE_BYTES, LANE_CAPACITY, LANE_FLIGHT, LANE_FLIGHT_BYTES, UNANSWERED_CONCURRENCY,
};
use decnet_core::settings::{Batch, Concurrency, Pace};
use decnet_core::time::{BootMicros, UnixMicros};
use decnet_store::catalog::{RowVersion, Stored};
use decnet_store::queue::{Claim, DeliveryId, SubscriptionKey};

use crate::backlog::{Backlog, Queued};
use crate::clock::Clock;
use crate::hold::Hold;
use crate::in_hand::InHand;
use crate::members::{Held, Members, Origin};
use crate::memory::Share;
use crate::record::PendingRecord;
use crate::sender::Target;
use crate::shown::Tally;
use crate::slots::Place;
use crate::status::Status;
use crate::told::Told;
use crate::trouble::Trouble;

/// All that the dispatcher knows of one subscription.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) key: SubscriptionKey,
    pub(crate) stored: Stored,
    /// The row as our own writes have left it: what the next write is fenced by.
    pub(crate) row: Arc<RowVersion>,
    /// Raised whenever URL, secret or activity change: what an older version learnt does not count.
    pub(crate) version: u64,
    /// Made when it is first needed: it is most of what a lane takes, and most lanes of many are quiet.
    target: Option<Rc<Target>>,
    pub(crate) status: Status,
    pub(crate) health: Health,
    /// The last word was a quick success.
    pub(crate) proven: bool,
    /// The last attempt was answered well, quickly or not.
    pub(crate) answers: bool,
    /// How many requests its receiver takes at once.
    pub(crate) window: Window,
    /// Waits for a slot.
    pub(crate) waiting: Option<Place>,
    pub(crate) in_flight: usize,
    /// What its requests in flight carry.
    carried: Share,
    /// Attempts that are over, commit under way.
    pub(crate) settling: usize,
    /// Admitted as held, commit under way.
    pub(crate) reserved: usize,
    pub(crate) backlog: Backlog,
    pace: Pace,
    pub(crate) hold: Hold,
    /// When its hold, its rate or its batch lets it go on, if that is waited for.
    pub(crate) wake_at: Option<BootMicros>,
    pub(crate) record: PendingRecord,
    pub(crate) trouble: Trouble,
    pub(crate) tally: Tally,
    pub(crate) clock: Clock,
    pub(crate) told: Told,
    ready: VecDeque<Held>,
    in_hand: InHand,
    bytes: usize,
}

impl Lane {
    pub(crate) fn new(
        key: SubscriptionKey,
        stored: Stored,
        health: Health,
        status: Status,
        tally: Tally,
        clock: Clock,
    ) -> Self {
        Self {
            key,
            version: 0,
            target: None,
            status,
            row: Arc::clone(&stored.version),
            stored,
            health,
            proven: false,
            answers: false,
            window: Window::new(),
            waiting: None,
            in_flight: 0,
            carried: Share { deliveries: 0, bytes: 0 },
            settling: 0,
            reserved: 0,
            backlog: Backlog::default(),
            pace: Pace::default(),
            hold: Hold::default(),
            wake_at: None,
            record: PendingRecord::default(),
            trouble: Trouble::default(),
            tally,
            clock,
            told: Told::default(),
            ready: VecDeque::new(),
            in_hand: InHand::default(),
            bytes: 0,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.stored.subscription.name
    }

    /// Takes over what the row says now.
    pub(crate) fn adopt(&mut self, stored: Stored) {
        let (old, new) = (&self.stored.settings, &stored.settings);
        if (old.rate, old.batch) != (new.rate, new.batch) {
            // A pace that was kept for an older rate says nothing about the new one, nor does an older batch's linger.
            (self.pace, self.wake_at) = (Pace::default(), None);
        }
        if self.stored.subscription.name != stored.subscription.name {
            self.tally.renamed(&stored.subscription.name);
        }
        self.row = Arc::clone(&stored.version);
        self.target = None;
        self.stored = stored;
        self.tally.stands(self.status.standing(self.is_paused()));
    }

    /// Its receiver is another one now: what was learnt of the old one counts no more.
    pub(crate) fn renew(&mut self, version: u64, health: Health) {
        self.version = version;
        self.health = health;
        (self.proven, self.answers, self.window) = (false, false, Window::new());
        // What is not written yet must not stain the new one.
        self.record = PendingRecord::default();
    }

    /// What an attempt needs of the row.
    pub(crate) fn target(&mut self) -> Rc<Target> {
        let prepare = || {
            let target = Target::of(&self.stored);
            Rc::new(target.expect("rows that cannot be sent to are sorted out when they are read"))
        };
        Rc::clone(self.target.get_or_insert_with(prepare))
    }

    /// Does the row say nothing new?
    pub(crate) fn is_as(&self, stored: &Stored) -> bool {
        self.stored == *stored && self.status.is_like(Status::of(stored, BootMicros(0)))
    }

    /// May it send, for all that receiver and operator say?
    pub(crate) fn is_open(&self) -> bool {
        self.status == Status::Open && !self.is_paused()
    }

    /// An operator holds back all that is routed to it. Its status goes on beside that: what trips while it is paused
    /// is tripped when it is resumed.
    pub(crate) fn is_paused(&self) -> bool {
        self.stored.paused
    }

    /// Most requests in flight, where it is `default` for all.
    pub(crate) fn concurrency(&self, default: usize) -> usize {
        self.stored.settings.concurrency.map_or(default, Concurrency::get)
    }

    /// Has it something to send that it may send now, if there is a slot? A receiver that has not answered yet,
    /// or not well, is sent a few requests only: if it hangs, it holds no more slots than those.
    pub(crate) fn may_start(&self, default_concurrency: usize) -> bool {
        let concurrency = self.concurrency(default_concurrency);
        let allowed = match (self.stored.settings.ordered, self.answers) {
            (true, _) => usize::from(!self.backlog.holds_the_line()),
            (false, true) => self.window.allowed(concurrency),
            (false, false) => self.window.allowed(concurrency.min(UNANSWERED_CONCURRENCY)),
        };
        self.is_open()
            && self.waiting.is_none()
            && self.in_flight < allowed
            && self.carried.deliveries < LANE_FLIGHT
            && self.carried.bytes < LANE_FLIGHT_BYTES
            && !self.ready.is_empty()
    }

    /// A request with these begins.
    pub(crate) fn begin(&mut self, members: &Members) {
        self.in_flight += 1;
        self.tally.begins();
        self.carried.deliveries += members.len();
        self.carried.bytes += members.bytes();
    }

    /// It is over.
    pub(crate) fn end(&mut self, deliveries: usize, bytes: usize, failed: bool) {
        self.in_flight -= 1;
        self.tally.ends(failed);
        self.carried.deliveries -= deliveries;
        self.carried.bytes -= bytes;
    }

    /// Returns until when a hold, its rate or its batch keeps it from sending. Reads the clock only where it has one of them.
    pub(crate) fn held_back_until(&self) -> Option<BootMicros> {
        let settings = &self.stored.settings;
        let paced = settings.rate.map(|rate| self.pace.earliest(rate));
        let gathered = settings.batch.and_then(|batch| self.gathers_until(batch));
        self.hold.until().max(paced).max(gathered).filter(|until| *until > self.clock.uptime())
    }

    /// Until when what is in memory waits for more to be sent with.
    fn gathers_until(&self, batch: Batch) -> Option<BootMicros> {
        let first = self.ready.front()?;
        let is_due = batch.is_due(first.attempts, self.ready.len(), self.bytes, Duration::ZERO);
        (!is_due).then(|| first.since.after(batch.linger()))
    }

    /// From now on its status is another.
    pub(crate) fn stand(&mut self, status: Status) {
        self.status = status;
        self.tally.stands(status.standing(self.is_paused()));
    }

    /// It may send again: asks the queue for all that was parked, whenever it would have been due.
    pub(crate) fn reopen(&mut self) {
        self.stand(Status::Open);
        self.hurry();
    }

    /// Sends what waits for a retry now, for as long as the receiver answers well.
    pub(crate) fn hurry(&mut self) {
        self.backlog.look_everywhere();
        self.backlog.impatient = true;
    }

    /// Nothing of it is under way any more.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight == 0
            && self.settling == 0
            && self.reserved == 0
            && !self.backlog.claiming
            && self.ready.is_empty()
    }

    /// Of what waits in memory, the delivery that goes first: about the oldest.
    pub(crate) fn oldest_held(&self) -> Option<DeliveryId> {
        self.ready.front().map(|held| held.id)
    }

    pub(crate) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// May a newly admitted delivery stay in memory? Not while older ones are left in the queue: under a steady
    /// load they would wait for ever.
    pub(crate) fn has_room_for(&self, bytes: usize, capacity: usize) -> bool {
        let count = self.ready.len() + self.reserved;
        self.is_open()
            && (self.backlog.queued == Queued::Nothing || self.backlog.draining)
            && count < capacity
            && (count == 0 || self.bytes + bytes <= LANE_BYTES)
    }

    /// Is the receiver worth many deliveries in memory? Where order counts, one goes at a time anyway.
    pub(crate) fn is_fast(&self) -> bool {
        self.proven && !self.stored.settings.ordered
    }

    pub(crate) fn ready_bytes(&self) -> usize {
        self.bytes
    }

    /// How many deliveries to read back now.
    pub(crate) fn room(&self, capacity: usize) -> usize {
        capacity.saturating_sub(self.ready.len() + self.reserved)
    }

    /// Up to how many deliveries in memory it asks the queue for more: half of its room, and whatever is less than a
    /// batch, which would wait for the others in vain.
    pub(crate) fn low_water(&self, capacity: usize) -> usize {
        let batch = self.stored.settings.batch.map_or(0, |batch| batch.max_events() - 1);
        batch.max(capacity / 2)
    }

    /// How many deliveries so many requests can carry; worth reading back even where there is little room.
    pub(crate) fn burst(&self, requests: usize) -> usize {
        let members = self.stored.settings.batch.map_or(1, Batch::max_events);
        (requests * members).min(LANE_CAPACITY)
    }

    pub(crate) fn room_bytes(&self) -> usize {
        LANE_BYTES.saturating_sub(self.bytes)
    }

    /// Takes a delivery in, behind what is there.
    pub(crate) fn push(&mut self, mut held: Held) {
        self.note(&mut held);
        self.ready.push_back(held);
    }

    /// Takes retries in, before what has not been tried, in the order they came; where order counts, in that of
    /// their admission: the members of a batch that failed may be due at different times.
    pub(crate) fn push_retries(&mut self, retries: impl DoubleEndedIterator<Item = Held>) {
        for mut held in retries.rev() {
            self.note(&mut held);
            self.ready.push_front(held);
        }
        if self.stored.settings.ordered {
            let tried = self.ready.iter().take_while(|held| held.origin == Origin::Retry).count();
            self.ready.make_contiguous()[..tried].sort_by_key(|held| held.id);
        }
    }

    /// Takes back what was to be sent and was not, to where it was taken from.
    pub(crate) fn put_back(&mut self, Members { first, rest }: Members) {
        for held in rest.into_iter().rev().chain([first]) {
            self.bytes += held.bytes();
            self.ready.push_front(held);
        }
    }

    fn note(&mut self, held: &mut Held) {
        if self.stored.settings.batch.is_some() {
            held.since = self.clock.uptime();
        }
        self.bytes += held.bytes();
        self.mark_claimed(held);
    }

    /// What goes in the next request, which counts once for the rate.
    pub(crate) fn pop(&mut self) -> Option<Members> {
        let first = self.pop_one()?;
        let settings = &self.stored.settings;
        if let Some(rate) = settings.rate {
            self.pace.count(rate, self.clock.uptime());
        }
        let rest = settings.batch.map_or_else(Vec::new, |batch| self.gather(batch, &first));
        Some(Members { first, rest })
    }

    /// Who goes with it.
    fn gather(&mut self, batch: Batch, first: &Held) -> Vec<Held> {
        let format = batch.format();
        let (mut attempts, mut bytes) = (first.attempts, format.share(&first.event));
        let mut rest = Vec::new();
        while let Some(next) = self.ready.front() {
            let share = format.share(&next.event);
            attempts = attempts.max(next.attempts);
            if !batch.has_room(attempts, 1 + rest.len(), bytes, share) {
                break;
            }
            bytes += share;
            rest.extend(self.pop_one());
        }
        rest
    }

    fn pop_one(&mut self) -> Option<Held> {
        let held = self.ready.pop_front()?;
        self.bytes -= held.bytes();
        Some(held)
    }

    /// Gives up everything that waits in memory; what it returns is held and must be released in the queue.
    pub(crate) fn give_up(&mut self) -> Vec<Held> {
        self.bytes = 0;
        let (held, claimed): (Vec<Held>, Vec<Held>) =
            self.ready.drain(..).partition(|held| held.origin == Origin::Admitted);
        for delivery in &claimed {
            self.unclaim(delivery.id, delivery.origin);
        }
        if !claimed.is_empty() {
            self.backlog.look_everywhere();
        }
        held
    }

    /// Begins a claim of a share, of what is due at `now`.
    pub(crate) fn claim(&mut self, share: Share, now: UnixMicros) -> Claim {
        self.backlog.begin_claim(share, self.stored.settings.ordered);
        let after = self.backlog.claimed_up_to;
        let exclude = self.in_hand.beyond(after);
        let now = if self.backlog.impatient { UnixMicros(i64::MAX) } else { now };
        Claim { sub: self.key, after, exclude, limit: share.deliveries, max_bytes: share.bytes, now }
    }

    /// Remembers a claimed delivery that comes into memory.
    pub(crate) fn mark_claimed(&mut self, held: &Held) {
        self.in_hand.take(held.id, held.origin);
    }

    /// A claimed delivery's settlement is committed.
    pub(crate) fn unclaim(&mut self, id: DeliveryId, origin: Origin) {
        self.in_hand.let_go(id, origin);
    }
}
