//! An export: everything of one organization, in a stable order and without what changes by itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::policy::Accepted;
use shared::runtime::hex::hex;

use super::normal;
use super::secret::{self, Suspect};

/// The folder of dashboards that are in none.
const GENERAL: &str = "general";

/// An export. Its JSON is the object in the evidence bucket; [`Bundle::files`] are the files in the repository.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Bundle {
    /// Folders by UID.
    pub folders: BTreeMap<String, Folder>,
    /// Dashboards by UID.
    pub dashboards: BTreeMap<String, Dashboard>,
    /// Library panels by UID.
    pub library_panels: BTreeMap<String, Value>,
    /// Groups of alert rules by [`group_key`].
    pub rule_groups: BTreeMap<String, Value>,
    /// Contact points, without secrets.
    pub contact_points: Vec<Value>,
    /// The tree of notification policies.
    pub policies: Value,
    /// Mute timings.
    pub mute_timings: Vec<Value>,
    /// Templates of notifications.
    pub templates: Vec<Value>,
}

/// A folder.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Folder {
    pub title: String,
    /// UID of the folder that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// A dashboard.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Dashboard {
    /// UID of its folder; none if it is in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The version of the new API that it was read from, e.g. `v2beta1`; none if it was read from `/api`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its JSON: the model, or a resource of the new API.
    pub model: Value,
}

/// An object that an export does not have as Grafana has it: it could not be read, or has what looks like a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Lost {
    /// By its UID.
    Folder(String),
    /// By its UID.
    Dashboard(String),
    /// By its UID.
    Panel(String),
    /// By its [`group_key`].
    Group(String),
    /// By its name, in the list that is this file.
    Listed(&'static str, Value),
    Policies,
}

/// Differences between two exports, as paths of files.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Changes {
    pub added: BTreeSet<String>,
    pub changed: BTreeSet<String>,
    pub removed: BTreeSet<String>,
}

/// Key of a group of alert rules; groups in different folders may have the same name.
pub(crate) fn group_key(folder: &str, title: &str) -> String {
    format!("{folder}/{title}")
}

/// Path of a dashboard's file.
pub(crate) fn dashboard_path(uid: &str, folder: Option<&str>) -> String {
    format!("dashboards/{}/{}.json", file_name(folder.unwrap_or(GENERAL)), file_name(uid))
}

/// Path of a group of alert rules, as findings and the policy name it.
pub(crate) fn group_path(folder: &str, title: &str) -> String {
    format!("alerting/rule-groups/{}/{}.json", file_name(folder), file_name(title))
}

/// Path of its file. The title of a group that is exported is no secret: if it looks like one, the policy has accepted it.
pub(crate) fn group_file(folder: &str, title: &str) -> String {
    format!("alerting/rule-groups/{}/{}.json", file_name(folder), hashed(title))
}

/// Path of a library panel's file.
pub(crate) fn panel_path(uid: &str) -> String {
    format!("library-panels/{}.json", file_name(uid))
}

/// One object of a list in a file, by its UID or name, as findings name it.
pub(crate) fn part(file: &str, name: &str) -> String {
    format!("{file}/{}", file_name(name))
}

pub(crate) const FOLDERS: &str = "folders.json";
pub(crate) const CONTACT_POINTS: &str = "alerting/contact-points.json";
pub(crate) const POLICIES: &str = "alerting/policies.json";
pub(crate) const MUTE_TIMINGS: &str = "alerting/mute-timings.json";
pub(crate) const TEMPLATES: &str = "alerting/templates.json";

/// What stands for a name that looks like a secret, in a path.
const REDACTED: &str = "redacted";

/// A name in Grafana as a file's name. A name that looks like a password leaves nothing: it could be guessed from a hash.
fn file_name(foreign: &str) -> String {
    match secret::looks_secret(foreign) && !secret::is_token(foreign) {
        true => REDACTED.to_owned(),
        false => hashed(foreign),
    }
}

/// The same, of a name that is no password: a UID stays as it is. Any other name is cut to plain characters, and ends with a
/// hash of itself, since two names may be cut to the same. Of one that looks like a secret, only a hash is left.
fn hashed(foreign: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    if secret::looks_secret(foreign) {
        return sha256(foreign.as_bytes()).chars().take(16).collect();
    }
    if !foreign.is_empty() && foreign.len() <= 60 && foreign.chars().all(is_plain) {
        return foreign.to_owned();
    }
    let plain: String =
        foreign.chars().map(|character| if is_plain(character) { character } else { '-' }).collect();
    let plain: String = plain.chars().take(40).collect();
    let hash: String = sha256(foreign.as_bytes()).chars().take(8).collect();
    format!("{plain}-{hash}")
}

impl Bundle {
    /// The object in the bucket.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        pretty(self).into_bytes()
    }

    /// The files in the repository, by path.
    pub(crate) fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for (uid, Dashboard { folder, model, .. }) in &self.dashboards {
            files.insert(dashboard_path(uid, folder.as_deref()), pretty(model));
        }
        for (uid, panel) in &self.library_panels {
            files.insert(panel_path(uid), pretty(panel));
        }
        for (key, group) in &self.rule_groups {
            let (folder, title) = key.split_once('/').unwrap_or_default();
            files.insert(group_file(folder, title), pretty(group));
        }
        files.insert(FOLDERS.to_owned(), pretty(&self.folders));
        files.insert(CONTACT_POINTS.to_owned(), pretty(&self.contact_points));
        files.insert(POLICIES.to_owned(), pretty(&self.policies));
        files.insert(MUTE_TIMINGS.to_owned(), pretty(&self.mute_timings));
        files.insert(TEMPLATES.to_owned(), pretty(&self.templates));
        files
    }

    /// How this export differs from an earlier one; without one, everything is new.
    pub(crate) fn since(&self, before: Option<&Self>) -> Changes {
        let (before, now) = (before.map(Self::files).unwrap_or_default(), self.files());
        let mut changes = Changes::default();
        for (path, content) in &now {
            match before.get(path) {
                None => drop(changes.added.insert(path.clone())),
                Some(old) if old != content => drop(changes.changed.insert(path.clone())),
                Some(_) => {}
            }
        }
        changes.removed = before.into_keys().filter(|path| !now.contains_key(path)).collect();
        changes
    }

    /// Keeps a lost object in its earlier form, if there is one that has no secret: its file is not removed. The folder in
    /// which it was is kept with it, since without it the object cannot be restored. What the policy has accepted is no
    /// secret, and stays so in what was exported when the entry expires.
    pub(crate) fn keep(&mut self, lost: &Lost, before: &Self, accepted: &[Accepted]) {
        let is_clean = |file: &str, object: &Value| are_accepted(&secret::suspects(file, object, accepted));
        match lost {
            Lost::Folder(uid) => self.keep_folder(Some(uid), before, accepted),
            Lost::Dashboard(uid) => {
                let is_clean = |one: &Dashboard| are_accepted(&one.suspects(uid, accepted));
                if let Some(one) = kept(&mut self.dashboards, &before.dashboards, uid, is_clean) {
                    self.keep_folder(one.folder.as_deref(), before, accepted);
                }
            }
            Lost::Panel(uid) => {
                let is_clean = |one: &Value| is_clean(&panel_path(uid), one);
                if let Some(one) = kept(&mut self.library_panels, &before.library_panels, uid, is_clean) {
                    self.keep_folder(one.get("folderUid").and_then(Value::as_str), before, accepted);
                }
            }
            Lost::Group(key) => {
                let (folder, title) = key.split_once('/').unwrap_or_default();
                let is_clean = |one: &Value| is_clean(&group_path(folder, title), one);
                if kept(&mut self.rule_groups, &before.rule_groups, key, is_clean).is_some() {
                    self.keep_folder(Some(folder), before, accepted);
                }
            }
            Lost::Listed(file, name) => {
                let (list, before) = match *file {
                    CONTACT_POINTS => (&mut self.contact_points, &before.contact_points),
                    MUTE_TIMINGS => (&mut self.mute_timings, &before.mute_timings),
                    _ => (&mut self.templates, &before.templates),
                };
                for one in before.iter().filter(|one| is_named(one, name) && is_clean(file, one)) {
                    if !list.iter().any(|other| other.get("uid") == one.get("uid") && is_named(other, name)) {
                        list.push(one.clone());
                    }
                }
                *list = normal::sorted(std::mem::take(list), &["name", "type", "uid"]);
            }
            Lost::Policies if is_clean(POLICIES, &before.policies) => {
                self.policies.clone_from(&before.policies);
            }
            Lost::Policies => {}
        }
    }

    /// Keeps a folder and those that it is in, unless they are there.
    fn keep_folder(&mut self, uid: Option<&str>, before: &Self, accepted: &[Accepted]) {
        let mut next = uid;
        while let Some((uid, folder)) = next.and_then(|uid| before.folders.get_key_value(uid)) {
            if self.folders.contains_key(uid) || !are_accepted(&folder.suspects(uid, accepted)) {
                return;
            }
            self.folders.insert(uid.clone(), folder.clone());
            next = folder.parent.as_deref();
        }
    }

    /// How many objects of each kind it has.
    pub(crate) fn lengths(&self) -> BTreeMap<String, usize> {
        let routes = self.policies.get("routes").and_then(Value::as_array).map_or(0, Vec::len);
        let lengths = [
            ("folders", self.folders.len()),
            ("dashboards", self.dashboards.len()),
            ("library-panels", self.library_panels.len()),
            ("rule-groups", self.rule_groups.len()),
            ("contact-points", self.contact_points.len()),
            ("policies", routes),
            ("mute-timings", self.mute_timings.len()),
            ("templates", self.templates.len()),
        ];
        lengths.into_iter().map(|(kind, length)| (kind.to_owned(), length)).collect()
    }

    /// What it holds, in a line.
    pub(crate) fn counts(&self) -> String {
        format!(
            "{} folders, {} dashboards, {} library panels, {} rule groups, {} contact points, {} mute timings, {} templates",
            self.folders.len(),
            self.dashboards.len(),
            self.library_panels.len(),
            self.rule_groups.len(),
            self.contact_points.len(),
            self.mute_timings.len(),
            self.templates.len()
        )
    }
}

impl Folder {
    /// What looks like a secret in it.
    pub(crate) fn suspects(&self, uid: &str, accepted: &[Accepted]) -> Vec<Suspect> {
        let names = json!({"uid": uid, "title": self.title, "parent": self.parent});
        secret::suspects_at(FOLDERS, &secret::below("", uid), &names, accepted)
    }
}

impl Dashboard {
    /// What looks like a secret in it.
    pub(crate) fn suspects(&self, uid: &str, accepted: &[Accepted]) -> Vec<Suspect> {
        let file = dashboard_path(uid, self.folder.as_deref());
        let mut suspects = secret::suspects(&file, &self.model, accepted);
        suspects.extend(secret::suspects_at(&file, "/folder", &json!(self.folder), accepted));
        suspects
    }

    /// Its title; empty if it has none.
    pub(crate) fn title(&self) -> &str {
        let title = self.model.get("title").or_else(|| self.model.get("spec")?.get("title"));
        title.and_then(Value::as_str).unwrap_or_default()
    }
}

/// The earlier form of an object, to put in its place; none if there is no form that may be exported.
fn kept<'a, T: Clone>(
    now: &mut BTreeMap<String, T>,
    before: &'a BTreeMap<String, T>,
    key: &str,
    is_clean: impl Fn(&T) -> bool,
) -> Option<&'a T> {
    let kept = before.get(key).filter(|kept| is_clean(kept))?;
    now.insert(key.to_owned(), kept.clone());
    Some(kept)
}

/// Whether the policy accepts all of them, or did so until a day.
fn are_accepted(suspects: &[Suspect]) -> bool {
    suspects.iter().all(|suspect| suspect.accepted.is_some())
}

fn is_named(object: &Value, name: &Value) -> bool {
    object.get("name") == Some(name)
}

/// JSON as git shows it best: sorted, one value a line, a newline at the end.
fn pretty(content: &impl Serialize) -> String {
    // These types contain only text, numbers and lists, which always serialize.
    let mut text = serde_json::to_string_pretty(content).unwrap_or_default();
    text.push('\n');
    text
}

/// SHA-256, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Bundle {
        let dashboard = |folder: Option<&str>, title: &str| Dashboard {
            folder: folder.map(str::to_owned),
            version: None,
            model: json!({"title": title, "panels": []}),
        };
        Bundle {
            folders: [("f1".to_owned(), Folder { title: "API".to_owned(), parent: None })].into(),
            dashboards: [
                ("d1".to_owned(), dashboard(Some("f1"), "Latência")),
                ("d2".to_owned(), dashboard(None, "Geral")),
            ]
            .into(),
            rule_groups: [(group_key("f1", "a/b: ç"), json!({"title": "a/b: ç", "rules": []}))].into(),
            ..Bundle::default()
        }
    }

    #[test]
    fn each_object_is_a_file_whose_name_is_safe() {
        let paths: Vec<_> = bundle().files().into_keys().collect();
        let expected = [
            "alerting/contact-points.json",
            "alerting/mute-timings.json",
            "alerting/policies.json",
            "alerting/rule-groups/f1/a-b----e3e5d1e3.json",
            "alerting/templates.json",
            "dashboards/f1/d1.json",
            "dashboards/general/d2.json",
            "folders.json",
        ];
        assert_eq!(paths.len(), expected.len());
        for (path, expected) in paths.iter().zip(expected) {
            let stem = |path: &str| path.rsplit_once('-').map(|(stem, _)| stem.to_owned());
            assert!(path == expected || stem(path) == stem(expected), "{path} {expected}");
        }
        for bad in ["..", "../x", "a/b", "", ".git", "C:\\x", "é", &"x".repeat(99)] {
            let name = file_name(bad);
            let is_safe = name.chars().all(|one| one.is_ascii_alphanumeric() || "-_".contains(one));
            assert!(is_safe && name.len() < 60, "{bad}: {name}");
        }
        assert_ne!(file_name("a/b"), file_name("a-b/"));
        for token in ["glsa_5bgPmBqS1hMv1CmFxl7XxjNVcYBDrgf2_9a0a5c9e", "AKIAIOSFODNN7EXAMPLE"] {
            let name = file_name(token);
            assert!(name.len() == 16 && name.chars().all(|one| one.is_ascii_hexdigit()), "{name}");
        }
    }

    #[test]
    fn a_finding_has_no_hash_of_a_password_and_each_accepted_title_has_its_file() {
        let titles = ["password=hunter2", "password=hunter3"];
        for title in titles {
            assert_eq!(group_path("f1", title), "alerting/rule-groups/f1/redacted.json");
            assert_eq!(dashboard_path(title, Some(title)), "dashboards/redacted/redacted.json");
            assert_eq!(panel_path(title), "library-panels/redacted.json");
        }
        let groups = titles.map(|title| (group_key("f1", title), json!({"title": title})));
        let bundle = Bundle { rule_groups: groups.into(), ..Bundle::default() };
        let of_groups = |path: &&String| path.starts_with("alerting/rule-groups/f1/");
        assert_eq!(bundle.files().keys().filter(of_groups).count(), 2);
    }

    #[test]
    fn the_same_content_has_the_same_bytes_and_a_difference_is_named() {
        let before = bundle();
        assert_eq!(before.bytes(), bundle().bytes());
        let again: Bundle = serde_json::from_slice(&before.bytes()).unwrap();
        assert_eq!(again, before);
        let mut now = bundle();
        now.dashboards.remove("d2");
        now.dashboards.insert("d3".to_owned(), Dashboard::default());
        now.policies = json!({"receiver": "x"});
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let expected = Changes {
            added: names(&["dashboards/general/d3.json"]),
            changed: names(&["alerting/policies.json"]),
            removed: names(&["dashboards/general/d2.json"]),
        };
        assert_eq!(now.since(Some(&before)), expected);
        assert_eq!(before.since(Some(&before)), Changes::default());
        assert_eq!(before.since(None).added.len(), before.files().len());
    }

    #[test]
    fn what_is_lost_stays_as_it_was_unless_that_has_a_secret() {
        let mut before = bundle();
        before.policies = json!({"receiver": "ops"});
        before.templates = vec![json!({"name": "a", "template": "x"}), json!({"name": "b", "template": "y"})];
        before.library_panels.insert("p".to_owned(), json!({"model": {"password": "hunter2"}}));
        let mut now = Bundle { templates: vec![json!({"name": "c", "template": "z"})], ..Bundle::default() };
        let name = |name: &str| name.to_owned();
        for lost in [
            Lost::Folder(name("f1")),
            Lost::Dashboard(name("d2")),
            Lost::Dashboard(name("never")),
            Lost::Panel(name("p")),
            Lost::Group(group_key("f1", "a/b: ç")),
            Lost::Listed(TEMPLATES, json!("a")),
            Lost::Policies,
        ] {
            now.keep(&lost, &before, &[]);
            now.keep(&lost, &before, &[]);
        }
        assert_eq!((&now.folders, &now.rule_groups), (&before.folders, &before.rule_groups));
        assert_eq!(now.dashboards.keys().collect::<Vec<_>>(), ["d2"]);
        assert!(now.library_panels.is_empty());
        assert_eq!((now.policies["receiver"].as_str(), now.templates.len()), (Some("ops"), 2));
        assert_eq!(now.templates[0], before.templates[0]);
        let lengths = now.lengths();
        assert_eq!((lengths["templates"], lengths["dashboards"], lengths["policies"]), (2, 1, 0));
    }

    #[test]
    fn the_earlier_form_keeps_its_folder_and_what_was_accepted_once() {
        let mut before = bundle();
        let folder = |parent: &str| Folder { title: "x".to_owned(), parent: Some(parent.to_owned()) };
        before.folders.insert("f2".to_owned(), folder("f1"));
        before.folders.insert("f3".to_owned(), folder("f3"));
        let model = json!({"password": "example"});
        let inner = Dashboard { folder: Some("f2".to_owned()), version: None, model };
        before.dashboards.insert("d3".to_owned(), inner);
        let accepted = Accepted {
            object: "dashboards/f2/d3.json".to_owned(),
            place: "/password".to_owned(),
            sha256: sha256(b"example"),
            reason: "an example".to_owned(),
            owner: "Squad Observability".to_owned(),
            until: "2026-01-01".parse().unwrap(),
        };
        let lost = Lost::Dashboard("d3".to_owned());
        let mut now = Bundle::default();
        now.keep(&lost, &before, &[]);
        assert_eq!(now, Bundle::default());
        now.keep(&lost, &before, std::slice::from_ref(&accepted));
        assert_eq!(now.dashboards["d3"], before.dashboards["d3"]);
        assert_eq!(now.folders.keys().collect::<Vec<_>>(), ["f1", "f2"]);
        // So do the names of a folder, and the folder of a dashboard.
        let title = "Guia password=ex4mple-1";
        let mut named = Bundle::default();
        named.folders.insert("f4".to_owned(), Folder { title: title.to_owned(), parent: None });
        named.folders.insert("f5".to_owned(), folder(title));
        let inner = Dashboard { folder: Some(title.to_owned()), ..Dashboard::default() };
        named.dashboards.insert("d4".to_owned(), inner);
        for (lost, object, place) in [
            (Lost::Folder("f4".to_owned()), FOLDERS, "/f4/title"),
            (Lost::Folder("f5".to_owned()), FOLDERS, "/f5/parent"),
            (Lost::Dashboard("d4".to_owned()), "dashboards/redacted/d4.json", "/folder"),
        ] {
            let entry = Accepted {
                object: object.to_owned(),
                place: place.to_owned(),
                sha256: sha256(title.as_bytes()),
                ..accepted.clone()
            };
            for (accepted, expected) in [(vec![], 0), (vec![entry], 1)] {
                let mut now = Bundle::default();
                now.keep(&lost, &named, &accepted);
                assert_eq!(now.folders.len() + now.dashboards.len(), expected, "{place}");
            }
        }
        // A folder that is there is as it is now, and a circle ends.
        now.folders.insert("f1".to_owned(), Folder::default());
        now.keep(&Lost::Group(group_key("f1", "a/b: ç")), &before, &[]);
        now.keep(&Lost::Folder("f3".to_owned()), &before, &[]);
        assert_eq!(
            (&now.folders["f1"], now.folders.len(), now.rule_groups.len()),
            (&Folder::default(), 3, 1)
        );
    }

    #[test]
    fn both_forms_of_a_dashboard_have_a_title() {
        assert_eq!(bundle().dashboards["d1"].title(), "Latência");
        let resource = json!({"kind": "Dashboard", "spec": {"title": "Nova"}});
        assert_eq!(Dashboard { model: resource, ..Dashboard::default() }.title(), "Nova");
        assert_eq!(Dashboard::default().title(), "");
    }
}
