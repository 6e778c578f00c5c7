//! One client of several servers, of which some go bad: a scenario with a `[spread]` table.
//!
//! One way: [`scenario`] → [`session`] (servers and generator of each case, in shuffled rounds) → [`result`] (a row a case) →
//! [`crate::report::spread`]. What the client does is [`crate::load::spread`]'s.

pub mod result;
pub mod scenario;
pub mod session;
