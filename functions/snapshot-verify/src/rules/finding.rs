//! Findings: their kinds, what they are about, and their effect.

use shared::aws::snapshots::{Database, Kind};

use super::snapshot::Snapshot;

/// Something that a person should know of a snapshot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Finding {
    /// RDS has given it up.
    Failed {
        /// RDS's word.
        status: String,
        /// Whether it is a copy.
        is_copy: bool,
    },
    /// It is not done after all this time.
    Slow {
        /// Hours since it began, or since it was first seen.
        hours: i64,
        /// How much of it is done, in percent.
        progress: i32,
        /// Whether it is a copy.
        is_copy: bool,
    },
    /// Every account of AWS may restore it.
    Public,
    /// Other accounts may restore it.
    Shared {
        /// Their ids.
        accounts: Vec<String>,
    },
    /// RDS did not take the copy.
    CopyRefused {
        /// Why.
        why: String,
    },
    /// It could not be seen, so nothing is known.
    InsufficientData {
        /// Why.
        why: String,
    },
    /// The newest copy that could be restored is older than two days' copies take.
    CopyStale {
        /// Hours since its data were taken.
        hours: i64,
        /// Its name.
        newest: String,
    },
    /// There is no snapshot that could be copied.
    NoSource,
    /// RDS copies no snapshot of a Multi-AZ DB cluster.
    CopyUnsupported,
    /// It is not encrypted.
    NotEncrypted,
    /// Its size is far from the one before.
    SizeDoubtful {
        /// In percent of the one before.
        percent: i64,
        /// The one before.
        before: String,
    },
    /// Tags are missing, or of another environment.
    Untagged {
        /// Their keys.
        missing: Vec<&'static str>,
    },
    /// Nothing says until when it is to be kept, so it stays.
    NoExpiry,
    /// It has expired, and could not be deleted.
    NotDeleted {
        /// Why.
        why: String,
    },
}

impl Finding {
    /// Stable name.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Failed { is_copy: false, .. } => "SnapshotFailed",
            Self::Failed { is_copy: true, .. } => "CopyFailed",
            Self::Slow { is_copy: false, .. } => "SnapshotSlow",
            Self::Slow { is_copy: true, .. } => "CopySlow",
            Self::Public => "PublicSnapshot",
            Self::Shared { .. } => "SharedSnapshot",
            Self::CopyRefused { .. } => "CopyRefused",
            Self::InsufficientData { .. } => "InsufficientData",
            Self::CopyStale { .. } => "CopyStale",
            Self::NoSource => "NoSource",
            Self::CopyUnsupported => "CopyUnsupported",
            Self::NotEncrypted => "NotEncrypted",
            Self::SizeDoubtful { .. } => "SizeDoubtful",
            Self::Untagged { .. } => "Untagged",
            Self::NoExpiry => "NoExpiry",
            Self::NotDeleted { .. } => "NotDeleted",
        }
    }

    /// Whether somebody is woken.
    pub(crate) fn pages(&self) -> bool {
        matches!(
            self,
            Self::Failed { .. }
                | Self::Public
                | Self::Shared { .. }
                | Self::CopyRefused { .. }
                | Self::CopyStale { .. }
                | Self::Slow { is_copy: true, .. }
        )
    }

    /// Whether a run with it is not green. Storage that was enlarged is only told.
    pub(crate) fn fails(&self) -> bool {
        !matches!(self, Self::SizeDoubtful { percent, .. } if *percent > 100)
    }
}

/// What a finding is about.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// One snapshot; with its region when that is the copies'.
    Snapshot(Box<Snapshot>, Option<String>),
    /// The automated snapshots of an instance or cluster.
    Automated(Database),
    /// The daily copy of the database's snapshot.
    Copy {
        /// The instance or cluster.
        database: Database,
        /// The region that it is copied to.
        region: String,
        /// The key there.
        key: String,
    },
    /// The snapshots of another region.
    Region(String),
}

impl Subject {
    /// What names it in a key: a snapshot's is its name, behind `cluster/` when it is a cluster's, and ends with its region when
    /// that is the copies'.
    pub(crate) fn label(&self) -> String {
        let of = |kind: Kind| if kind == Kind::Cluster { "cluster/" } else { "" };
        match self {
            Self::Snapshot(snapshot, None) => format!("{}{}", of(snapshot.kind), snapshot.name),
            Self::Snapshot(snapshot, Some(region)) => {
                format!("{}{} ({region})", of(snapshot.kind), snapshot.name)
            }
            Self::Automated(database) => format!("automated/{}{}", of(database.kind), database.id),
            Self::Copy { database, .. } => format!("copy/{}{}", of(database.kind), database.id),
            Self::Region(region) => format!("region ({region})"),
        }
    }
}

/// Something, and what is wrong with it.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    /// What it is about.
    pub subject: Subject,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Judged {
    pub(crate) fn new(subject: Subject, finding: Finding) -> Self {
        Self { subject, findings: vec![finding] }
    }
}

/// What makes findings of two runs the same one.
pub(crate) fn key(subject: &Subject, finding: &Finding) -> String {
    format!("{} {}", finding.kind(), subject.label())
}

/// The key in a record's line.
pub(crate) fn key_of(line: &str) -> &str {
    line.split(": ").next().unwrap_or(line)
}
