//! Memory errors stopped at the moment they happen: guard pages, and sampled blocks between them.
