//! What is read outside the evidence: the IAM group and Grafana's organisation.

use std::collections::BTreeMap;

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
    /// It stays when the user changes login or address.
    user_id: Option<u64>,
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
    let (grafana, grafana_ids) = match Box::pin(members(app)).await {
        Ok(Some(users)) => {
            let ids = users.iter().filter_map(|(name, id)| Some((name.clone(), (*id)?)));
            let ids = ids.collect();
            (Read::Known(users.into_keys().collect()), ids)
        }
        Ok(None) => (Read::NotCovered, BTreeMap::new()),
        Err(why) => (Read::Unknown(why), BTreeMap::new()),
    };
    Access { group, grafana, grafana_ids }
}

/// Logins and addresses of the users of Grafana's organisation, each with the user's id; none if the stack has no Grafana.
async fn members(app: &App) -> Result<Option<BTreeMap<String, Option<u64>>>, String> {
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
    let names = enabled.flat_map(|user| [(user.login, user.user_id), (user.email, user.user_id)]);
    let names = names.filter(|(name, _)| !name.is_empty());
    Ok(Some(names.map(|(name, id)| (name.to_lowercase(), id)).collect()))
}
