//! Memory errors stopped at the moment they happen: guard pages, sampled blocks between them, the
//! sealed blocks and the quarantine of hardened mode.

pub(crate) mod quarantine;
pub(crate) mod seal;
