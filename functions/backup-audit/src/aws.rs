//! The AWS calls. The only files that name SDK operations of this function alone.

pub(crate) mod application;
pub(crate) mod rds;
pub(crate) mod s3;

use jiff::Timestamp;
use shared::runtime::failure::CallError;

use crate::rules::facts::Seen;

/// A page of a list, and the token of the next one.
pub(crate) type Page<T> = (Vec<T>, Option<String>);

/// A part that AWS always sends. Without it the answer was not understood; it is not an empty list.
fn present<T>(operation: &'static str, part: &str, found: Option<T>) -> Seen<T> {
    found.ok_or_else(|| CallError {
        operation,
        code: "NotUnderstood".to_owned(),
        message: format!("the answer has no {part}"),
    })
}

/// All entries of a list; an error if one has no name.
fn whole<T>(operation: &'static str, found: impl Iterator<Item = Option<T>>) -> Seen<Vec<T>> {
    present(operation, "name of an entry", found.collect())
}

/// The first entry of an answer about one resource; none if there is no entry, or RDS refuses the name with the code `missing`.
fn one<F, T>(
    operation: &'static str,
    (part, missing): (&str, &str),
    found: Seen<Option<Vec<F>>>,
    of: impl Fn(F) -> Option<T>,
) -> Seen<Option<T>> {
    let found = match found {
        Err(call) if call.code.starts_with(missing) => return Ok(None),
        found => found?,
    };
    let first = present(operation, part, found)?.into_iter().next();
    first.map(|first| present(operation, "name of an entry", of(first))).transpose()
}

fn instant(at: Option<aws_smithy_types::DateTime>) -> Option<Timestamp> {
    let at = at?;
    Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok()
}
