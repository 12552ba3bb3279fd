//! The function against the wire protocols of AWS: real SDK, real signing, a table in memory.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod person;
mod slack;
