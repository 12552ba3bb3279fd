//! Names of what a restore check makes in Grafana, and the comparison with what was exported.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::bundle::{Bundle, Folder, sha256};
use super::secret::below;

/// Beginning of the UIDs of everything that a check makes.
const UID: &str = "govcheck-";

/// Beginning of the titles of the folders that a check makes at the root.
pub(crate) const TITLE: &str = "governance-restore-check";

/// Whether a folder was made by a check. Both parts are required: what is removed must be ours.
pub(crate) fn is_scratch(uid: &str, title: &str) -> bool {
    is_scratch_uid(uid) && title.starts_with(TITLE)
}

/// Whether a UID is one that a check makes.
pub(crate) fn is_scratch_uid(uid: &str) -> bool {
    uid.strip_prefix(UID).is_some_and(|rest| rest.len() == 20 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The UIDs of one check.
pub(crate) struct Names<'a> {
    run: &'a str,
}

/// A folder to make.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Made {
    /// UID of the exported folder; empty for the dashboards that are in none.
    pub of: String,
    pub uid: String,
    pub title: String,
    pub parent: Option<String>,
}

impl<'a> Names<'a> {
    /// Of the check with this id.
    pub(crate) fn new(run: &'a str) -> Self {
        Self { run }
    }

    /// The UID that stands for another one, within Grafana's 40 characters.
    pub(crate) fn uid(&self, kind: &str, of: &str) -> String {
        let hash: String = sha256(format!("{}|{kind}|{of}", self.run).as_bytes()).chars().take(20).collect();
        format!("{UID}{hash}")
    }

    /// UID of the folder that stands for a dashboard's folder.
    pub(crate) fn folder(&self, of: Option<&str>) -> String {
        self.uid("folder", of.unwrap_or_default())
    }

    /// The folders to make, each after the one that it is in. A folder whose parent is not in the export is at the root.
    pub(crate) fn folders(&self, bundle: &Bundle) -> Vec<Made> {
        let mut made = Vec::new();
        if bundle.dashboards.values().any(|dashboard| dashboard.folder.is_none()) {
            let (uid, title) = (self.folder(None), TITLE.to_owned());
            made.push(Made { of: String::new(), uid, title, parent: None });
        }
        let mut left: BTreeMap<&String, &Folder> = bundle.folders.iter().collect();
        while !left.is_empty() {
            let is_ready =
                |folder: &Folder| folder.parent.as_ref().is_none_or(|parent| !left.contains_key(parent));
            let ready: Vec<_> =
                left.iter().filter(|(_, folder)| is_ready(folder)).map(|(uid, _)| *uid).collect();
            // Folders in a circle: Grafana has none, but its answer is foreign.
            let next = if ready.is_empty() { left.keys().copied().take(1).collect() } else { ready };
            for uid in next {
                let Some(folder) = left.remove(uid) else { continue };
                let is_made = |parent: &&String| made.iter().any(|made: &Made| made.of == **parent);
                let parent = folder.parent.as_ref().filter(is_made).map(|parent| self.folder(Some(parent)));
                let title = match parent {
                    Some(_) => folder.title.clone(),
                    None => format!("{TITLE} {uid}"),
                };
                made.push(Made { of: uid.clone(), uid: self.folder(Some(uid)), title, parent });
            }
        }
        made
    }

    /// The request that makes a group of alert rules again: paused, so that no rule of it is evaluated.
    pub(crate) fn group_request(&self, group: &Value, folder: &str) -> Value {
        self.group(group, |uid| self.uid("rule", uid), Some(folder), &|_| Some(json!(true)))
    }

    /// A restored group with the names of the exported one.
    pub(crate) fn group_back(&self, restored: &Value, exported: &Value) -> Value {
        let rules = |group: &Value| group.get("rules").and_then(Value::as_array).cloned().unwrap_or_default();
        let uids: BTreeMap<String, String> = rules(exported)
            .iter()
            .filter_map(|rule| rule.get("uid")?.as_str().map(str::to_owned))
            .map(|uid| (self.uid("rule", &uid), uid))
            .collect();
        let paused: BTreeMap<String, Value> = rules(exported)
            .iter()
            .filter_map(|rule| Some((rule.get("uid")?.as_str()?.to_owned(), rule.get("isPaused")?.clone())))
            .collect();
        let folder = exported.get("folderUid").and_then(Value::as_str);
        let is_paused = |uid: &str| paused.get(uid).cloned();
        self.group(
            restored,
            |uid| uids.get(uid).cloned().unwrap_or_else(|| uid.to_owned()),
            folder,
            &is_paused,
        )
    }

    /// A group with other UIDs and another folder.
    fn group(
        &self,
        group: &Value,
        uid: impl Fn(&str) -> String,
        folder: Option<&str>,
        is_paused: &dyn Fn(&str) -> Option<Value>,
    ) -> Value {
        let mut group = group.clone();
        put(&mut group, "folderUid", folder.map(Value::from));
        if let Some(Value::Array(rules)) = group.get_mut("rules") {
            for rule in rules {
                let new = rule.get("uid").and_then(Value::as_str).map(&uid);
                let is_paused = is_paused(new.as_deref().unwrap_or_default());
                if let Some(fields) = rule.as_object_mut() {
                    // A rule that does not say whether it is paused is evaluated.
                    fields.remove("isPaused");
                    fields.extend(is_paused.map(|is_paused| ("isPaused".to_owned(), is_paused)));
                }
                put(rule, "uid", new.map(Value::from));
                put(rule, "folderUID", folder.map(Value::from));
            }
        }
        group
    }
}

/// The requests that make the rules of a [`Names::group_request`] one by one, in their place.
pub(crate) fn rules(request: &Value, folder: &str, title: &str) -> Vec<Value> {
    let placed = |rule: &Value| {
        let mut rule = rule.clone();
        if let Some(fields) = rule.as_object_mut() {
            fields.insert("folderUID".to_owned(), folder.into());
            fields.insert("ruleGroup".to_owned(), title.into());
        }
        rule
    };
    request.get("rules").and_then(Value::as_array).into_iter().flatten().map(placed).collect()
}

/// Sets a field that an object has.
fn put(object: &mut Value, field: &str, value: Option<Value>) {
    if let (Some(found), Some(value)) = (object.get_mut(field), value) {
        *found = value;
    }
}

/// A dashboard's model with another UID.
pub(crate) fn with_uid(model: &Value, uid: &str) -> Value {
    let mut model = model.clone();
    put(&mut model, "uid", Some(uid.into()));
    model
}

/// Where two values differ first, as a JSON pointer, and how; none if they are the same.
pub(crate) fn difference(expected: &Value, found: &Value) -> Option<String> {
    let (at, how) = differing("", expected, found)?;
    Some(format!("{at}{how}"))
}

fn differing(at: &str, expected: &Value, found: &Value) -> Option<(String, String)> {
    let how = |how: &str| Some((at.to_owned(), how.to_owned()));
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            let inner = a.iter().find_map(|(name, value)| match b.get(name) {
                None => Some((below(at, name), " is missing".to_owned())),
                Some(other) => differing(&below(at, name), value, other),
            });
            inner.or_else(|| {
                let new = b.keys().find(|name| !a.contains_key(*name))?;
                Some((below(at, new), " is new".to_owned()))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut both = a.iter().zip(b).enumerate();
            both.find_map(|(number, (a, b))| differing(&below(at, &number.to_string()), a, b))
        }
        (Value::Array(a), Value::Array(b)) => {
            how(&format!(" has {} entries instead of {}", b.len(), a.len()))
        }
        (a, b) if a == b => None,
        _ => how(" differs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::bundle::Dashboard;

    fn folder(title: &str, parent: Option<&str>) -> Folder {
        Folder { title: title.to_owned(), parent: parent.map(str::to_owned) }
    }

    #[test]
    fn only_what_a_check_made_is_taken_for_its_own() {
        let uid = Names::new("r").uid("folder", "f");
        assert!(uid.len() <= 40 && is_scratch(&uid, "governance-restore-check f"), "{uid}");
        for (uid, title) in [
            (uid.as_str(), "API"),
            ("govcheck-mine", "governance-restore-check"),
            ("api", "governance-restore-check"),
            ("govcheck-0123456789abcdefghij", "governance-restore-check"),
        ] {
            assert!(!is_scratch(uid, title), "{uid} {title}");
        }
        assert_ne!(Names::new("r").uid("folder", "f"), Names::new("s").uid("folder", "f"));
    }

    #[test]
    fn folders_are_made_after_the_ones_that_they_are_in() {
        let mut bundle = Bundle::default();
        for (uid, one) in [
            ("a", folder("child", Some("z"))),
            ("b", folder("grandchild", Some("a"))),
            ("z", folder("root", None)),
            ("o", folder("orphan", Some("gone"))),
            ("x", folder("circle", Some("y"))),
            ("y", folder("circle", Some("x"))),
        ] {
            bundle.folders.insert(uid.to_owned(), one);
        }
        bundle.dashboards.insert("d".to_owned(), Dashboard::default());
        let names = Names::new("r");
        let made = names.folders(&bundle);
        let order: Vec<_> = made.iter().map(|made| made.of.as_str()).collect();
        assert_eq!(order, ["", "o", "z", "a", "b", "x", "y"]);
        for (at, one) in made.iter().enumerate() {
            let is_before = |parent: &String| made[..at].iter().any(|other| other.uid == *parent);
            assert!(one.parent.as_ref().is_none_or(is_before), "{one:?}");
            assert_eq!(one.parent.is_none(), one.title.starts_with(TITLE), "{one:?}");
        }
    }

    #[test]
    fn a_group_is_paused_while_it_is_checked_and_comes_back_as_it_was() {
        let rule = |uid: &str, is_paused: bool| json!({"uid": uid, "folderUID": "f", "ruleGroup": "g", "isPaused": is_paused, "title": uid});
        let silent = json!({"uid": "c", "folderUID": "f", "ruleGroup": "g", "title": "c"});
        let group = json!({"title": "g", "folderUid": "f", "interval": 60, "rules": [rule("a", false), rule("b", true), silent]});
        let names = Names::new("r");
        let asked = names.group_request(&group, "scratch");
        for rule in asked["rules"].as_array().unwrap() {
            assert_eq!((&rule["isPaused"], &rule["folderUID"]), (&json!(true), &json!("scratch")));
            assert!(is_scratch_uid(rule["uid"].as_str().unwrap()));
        }
        let alone =
            rules(&names.group_request(&json!({"rules": [{"uid": "a", "folderUID": "f"}]}), "s"), "s", "g");
        assert_eq!(
            alone,
            [json!({"uid": names.uid("rule", "a"), "folderUID": "s", "ruleGroup": "g", "isPaused": true})]
        );
        assert_eq!(names.group_back(&asked, &group), group);
        // A rule that Grafana lost or added shows.
        let mut less = asked.clone();
        less["rules"].as_array_mut().unwrap().pop();
        assert!(difference(&group, &names.group_back(&less, &group)).is_some());
    }

    #[test]
    fn the_first_difference_is_named_without_values() {
        let expected = json!({"a": [1, {"b": "secret"}], "c": 1});
        for (found, difference) in [
            (json!({"a": [1, {"b": "secret"}], "c": 1}), None),
            (json!({"a": [1, {"b": "other"}], "c": 1}), Some("/a/1/b differs")),
            (json!({"a": [1], "c": 1}), Some("/a has 1 entries instead of 2")),
            (json!({"a": [1, {"b": "secret"}]}), Some("/c is missing")),
            (json!({"a": [1, {"b": "secret"}], "c": 1, "d": 2}), Some("/d is new")),
            (json!([]), Some(" differs")),
        ] {
            assert_eq!(super::difference(&expected, &found).as_deref(), difference);
        }
        let long = json!({"x".repeat(9_000): {"y".repeat(9_000): 1}});
        let named = super::difference(&long, &json!({"x".repeat(9_000): {}})).unwrap();
        assert!(named.len() < 200 && named.ends_with("y is missing"), "{named}");
    }
}
