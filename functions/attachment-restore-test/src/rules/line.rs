//! A line of the report: one check of one attachment.

use serde::{Deserialize, Serialize};

use super::row::{Digest, Place};

/// A verdict; the run's is the worst of its lines.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Verdict {
    Pass,
    /// The check could not be made. Never counts as passed.
    Unverified,
    /// The time was over before the check.
    NotFinished,
    Fail,
}

impl Verdict {
    /// The word in the answer and the record.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Unverified => "unverified",
            Self::NotFinished => "not-finished",
            Self::Fail => "fail",
        }
    }
}

/// The check of a line.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Check {
    /// The object can be read to its end.
    Object,
    /// It has the size that the database says.
    Size,
    /// It has the SHA-256 that the database says.
    Checksum,
    /// A version of it can be restored.
    Restore,
    /// The on-premises installation sent the file.
    OnPrem,
    /// The API delivers it.
    Download,
    /// The deleted objects of the bucket were looked for.
    Deleted,
    /// The failures were compared with the rows once more.
    Confirmation,
}

impl Check {
    /// Every check of an attachment, in the order of the report.
    pub(crate) const ALL: [Self; 6] =
        [Self::Object, Self::Size, Self::Checksum, Self::Restore, Self::OnPrem, Self::Download];

    /// The word in the answer and the record.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Size => "size",
            Self::Checksum => "checksum",
            Self::Restore => "restore",
            Self::OnPrem => "on-prem",
            Self::Download => "download",
            Self::Deleted => "deleted",
            Self::Confirmation => "confirmation",
        }
    }
}

/// An earlier version that has the content which the row says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Cure {
    pub version: String,
    /// The KMS key to encrypt its copy with. Without one, S3 takes its own and not the bucket's.
    pub kms_key: Option<String>,
}

/// The outcome of a check.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Outcome {
    /// As it must be, with this many bytes.
    Sound { bytes: u64 },
    /// The row has no size.
    NoSize,
    /// The row has no checksum, and nothing else says what the content must be.
    NoChecksum,
    /// The object is in a bucket that the function may not read.
    OtherBucket { bucket: String },
    /// The row's checksum is no SHA-256.
    OddChecksum,
    /// The row names neither an object nor a file.
    UnknownPlace,
    /// A call failed.
    Unreadable { why: String },
    /// Larger than what the test reads; with the row's checksum, if it is the row's content and the row has one.
    TooLarge { bytes: u64, expected: Option<String> },
    /// The bucket has more versions than a run lists.
    NotAllListed { pages: u16 },
    /// The rows were not read again, so that a failure may be of a row that changed meanwhile.
    NotConfirmed { why: String },
    /// The version was deleted, or the row changed or deleted, while the test ran.
    Changed,
    /// There is no bucket with the on-premises uploads.
    NoUploads { bucket: String },
    /// The file is newer than the last synchronisation that is due.
    NotDue,
    /// The stack names no application or no account.
    NoApplication,
    /// The account's secret cannot be used.
    NoAccount { why: String },
    /// The login's answer is masked, so no program can log in.
    MaskedLogin,
    /// The account requires a second factor.
    SecondFactor,
    /// The application refused the login.
    LoginFailed { answer: String },
    /// The application limits the rate of requests.
    RateLimited,
    /// The application did not deliver the file, for a reason that says nothing about the file.
    NotServed { status: u16 },
    /// The time was over.
    NotChecked,
    /// Neither the object nor a version of it exists.
    Missing,
    /// The object does not exist, and its versions could not be listed.
    Absent { why: String },
    /// A delete marker hides the object.
    Hidden { marker: String },
    /// KMS does not decrypt the object, with this code. The key is the stack's, if it names one.
    KeyUnusable { code: String, kms_key: Option<String> },
    /// No attempt could read the object to its end.
    BrokenOff { why: String, cure: Option<Cure> },
    /// The object, or this version of it, is in an archive, so nobody can read it. A tier of S3 Intelligent-Tiering is an
    /// archive that objects return from for good.
    Archived { is_tier: bool, version: Option<String> },
    /// The size differs from the row's.
    WrongSize { expected: u64, found: u64, cure: Option<Cure> },
    /// The content differs from the row's checksum.
    WrongContent { expected: String, found: String, cure: Option<Cure> },
    /// The restored copy differs from the version.
    RestoreDiffers { version: String },
    /// The on-premises uploads lack the file.
    NotSent { bucket: String },
    /// The on-premises uploads have another content.
    SentDiffers { bucket: String },
    /// The API delivers other bytes.
    ServedDiffers { found: Digest },
    /// The API answers the row as JSON in place of the file.
    ServedJson,
    /// The API has the row and does not deliver the file.
    ServeFailed { status: u16 },
}

impl Outcome {
    /// The verdict.
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Self::Sound { .. } => Verdict::Pass,
            Self::NoSize
            | Self::NoChecksum
            | Self::OtherBucket { .. }
            | Self::OddChecksum
            | Self::UnknownPlace
            | Self::Unreadable { .. }
            | Self::TooLarge { .. }
            | Self::NotAllListed { .. }
            | Self::NotConfirmed { .. }
            | Self::Changed
            | Self::NoUploads { .. }
            | Self::NotDue
            | Self::NoApplication
            | Self::NoAccount { .. }
            | Self::MaskedLogin
            | Self::SecondFactor
            | Self::LoginFailed { .. }
            | Self::RateLimited
            | Self::NotServed { .. } => Verdict::Unverified,
            Self::NotChecked => Verdict::NotFinished,
            Self::Missing
            | Self::Absent { .. }
            | Self::Hidden { .. }
            | Self::KeyUnusable { .. }
            | Self::BrokenOff { .. }
            | Self::Archived { .. }
            | Self::WrongSize { .. }
            | Self::WrongContent { .. }
            | Self::RestoreDiffers { .. }
            | Self::NotSent { .. }
            | Self::SentDiffers { .. }
            | Self::ServedDiffers { .. }
            | Self::ServedJson
            | Self::ServeFailed { .. } => Verdict::Fail,
        }
    }

    /// Whether another attempt may have another outcome: the cause is outside of the attachment.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreadable { .. }
                | Self::LoginFailed { .. }
                | Self::RateLimited
                | Self::NotServed { .. }
                | Self::NotChecked
        )
    }

    /// The stable name of the finding.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Sound { .. } => "Sound",
            Self::NoSize => "NoSize",
            Self::NoChecksum => "NoChecksum",
            Self::OtherBucket { .. } => "OtherBucket",
            Self::OddChecksum => "OddChecksum",
            Self::UnknownPlace => "UnknownPlace",
            Self::Unreadable { .. } => "Unreadable",
            Self::TooLarge { .. } => "TooLarge",
            Self::NotAllListed { .. } => "NotAllListed",
            Self::NotConfirmed { .. } => "NotConfirmed",
            Self::Changed => "Changed",
            Self::NoUploads { .. } => "NoUploads",
            Self::NotDue => "NotDue",
            Self::NoApplication => "NoApplication",
            Self::NoAccount { .. } => "NoAccount",
            Self::MaskedLogin => "MaskedLogin",
            Self::SecondFactor => "SecondFactor",
            Self::LoginFailed { .. } => "LoginFailed",
            Self::RateLimited => "RateLimited",
            Self::NotServed { .. } => "NotServed",
            Self::NotChecked => "NotChecked",
            Self::Missing => "Missing",
            Self::Absent { .. } => "Absent",
            Self::Hidden { .. } => "Hidden",
            Self::KeyUnusable { .. } => "KeyUnusable",
            Self::BrokenOff { .. } => "BrokenOff",
            Self::Archived { .. } => "Archived",
            Self::WrongSize { .. } => "WrongSize",
            Self::WrongContent { .. } => "WrongContent",
            Self::RestoreDiffers { .. } => "RestoreDiffers",
            Self::NotSent { .. } => "NotSent",
            Self::SentDiffers { .. } => "SentDiffers",
            Self::ServedDiffers { .. } => "ServedDiffers",
            Self::ServedJson => "ServedJson",
            Self::ServeFailed { .. } => "ServeFailed",
        }
    }
}

/// A line of the report.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Line {
    /// The attachment's id; the key of a deleted object as [`shown`](super::row::shown); the bucket.
    pub object: String,
    pub place: Place,
    pub check: Check,
    pub outcome: Outcome,
}

impl Line {
    pub(crate) fn verdict(&self) -> Verdict {
        self.outcome.verdict()
    }
}
