//! Why a step or an order failed; one variant for each different action of an operator.

use shared::database::DatabaseError;
use shared::database::secret::FormError;
use shared::run::documents::DocumentError;
use shared::runtime::failure::CallError;

shared::workflow_errors! {
    /// The words for what stops a restore: the errors', and the page about its beginning. `Other` is an error of Step
    /// Functions or Lambda. The next step of each is in `text/failure.rs`.
    pub(crate) enum FailureKind {
        /// A restore has begun; the page opens the incident.
        EmergencyRestore,
        /// The restore waits for a person, and nobody answered.
        NobodyAnswered,
    }

    /// Why a step or an order failed.
    #[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
    pub enum RestoreError {
        /// A parameter of the stack that a restore requires is empty.
        #[error("the stack has no emergency restores: its parameter {0} is empty")]
        NotConfigured(&'static str),
        /// An exercise was asked for in production.
        #[error("a rehearsal runs outside production only")]
        RehearsalInProduction,
        /// Only one restore is open at a time.
        #[error("the restore {0} is open since {1}; only one is open at a time")]
        RestoreInProgress(String, String),
        /// The execution does not own the open restore.
        #[error("no restore is open, or another execution goes on with it")]
        NotOpen,
        /// The instance is not this environment's.
        #[error("the instance {0} does not belong to this environment: its name must be {1} or begin with {2}")]
        NotOurs(String, String, String),
        /// The database is a cluster, or a member of one.
        #[error("{0} is a cluster, or a member of one; only instances are restored")]
        ClusterNotSupported(String),
        /// The database is not PostgreSQL.
        #[error("{0} has the engine {1}; only postgres is restored")]
        EngineNotSupported(String, String),
        /// The secret names no instance of RDS.
        #[error("the secret {secret} names the server {address}, which is the address of no instance of this environment; name the lost one as instance")]
        AddressUnknown {
            /// The secret.
            secret: String,
            /// `host:port`.
            address: String,
        },
        /// The secret's value has a form that cannot be changed byte for byte.
        #[error("the address in the secret {0} cannot be replaced: {1}")]
        SecretForm(String, FormError),
        /// The application's secret names another database.
        #[error("the secret {0} names neither the lost database nor, by a move of this restore, the new one")]
        SecretElsewhere(String),
        /// No service would see a change of the application's secret.
        #[error("no service of the ECS cluster reads the secret {0}")]
        NoReader(String),
        /// Nothing can be restored.
        #[error("neither a snapshot nor a point in time of {0} can be restored")]
        NoSource(String),
        /// What was chosen cannot be restored.
        #[error("{0}")]
        SourceRefused(String),
        /// Several databases had the instance's name, so that the latest point in time is not one database's.
        #[error("several databases had the name {instance}: {resources}. Choose one: source {example}, or a snapshot")]
        SourceAmbiguous {
            /// The name.
            instance: String,
            /// `DbiResourceId` of each, with commas.
            resources: String,
            /// A source, as JSON.
            example: String,
        },
        /// The function's role may not restore a snapshot of this name.
        #[error("the snapshot {name} has a name that does not begin with {prefix}: the function's role may not restore it. Copy it, and choose the copy: {copy}")]
        SnapshotNameNotAllowed {
            /// The snapshot.
            name: String,
            /// The environment's prefix.
            prefix: String,
            /// The command that copies it under an allowed name.
            copy: String,
        },
        /// Settings of the new instance are unknown.
        #[error("the settings of {instance} are unknown, since it is gone and the Terraform state does not have them: {missing}{why}")]
        SettingsUnknown {
            /// The lost instance.
            instance: String,
            /// What is missing.
            missing: String,
            /// Why the state was not read.
            why: String,
        },
        /// RDS refused the new instance.
        #[error("RDS refused the new instance")]
        RestoreRefused(#[source] CallError),
        /// The account has reached its quota of DB instances or of storage.
        #[error("the account has reached its quota of DB instances or of their storage in this region")]
        QuotaExceeded(#[source] CallError),
        /// RDS cannot use the key that the data are encrypted with.
        #[error("RDS cannot use the KMS key of the data")]
        KeyNotAccessible(#[source] CallError),
        /// The new instance has this status, and does not leave it by itself.
        #[error("the new instance {0} is {1} and does not leave this state by itself")]
        InstanceFailed(String, String),
        /// The new instance disappeared.
        #[error("the new instance {0} no longer exists")]
        InstanceGone(String),
        /// The restore takes longer than the policy allows.
        #[error("the new instance {0} is still {1} after {2} s (emergency.instance of the policy)")]
        RestoreSlow(String, String, u32),
        /// The master's password or other settings take longer than the policy allows.
        #[error("RDS has not applied the settings of {0} after {1} s (emergency.password of the policy)")]
        SettingsSlow(String, u32),
        /// A login to a database failed.
        #[error("{0}")]
        LoginFailed(#[from] DatabaseError),
        /// A login of a secret does not exist in what was restored.
        #[error("the login {user} of the secret {secret} does not exist in the restored database")]
        LoginMissing {
            /// The secret.
            secret: String,
            /// The login.
            user: String,
        },
        /// A login must not get the password of a secret that names it.
        #[error("the login {user} does not get the password of the secret {secret}: {why}")]
        LoginRefused {
            /// The secret.
            secret: String,
            /// The login.
            user: String,
            /// Why not.
            why: &'static str,
        },
        /// The new instance could not be read.
        #[error("the new instance could not be read: {0}")]
        ProofBroken(String),
        /// The reading did not end.
        #[error("the new instance was not read in {0} invocations")]
        ProofSlow(u16),
        /// A service that reads the database's secret cannot be kept from deleting.
        #[error("services that this function cannot change read the database without the guard: {0}")]
        ServiceNotGuarded(String),
        /// A task definition names one version or label of a secret, so that a move does not reach its tasks.
        #[error("task definitions name one version or label of a secret, so that their tasks would stay with the old database: {0}")]
        ReaderPinned(String),
        /// Only others deploy a service that reads the secrets, and its tasks are from before the switch.
        #[error("services that this function cannot deploy have tasks from before the switch, which use the other database: {0}")]
        ServiceNotDeployed(String),
        /// No session of the application was seen at the new database.
        #[error("{0}")]
        NotInUse(String),
        /// A service lost the guard, for example by a deploy.
        #[error("services have tasks or a task definition without the guard: {0}")]
        GuardLost(String),
        /// The policy maps a secret to an ECS service that does not exist.
        #[error("the ECS service {0} does not exist in the cluster: correct rotation.secrets.*.services in the policy, or the template's EcsClusterName")]
        NoService(String),
        /// A deployment failed, or did not end in time.
        #[error("{0}")]
        RolloutFailed(String),
        /// Nobody approved the present new instance.
        #[error("nobody approved the new instance {0}, so no secret is pointed to it")]
        NotApproved(String),
        /// Another caller changed a secret during the restore.
        #[error("AWSCURRENT of {0} was moved by another caller during the restore")]
        SecretChanged(String),
        /// The database that a secret would point to does not accept its login.
        #[error("the database that {secret} would point to does not accept its login: {why}")]
        DatabaseRefused {
            /// The secret.
            secret: String,
            /// The refusal.
            why: String,
        },
        /// The migration could not be started.
        #[error("ECS did not start the migration: {0}")]
        MigrationNotStarted(String),
        /// The migration failed.
        #[error("the migration ended with {0}")]
        MigrationFailed(String),
        /// ECS no longer knows the migration's task, so its end is unknown. It may have succeeded, and must not run twice by
        /// itself.
        #[error("ECS no longer knows the migration's task {0}, so its result is unknown")]
        MigrationUnknown(String),
        /// The migration takes longer than the policy allows.
        #[error("the migration still runs after {0} s (emergency.task of the policy)")]
        MigrationSlow(u32),
        /// The application does not work.
        #[error("{0}")]
        SmokeFailed(String),
        /// No restore is open.
        #[error("no restore is open")]
        NoOpenRestore,
        /// The order names another restore.
        #[error("the open restore is {0}, not {1}")]
        OtherRun(String, String),
        /// The order does not fit.
        #[error("{0}")]
        OrderNotPossible(String),
        /// A second person has to approve.
        #[error("{0} started the restore, so another person has to approve it, and both names have to be in incidents.people where the policy has it; if only one person is awake, or a name is not there, say so in override")]
        SecondPersonNeeded(String),
        /// The proof is not good.
        #[error("the proof's verdict is {0}: approve with despiteProof \"{0}: REASON\"")]
        ProofNotGood(String),
        /// A call to RDS failed.
        #[error("an RDS call failed")]
        RdsCall(#[source] CallError),
        /// A call to Secrets Manager failed.
        #[error("a Secrets Manager call failed")]
        SecretsManagerCall(#[source] CallError),
        /// A call to ECS failed.
        #[error("an ECS call failed")]
        EcsCall(#[source] CallError),
        /// A call to Step Functions failed.
        #[error("the order is noted, but Step Functions could not be told")]
        StepFunctionsCall(#[source] CallError),
        /// The restore's note could not be read or written.
        #[error("the restore's note could not be read or written")]
        NoteFailed(#[from] DocumentError),
    }
}

/// Maps a refused restore to its error.
///
/// Source: [RestoreDBInstanceFromDBSnapshot](https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceFromDBSnapshot.html),
/// [RestoreDBInstanceToPointInTime](https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RestoreDBInstanceToPointInTime.html).
pub(crate) fn refusal(call: CallError) -> RestoreError {
    match call.plain_code() {
        "InstanceQuotaExceeded" | "StorageQuotaExceeded" => RestoreError::QuotaExceeded(call),
        "KMSKeyNotAccessible" => RestoreError::KeyNotAccessible(call),
        "DBSnapshotNotFound"
        | "InvalidDBSnapshotState"
        | "InvalidDBInstanceState"
        | "InvalidRestore"
        | "PointInTimeRestoreNotEnabled"
        | "DBInstanceAutomatedBackupNotFound"
        | "DBInstanceNotFound" => {
            RestoreError::SourceRefused(format!("RDS cannot restore it: {}: {}", call.code, call.message))
        }
        "InvalidParameterCombination"
        | "InvalidParameterValue"
        | "DBParameterGroupNotFound"
        | "DBSubnetGroupNotFound"
        | "DBSubnetGroupDoesNotCoverEnoughAZs"
        | "DBSecurityGroupNotFound"
        | "InvalidSubnet"
        | "InvalidVPCNetworkState"
        | "InsufficientDBInstanceCapacity"
        | "OptionGroupNotFound"
        | "ProvisionedIopsNotAvailableInAZ"
        | "CertificateNotFound"
        | "StorageTypeNotSupported" => RestoreError::RestoreRefused(call),
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
            ("InstanceQuotaExceeded", "QuotaExceeded"),
            ("StorageQuotaExceededFault", "QuotaExceeded"),
            ("KMSKeyNotAccessibleFault", "KeyNotAccessible"),
            ("DBSnapshotNotFound", "SourceRefused"),
            ("InvalidRestoreFault", "SourceRefused"),
            ("InvalidDBInstanceState", "SourceRefused"),
            ("DBSubnetGroupNotFoundFault", "RestoreRefused"),
            ("InsufficientDBInstanceCapacity", "RestoreRefused"),
            ("AccessDenied", "RdsCall"),
        ] {
            let call = CallError { operation: "rds:X", code: code.to_owned(), message: "told".to_owned() };
            assert_eq!(refusal(call).kind(), kind, "{code}");
        }
    }
}
