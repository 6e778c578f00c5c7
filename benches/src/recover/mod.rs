//! `lab recover`: what an engine does past its limit, and how it comes back.
//!
//! [`plan`] (pure) says which stories are told of each engine; [`session`] starts a server for each (`server`), offers the
//! load (`users`) and appends a row ([`result`]); [`score`] (pure) makes figures of the counts. The report works from the
//! rows alone.
//!
//! Not the load generator of [`crate::load`], though its connections, schedules and requests are: that one measures a server and
//! waits for every reply, while users here have patience, give up and try again, which is what makes an overload last.

pub mod plan;
pub mod result;
pub mod score;
mod server;
pub mod session;
mod users;
