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

use jiff::civil::Date;
use serde::Deserialize;
use serde_json::Value;
use shared::grafana::{GrafanaError, Session, segment, weight};
use shared::policy::Accepted;

use crate::rules::bundle::{
    Bundle, CONTACT_POINTS, Dashboard, FOLDERS, Folder, Lost, MUTE_TIMINGS, POLICIES, TEMPLATES,
    dashboard_path, group_key, group_path, panel_path, part,
};
use crate::rules::finding::Finding;
use crate::rules::secret::Suspect;
use crate::rules::{normal, scratch, secret, v2};

/// Results of one page of the search; Grafana's most is 5000. A page that has fewer may not be the last: a server or a proxy
/// may allow less.
const PAGE: usize = 1_000;

/// Library panels of one page.
const PANELS: usize = 100;

/// Most pages; more would mean a loop.
const PAGES: usize = 100;

/// Most weight of all objects together, in bytes: they are held in memory, beside those of the last export.
const MOST: usize = 384 * 1024 * 1024;

/// Why an object that is listed was not exported.
const LISTED: &str = "Grafana lists it, and answers 404 when it is read";

/// Folder of what was shared with a user; the search lists it, and it holds nothing.
const SHARED: &str = "sharedwithme";

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub bundle: Bundle,
    pub findings: Vec<Finding>,
    /// What the bundle does not have as it is in Grafana; each has a finding.
    pub lost: Vec<Lost>,
    /// What looks like a secret and is exported, because the policy accepts it.
    pub accepted: Vec<Accepted>,
    /// UIDs of folders that an earlier restore check left.
    pub scratch: Vec<String>,
    /// The namespace of the organization in the new API, if a dashboard was read there.
    pub namespace: Option<String>,
    weight: usize,
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
    /// The schema's version, in versions that answer with any.
    #[serde(rename = "apiVersion", default)]
    version: Option<String>,
}

#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    namespace: Option<String>,
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

/// Reads everything. One dashboard or group that cannot be read is a finding, and so is what looks like a secret, unless the
/// policy accepts it on this day.
///
/// # Errors
///
/// [`GrafanaError`] if Grafana is not there, or a list cannot be read.
pub(crate) async fn everything(
    session: &Session<'_>,
    accepted: &[Accepted],
    today: Date,
) -> Result<Read, GrafanaError> {
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
    read.without_secrets(accepted, today);
    Ok(read)
}

impl Read {
    async fn folders(&mut self, session: &Session<'_>) -> Result<(), GrafanaError> {
        let mut missing = BTreeSet::new();
        for Hit { uid, title, .. } in search(session, "dash-folder").await? {
            if scratch::is_scratch(&uid, &title) {
                self.scratch.push(uid);
                continue;
            }
            if uid == SHARED {
                continue;
            }
            // Only this answer has the parent, in every version.
            let path = format!("/api/folders/{}", segment(&uid));
            match session.find::<Shown>(&path).await? {
                None => drop(missing.insert(uid)),
                Some(Shown { title, parent }) => {
                    let parent = parent.filter(|parent| !parent.is_empty());
                    self.bundle.folders.insert(uid, Folder { title, parent });
                }
            }
        }
        for Hit { uid, .. } in still(session, "dash-folder", &missing).await? {
            self.not_exported(FOLDERS.to_owned(), format!("{uid}: {LISTED}"), Lost::Folder(uid));
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

    /// Whether a folder is a check's: one that was there when the folders were listed, or that another run has made since.
    fn is_scratch(&self, folder: Option<&str>) -> bool {
        let is_new = |uid: &str| scratch::is_scratch_uid(uid) && !self.bundle.folders.contains_key(uid);
        folder.is_some_and(|folder| self.scratch.iter().any(|uid| uid == folder) || is_new(folder))
    }

    /// Notes an object that could not be read.
    fn not_exported(&mut self, what: String, why: String, lost: Lost) {
        self.findings.push(Finding::NotExported { what, why });
        self.lost.push(lost);
    }

    async fn dashboards(&mut self, session: &Session<'_>) -> Result<(), GrafanaError> {
        let mut missing = BTreeSet::new();
        for Hit { uid, folder, .. } in search(session, "dash-db").await? {
            if self.is_scratch(folder.as_deref()) {
                continue;
            }
            if scratch::is_scratch_uid(&uid) {
                let why = "a dashboard of a restore check was moved out of its folder".to_owned();
                self.findings.push(Finding::LeftBehind { uid, why });
                continue;
            }
            match dashboard(session, &uid, &mut self.namespace).await {
                Ok(None) => drop(missing.insert(uid)),
                Ok(Some(dashboard)) => {
                    self.weigh(&dashboard.model)?;
                    self.bundle.dashboards.insert(uid, dashboard);
                }
                Err(error) if is_of_one(&error) => {
                    let what = dashboard_path(&uid, folder.as_deref());
                    self.not_exported(what, error.to_string(), Lost::Dashboard(uid));
                }
                Err(error) => return Err(error),
            }
        }
        for Hit { uid, folder, .. } in still(session, "dash-db", &missing).await? {
            let what = dashboard_path(&uid, folder.as_deref());
            self.not_exported(what, LISTED.to_owned(), Lost::Dashboard(uid));
        }
        Ok(())
    }

    async fn library_panels(&mut self, session: &Session<'_>) -> Result<(), GrafanaError> {
        for page in 1..=PAGES {
            let path = format!("/api/library-elements?kind=1&perPage={PANELS}&page={page}");
            let elements: Elements = session.get(&path).await?;
            let elements = elements.result.elements.unwrap_or_default();
            if elements.is_empty() {
                return Ok(());
            }
            let before = self.bundle.library_panels.len();
            for element in elements.into_iter().map(normal::library_panel) {
                self.weigh(&element)?;
                let uid = element.get("uid").and_then(Value::as_str).map(str::to_owned);
                self.bundle.library_panels.extend(uid.map(|uid| (uid, element)));
            }
            if self.bundle.library_panels.len() == before {
                return Err(repeating(&path));
            }
        }
        Err(repeating("/api/library-elements"))
    }

    async fn rule_groups(&mut self, session: &Session<'_>) -> Result<(), GrafanaError> {
        let mut missing = BTreeSet::new();
        for (folder, title) in groups(session).await? {
            if self.is_scratch(Some(&folder)) {
                continue;
            }
            let path = rule_group_path(&folder, &title);
            match session.find_as::<Value>(&path, &shown_path(&folder, &title)).await {
                Ok(None) => drop(missing.insert((folder, title))),
                Ok(Some(group)) => {
                    self.weigh(&group)?;
                    self.bundle.rule_groups.insert(group_key(&folder, &title), normal::rule_group(group));
                }
                Err(error) if is_of_one(&error) => {
                    let lost = Lost::Group(group_key(&folder, &title));
                    self.not_exported(group_path(&folder, &title), error.to_string(), lost);
                }
                Err(error) => return Err(error),
            }
        }
        let listed = if missing.is_empty() { BTreeSet::new() } else { groups(session).await? };
        for (folder, title) in missing.intersection(&listed) {
            // Proxies, and Grafana Cloud, take an encoded slash for one.
            let hint = if title.contains('/') { "; rename the group without a slash" } else { "" };
            let lost = Lost::Group(group_key(folder, title));
            self.not_exported(group_path(folder, title), format!("{LISTED}{hint}"), lost);
        }
        Ok(())
    }

    fn weigh(&mut self, object: &Value) -> Result<(), GrafanaError> {
        self.weight += weight(object.to_string().as_bytes());
        if self.weight > MOST {
            let reason = format!("all objects together would take more than {} MiB", MOST / (1024 * 1024));
            return Err(GrafanaError::Unreadable { what: "all calls".to_owned(), reason });
        }
        Ok(())
    }

    /// Leaves out every object that has what looks like a secret and is not accepted.
    fn without_secrets(&mut self, entries: &[Accepted], today: Date) {
        let Self { bundle, findings, lost, accepted, .. } = self;
        let mut is_clean = |object: &str, what: String, suspects: Vec<Suspect>, own: Lost| {
            let (good, secrets): (Vec<_>, Vec<_>) =
                suspects.into_iter().partition(|suspect| suspect.is_accepted(today));
            accepted.extend(good.into_iter().filter_map(|suspect| suspect.accepted));
            let is_clean = secrets.is_empty();
            if !is_clean {
                findings.push(Finding::SecretFound { object: object.to_owned(), what, secrets });
                lost.push(own);
            }
            is_clean
        };
        bundle.folders.retain(|uid, folder| {
            is_clean(FOLDERS, part(FOLDERS, uid), folder.suspects(uid, entries), Lost::Folder(uid.clone()))
        });
        bundle.dashboards.retain(|uid, dashboard| {
            let file = dashboard_path(uid, dashboard.folder.as_deref());
            is_clean(&file, file.clone(), dashboard.suspects(uid, entries), Lost::Dashboard(uid.clone()))
        });
        bundle.library_panels.retain(|uid, panel| {
            let file = panel_path(uid);
            is_clean(&file, file.clone(), secret::suspects(&file, panel, entries), Lost::Panel(uid.clone()))
        });
        bundle.rule_groups.retain(|key, group| {
            let (folder, title) = key.split_once('/').unwrap_or_default();
            let file = group_path(folder, title);
            is_clean(&file, file.clone(), secret::suspects(&file, group, entries), Lost::Group(key.clone()))
        });
        for (file, list) in [
            (CONTACT_POINTS, &mut bundle.contact_points),
            (MUTE_TIMINGS, &mut bundle.mute_timings),
            (TEMPLATES, &mut bundle.templates),
        ] {
            let name = |one: &Value| one.get("name").cloned().unwrap_or_default();
            // Only contact points have a UID; some share a name.
            let text = |one: &Value, field: &str| one.get(field)?.as_str().map(str::to_owned);
            let which = |one: &Value| text(one, "uid").or_else(|| text(one, "name")).unwrap_or_default();
            let suspects = |one: &Value| secret::suspects(file, one, entries);
            list.retain(|one| {
                is_clean(file, part(file, &which(one)), suspects(one), Lost::Listed(file, name(one)))
            });
        }
        let suspects = secret::suspects(POLICIES, &bundle.policies, entries);
        if !is_clean(POLICIES, POLICIES.to_owned(), suspects, Lost::Policies) {
            bundle.policies = Value::Null;
        }
    }
}

/// Path of a group of alert rules.
pub(crate) fn rule_group_path(folder: &str, title: &str) -> String {
    group_at(&segment(folder), &segment(title))
}

/// The same as errors and the log have it: people write titles, and one may be a secret.
fn shown_path(folder: &str, title: &str) -> String {
    let shown = |name: &str| match secret::looks_secret(name) {
        true => secret::REDACTED.to_owned(),
        false => segment(name),
    };
    group_at(&shown(folder), &shown(title))
}

fn group_at(folder: &str, title: &str) -> String {
    format!("/api/v1/provisioning/folder/{folder}/rule-groups/{title}")
}

/// Whether an error is about one object: the others may be read.
fn is_of_one(error: &GrafanaError) -> bool {
    matches!(error, GrafanaError::Refused { .. } | GrafanaError::Unreadable { .. })
        && error.status() != Some(401)
}

/// Folders and titles of all groups. A rule does not have its group's interval, which only the group's own answer has.
async fn groups(session: &Session<'_>) -> Result<BTreeSet<(String, String)>, GrafanaError> {
    let rules: Vec<Rule> = session.get("/api/v1/provisioning/alert-rules").await?;
    Ok(rules.into_iter().map(|rule| (rule.folder, rule.group)).collect())
}

/// Which of these, to whose reads Grafana answered 404, it lists all the same: they are not gone. Some versions answer 404 to
/// a dashboard for every error.
async fn still(
    session: &Session<'_>,
    kind: &str,
    missing: &BTreeSet<String>,
) -> Result<Vec<Hit>, GrafanaError> {
    let listed = if missing.is_empty() { Vec::new() } else { search(session, kind).await? };
    Ok(listed.into_iter().filter(|hit| missing.contains(&hit.uid)).collect())
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

/// A dashboard; none if Grafana answers 404. `namespace` is that of the organization in the new API, if it is known.
pub(crate) async fn dashboard(
    session: &Session<'_>,
    uid: &str,
    namespace: &mut Option<String>,
) -> Result<Option<Dashboard>, GrafanaError> {
    let path = format!("/api/dashboards/uid/{}", segment(uid));
    let place = match session.find::<Full>(&path).await {
        Ok(None) => return Ok(None),
        Ok(Some(Full { dashboard, meta })) => {
            let Some(version) = meta.version.filter(|version| version.starts_with("v2")) else {
                let folder = meta.folder.filter(|folder: &String| !folder.is_empty());
                return Ok(Some(Dashboard { folder, version: None, model: normal::dashboard(dashboard) }));
            };
            if namespace.is_none() {
                let settings: Settings = session.get("/api/frontend/settings").await?;
                *namespace = settings.namespace;
            }
            v2::Place::new(&version, namespace.as_deref().unwrap_or(v2::NAMESPACE)).ok_or_else(|| {
                let reason = "meta.apiVersion is no version".to_owned();
                GrafanaError::Unreadable { what: format!("GET {path}"), reason }
            })?
        }
        Err(error) => match &error {
            GrafanaError::Refused { status: 406, message, .. } => {
                v2::Place::of(message, uid).ok_or_else(|| error.clone())?
            }
            _ => return Err(error),
        },
    };
    *namespace = Some(place.namespace().to_owned());
    let found = session.find::<Value>(&format!("{}/{}", place.path(), segment(uid))).await?;
    Ok(found.map(|resource| Dashboard {
        folder: v2::folder(&resource),
        version: Some(place.version().to_owned()),
        model: normal::resource(resource),
    }))
}
