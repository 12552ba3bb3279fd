//! What is read outside the evidence: the IAM group and Grafana's organisation.

use std::collections::BTreeSet;

use serde::Deserialize;
use shared::aws::secrets;
use shared::runtime::failure::chain;

use crate::rules::access::{Access, Read};
use crate::{App, aws};

/// A user of Grafana's organisation. Source:
/// [organization API](https://grafana.com/docs/grafana/latest/developers/http_api/org/#get-all-users-within-the-current-organization).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    #[serde(default)]
    login: String,
    #[serde(default)]
    email: String,
    /// Absent in older versions.
    #[serde(default)]
    is_disabled: bool,
}

/// Reads who has access. What could not be read is unknown.
pub(crate) async fn access(app: &App) -> Access {
    let group = match &app.group {
        None => Read::NotCovered,
        Some(name) => match aws::group(&app.iam, name).await {
            Ok(users) => Read::Known(users),
            Err(error) => Read::Unknown(chain(&error)),
        },
    };
    let grafana = match Box::pin(members(app)).await {
        Ok(Some(users)) => Read::Known(users),
        Ok(None) => Read::NotCovered,
        Err(why) => Read::Unknown(why),
    };
    Access { group, grafana }
}

/// Logins and addresses of the users of Grafana's organisation; none if the stack has no Grafana.
async fn members(app: &App) -> Result<Option<BTreeSet<String>>, String> {
    let Some((grafana, secret)) = &app.grafana else { return Ok(None) };
    let token = secrets::value(&app.secrets, secret, None).await;
    let token = token.map_err(|call| {
        format!("the Grafana token could not be read; check GrafanaSecretName: {}", chain(&call))
    })?;
    let session = grafana.session(&token).map_err(|error| chain(&error))?;
    let users: Vec<User> = session.get("/api/org/users").await.map_err(|error| chain(&error))?;
    if users.iter().all(|user| user.login.is_empty() && user.email.is_empty()) {
        // An organisation has at least one user, and the token's account sees all of them.
        return Err("Grafana's answer to GET /api/org/users has no user".to_owned());
    }
    let enabled = users.into_iter().filter(|user| !user.is_disabled);
    let names = enabled.flat_map(|user| [user.login, user.email]).filter(|name| !name.is_empty());
    Ok(Some(names.map(|name| name.to_lowercase()).collect()))
}
