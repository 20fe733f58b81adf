//! What filters mean, what is rejected and why, and how much evaluation costs.

mod bounds;
mod faults;
mod guide;
mod mistakes;
mod properties;
mod semantics;
mod support;
