//! Findings: kinds, subjects and effects.

use shared::aws::snapshots::{Database, Kind, Snapshot};

/// A finding about a snapshot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Finding {
    /// RDS could not complete it.
    Failed {
        /// RDS's status.
        status: String,
        /// Whether it is a copy.
        is_copy: bool,
    },
    /// It is not complete within the policy's limit.
    Slow {
        /// Hours since it was started or first seen.
        hours: i64,
        /// Progress, in percent.
        progress: i32,
        /// Whether it is a copy.
        is_copy: bool,
    },
    /// Every AWS account may restore it.
    Public,
    /// Other accounts may restore it.
    Shared {
        /// Their ids.
        accounts: Vec<String>,
    },
    /// RDS refused the copy.
    CopyRefused {
        /// Why.
        why: String,
    },
    /// It could not be read, so its state is unknown.
    InsufficientData {
        /// Why.
        why: String,
    },
    /// The newest good copy is older than two days plus the time that a copy may take.
    CopyStale {
        /// Hours since its data were taken.
        hours: i64,
        /// Its name.
        newest: String,
    },
    /// No snapshot can be copied.
    NoSource,
    /// RDS copies no snapshot of a Multi-AZ DB cluster.
    CopyUnsupported,
    NotEncrypted,
    /// Its size differs implausibly from the previous snapshot's.
    SizeDoubtful {
        /// In percent of the previous snapshot's size.
        percent: i64,
        /// Name of the previous snapshot.
        before: String,
    },
    /// Tags are missing or name another environment.
    Untagged {
        /// Their keys.
        missing: Vec<&'static str>,
    },
    /// No valid tag limits its retention, so it is never deleted.
    NoExpiry,
    /// It has expired, but could not be deleted.
    NotDeleted {
        /// Why.
        why: String,
    },
}

impl Finding {
    /// The stable kind.
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

    /// Returns true if the finding pages the on-call engineer.
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

    /// Returns true if the finding fails the run. Growth is only reported.
    pub(crate) fn fails(&self) -> bool {
        !matches!(self, Self::SizeDoubtful { percent, .. } if *percent > 100)
    }
}

/// The subject of a finding.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// One snapshot, with the region if it is the copies'.
    Snapshot(Box<Snapshot>, Option<String>),
    /// The automated snapshots of an instance or cluster.
    Automated(Database),
    /// The daily copy of the database's snapshot.
    Copy {
        /// The instance or cluster.
        database: Database,
        /// The region of the copy.
        region: String,
        /// ARN of the key in that region.
        key: String,
    },
    /// The snapshots of another region.
    Region(String),
}

impl Subject {
    /// The subject's name in keys: for a snapshot its name, preceded by `cluster/` if it is a cluster's, and followed
    /// by the region if it is the copies'.
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

/// A subject and its findings.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    pub subject: Subject,
    pub findings: Vec<Finding>,
}

impl Judged {
    pub(crate) fn new(subject: Subject, finding: Finding) -> Self {
        Self { subject, findings: vec![finding] }
    }
}

/// The key by which two runs recognise the same finding.
pub(crate) fn key(subject: &Subject, finding: &Finding) -> String {
    format!("{} {}", finding.kind(), subject.label())
}
