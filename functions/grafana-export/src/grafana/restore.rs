//! Restores an export beside what is there, and compares. It writes only under the names of [`scratch`].

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::grafana::{GrafanaError, Session, segment};

use super::read::{dashboard, rule_group_path};
use crate::rules::bundle::{self, Bundle, Dashboard, dashboard_path, group_path};
use crate::rules::scratch::{Made, Names, difference, rules, with_uid};
use crate::rules::{normal, v2};

/// Note of a dashboard's version.
const MESSAGE: &str = "governance restore check";

/// Why an object could not be restored.
const NO_FOLDER: &str = "its folder is not in the export";

/// What was restored, and what came back in another form.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Restored {
    pub folders: usize,
    pub dashboards: usize,
    pub rule_groups: usize,
    pub faults: Vec<Fault>,
    /// Objects of which Grafana's own failure, or a folder that was not exported, left nothing known: an object in its earlier
    /// form names the folder in which it was.
    pub unknown: Vec<Fault>,
}

/// An object that could not be restored, or that differs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fault {
    /// Path of its file.
    pub what: String,
    pub why: String,
}

#[derive(Deserialize)]
struct Shown {
    title: String,
    #[serde(rename = "parentUid", default)]
    parent: Option<String>,
}

/// Restores folders, dashboards and groups of alert rules, reads them back and compares. Whatever it makes stays until
/// [`remove`].
///
/// # Errors
///
/// [`GrafanaError`] if Grafana is not there or the token may not write: nothing is then known about the export.
pub(crate) async fn restore(
    session: &Session<'_>,
    exported: &Bundle,
    namespace: &str,
    names: &Names<'_>,
) -> Result<Restored, GrafanaError> {
    let mut restored = Restored::default();
    for made in names.folders(exported) {
        let fault = folder(session, &made).await;
        restored.note(bundle::FOLDERS.to_owned(), fault)?;
        restored.folders += 1;
    }
    for (uid, one) in &exported.dashboards {
        let what = dashboard_path(uid, one.folder.as_deref());
        restored.dashboards += 1;
        let Some(folder) = place(names, one.folder.as_deref(), exported) else {
            restored.unknown.push(Fault { what, why: NO_FOLDER.to_owned() });
            continue;
        };
        let fault = restore_dashboard(session, names, uid, one, folder, namespace).await;
        restored.note(what, fault)?;
    }
    for (key, group) in &exported.rule_groups {
        let (of, title) = key.split_once('/').unwrap_or_default();
        let what = group_path(of, title);
        restored.rule_groups += 1;
        let Some(folder) = place(names, Some(of), exported) else {
            restored.unknown.push(Fault { what, why: NO_FOLDER.to_owned() });
            continue;
        };
        let fault = rule_group(session, names, title, group, folder).await;
        restored.note(what, fault)?;
    }
    Ok(restored)
}

impl Restored {
    /// A refusal of one object is a fault of the export; Grafana's failure at one leaves it unknown. Any other error is the end.
    fn note(
        &mut self,
        what: String,
        fault: Result<Option<String>, GrafanaError>,
    ) -> Result<(), GrafanaError> {
        let error = match fault {
            Ok(fault) => {
                self.faults.extend(fault.map(|why| Fault { what, why }));
                return Ok(());
            }
            Err(error) => error,
        };
        let faults = match (&error, error.status()) {
            (_, Some(400 | 404 | 406 | 409 | 412 | 422)) => &mut self.faults,
            (_, Some(500)) | (GrafanaError::Unreadable { .. }, _) => &mut self.unknown,
            _ => return Err(error),
        };
        faults.push(Fault { what, why: error.to_string() });
        Ok(())
    }
}

async fn folder(session: &Session<'_>, made: &Made) -> Result<Option<String>, GrafanaError> {
    let mut body = json!({"uid": made.uid, "title": made.title});
    if let (Some(fields), Some(parent)) = (body.as_object_mut(), &made.parent) {
        fields.insert("parentUid".to_owned(), parent.as_str().into());
    }
    session.change(Method::POST, "/api/folders", Some(&body)).await?;
    let found: Option<Shown> = session.find(&format!("/api/folders/{}", segment(&made.uid))).await?;
    Ok(match found {
        None => Some(format!("folder {} is missing", made.of)),
        Some(found) if found.title != made.title => Some(format!("folder {}: /title differs", made.of)),
        Some(found) if found.parent.as_ref().filter(|parent| !parent.is_empty()) != made.parent.as_ref() => {
            Some(format!("folder {}: /parentUid differs", made.of))
        }
        Some(_) => None,
    })
}

/// The folder in which an object is restored; none if its own was not exported.
fn place(names: &Names<'_>, folder: Option<&str>, exported: &Bundle) -> Option<String> {
    let is_there = folder.is_none_or(|folder| exported.folders.contains_key(folder));
    is_there.then(|| names.folder(folder))
}

async fn restore_dashboard(
    session: &Session<'_>,
    names: &Names<'_>,
    uid: &str,
    one: &Dashboard,
    folder: String,
    namespace: &str,
) -> Result<Option<String>, GrafanaError> {
    let new = names.uid("dashboard", uid);
    let (path, body) = match &one.version {
        Some(version) => {
            let Some(place) = v2::Place::new(version, namespace) else {
                return Ok(Some("its version is not one of Grafana".to_owned()));
            };
            (place.path(), v2::request(&one.model, &new, &folder))
        }
        None => {
            let model = with_uid(&one.model, &new);
            let body =
                json!({"dashboard": model, "folderUid": folder, "overwrite": false, "message": MESSAGE});
            ("/api/dashboards/db".to_owned(), body)
        }
    };
    session.change(Method::POST, &path, Some(&body)).await?;
    let Some(found) = dashboard(session, &new, &mut Some(namespace.to_owned())).await? else {
        return Ok(Some("it is missing".to_owned()));
    };
    if found.folder.as_deref() != Some(folder.as_str()) {
        return Ok(Some("it is in another folder".to_owned()));
    }
    if found.version != one.version {
        return Ok(Some("it has another schema".to_owned()));
    }
    let mut back = with_uid(&found.model, uid);
    if let Some(metadata) = back.get_mut("metadata").filter(|_| one.version.is_some()) {
        *metadata = json!({"name": uid});
    }
    Ok(difference(&one.model, &back))
}

async fn rule_group(
    session: &Session<'_>,
    names: &Names<'_>,
    title: &str,
    group: &Value,
    folder: String,
) -> Result<Option<String>, GrafanaError> {
    let path = rule_group_path(&folder, title);
    let body = names.group_request(group, &folder);
    // Before 11.5.2, a group takes no rule with a UID that Grafana does not have: github.com/grafana/grafana/issues/98283.
    for rule in rules(&body, &folder, title) {
        session.change(Method::POST, "/api/v1/provisioning/alert-rules", Some(&rule)).await?;
    }
    session.change(Method::PUT, &path, Some(&body)).await?;
    let Some(found) = session.find::<Value>(&path).await? else {
        return Ok(Some("it is missing".to_owned()));
    };
    Ok(difference(group, &names.group_back(&normal::rule_group(found), group)))
}

/// Removes folders of a check with everything in them; those that are still there, each with the reason.
pub(crate) async fn remove(session: &Session<'_>, uids: &[String]) -> Vec<(String, String)> {
    let mut left = Vec::new();
    for uid in uids {
        let path = format!("/api/folders/{}?forceDeleteRules=true", segment(uid));
        // One inside of another is gone with it.
        if let Err(error) = session.change(Method::DELETE, &path, None).await
            && error.status() != Some(404)
        {
            left.push((uid.clone(), error.to_string()));
        }
    }
    left
}
