//! Dashboards of the new schema, which only the API below `/apis` has, in Grafana 12 and later.
//!
//! Source: [the new API's structure](https://grafana.com/docs/grafana/latest/developer-resources/api-reference/http-api/apis/),
//! and the answer 406 of `GET /api/dashboards/uid/:uid`, which names the place.

use serde_json::{Value, json};

/// The API's group.
const GROUP: &str = "dashboard.grafana.app";

/// The annotation with the UID of a dashboard's folder.
const FOLDER: &str = "grafana.app/folder";

/// Where a dashboard of the new schema is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    /// e.g. `v2beta1`.
    version: String,
    /// `default`, `org-2`, `stacks-123`.
    namespace: String,
}

impl Place {
    /// The place that Grafana's refusal names for a dashboard; none if it names no other place of this one.
    pub(crate) fn of(message: &str, uid: &str) -> Option<Self> {
        let rest = message.split_once(&format!("/apis/{GROUP}/"))?.1;
        let path = rest.split_whitespace().next()?;
        let [version, "namespaces", namespace, "dashboards", name] = path.split('/').collect::<Vec<_>>()[..]
        else {
            return None;
        };
        let is_word = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let is_place = name == uid && version.starts_with('v') && is_word(version) && is_word(namespace);
        is_place.then(|| Self { version: version.to_owned(), namespace: namespace.to_owned() })
    }

    /// Path of all dashboards there.
    pub(crate) fn path(&self) -> String {
        format!("/apis/{GROUP}/{}/namespaces/{}/dashboards", self.version, self.namespace)
    }

    /// The place at which a dashboard of an export is made again.
    pub(crate) fn for_restore(model: &Value, namespace: &str) -> Option<Self> {
        let version = model.get("apiVersion")?.as_str()?.strip_prefix(GROUP)?.strip_prefix('/')?;
        Some(Self { version: version.to_owned(), namespace: namespace.to_owned() })
    }

    /// Its namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }
}

/// UID of the folder that a resource is in.
pub(crate) fn folder(resource: &Value) -> Option<String> {
    let folder = resource.get("metadata")?.get("annotations")?.get(FOLDER)?.as_str()?;
    (!folder.is_empty()).then(|| folder.to_owned())
}

/// The request that makes a dashboard in a folder under another name.
pub(crate) fn request(model: &Value, uid: &str, folder: &str) -> Value {
    let mut request = model.clone();
    if let Some(fields) = request.as_object_mut() {
        fields.insert("metadata".to_owned(), json!({"name": uid, "annotations": {FOLDER: folder}}));
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_place_of_the_same_dashboard_is_taken_from_a_message() {
        let message = |place: &str| format!("dashboard api version not supported, use {place} instead");
        let good = "/apis/dashboard.grafana.app/v2beta1/namespaces/default/dashboards/d1";
        let place = Place::of(&message(good), "d1").unwrap();
        assert_eq!(place.path(), "/apis/dashboard.grafana.app/v2beta1/namespaces/default/dashboards");
        for (bad, uid) in [
            (good, "d2"),
            ("/apis/dashboard.grafana.app/v2beta1/namespaces/../dashboards/d1", "d1"),
            ("/apis/dashboard.grafana.app/v2?x=/namespaces/default/dashboards/d1", "d1"),
            ("/apis/secret.grafana.app/v1/namespaces/default/dashboards/d1", "d1"),
            ("/apis/dashboard.grafana.app/v2/namespaces/default/dashboards/d1/x", "d1"),
            ("", "d1"),
        ] {
            assert_eq!(Place::of(&message(bad), uid), None, "{bad}");
        }
    }

    #[test]
    fn a_restored_one_has_another_name_and_folder() {
        let model = json!({"apiVersion": "dashboard.grafana.app/v2beta1", "kind": "Dashboard", "metadata": {"name": "d1"}, "spec": {"title": "a"}});
        let place = Place::for_restore(&model, "org-2").unwrap();
        assert_eq!(place.path(), "/apis/dashboard.grafana.app/v2beta1/namespaces/org-2/dashboards");
        let made = request(&model, "x", "f");
        assert_eq!((&made["metadata"]["name"], folder(&made).as_deref()), (&json!("x"), Some("f")));
        assert_eq!(made["spec"], model["spec"]);
        assert_eq!(Place::for_restore(&json!({"title": "a"}), "default"), None);
    }
}
