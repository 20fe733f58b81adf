//! The dashboard's HTML: templates, the values that they show, and static files.
//!
//! This crate only renders. It opens no file, no socket and no database, and it does not know HTTP: `decnet-api` reads the
//! values, checks the access, and sends the pages.
//!
//! Events, replies and names are written by others, and some of these by attackers. Two rules keep them text: templates escape
//! every value, and values of foreign origin are a [`Text`], which also makes control and formatting characters visible.
//!
//! - [`Frame`]: what every page has: the navigation, the nonce, the session's form token;
//! - [`Text`], [`Time`], [`Count`], [`Span`]: values in a form that people read;
//! - [`advice`]: what a failure means and what to do;
//! - [`receiver`], [`delivery`], [`steps`], [`filter`], [`failure`], [`explanation`], [`job`], [`topics`], [`names`], [`access`], [`audit`]:
//!   the values of the pages;
//! - [`form`], [`previewed`], [`exchange`]: the form of a subscription, its preview, and the result of a test;
//! - [`traffic`], [`chart`]: rates, latency and backlog over time;
//! - [`columns`]: the columns of a list that can be sorted;
//! - [`page`], [`forms`]: one template per page;
//! - [`assets`]: the stylesheet and the scripts, with a content hash in their names.

pub mod access;
pub mod advice;
pub mod assets;
pub mod audit;
pub mod chart;
pub mod columns;
mod curl;
pub mod delivery;
pub mod exchange;
pub mod explanation;
pub mod failure;
pub mod filter;
pub mod form;
pub mod forms;
mod frame;
pub mod job;
mod json;
pub mod names;
mod overview;
pub mod page;
pub mod previewed;
pub mod receiver;
pub mod steps;
mod text;
mod time;
pub mod topics;
pub mod traffic;
mod units;

pub use frame::{Frame, Notice};
pub use overview::{Overview, Parts};
pub use text::{Text, encode};
pub use time::Time;
pub use units::{Count, Span};
