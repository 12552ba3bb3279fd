//! The operators' language.

pub use policy::language::Language;
