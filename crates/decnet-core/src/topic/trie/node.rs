//! Nodes of the trie. The part that routing reads is one cache line, since with a hundred thousand patterns memory access
//! dominates the time.

/// The index of a node.
pub(super) type NodeId = u32;

pub(super) const ROOT: NodeId = 0;
/// The absence of a node.
pub(super) const NONE: NodeId = NodeId::MAX;

/// Maximum length of a token that is stored in its node, in bytes.
const SHORT_BYTES: usize = 22;
const _: () = assert!(size_of::<Node>() == 64);

/// The part of a node that routing reads.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Node {
    parent: NodeId,
    /// The child for `*`.
    pub(super) star: NodeId,
    token: Token,
    /// The subscriptions whose patterns end at this node.
    pub(super) exact: SubscriptionSet,
    /// The subscriptions whose patterns continue with `>`.
    pub(super) tail: SubscriptionSet,
}

/// The links of a node to its siblings and children.
#[derive(Debug, Clone, Copy)]
pub(super) struct Links {
    pub(super) first_child: NodeId,
    pub(super) next: NodeId,
    pub(super) previous: NodeId,
}

#[derive(Debug)]
enum Token {
    Short { len: u8, bytes: [u8; SHORT_BYTES] },
    Long(Box<str>),
}

/// A set of subscriptions; most sets have at most one member.
#[derive(Debug, Default)]
pub(super) enum SubscriptionSet {
    #[default]
    Empty,
    One(u32),
    /// Two or more members, in ascending order.
    #[expect(clippy::box_collection, reason = "a vector by itself does not fit into the node's cache line")]
    Many(Box<Vec<u32>>),
}

impl Node {
    pub(super) fn new(parent: NodeId, token: &str) -> Self {
        let (exact, tail) = (SubscriptionSet::Empty, SubscriptionSet::Empty);
        Self { parent, star: NONE, token: Token::new(token), exact, tail }
    }

    pub(super) fn parent(&self) -> NodeId {
        self.parent
    }

    pub(super) fn token(&self) -> &[u8] {
        match &self.token {
            Token::Short { len, bytes } => &bytes[..usize::from(*len)],
            Token::Long(text) => text.as_bytes(),
        }
    }

    /// Returns whether this node is the child of `parent` for `token`.
    pub(super) fn is_child(&self, parent: NodeId, token: &[u8]) -> bool {
        self.parent == parent && self.token() == token
    }

    pub(super) fn has_subscriptions(&self) -> bool {
        !(self.exact.is_empty() && self.tail.is_empty())
    }
}

impl Default for Links {
    fn default() -> Self {
        Self { first_child: NONE, next: NONE, previous: NONE }
    }
}

impl Token {
    fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT_BYTES];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(start), Ok(len)) => {
                start.copy_from_slice(text.as_bytes());
                Self::Short { len, bytes }
            }
            _ => Self::Long(text.into()),
        }
    }
}

impl SubscriptionSet {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    #[inline]
    pub(super) fn add_to(&self, found: &mut Vec<u32>) {
        match self {
            Self::Empty => {}
            Self::One(subscription) => found.push(*subscription),
            Self::Many(all) => found.extend_from_slice(all),
        }
    }

    /// Adds a member; fast for ascending numbers.
    pub(super) fn insert(&mut self, new: u32) {
        match self {
            Self::Empty => *self = Self::One(new),
            Self::One(only) if *only == new => {}
            Self::One(only) => *self = Self::Many(Box::new(vec![new.min(*only), new.max(*only)])),
            Self::Many(all) if all.last().is_some_and(|last| *last < new) => all.push(new),
            Self::Many(all) => {
                if let Err(at) = all.binary_search(&new) {
                    all.insert(at, new);
                }
            }
        }
    }

    pub(super) fn remove(&mut self, old: u32) {
        match self {
            Self::One(only) if *only == old => *self = Self::Empty,
            Self::Empty | Self::One(_) => {}
            Self::Many(all) => {
                if let Ok(at) = all.binary_search(&old) {
                    all.remove(at);
                }
                if let [only] = all[..] {
                    *self = Self::One(only);
                }
            }
        }
    }
}
