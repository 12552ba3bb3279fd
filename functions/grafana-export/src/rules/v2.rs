//! Dashboards of the new schema, which only the API below `/apis` has as they are, in Grafana 12 and later.
//!
//! Source: [the new API's structure](https://grafana.com/docs/grafana/latest/developer-resources/api-reference/http-api/apis/).
//! `GET /api/dashboards/uid/:uid` answers 406 and names the place, or 200 with the version in `meta.apiVersion`.

use serde_json::{Value, json};

/// The API's group.
const GROUP: &str = "dashboard.grafana.app";

/// Namespace of the organization that a Grafana begins with.
pub(crate) const NAMESPACE: &str = "default";

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
        Self::new(version, namespace).filter(|_| name == uid)
    }

    /// The place with this version and namespace; none if they are not plain words: the text of a dashboard is its editor's,
    /// and the token may do more.
    pub(crate) fn new(version: &str, namespace: &str) -> Option<Self> {
        let is_word = |word: &str| {
            !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let is_place = version.starts_with('v') && is_word(version) && is_word(namespace);
        is_place.then(|| Self { version: version.to_owned(), namespace: namespace.to_owned() })
    }

    /// Path of all dashboards there.
    pub(crate) fn path(&self) -> String {
        format!("/apis/{GROUP}/{}/namespaces/{}/dashboards", self.version, self.namespace)
    }

    /// Its version.
    pub(crate) fn version(&self) -> &str {
        &self.version
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
        let place = Place::new("v2beta1", "org-2").unwrap();
        assert_eq!(place.path(), "/apis/dashboard.grafana.app/v2beta1/namespaces/org-2/dashboards");
        let made = request(&model, "x", "f");
        assert_eq!((&made["metadata"]["name"], folder(&made).as_deref()), (&json!("x"), Some("f")));
        assert_eq!(made["spec"], model["spec"]);
        for (version, namespace) in [
            ("../../api/org/invites?x=", "default"),
            ("..", "default"),
            ("", "default"),
            ("1", "default"),
            ("v1/..", "default"),
            ("v2", ".."),
            ("v2", ""),
            ("v2%2e", "default"),
        ] {
            assert_eq!(Place::new(version, namespace), None, "{version} {namespace}");
        }
    }
}
