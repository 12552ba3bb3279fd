//! The findings. No I/O, no clock.

use jiff::Timestamp;

use super::facts::Rotator;

/// A problem of a secret, or a missing fact.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Finding {
    /// The current value is older than the policy allows.
    Overdue {
        /// When it reached its maximum age.
        due: Timestamp,
    },
    /// The service has missed a scheduled rotation.
    RotationLate {
        /// End of the missed rotation window.
        since: Timestamp,
    },
    /// A rotation is stuck.
    StuckPending {
        /// The AWSPENDING version.
        pending: String,
        /// The AWSCURRENT version.
        current: Option<String>,
        /// Creation of the pending version, or the latest time at which it can have been created.
        since: Timestamp,
        /// Whether the pending value may be the only valid one, so that it must not be removed unchecked.
        may_be_in_force: bool,
    },
    /// A fact could not be read. Never a pass.
    InsufficientData {
        /// The failed call and its reason.
        why: String,
    },
    /// The policy or the template names it, but it does not exist.
    Missing,
    /// It has no value.
    Empty,
    /// Its resource policy admits strangers.
    WidePolicy {
        /// The first stranger; `*` means every AWS account.
        principal: String,
    },
    /// A function of this product must rotate it, but rotation is off.
    RotationOff {
        /// The function.
        rotator: Rotator,
    },
    /// The policy declares a login by IAM, but RDS does not accept IAM logins on the instance.
    IamLoginOff {
        /// The instance.
        instance: String,
    },
    /// The current value will soon reach its maximum age.
    DueSoon {
        /// When it reaches its maximum age.
        due: Timestamp,
    },
    /// Tags and name disagree on the environment or the project; either may be right.
    TagsContradict {
        /// The tag.
        tag: &'static str,
        /// Its value.
        value: String,
        /// The value according to the name.
        named: String,
        /// Whether the tags name this environment, which then audits it.
        is_here: bool,
    },
    /// Its name belongs to this environment, but tags are missing or have values of no known stack.
    TagsMissing {
        /// The tags with their required values.
        tags: Vec<(&'static str, String)>,
    },
    /// It belongs to this environment, but the policy does not have it.
    NoPolicy,
    /// It is not read.
    Unused {
        /// Day of the last read; none if it was never read.
        since: Option<Timestamp>,
    },
    /// Rotation is on but has never run; the value's age is within the policy.
    NeverRotated,
}

impl Finding {
    /// Stable name in records, metrics and pages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Overdue { .. } => "Overdue",
            Self::RotationLate { .. } => "RotationLate",
            Self::StuckPending { .. } => "StuckPending",
            Self::InsufficientData { .. } => "InsufficientData",
            Self::Missing => "Missing",
            Self::Empty => "Empty",
            Self::WidePolicy { .. } => "WidePolicy",
            Self::RotationOff { .. } => "RotationOff",
            Self::IamLoginOff { .. } => "IamLoginOff",
            Self::DueSoon { .. } => "DueSoon",
            Self::TagsContradict { .. } => "TagsContradict",
            Self::TagsMissing { .. } => "TagsMissing",
            Self::NoPolicy => "NoPolicy",
            Self::Unused { .. } => "Unused",
            Self::NeverRotated => "NeverRotated",
        }
    }

    /// Whether every AWS account can use the secret. Pages even in the first week.
    pub(crate) fn is_critical(&self) -> bool {
        matches!(self, Self::WidePolicy { principal } if principal == "*")
    }

    /// Whether it pages.
    pub(crate) fn pages(&self) -> bool {
        self.is_critical()
            || matches!(self, Self::Overdue { .. } | Self::RotationLate { .. } | Self::StuckPending { .. })
    }

    /// When the secret must be rotated, if the finding needs a task on the board.
    pub(crate) fn task(&self) -> Option<Timestamp> {
        match self {
            Self::Overdue { due } | Self::DueSoon { due } => Some(*due),
            _ => None,
        }
    }

    /// Whether it applies only to passwords, which a login by IAM does not have.
    pub(super) fn is_of_passwords(&self) -> bool {
        matches!(self, Self::Overdue { .. } | Self::DueSoon { .. } | Self::RotationOff { .. })
    }

    /// Whether a run with this finding fails.
    pub(crate) fn fails(&self) -> bool {
        self.pages()
            || matches!(
                self,
                Self::InsufficientData { .. }
                    | Self::Missing
                    | Self::Empty
                    | Self::WidePolicy { .. }
                    | Self::RotationOff { .. }
                    | Self::IamLoginOff { .. }
                    // Whether another environment audits it is unknown here.
                    | Self::TagsContradict { is_here: false, .. }
            )
    }
}
