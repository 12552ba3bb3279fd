//! A Grafana in memory, as strict as its API where an export depends on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use serde_json::{Value, json};
use shared::testing::Web;

/// The state of a Grafana 11.
#[derive(Default)]
pub(crate) struct State {
    /// Titles and parents of folders, by UID.
    pub(crate) folders: BTreeMap<String, (String, String)>,
    /// Folders and models of dashboards, by UID.
    pub(crate) dashboards: BTreeMap<String, (String, Value)>,
    /// Groups of rules by folder and title.
    pub(crate) groups: BTreeMap<(String, String), Value>,
    pub(crate) contact_points: Value,
    pub(crate) version: String,
    /// Answers with this status to a request whose method and path begin with this text.
    pub(crate) refuses: Option<(String, u16)>,
    /// A field that a saved dashboard loses.
    pub(crate) loses: String,
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
        ..State::default()
    };
    state.folders.insert("f1".to_owned(), ("API".to_owned(), String::new()));
    for (uid, folder) in [("d1", "f1"), ("d2", "")] {
        let model =
            json!({"uid": uid, "title": format!("Painel {uid}"), "panels": [{"id": 1, "title": "5xx"}]});
        state.dashboards.insert(uid.to_owned(), (folder.to_owned(), model));
    }
    let rule =
        json!({"uid": "r1", "title": "5xx", "condition": "A", "data": [], "for": "5m", "isPaused": false});
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

fn refused(status: u16, message: &str) -> (u16, Value) {
    (status, json!({"message": message}))
}

impl State {
    fn answer(&mut self, request: &Request<Value>) -> (u16, Value) {
        let uri = request.uri();
        let (path, query) = (uri.path().to_owned(), uri.query().unwrap_or_default().to_owned());
        let asked = format!("{} {path}", request.method());
        if let Some((begin, status)) = &self.refuses
            && asked.starts_with(begin)
        {
            return refused(*status, "no");
        }
        let bearer = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        if path != "/api/health" && bearer != Some("Bearer glsa_good") {
            return refused(401, "Invalid API key");
        }
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let body = request.body();
        match (request.method().as_str(), parts.as_slice()) {
            ("GET", ["api", "health"]) => (200, json!({"database": "ok", "version": self.version})),
            ("GET", ["api", "search"]) => (200, self.search(&query)),
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
            ("GET", ["api", "library-elements"]) => (200, json!({"result": {"elements": []}})),
            ("GET", ["api", "v1", "provisioning", "alert-rules"]) => {
                let rules = self
                    .groups
                    .keys()
                    .map(|(folder, group)| json!({"folderUID": folder, "ruleGroup": group}));
                (200, rules.collect())
            }
            ("GET", ["api", "v1", "provisioning", "folder", folder, "rule-groups", group]) => {
                match self.groups.get(&((*folder).to_owned(), (*group).to_owned())) {
                    None => refused(404, "no group"),
                    Some(group) => (200, group.clone()),
                }
            }
            ("PUT", ["api", "v1", "provisioning", "folder", folder, "rule-groups", group]) => {
                for rule in body["rules"].as_array().unwrap() {
                    self.evaluated += usize::from(rule["isPaused"] != json!(true));
                }
                self.groups.insert(((*folder).to_owned(), (*group).to_owned()), body.clone());
                (200, body.clone())
            }
            ("GET", ["api", "v1", "provisioning", "contact-points"]) => (200, self.contact_points.clone()),
            ("GET", ["api", "v1", "provisioning", "policies"]) => {
                (200, json!({"receiver": "hook", "provenance": ""}))
            }
            ("GET", ["api", "v1", "provisioning", "mute-timings" | "templates"]) => (200, json!([])),
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
                self.dashboards.iter().map(hit).collect()
            }
        }
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
        self.folders.keys().cloned().chain(self.dashboards.keys().cloned()).chain(groups).collect()
    }
}
