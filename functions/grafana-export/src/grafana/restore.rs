//! Restores an export beside what is there, and compares. It writes only under the names of [`scratch`].

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::grafana::{GrafanaError, Session, segment};

use super::read::{dashboard, rule_group_path};
use crate::rules::bundle::{self, Bundle, Dashboard, dashboard_path, group_path};
use crate::rules::scratch::{Made, Names, difference, with_uid};
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
        let fault = folder(session, &made).await?;
        restored.folders += 1;
        restored.note(bundle::FOLDERS.to_owned(), fault);
    }
    for (uid, one) in &exported.dashboards {
        let folder = place(names, one.folder.as_deref(), exported);
        let fault = restore_dashboard(session, names, uid, one, folder, namespace).await?;
        restored.dashboards += 1;
        restored.note(dashboard_path(uid, one.folder.as_deref()), fault);
    }
    for (key, group) in &exported.rule_groups {
        let (of, title) = key.split_once('/').unwrap_or_default();
        let folder = place(names, Some(of), exported);
        let fault = rule_group(session, names, title, group, folder).await?;
        restored.rule_groups += 1;
        restored.note(group_path(of, title), fault);
    }
    Ok(restored)
}

impl Restored {
    fn note(&mut self, what: String, fault: Option<String>) {
        self.faults.extend(fault.map(|why| Fault { what, why }));
    }
}

/// A refusal of one object is a fault of the export; any other error says nothing about it.
fn fault(error: GrafanaError) -> Result<Option<String>, GrafanaError> {
    match error.status() {
        Some(400 | 404 | 406 | 409 | 412 | 422) => Ok(Some(error.to_string())),
        _ => Err(error),
    }
}

async fn folder(session: &Session<'_>, made: &Made) -> Result<Option<String>, GrafanaError> {
    let mut body = json!({"uid": made.uid, "title": made.title});
    if let (Some(fields), Some(parent)) = (body.as_object_mut(), &made.parent) {
        fields.insert("parentUid".to_owned(), parent.as_str().into());
    }
    if let Err(error) = session.change(Method::POST, "/api/folders", Some(&body)).await {
        return fault(error);
    }
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
    folder: Option<String>,
    namespace: &str,
) -> Result<Option<String>, GrafanaError> {
    let Some(folder) = folder else { return Ok(Some(NO_FOLDER.to_owned())) };
    let new = names.uid("dashboard", uid);
    let (path, body) = match v2::Place::for_restore(&one.model, namespace) {
        Some(place) => (place.path(), v2::request(&one.model, &new, &folder)),
        None => {
            let model = with_uid(&one.model, &new);
            let body =
                json!({"dashboard": model, "folderUid": folder, "overwrite": false, "message": MESSAGE});
            ("/api/dashboards/db".to_owned(), body)
        }
    };
    if let Err(error) = session.change(Method::POST, &path, Some(&body)).await {
        return fault(error);
    }
    let Some((found, _)) = dashboard(session, &new).await? else {
        return Ok(Some("it is missing".to_owned()));
    };
    if found.folder.as_deref() != Some(folder.as_str()) {
        return Ok(Some("it is in another folder".to_owned()));
    }
    let mut back = with_uid(&found.model, uid);
    if let Some(metadata) = back.get_mut("metadata") {
        *metadata = json!({"name": uid});
    }
    Ok(difference(&one.model, &back))
}

async fn rule_group(
    session: &Session<'_>,
    names: &Names<'_>,
    title: &str,
    group: &Value,
    folder: Option<String>,
) -> Result<Option<String>, GrafanaError> {
    let Some(folder) = folder else { return Ok(Some(NO_FOLDER.to_owned())) };
    let path = rule_group_path(&folder, title);
    let body = names.group_request(group, &folder);
    if let Err(error) = session.change(Method::PUT, &path, Some(&body)).await {
        return fault(error);
    }
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
