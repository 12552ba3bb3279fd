//! What can be wrong with a secret. No I/O, no clock.

use jiff::Timestamp;

use super::facts::Rotator;

/// One thing that is wrong with a secret, or not known of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Finding {
    /// The current value is older than the policy allows.
    Overdue {
        /// When its time was over.
        due: Timestamp,
    },
    /// The service should have rotated it.
    RotationLate {
        /// The end of the window that was missed.
        since: Timestamp,
    },
    /// A rotation hangs.
    StuckPending {
        /// The version that carries AWSPENDING.
        pending: String,
        /// The one that carries AWSCURRENT.
        current: Option<String>,
        /// Since when at the latest.
        since: Timestamp,
        /// Whether the pending value may be the only one that is in force, so that nobody may remove it unseen.
        may_be_in_force: bool,
    },
    /// A call was refused or failed; never a pass.
    InsufficientData {
        /// What was not seen, and why.
        why: String,
    },
    /// Policy or template name it, and it does not exist.
    Missing,
    /// It exists without a value.
    Empty,
    /// Its resource policy lets others in.
    WidePolicy {
        /// Whom.
        principal: String,
    },
    /// One of our functions is to rotate it, and rotation is off.
    RotationOff {
        /// Which one.
        rotator: Rotator,
    },
    /// The policy says that the login is by IAM, and RDS takes no such logins on its instance.
    IamLoginOff {
        /// The instance.
        instance: String,
    },
    /// The current value is to be replaced soon.
    DueSoon {
        /// When its time is over.
        due: Timestamp,
    },
    /// Tags and name disagree on the environment or project; which one is right is unknown.
    TagsContradict {
        /// The tag.
        tag: &'static str,
        /// Its value.
        value: String,
        /// What the name says.
        named: String,
        /// Whether the tags put it into this environment, so that it is audited here.
        is_here: bool,
    },
    /// It is this environment's by its name, and lacks tags, or has them with values that no stack has.
    TagsMissing {
        /// The tags, with the values that they must have.
        tags: Vec<(&'static str, String)>,
    },
    /// It is this environment's, and the policy does not know it.
    NoPolicy,
    /// Nobody reads it.
    Unused {
        /// The day of the last read.
        since: Option<Timestamp>,
    },
    /// Rotation is on and has never run; its age is within the policy.
    NeverRotated,
}

impl Finding {
    /// Stable name, as records, metrics and pages have it.
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

    /// Whether every AWS account can use the secret: it pages in the first week, too.
    pub(crate) fn is_critical(&self) -> bool {
        matches!(self, Self::WidePolicy { principal } if principal == "*")
    }

    /// Whether somebody is to be woken.
    pub(crate) fn pages(&self) -> bool {
        self.is_critical()
            || matches!(self, Self::Overdue { .. } | Self::RotationLate { .. } | Self::StuckPending { .. })
    }

    /// When a secret whose finding is a task has to be rotated.
    pub(crate) fn task(&self) -> Option<Timestamp> {
        match self {
            Self::Overdue { due } | Self::DueSoon { due } => Some(*due),
            _ => None,
        }
    }

    /// Whether it is wrong of passwords only, and a login by IAM has none.
    pub(super) fn is_of_passwords(&self) -> bool {
        matches!(self, Self::Overdue { .. } | Self::DueSoon { .. } | Self::RotationOff { .. })
    }

    /// Whether a run with this finding is not green.
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
                    // Whether any environment audits it is not known here.
                    | Self::TagsContradict { is_here: false, .. }
            )
    }
}
