//! The environment's alarms, through Cloud Control.

use std::collections::BTreeMap;

use aws_sdk_cloudcontrol::types::ResourceDescription;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;
use shared::runtime::failure::CallError;

use super::{Clients, unclear};
use crate::rules::runbook::Alarm;

/// Both types of alarms; both name themselves by `AlarmName`.
const TYPES: [&str; 2] = ["AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"];

/// Most concurrent reads.
const AT_ONCE: usize = 8;

impl Clients {
    /// The alarms whose name begins with `prefix`.
    ///
    /// A list has the description at most; an alarm whose description names no runbook may do so in its tags.
    pub(crate) async fn alarms(&self, prefix: &str) -> Result<Vec<Alarm>, CallError> {
        let mut found = Vec::new();
        for kind in TYPES {
            let mut pages = self.control.list_resources().type_name(kind).into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(CallError::during("cloudformation:ListResources"))?;
                let page =
                    page.resource_descriptions.ok_or_else(|| unclear("cloudformation:ListResources"))?;
                let own = page.into_iter().filter_map(|listed| {
                    let name = listed.identifier().filter(|name| name.starts_with(prefix))?.to_owned();
                    Some((kind, name, runbook(&listed)))
                });
                found.extend(own);
            }
        }
        let alarms = stream::iter(found).map(async |(kind, name, runbook)| {
            let runbook = match runbook {
                Some(runbook) => Some(runbook),
                None => self.runbook(kind, &name).await?,
            };
            Ok::<_, CallError>(Alarm { name, runbook })
        });
        alarms.buffered(AT_ONCE).try_collect().await
    }

    /// The runbook that an alarm names; none also if the alarm was deleted meanwhile.
    async fn runbook(&self, kind: &str, name: &str) -> Result<Option<String>, CallError> {
        let found = match self.control.get_resource().type_name(kind).identifier(name).send().await {
            Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(None),
            found => found.map_err(CallError::during("cloudformation:GetResource"))?,
        };
        let found = found.resource_description.ok_or_else(|| unclear("cloudformation:GetResource"))?;
        let named = properties(&found).and_then(|alarm| Some(alarm.get("AlarmName")?.as_str()? == name));
        if named == Some(true) { Ok(runbook(&found)) } else { Err(unclear("cloudformation:GetResource")) }
    }
}

fn properties(found: &ResourceDescription) -> Option<Value> {
    serde_json::from_str(found.properties()?).ok()
}

/// The runbook in an alarm's tags or description, as the pager reads it.
fn runbook(found: &ResourceDescription) -> Option<String> {
    let alarm = properties(found)?;
    let tags = alarm.get("Tags").and_then(Value::as_array).into_iter().flatten();
    let text = |tag: &Value, name: &str| Some(tag.get(name)?.as_str()?.to_owned());
    let tags: BTreeMap<String, String> =
        tags.filter_map(|tag| Some((text(tag, "Key")?, text(tag, "Value")?))).collect();
    let description = alarm.get("AlarmDescription").and_then(Value::as_str).unwrap_or_default();
    incident::signal::runbook(&tags, description)
}
