//! One file a subcommand: arguments to a call of the library, its result to text.

pub mod doctor;
pub mod flame;
pub mod hold;
pub mod holder;
pub mod list;
pub mod load;
pub mod recover;
pub mod report;
pub mod run;
pub mod warden;
pub mod wire;
