//! The AWS calls. The only files that name SDK operations of this function alone.

pub(crate) mod application;
pub(crate) mod rds;
pub(crate) mod s3;

use jiff::Timestamp;

/// A page of a list, and where the next one begins.
pub(crate) type Page<T> = (Vec<T>, Option<String>);

fn instant(at: Option<aws_smithy_types::DateTime>) -> Option<Timestamp> {
    let at = at?;
    Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok()
}
