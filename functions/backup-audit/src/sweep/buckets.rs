//! The section of buckets.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use shared::command;
use shared::run::documents::DocumentError;
use shared::run::grafana::Export;
use shared::runtime::failure::CallError;

use super::{Stop, Sweep};
use crate::App;
use crate::aws;
use crate::rules::facts::{Bucket, Role, Seen};
use crate::rules::rule::{declared, judge};
use crate::rules::s3::BUCKET;
use crate::rules::{Context, Row, Verdict, grafana, s3};

impl Sweep<'_> {
    /// Judges buckets. Those with a configured name come first: they do not depend on the list.
    pub(super) async fn buckets(&self) -> Result<(), Stop> {
        let names = &self.app.names;
        let account_open = &account_open(self.app).await;
        let named: BTreeMap<&str, Role> = names.buckets(&self.app.base.reporter.documents.bucket);
        let items = named.iter().map(|(name, role)| ((*name).to_owned(), *role)).collect();
        self.each("s3:buckets", items, async |name, role| {
            named_bucket(self.app, name, role, account_open, self.context).await
        })
        .await?;
        if names.exports_grafana {
            let exported = grafana::Exported(last_export(self.app).await);
            let rows = judge(grafana::EXPORT, (grafana::NAME, ""), &exported, self.context);
            self.judged("s3:buckets", &rows)?;
        } else if names.grafana.is_empty() {
            let missing = declared(
                &s3::GRAFANA_DECLARED,
                grafana::NAME,
                false,
                ("no export", &command!("parameter GrafanaUrl; docs/grafana.md")),
                self.context,
            );
            self.judged("s3:buckets", &[missing])?;
        }
        let listed = self.other_buckets(&named, account_open).await;
        if names.uploads.is_empty() {
            let is_listed = match &listed {
                Ok(is_listed) => Ok(*is_listed),
                Err(Stop::Call(call)) => Err(call),
                Err(Stop::File(_)) => return listed.map(drop),
            };
            self.judged("s3:buckets", &[s3::uploads(is_listed, self.context)])?;
        }
        listed.map(drop)
    }

    /// Judges this environment's buckets without a configured name; returns whether one is the uploads' bucket.
    async fn other_buckets(
        &self,
        named: &BTreeMap<&str, Role>,
        account_open: &Seen<Vec<&'static str>>,
    ) -> Result<bool, Stop> {
        let names = &self.app.names;
        let (mut has_uploads, mut token) = (false, None);
        loop {
            let (page, next) = aws::s3::buckets(&self.app.s3, &names.prefix, token).await?;
            has_uploads |= page.iter().any(|(name, _)| names.role(name) == Role::Uploads);
            let others = page.into_iter().filter(|(name, _)| !named.contains_key(name.as_str())).collect();
            let read = async |name: &str, region: Option<String>| {
                let client = shared::aws::buckets::elsewhere(&self.app.s3, region.as_deref());
                let client = client.as_ref().unwrap_or(&self.app.s3);
                let bucket =
                    bucket(self.app, client, name, names.role(name), account_open, self.context).await;
                judge(BUCKET, (name, &arn(name)), &bucket, self.context)
            };
            self.each("s3:buckets", others, read).await?;
            token = next;
            if token.is_none() {
                return Ok(has_uploads);
            }
        }
    }
}

/// The last export of Grafana.
async fn last_export(app: &App) -> Seen<Option<Export>> {
    Export::read(&app.base.reporter.documents).await.map_err(|error| match error {
        DocumentError::S3(call) => call,
        other => CallError {
            operation: "s3:GetObject",
            code: "NotUnderstood".to_owned(),
            message: other.to_string(),
        },
    })
}

pub(super) fn arn(bucket: &str) -> String {
    format!("arn:aws:s3:::{bucket}")
}

/// Public access blocks that are off for the account, read once for all buckets.
pub(super) async fn account_open(app: &App) -> Seen<Vec<&'static str>> {
    aws::s3::account_open(&app.s3_control, &app.place.account).await
}

pub(super) async fn bucket(
    app: &App,
    client: &aws_sdk_s3::Client,
    name: &str,
    role: Role,
    account_open: &Seen<Vec<&'static str>>,
    context: &Context<'_>,
) -> Bucket {
    let hours = match role {
        Role::Grafana => 24 * i64::from(context.policy.grafana_days),
        _ => context.policy.uploads_hours.into(),
    };
    let young = context.now - SignedDuration::from_hours(hours);
    let bucket = aws::s3::bucket(client, name, role, account_open, &app.names.marker, young).await;
    let (region, own) = (client.config().region(), app.s3.config().region());
    Bucket { elsewhere: region.filter(|_| region != own).map(ToString::to_string), ..bucket }
}

/// Judges a bucket that must exist.
async fn named_bucket(
    app: &App,
    name: &str,
    role: Role,
    account_open: &Seen<Vec<&'static str>>,
    context: &Context<'_>,
) -> Vec<Row> {
    let row = |exists| {
        declared(
            &s3::MISSING,
            name,
            exists,
            ("NoSuchBucket", &command!("infra/terraform; docs/backups.md#bucket-que-falta")),
            context,
        )
    };
    match aws::s3::reach(&app.s3, name).await {
        Ok(None) => vec![row(false)],
        // Read it even if its existence is unknown; otherwise its previous findings would count as resolved.
        found => {
            let client = found.as_ref().ok().and_then(Option::as_ref).unwrap_or(&app.s3);
            let bucket = bucket(app, client, name, role, account_open, context).await;
            let mut rows = judge(BUCKET, (name, &arn(name)), &bucket, context);
            rows.push(match found {
                Ok(_) => row(true),
                Err(call) => Row { verdict: Verdict::Unknown(call.to_string()), ..row(true) },
            });
            rows
        }
    }
}
