//! The section of the account's resources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::join;

use super::buckets::arn;
use super::{Stop, Sweep};
use crate::aws;
use crate::rules::application;
use crate::rules::application::{ACCOUNT, PROTECTED, VAULT};
use crate::rules::facts::{Account, Protected, Seen};
use crate::rules::plans::Plan;
use crate::rules::rule::judge;

impl Sweep<'_> {
    pub(super) async fn account(&self) -> Result<(), Stop> {
        let control = &self.app.control;
        let logs = application::log_group(self.context);
        let (has_alarms, log_watch, plans, has_endpoints) = join!(
            aws::application::has(control, "AWS::CloudWatch::Alarm", |name| self
                .app
                .names
                .is_application_alarm(name)),
            aws::application::log_watch(control, &logs),
            self.common.plans(self.app),
            aws::application::has(control, "AWS::EC2::VPCEndpoint", |_| true),
        );
        let has_backup_plan = plans.as_ref().map(|plans| !plans.is_empty()).map_err(Clone::clone);
        let account = Account { has_alarms, log_watch, has_backup_plan, has_endpoints };
        let rows = judge(ACCOUNT, (&self.app.place.account, ""), &account, self.context);
        self.judged("account:resources", &rows)?;
        for resource in self.protected(plans).await {
            let rows = judge(PROTECTED, (&resource.name, &resource.arn), &resource, self.context);
            self.judged("account:resources", &rows)?;
        }
        let Ok(plans) = plans else { return Ok(()) };
        let names = plans
            .iter()
            .flat_map(|plan| &plan.rules)
            .map(|rule| rule.vault.as_str())
            .collect::<BTreeSet<_>>();
        if names.is_empty() {
            return Ok(());
        }
        for vault in aws::application::vaults(control, &names).await? {
            let rows = judge(VAULT, (&vault.name, &vault.arn), &vault, self.context);
            self.judged("account:resources", &rows)?;
        }
        Ok(())
    }

    /// The buckets with files and the lock table, with the plans that select them. Empty if the account has no plan,
    /// which is a finding of the account.
    async fn protected(&self, plans: &Seen<Vec<Arc<Plan>>>) -> Vec<Protected> {
        if plans.as_ref().is_ok_and(Vec::is_empty) {
            return Vec::new();
        }
        let names = &self.app.names;
        let buckets = [&names.attachments, &names.uploads, &names.state, &names.grafana];
        let mut found = Vec::new();
        for name in buckets.into_iter().filter(|name| !name.is_empty()) {
            let tags = async || {
                let client = aws::s3::reach(&self.app.s3, name).await?;
                aws::s3::tags(client.as_ref().unwrap_or(&self.app.s3), name).await
            };
            let arn = arn(name);
            let plans = selecting(plans, &arn, tags).await;
            found.push(Protected { name: name.clone(), arn, plans });
        }
        let table = &names.lock_table;
        if !table.is_empty() {
            let place = &self.app.place;
            let partition = match place.region.split('-').next() {
                Some("cn") => "aws-cn",
                _ if place.region.starts_with("us-gov-") => "aws-us-gov",
                _ => "aws",
            };
            let arn = format!("arn:{partition}:dynamodb:{}:{}:table/{table}", place.region, place.account);
            let plans =
                selecting(plans, &arn, async || aws::rds::table_tags(&self.app.dynamodb, &arn).await).await;
            found.push(Protected { name: table.clone(), arn, plans });
        }
        found
    }
}

/// The plans that select a resource; reads its tags only if a plan needs them.
async fn selecting(
    plans: &Seen<Vec<Arc<Plan>>>,
    arn: &str,
    tags: impl AsyncFnOnce() -> Seen<BTreeMap<String, String>>,
) -> Seen<Vec<Arc<Plan>>> {
    let plans = plans.as_ref().map_err(Clone::clone)?;
    let is_asked = plans.iter().any(|plan| plan.asks_for_tags());
    let tags = if is_asked { tags().await? } else { BTreeMap::new() };
    Ok(plans.iter().filter(|plan| plan.selects(arn, &tags)).cloned().collect())
}
