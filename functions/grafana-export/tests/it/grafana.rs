//! A Grafana in memory, as strict as its API where an export depends on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use serde_json::{Value, json};
use shared::testing::Web;

/// A folder of the restore check of another run.
pub(crate) const ANOTHER: &str = "govcheck-0123456789abcdef0123";

const APIS: &str = "dashboard.grafana.app";

/// The state of a Grafana 11, whose groups take no rule with a UID that is not there.
#[derive(Default)]
pub(crate) struct State {
    /// Titles and parents of folders, by UID.
    pub(crate) folders: BTreeMap<String, (String, String)>,
    /// Folders and models of dashboards, by UID.
    pub(crate) dashboards: BTreeMap<String, (String, Value)>,
    /// Folders and resources of dashboards of the new schema, by UID: a Grafana 13 answers where they are.
    pub(crate) resources: BTreeMap<String, (String, Value)>,
    /// Groups of rules by folder and title.
    pub(crate) groups: BTreeMap<(String, String), Value>,
    /// Library panels; one a page, whatever is asked for.
    pub(crate) panels: Vec<Value>,
    pub(crate) contact_points: Value,
    pub(crate) templates: Value,
    pub(crate) version: String,
    /// Answers with this status to a request whose method and path begin with this text.
    pub(crate) refuses: Option<(String, u16)>,
    /// A field that a saved dashboard loses.
    pub(crate) loses: String,
    /// A dashboard that is deleted after it was listed.
    pub(crate) vanishes: String,
    /// Whether another run begins its check after the folders were listed.
    pub(crate) is_joined: bool,
    /// Requests that were not expected.
    pub(crate) unknown: Vec<String>,
    /// Rules that a request created and that are evaluated.
    pub(crate) evaluated: usize,
    saves: i64,
}

pub(crate) type Shared = Arc<Mutex<State>>;

/// Starts a Grafana with a folder, two dashboards and a group of rules.
pub(crate) fn start() -> (Web, Shared) {
    let mut state = State {
        version: "11.2.0".to_owned(),
        contact_points: json!([{"uid": "c", "name": "hook", "type": "webhook", "settings": {"url": "https://h.example/T0/secret-path"}, "disableResolveMessage": false, "provenance": ""}]),
        templates: json!([]),
        ..State::default()
    };
    state.folders.insert("f1".to_owned(), ("API".to_owned(), String::new()));
    for (uid, folder) in [("d1", "f1"), ("d2", "")] {
        let model =
            json!({"uid": uid, "title": format!("Painel {uid}"), "panels": [{"id": 1, "title": "5xx"}]});
        state.dashboards.insert(uid.to_owned(), (folder.to_owned(), model));
    }
    let rule = json!({"uid": "r1", "title": "5xx", "condition": "A", "data": [], "for": "5m", "isPaused": false, "folderUID": "f1", "ruleGroup": "api"});
    let group = json!({"title": "api", "folderUid": "f1", "interval": 60, "rules": [rule]});
    state.groups.insert(("f1".to_owned(), "api".to_owned()), group);
    let state = Shared::new(Mutex::new(state));
    let answering = Arc::clone(&state);
    let web = Web::new(move |request| {
        let (status, body) = answering.lock().unwrap().answer(request);
        Some(Response::builder().status(status).body(body).unwrap())
    });
    (web, state)
}

/// A name in a path, of which the tests have no other character that is encoded.
fn decoded(segment: &str) -> String {
    segment.replace("%3D", "=")
}

fn refused(status: u16, message: &str) -> (u16, Value) {
    (status, json!({"message": message}))
}

impl State {
    fn answer(&mut self, request: &Request<Value>) -> (u16, Value) {
        let uri = request.uri();
        let (path, query) = (uri.path().to_owned(), uri.query().unwrap_or_default().to_owned());
        let asked = format!("{} {path}", request.method());
        if asked == format!("GET /api/dashboards/uid/{}", self.vanishes) {
            self.dashboards.remove(&self.vanishes);
        }
        if let Some((begin, status)) = &self.refuses
            && asked.starts_with(begin)
        {
            return refused(*status, &format!("no {path}"));
        }
        let bearer = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        if path != "/api/health" && bearer != Some("Bearer glsa_good") {
            return refused(401, "Invalid API key");
        }
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let body = request.body();
        match (request.method().as_str(), parts.as_slice()) {
            ("GET", ["api", "health"]) => (200, json!({"database": "ok", "version": self.version})),
            ("GET", ["api", "search"]) => {
                let found = self.search(&query);
                if self.is_joined && query.contains("type=dash-folder") && found == json!([]) {
                    self.join();
                }
                (200, found)
            }
            ("GET", ["api", "frontend", "settings"]) => (200, json!({"namespace": "org-7"})),
            ("GET", ["api", "folders", uid]) => self.folder(uid),
            ("POST", ["api", "folders"]) => {
                let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
                if self.folders.contains_key(&text("uid")) {
                    return refused(409, "exists");
                }
                self.folders.insert(text("uid"), (text("title"), text("parentUid")));
                self.folder(&text("uid"))
            }
            ("DELETE", ["api", "folders", uid]) if query == "forceDeleteRules=true" => self.delete(uid),
            ("GET", ["api", "dashboards", "uid", uid]) => match self.dashboards.get(*uid) {
                None if self.resources.contains_key(*uid) => {
                    (200, json!({"dashboard": {"title": "less"}, "meta": {"apiVersion": "v2beta1"}}))
                }
                None => refused(404, "Dashboard not found"),
                Some((folder, model)) => {
                    self.saves += 1;
                    let mut model = model.clone();
                    model["id"] = self.saves.into();
                    model["version"] = self.saves.into();
                    (200, json!({"dashboard": model, "meta": {"folderUid": folder, "version": self.saves}}))
                }
            },
            ("POST", ["api", "dashboards", "db"]) => {
                let (mut model, folder) = (body["dashboard"].clone(), body["folderUid"].as_str().unwrap());
                let uid = model["uid"].as_str().unwrap().to_owned();
                if !self.folders.contains_key(folder) || self.dashboards.contains_key(&uid) {
                    return refused(412, "folder or uid");
                }
                model.as_object_mut().unwrap().remove(&self.loses);
                self.dashboards.insert(uid, (folder.to_owned(), model));
                (200, json!({"status": "success"}))
            }
            ("GET", ["apis", APIS, "v2beta1", "namespaces", "org-7", "dashboards", uid]) => {
                match self.resources.get(*uid) {
                    None => refused(404, "not found"),
                    Some((_, resource)) => (200, resource.clone()),
                }
            }
            ("POST", ["apis", APIS, "v2beta1", "namespaces", "org-7", "dashboards"]) => {
                let folder = body["metadata"]["annotations"]["grafana.app/folder"].as_str().unwrap();
                let uid = body["metadata"]["name"].as_str().unwrap();
                self.resources.insert(uid.to_owned(), (folder.to_owned(), body.clone()));
                (201, body.clone())
            }
            ("GET", ["api", "library-elements"]) => {
                let page: usize = query.rsplit_once("page=").unwrap().1.parse().unwrap();
                let elements: Vec<&Value> = self.panels.iter().skip(page - 1).take(1).collect();
                (200, json!({"result": {"totalCount": self.panels.len(), "elements": elements}}))
            }
            ("GET", ["api", "v1", "provisioning", "alert-rules"]) => {
                let rules = self
                    .groups
                    .keys()
                    .map(|(folder, group)| json!({"folderUID": folder, "ruleGroup": group}));
                (200, rules.collect())
            }
            ("GET", ["api", "v1", "provisioning", "folder", folder, "rule-groups", group]) => {
                match self.groups.get(&((*folder).to_owned(), decoded(group))) {
                    None => refused(404, "no group"),
                    Some(group) => (200, group.clone()),
                }
            }
            ("POST", ["api", "v1", "provisioning", "alert-rules"]) => {
                let text = |name: &str| body[name].as_str().unwrap().to_owned();
                let (folder, title) = (text("folderUID"), text("ruleGroup"));
                self.evaluated += usize::from(body["isPaused"] != json!(true));
                let empty = json!({"title": title, "folderUid": folder, "interval": 60, "rules": []});
                let group = self.groups.entry((folder, title)).or_insert(empty);
                group["rules"].as_array_mut().unwrap().push(body.clone());
                (201, body.clone())
            }
            ("PUT", ["api", "v1", "provisioning", "folder", folder, "rule-groups", title]) => {
                let key = ((*folder).to_owned(), decoded(title));
                let known = self.groups.get(&key).map(|group| group["rules"].to_string()).unwrap_or_default();
                let mut group = body.clone();
                for rule in group["rules"].as_array_mut().unwrap() {
                    if !known.contains(&rule["uid"].to_string()) {
                        return refused(500, "Internal Server Error");
                    }
                    self.evaluated += usize::from(rule["isPaused"] != json!(true));
                    rule["folderUID"] = json!(folder);
                    rule["ruleGroup"] = json!(key.1);
                }
                self.groups.insert(key, group.clone());
                (200, group)
            }
            ("GET", ["api", "v1", "provisioning", "contact-points"]) => (200, self.contact_points.clone()),
            ("GET", ["api", "v1", "provisioning", "policies"]) => {
                (200, json!({"receiver": "hook", "provenance": ""}))
            }
            ("GET", ["api", "v1", "provisioning", "mute-timings"]) => (200, json!([])),
            ("GET", ["api", "v1", "provisioning", "templates"]) => (200, self.templates.clone()),
            _ => {
                self.unknown.push(asked);
                refused(404, "Not found")
            }
        }
    }

    fn search(&self, query: &str) -> Value {
        if !query.ends_with("page=1") {
            return json!([]);
        }
        match query.contains("type=dash-folder") {
            true => {
                self.folders.iter().map(|(uid, (title, _))| json!({"uid": uid, "title": title})).collect()
            }
            false => {
                let hit = |(uid, (folder, _)): (&String, &(String, Value))| json!({"uid": uid, "title": uid, "folderUid": folder});
                self.dashboards.iter().chain(&self.resources).map(hit).collect()
            }
        }
    }

    /// What another run's restore check makes.
    fn join(&mut self) {
        let folder = ("governance-restore-check f1".to_owned(), String::new());
        self.folders.insert(ANOTHER.to_owned(), folder);
        let model = json!({"uid": "govcheck-0123456789abcdef9999", "title": "Painel d1"});
        let uid = model["uid"].as_str().unwrap().to_owned();
        self.dashboards.insert(uid, (ANOTHER.to_owned(), model));
        let group = json!({"title": "api", "folderUid": ANOTHER, "interval": 60, "rules": []});
        self.groups.insert((ANOTHER.to_owned(), "api".to_owned()), group);
    }

    fn folder(&self, uid: &str) -> (u16, Value) {
        match self.folders.get(uid) {
            None => refused(404, "folder not found"),
            Some((title, parent)) => (200, json!({"uid": uid, "title": title, "parentUid": parent})),
        }
    }

    fn delete(&mut self, uid: &str) -> (u16, Value) {
        if self.folders.remove(uid).is_none() {
            return refused(404, "folder not found");
        }
        self.dashboards.retain(|_, (folder, _)| folder != uid);
        self.resources.retain(|_, (folder, _)| folder != uid);
        self.groups.retain(|(folder, _), _| folder != uid);
        let inner: Vec<String> = self
            .folders
            .iter()
            .filter(|(_, (_, parent))| parent == uid)
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in inner {
            self.delete(&uid);
        }
        (200, json!({"message": "Folder deleted"}))
    }

    /// UIDs of everything, to see that nothing of a check stays.
    pub(crate) fn uids(&self) -> Vec<String> {
        let groups = self.groups.keys().map(|(folder, group)| format!("{folder}/{group}"));
        let dashboards = self.dashboards.keys().chain(self.resources.keys()).cloned();
        self.folders.keys().cloned().chain(dashboards).chain(groups).collect()
    }
}
