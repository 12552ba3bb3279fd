//! The AWS calls. The only files that name SDK operations of this function alone.

pub(crate) mod application;
pub(crate) mod rds;
pub(crate) mod s3;

use jiff::Timestamp;
use shared::runtime::failure::CallError;

use crate::facts::Seen;

/// A page of a list, and where the next one begins.
pub(crate) type Page<T> = (Vec<T>, Option<String>);

/// A part of an answer that AWS always sends. Without it the answer was not understood, which is no empty list.
fn reported<T>(operation: &'static str, part: &str, found: Option<T>) -> Seen<T> {
    found.ok_or_else(|| CallError {
        operation,
        code: "NotUnderstood".to_owned(),
        message: format!("the answer has no {part}"),
    })
}

/// All of a list, or that one of it has no name.
fn whole<T>(operation: &'static str, found: impl Iterator<Item = Option<T>>) -> Seen<Vec<T>> {
    reported(operation, "name of an entry", found.collect())
}

/// What is described by its name.
fn one<F, T>(
    operation: &'static str,
    part: &str,
    found: Option<Vec<F>>,
    of: impl Fn(F) -> Option<T>,
) -> Seen<Option<T>> {
    let first = reported(operation, part, found)?.into_iter().next();
    first.map(|first| reported(operation, "name of an entry", of(first))).transpose()
}

fn instant(at: Option<aws_smithy_types::DateTime>) -> Option<Timestamp> {
    let at = at?;
    Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok()
}
