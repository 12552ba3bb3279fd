//! Reads everything that an export holds.
//!
//! Source: Grafana's HTTP API for [search](https://grafana.com/docs/grafana/latest/developers/http_api/folder_dashboard_search/),
//! [folders](https://grafana.com/docs/grafana/latest/developers/http_api/folder/),
//! [dashboards](https://grafana.com/docs/grafana/latest/developers/http_api/dashboard/),
//! [library elements](https://grafana.com/docs/grafana/latest/developers/http_api/library_element/),
//! [alerting](https://grafana.com/docs/grafana/latest/developers/http_api/alerting_provisioning/). They are the same from
//! version 10 to 13; in 13 those for dashboards and folders are
//! [deprecated, not disabled](https://grafana.com/docs/grafana/latest/developer-resources/api-reference/http-api/apis-migration/).

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;
use shared::grafana::{GrafanaError, Session, segment};

use crate::rules::bundle::{
    Bundle, CONTACT_POINTS, Dashboard, Folder, MUTE_TIMINGS, POLICIES, TEMPLATES, dashboard_path, group_key,
    group_path, panel_path,
};
use crate::rules::finding::Finding;
use crate::rules::{normal, scratch, secret, v2};

/// Results of one page of the search; Grafana's most is 5000. A page that has fewer may not be the last: a server or a proxy
/// may allow less.
const PAGE: usize = 1_000;

/// Library panels of one page.
const PANELS: usize = 100;

/// Most pages; more would mean a loop.
const PAGES: usize = 100;

/// Most bytes of all dashboards and groups together: they are held in memory.
const MOST: usize = 48 * 1024 * 1024;

/// Folder of what was shared with a user; the search lists it, and it holds nothing.
const SHARED: &str = "sharedwithme";

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub bundle: Bundle,
    pub findings: Vec<Finding>,
    /// UIDs of dashboards that could not be read.
    pub lost_dashboards: Vec<String>,
    /// Keys of groups of rules that could not be read.
    pub lost_groups: Vec<String>,
    /// UIDs of folders that an earlier restore check left.
    pub scratch: Vec<String>,
    /// The namespace of the organization in the new API, if a dashboard was read there.
    pub namespace: Option<String>,
    bytes: usize,
}

#[derive(Deserialize)]
struct Hit {
    uid: String,
    title: String,
    #[serde(rename = "folderUid", default)]
    folder: Option<String>,
}

#[derive(Deserialize)]
struct Shown {
    title: String,
    #[serde(rename = "parentUid", default)]
    parent: Option<String>,
}

#[derive(Deserialize)]
struct Full {
    dashboard: Value,
    meta: Meta,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "folderUid", default)]
    folder: Option<String>,
}

#[derive(Deserialize)]
struct Elements {
    result: Page,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    elements: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(rename = "folderUID")]
    folder: String,
    #[serde(rename = "ruleGroup")]
    group: String,
}

/// Reads everything. One dashboard or group that cannot be read is a finding.
///
/// # Errors
///
/// [`GrafanaError`] if Grafana is not there, or a list cannot be read.
pub(crate) async fn everything(session: &Session<'_>) -> Result<Read, GrafanaError> {
    let mut read = Read::default();
    read.folders(session).await?;
    read.dashboards(session).await?;
    read.library_panels(session).await?;
    read.rule_groups(session).await?;
    let contact_points: Vec<Value> = session.get("/api/v1/provisioning/contact-points").await?;
    let contact_points = contact_points.into_iter().map(normal::contact_point).collect();
    read.bundle.contact_points = normal::sorted(contact_points, &["name", "type", "uid"]);
    read.bundle.policies = normal::plain(session.get("/api/v1/provisioning/policies").await?);
    let mute_timings: Vec<Value> = session.get("/api/v1/provisioning/mute-timings").await?;
    read.bundle.mute_timings =
        normal::sorted(mute_timings.into_iter().map(normal::plain).collect(), &["name"]);
    let templates: Option<Vec<Value>> = session.get("/api/v1/provisioning/templates").await?;
    let templates = templates.unwrap_or_default().into_iter().map(normal::plain).collect();
    read.bundle.templates = normal::sorted(templates, &["name"]);
    read.without_secrets();
    Ok(read)
}

impl Read {
    async fn folders(&mut self, session: &Session<'_>) -> Result<(), GrafanaError> {
        for Hit { uid, title, .. } in search(session, "dash-folder").await? {
            if scratch::is_scratch(&uid, &title) {
                self.scratch.push(uid);
                continue;
            }
            // Only this answer has the parent, in every version.
            let path = format!("/api/folders/{}", segment(&uid));
            let found = if uid == SHARED { None } else { session.find::<Shown>(&path).await? };
            if let Some(Shown { title, parent }) = found {
                let parent = parent.filter(|parent| !parent.is_empty());
                self.bundle.folders.insert(uid, Folder { title, parent });
            }
        }
        // Folders inside of a check's folder have the titles of the exported ones.
        loop {
            let is_inner = |folder: &Folder| self.is_scratch(folder.parent.as_deref());
            let inner = self.bundle.folders.iter().find(|(_, folder)| is_inner(folder));
            let Some(uid) = inner.map(|(uid, _)| uid.clone()) else { return Ok(()) };
            self.bundle.folders.remove(&uid);
            self.scratch.push(uid);
        }
    }

    fn is_scratch(&self, folder: Option<&str>) -> bool {
        folder.is_some_and(|folder| self.scratch.iter().any(|uid| uid == folder))
    }

    async fn dashboards(&mut self, session: &Session<'_>) -> Result<(), GrafanaError> {
        for Hit { uid, folder, .. } in search(session, "dash-db").await? {
            if self.is_scratch(folder.as_deref()) {
                continue;
            }
            match dashboard(session, &uid).await {
                Ok(None) => {}
                Ok(Some((dashboard, namespace))) => {
                    self.weigh(&dashboard.model)?;
                    self.namespace = namespace.or(self.namespace.take());
                    self.bundle.dashboards.insert(uid, dashboard);
                }
                Err(error @ (GrafanaError::Refused { .. } | GrafanaError::Unreadable { .. }))
                    if error.status() != Some(401) =>
                {
                    let what = dashboard_path(&uid, folder.as_deref());
                    self.findings.push(Finding::NotExported { what, why: error.to_string() });
                    self.lost_dashboards.push(uid);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn library_panels(&mut self, session: &Session<'_>) -> Result<(), GrafanaError> {
        for page in 1..=PAGES {
            let path = format!("/api/library-elements?kind=1&perPage={PANELS}&page={page}");
            let elements: Elements = session.get(&path).await?;
            let elements = elements.result.elements.unwrap_or_default();
            let (count, before) = (elements.len(), self.bundle.library_panels.len());
            for element in elements.into_iter().map(normal::library_panel) {
                self.weigh(&element)?;
                let uid = element.get("uid").and_then(Value::as_str).map(str::to_owned);
                self.bundle.library_panels.extend(uid.map(|uid| (uid, element)));
            }
            if count < PANELS {
                return Ok(());
            }
            if self.bundle.library_panels.len() == before {
                return Err(repeating(&path));
            }
        }
        Err(repeating("/api/library-elements"))
    }

    async fn rule_groups(&mut self, session: &Session<'_>) -> Result<(), GrafanaError> {
        let rules: Vec<Rule> = session.get("/api/v1/provisioning/alert-rules").await?;
        // A rule does not have its group's interval, which only the group's own answer has.
        let groups: BTreeSet<(String, String)> =
            rules.into_iter().map(|rule| (rule.folder, rule.group)).collect();
        for (folder, title) in groups {
            if self.is_scratch(Some(&folder)) {
                continue;
            }
            let path = rule_group_path(&folder, &title);
            match session.find::<Value>(&path).await {
                Ok(None) => {}
                Ok(Some(group)) => {
                    self.weigh(&group)?;
                    self.bundle.rule_groups.insert(group_key(&folder, &title), normal::rule_group(group));
                }
                Err(error @ (GrafanaError::Refused { .. } | GrafanaError::Unreadable { .. }))
                    if error.status() != Some(401) =>
                {
                    let what = group_path(&folder, &title);
                    self.findings.push(Finding::NotExported { what, why: error.to_string() });
                    self.lost_groups.push(group_key(&folder, &title));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn weigh(&mut self, object: &Value) -> Result<(), GrafanaError> {
        self.bytes += object.to_string().len();
        if self.bytes > MOST {
            let reason = format!("all objects together are longer than {MOST} bytes");
            return Err(GrafanaError::Unreadable { what: "all calls".to_owned(), reason });
        }
        Ok(())
    }

    /// Leaves out every object that has what looks like a secret.
    fn without_secrets(&mut self) {
        let mut found = Vec::new();
        let mut is_clean = |what: String, object: &Value| match secret::place(object) {
            None => true,
            Some(place) => {
                found.push(Finding::SecretFound { what, place });
                false
            }
        };
        let bundle = &mut self.bundle;
        bundle.dashboards.retain(|uid, dashboard| {
            is_clean(dashboard_path(uid, dashboard.folder.as_deref()), &dashboard.model)
        });
        bundle.library_panels.retain(|uid, panel| is_clean(panel_path(uid), panel));
        bundle.rule_groups.retain(|key, group| {
            let (folder, title) = key.split_once('/').unwrap_or_default();
            is_clean(group_path(folder, title), group)
        });
        bundle.contact_points.retain(|point| is_clean(CONTACT_POINTS.to_owned(), point));
        bundle.mute_timings.retain(|timing| is_clean(MUTE_TIMINGS.to_owned(), timing));
        bundle.templates.retain(|template| is_clean(TEMPLATES.to_owned(), template));
        if !is_clean(POLICIES.to_owned(), &bundle.policies) {
            bundle.policies = Value::Null;
        }
        self.findings.extend(found);
    }
}

/// Path of a group of alert rules.
pub(crate) fn rule_group_path(folder: &str, title: &str) -> String {
    format!("/api/v1/provisioning/folder/{}/rule-groups/{}", segment(folder), segment(title))
}

/// All results of a kind.
async fn search(session: &Session<'_>, kind: &str) -> Result<Vec<Hit>, GrafanaError> {
    let (mut hits, mut seen) = (Vec::new(), BTreeSet::new());
    for page in 1..=PAGES {
        let path = format!("/api/search?type={kind}&limit={PAGE}&page={page}");
        let found: Vec<Hit> = session.get(&path).await?;
        if found.is_empty() {
            return Ok(hits);
        }
        let before = seen.len();
        hits.extend(found.into_iter().filter(|hit| seen.insert(hit.uid.clone())));
        if seen.len() == before {
            return Err(repeating(&path));
        }
    }
    Err(repeating("/api/search"))
}

fn repeating(path: &str) -> GrafanaError {
    let reason = "its pages have no end".to_owned();
    GrafanaError::Unreadable { what: format!("GET {path}"), reason }
}

/// A dashboard; none if it is gone. Also its namespace, if only the new API has it.
pub(crate) async fn dashboard(
    session: &Session<'_>,
    uid: &str,
) -> Result<Option<(Dashboard, Option<String>)>, GrafanaError> {
    let path = format!("/api/dashboards/uid/{}", segment(uid));
    let refused = match session.find::<Full>(&path).await {
        Ok(found) => {
            let dashboard = |Full { dashboard, meta }| Dashboard {
                folder: meta.folder.filter(|folder: &String| !folder.is_empty()),
                model: normal::dashboard(dashboard),
            };
            return Ok(found.map(|full| (dashboard(full), None)));
        }
        Err(error) => error,
    };
    let GrafanaError::Refused { status: 406, message, .. } = &refused else { return Err(refused) };
    let Some(place) = v2::Place::of(message, uid) else { return Err(refused) };
    let found = session.find::<Value>(&format!("{}/{}", place.path(), segment(uid))).await?;
    let dashboard =
        |resource: Value| Dashboard { folder: v2::folder(&resource), model: normal::resource(resource) };
    Ok(found.map(|resource| (dashboard(resource), Some(place.namespace().to_owned()))))
}
