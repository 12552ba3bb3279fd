//! The section of Terraform's state and lock.

use shared::command;

use super::{Stop, Sweep};
use crate::aws;
use crate::rules::rule::{declared, judge};
use crate::rules::terraform::{self, TABLE};

impl Sweep<'_> {
    /// Judges the lock table, and whether the state has a remote backend.
    pub(super) async fn terraform(&self) -> Result<(), Stop> {
        let table = &self.app.names.lock_table;
        let lock = |name: &str, exists, found| {
            let command = command!(
                "parameter TerraformLockTableName, or backups.audit.terraform_native_lock; infra/terraform/README.md"
            );
            declared(&terraform::DECLARED_LOCK, name, exists, (found, &command), self.context)
        };
        let mut rows = if table.is_empty() {
            vec![lock(
                "terraform",
                self.context.policy.terraform_native_lock,
                "no lock table, no native lock",
            )]
        } else {
            match aws::rds::table(&self.app.dynamodb, table).await? {
                None => vec![lock(table, false, "ResourceNotFoundException")],
                Some(found) => {
                    let mut rows = judge(TABLE, (&found.name, &found.arn), &found, self.context);
                    rows.push(lock(table, true, ""));
                    rows
                }
            }
        };
        let is_remote = !self.app.names.state.is_empty();
        let command = command!("parameter TerraformStateBucketName; infra/terraform/README.md");
        rows.push(declared(
            &terraform::DECLARED_STATE,
            "terraform",
            is_remote,
            ("no state bucket", &command),
            self.context,
        ));
        Ok(self.judged("terraform:lock", &rows)?)
    }
}
