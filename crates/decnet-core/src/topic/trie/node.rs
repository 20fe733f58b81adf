//! A place in the trie. What routing needs of it is one cache line, since at a hundred thousand patterns it is the
//! memory that takes the time.

/// Where a node is.
pub(super) type NodeId = u32;

pub(super) const ROOT: NodeId = 0;
/// No node.
pub(super) const NONE: NodeId = NodeId::MAX;

/// Longest token that is kept in its node, in bytes.
const SHORT_BYTES: usize = 22;
const _: () = assert!(size_of::<Node>() == 64);

/// What routing reads.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Node {
    parent: NodeId,
    /// Where `*` leads.
    pub(super) star: NodeId,
    token: Token,
    /// Whose patterns end here.
    pub(super) here: Ends,
    /// Whose patterns go on with `>`.
    pub(super) below: Ends,
}

/// A node among its siblings.
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

/// A set of subscriptions; most have one member at most.
#[derive(Debug, Default)]
pub(super) enum Ends {
    #[default]
    None,
    One(u32),
    /// Ascending.
    #[expect(clippy::box_collection, reason = "a vector by itself does not fit into the node's cache line")]
    Many(Box<Vec<u32>>),
}

impl Node {
    pub(super) fn new(parent: NodeId, token: &str) -> Self {
        Self { parent, star: NONE, token: Token::new(token), here: Ends::None, below: Ends::None }
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

    /// Is it where `token` leads from `parent`?
    pub(super) fn is(&self, parent: NodeId, token: &[u8]) -> bool {
        self.parent == parent && self.token() == token
    }

    pub(super) fn has_ends(&self) -> bool {
        !matches!((&self.here, &self.below), (Ends::None, Ends::None))
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

impl Ends {
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    #[inline]
    pub(super) fn add_to(&self, found: &mut Vec<u32>) {
        match self {
            Self::None => {}
            Self::One(subscription) => found.push(*subscription),
            Self::Many(all) => found.extend_from_slice(all),
        }
    }

    /// Quick for numbers that come in ascending order.
    pub(super) fn insert(&mut self, new: u32) {
        match self {
            Self::None => *self = Self::One(new),
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
            Self::One(only) if *only == old => *self = Self::None,
            Self::None | Self::One(_) => {}
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
