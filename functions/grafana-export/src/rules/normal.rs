//! Objects of Grafana without what changes by itself: an edited object differs, a saved or moved one does not.
//!
//! Source: the models of Grafana's API reference for
//! [dashboards](https://grafana.com/docs/grafana/latest/developers/http_api/dashboard/),
//! [library elements](https://grafana.com/docs/grafana/latest/developers/http_api/library_element/) and
//! [alerting](https://grafana.com/docs/grafana/latest/developers/http_api/alerting_provisioning/).

use serde_json::{Map, Value, json};

use super::secret;

/// A dashboard's model: without the number of the row and of its version, which each save changes.
pub(crate) fn dashboard(mut model: Value) -> Value {
    without(&mut model, &["id", "version", "iteration"]);
    panels(&mut model);
    model
}

/// What a dashboard says of a library panel is its UID and name. Some versions of Grafana add the panel as it is now, and
/// who changed it when.
fn panels(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::Object(panel)) = fields.get_mut("libraryPanel") {
                panel.retain(|name, _| name == "uid" || name == "name");
            }
            fields.values_mut().for_each(panels);
        }
        Value::Array(items) => items.iter_mut().for_each(panels),
        _ => {}
    }
}

/// A library panel, with its folder's UID.
pub(crate) fn library_panel(mut element: Value) -> Value {
    let folder = element.get("meta").and_then(|meta| meta.get("folderUid")).cloned();
    let known = element.get("folderUid").cloned();
    without(&mut element, &["id", "orgId", "folderId", "version", "meta", "schemaVersion"]);
    if let (Some(fields), Some(folder)) = (element.as_object_mut(), known.or(folder)) {
        fields.insert("folderUid".to_owned(), folder);
    }
    if let Some(model) = element.get_mut("model") {
        without(model, &["id", "libraryPanel", "gridPos"]);
    }
    element
}

/// A group of alert rules, in the order in which Grafana evaluates them.
pub(crate) fn rule_group(mut group: Value) -> Value {
    if let Some(Value::Array(rules)) = group.get_mut("rules") {
        for rule in rules {
            without(rule, &["id", "orgID", "updated", "updatedBy", "provenance", "guid", "version"]);
        }
    }
    group
}

/// A contact point, with everything redacted that may be a secret.
pub(crate) fn contact_point(mut point: Value) -> Value {
    without(&mut point, &["provenance"]);
    if let Some(settings) = point.get_mut("settings") {
        *settings = secret::settings(settings);
    }
    point
}

/// A policy, a mute timing or a template.
pub(crate) fn plain(mut object: Value) -> Value {
    without(&mut object, &["provenance", "version", "hash"]);
    object
}

/// Objects in the order of these fields.
pub(crate) fn sorted(mut objects: Vec<Value>, by: &[&str]) -> Vec<Value> {
    let text = |object: &Value, field: &str| object.get(field).map(Value::to_string).unwrap_or_default();
    objects.sort_by_cached_key(|object| by.iter().map(|field| text(object, field)).collect::<Vec<_>>());
    objects
}

/// A dashboard of the new API: its kind, name and content.
pub(crate) fn resource(mut resource: Value) -> Value {
    let mut kept = Map::new();
    for field in ["apiVersion", "kind", "spec"] {
        if let Some(value) = resource.get_mut(field) {
            kept.insert(field.to_owned(), value.take());
        }
    }
    let name = resource.get("metadata").and_then(|metadata| metadata.get("name")).cloned();
    kept.insert("metadata".to_owned(), json!({"name": name}));
    let mut kept = Value::Object(kept);
    panels(&mut kept);
    kept
}

fn without(object: &mut Value, fields: &[&str]) {
    if let Some(object) = object.as_object_mut() {
        object.retain(|name, _| !fields.contains(&name.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_save_that_changes_nothing_leaves_no_trace() {
        let panel = |version: u32| json!({"id": 4, "libraryPanel": {"uid": "p", "name": "CPU", "version": version, "meta": {"updated": version}}});
        let saved = |version: u32| json!({"id": version, "uid": "d", "version": version, "iteration": version, "title": "a", "panels": [{"type": "row", "panels": [panel(version)]}]});
        let expected = json!({"uid": "d", "title": "a", "panels": [{"type": "row", "panels": [{"id": 4, "libraryPanel": {"uid": "p", "name": "CPU"}}]}]});
        for version in [1, 2] {
            assert_eq!(dashboard(saved(version)), expected);
        }
        // A panel's own id and version belong to the model.
        let edited = dashboard(json!({"panels": [{"id": 5, "version": 2}]}));
        assert_eq!(edited, json!({"panels": [{"id": 5, "version": 2}]}));
    }

    #[test]
    fn a_rule_keeps_what_it_says_and_the_group_its_order() {
        let rule = |uid: &str, updated: &str| json!({"id": 1, "uid": uid, "orgID": 1, "title": uid, "isPaused": false, "updated": updated, "provenance": "api", "guid": "x", "for": "5m"});
        let group = json!({"title": "g", "folderUid": "f", "interval": 60, "rules": [rule("b", "t"), rule("a", "u")]});
        let expected = |uid: &str| json!({"uid": uid, "title": uid, "isPaused": false, "for": "5m"});
        let expected =
            json!({"title": "g", "folderUid": "f", "interval": 60, "rules": [expected("b"), expected("a")]});
        assert_eq!(rule_group(group), expected);
    }

    #[test]
    fn a_resource_keeps_its_name_and_its_content() {
        let answered = json!({
            "kind": "Dashboard", "apiVersion": "dashboard.grafana.app/v2beta1",
            "metadata": {"name": "d", "namespace": "default", "uid": "x", "resourceVersion": "7", "generation": 3, "annotations": {"grafana.app/updatedTimestamp": "2026-01-01T00:00:00Z", "grafana.app/folder": "f"}},
            "spec": {"title": "a"}, "status": {}
        });
        let expected = json!({"kind": "Dashboard", "apiVersion": "dashboard.grafana.app/v2beta1", "metadata": {"name": "d"}, "spec": {"title": "a"}});
        assert_eq!(resource(answered), expected);
    }

    #[test]
    fn lists_have_one_order() {
        let (a, b) = (json!({"name": "a", "uid": "2"}), json!({"name": "a", "uid": "1"}));
        let sorted = |list: &[&Value]| sorted(list.iter().copied().cloned().collect(), &["name", "uid"]);
        assert_eq!(sorted(&[&a, &b]), sorted(&[&b, &a]));
        assert_eq!(plain(json!({"name": "x", "provenance": "", "version": "9"})), json!({"name": "x"}));
        let element = json!({"id": 3, "uid": "p", "kind": 1, "name": "CPU", "model": {"type": "stat", "gridPos": {"x": 1}}, "meta": {"folderUid": "f", "updated": "t"}, "version": 4});
        assert_eq!(
            library_panel(element),
            json!({"uid": "p", "kind": 1, "name": "CPU", "folderUid": "f", "model": {"type": "stat"}})
        );
    }
}
