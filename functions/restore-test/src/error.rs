//! Why a snapshot is not proved; one variant for each different action of an operator. A proof that fails is a result,
//! not an error.

use shared::run::documents::DocumentError;
use shared::runtime::failure::CallError;

shared::workflow_errors! {
    /// The words for a test without a green proof: the errors', the verdicts of a proof, and what the reaper finds.
    /// `Other` is an error of Step Functions or Lambda. The next step of each is in `text/failure.rs`.
    pub(crate) enum FailureKind {
        /// A check of the restored copy failed.
        ProofFailed,
        /// A check could not be made, so that nothing is known about its object.
        NotVerified,
        /// The reading did not end within the time that the policy allows.
        NotFinished,
        /// The run ended, and its instance still exists.
        NotRemoved,
        /// The execution was stopped or died, and the reaper cleaned up after it.
        RunDied,
        /// An instance of this test exists past its deadline.
        Outlived,
    }

    /// Why a snapshot is not proved.
    #[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
    pub enum RestoreError {
        /// A parameter of the stack that the test requires is empty.
        #[error("the stack has no restore tests: its parameter {0} is empty")]
        NotConfigured(&'static str),
        /// The region is neither the stack's nor that of its copies.
        #[error("the region {0} is not configured: SnapshotCopyRegion and RestoreCopySubnetGroup name the other region")]
        RegionNotConfigured(String),
        /// The stack's database is a cluster.
        #[error("{0} is a cluster, and this test restores snapshots of instances only")]
        ClusterNotSupported(String),
        /// The snapshot is not of a PostgreSQL database.
        #[error("the snapshot {0} is of the engine {1}; the proof reads PostgreSQL")]
        EngineNotSupported(String, String),
        /// The database has no automated snapshot that can be restored, or, in the other region, no copy.
        #[error("{0} has no available snapshot in {1} that this test could choose")]
        NoSnapshot(String, String),
        /// No snapshot has this name.
        #[error("the snapshot {0} does not exist in {1}")]
        SnapshotNotFound(String, String),
        /// The snapshot is of another database.
        #[error("the snapshot {0} is of {1}, not of {2}")]
        SnapshotNotOurs(String, String, String),
        /// RDS is still making the snapshot.
        #[error("the snapshot {0} is {1} and cannot be restored yet")]
        SnapshotCreating(String, String),
        /// RDS could not complete the snapshot, or deletes it.
        #[error("the snapshot {0} is {1} and cannot be restored")]
        SnapshotFailed(String, String),
        /// The snapshot is not encrypted.
        #[error("the snapshot {0} is not encrypted; a copy of the data in the clear is not made")]
        SnapshotNotEncrypted(String),
        /// The role may not restore a manual snapshot of this name.
        #[error("the snapshot {0} was made manually, and its name does not begin with {1}: the function's role may not restore it")]
        SnapshotNameNotAllowed(String, String),
        /// Every account may restore the snapshot.
        #[error("every AWS account may restore the snapshot {0}")]
        SnapshotShared(String),
        /// Another run has the only place.
        #[error("the run {execution} of {since} is still in progress; one test runs at a time")]
        RunInProgress {
            /// The other run.
            execution: String,
            /// When it began.
            since: String,
        },
        /// The account has no free instance.
        #[error("the account has reached its quota of DB instances in this region ({0})")]
        InstanceQuotaExceeded(String),
        /// The account has reached its quota of database storage.
        #[error("the account has reached its quota of database storage in this region")]
        StorageQuotaExceeded(#[source] CallError),
        /// The class is not available in the subnets' zones.
        #[error("RDS has no capacity for the class in the zones of the subnet group")]
        InsufficientCapacity(#[source] CallError),
        /// RDS cannot use the key of the snapshot.
        #[error("RDS cannot use the KMS key of the snapshot")]
        KeyNotAccessible(#[source] CallError),
        /// RDS refused the subnet group or a security group.
        #[error("RDS refused the subnet group or the security groups of the test")]
        NetworkRefused(#[source] CallError),
        /// RDS refused the class, the parameter group or another setting of the instance.
        #[error("RDS refused the settings of the test's instance")]
        ParametersRefused(#[source] CallError),
        /// An instance of this name exists that is not this run's.
        #[error("the instance {0} exists and does not have this run's tags")]
        InstanceNotOurs(String),
        /// The instance has this status of RDS, and does not leave it by itself.
        #[error("the restored instance {0} is {1} and does not leave this state by itself")]
        InstanceFailed(String, String),
        /// The instance disappeared during the test.
        #[error("the restored instance {0} no longer exists")]
        InstanceGone(String),
        /// The restore takes longer than the policy allows.
        #[error("the restored instance {name} was still {status} after {seconds} s (restores.restore of the policy)")]
        RestoreSlow {
            /// The instance.
            name: String,
            /// RDS's status.
            status: String,
            /// How long it was polled.
            seconds: u32,
        },
        /// The master's password takes longer than the policy allows.
        #[error("RDS had not set the password of {0} after {1} s (restores.password of the policy)")]
        PasswordSlow(String, u32),
        /// The login to the restored instance failed.
        #[error("the login to the restored instance failed: {0}")]
        LoginFailed(String),
        /// The restored database could not be prepared for the proof.
        #[error("the restored database could not be prepared for the proof: {0}")]
        PreparationFailed(String),
        /// The restored database could not be read on; what was read before is kept.
        #[error("reading the restored database stopped: {0}")]
        ReadFailed(String),
        /// The source could not be read.
        #[error("the source could not be read: {0}")]
        SourceUnread(String),
        /// The removal takes longer than the policy allows.
        #[error("the instance {name} was still {status} after {seconds} s (restores.removal of the policy)")]
        RemovalSlow {
            /// The instance.
            name: String,
            /// RDS's status.
            status: String,
            /// How long it was polled.
            seconds: u32,
        },
        /// The step has no run: it did not begin, or its place was taken over after a silence.
        #[error("the run {0} has not begun, or another run has taken over its place")]
        NotBegun(String),
        /// A call to RDS failed.
        #[error("an RDS call failed")]
        RdsCall(#[source] CallError),
        /// A secret could not be read.
        #[error("a secret could not be read")]
        SecretCall(#[source] CallError),
        /// The run's note could not be read or written.
        #[error("the run's note could not be read or written")]
        NoteFailed(#[from] DocumentError),
    }
}

/// Maps a refused restore to its error. Codes come as in the API and, with the ending `Fault`, as in its model.
///
/// Source: [RestoreDBInstanceFromDBSnapshot](https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceFromDBSnapshot.html).
pub(crate) fn refusal(call: CallError, snapshot: &str, region: &str) -> RestoreError {
    match call.plain_code() {
        "DBSnapshotNotFound" => RestoreError::SnapshotNotFound(snapshot.to_owned(), region.to_owned()),
        "InvalidDBSnapshotState" => {
            RestoreError::SnapshotFailed(snapshot.to_owned(), "not available".to_owned())
        }
        "InstanceQuotaExceeded" => RestoreError::InstanceQuotaExceeded(call.message),
        "StorageQuotaExceeded" => RestoreError::StorageQuotaExceeded(call),
        "InsufficientDBInstanceCapacity" => RestoreError::InsufficientCapacity(call),
        "KMSKeyNotAccessible" => RestoreError::KeyNotAccessible(call),
        "DBSecurityGroupNotFound"
        | "DBSubnetGroupDoesNotCoverEnoughAZs"
        | "DBSubnetGroupNotFoundFault"
        | "DBSubnetGroupNotFound"
        | "InvalidSubnet"
        | "InvalidVPCNetworkState"
        | "NetworkTypeNotSupported" => RestoreError::NetworkRefused(call),
        "DBParameterGroupNotFound"
        | "InvalidParameterCombination"
        | "InvalidParameterValue"
        | "OptionGroupNotFound"
        | "ProvisionedIopsNotAvailableInAZ"
        | "StorageTypeNotSupported"
        | "CertificateNotFound" => RestoreError::ParametersRefused(call),
        _ => RestoreError::RdsCall(call),
    }
}

#[cfg(test)]
mod tests {
    use shared::runtime::failure::Failure;

    use super::*;

    #[test]
    fn each_refusal_has_its_kind() {
        for (code, kind) in [
            ("DBSnapshotNotFound", "SnapshotNotFound"),
            ("DBSnapshotNotFoundFault", "SnapshotNotFound"),
            ("InvalidDBSnapshotState", "SnapshotFailed"),
            ("InstanceQuotaExceeded", "InstanceQuotaExceeded"),
            ("StorageQuotaExceeded", "StorageQuotaExceeded"),
            ("InsufficientDBInstanceCapacity", "InsufficientCapacity"),
            ("KMSKeyNotAccessibleFault", "KeyNotAccessible"),
            ("DBSubnetGroupDoesNotCoverEnoughAZs", "NetworkRefused"),
            ("DBSubnetGroupNotFoundFault", "NetworkRefused"),
            ("InvalidVPCNetworkStateFault", "NetworkRefused"),
            ("InvalidSubnet", "NetworkRefused"),
            ("DBParameterGroupNotFound", "ParametersRefused"),
            ("InvalidParameterCombination", "ParametersRefused"),
            ("StorageTypeNotSupported", "ParametersRefused"),
            ("AccessDenied", "RdsCall"),
            ("NoServiceCode", "RdsCall"),
        ] {
            let operation = "rds:RestoreDBInstanceFromDBSnapshot";
            let call = CallError { operation, code: code.to_owned(), message: "told".to_owned() };
            assert_eq!(refusal(call, "s", "r").kind(), kind, "{code}");
        }
    }
}
