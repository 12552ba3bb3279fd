//! People's actions, and the delivery of their events.

use reqwest::Method;
use serde_json::{Value, json};

use aws_sdk_secretsmanager::types::Tag;

use crate::table::Act;
use crate::world::{LABELS, TRAIL, World};

impl World {
    /// Performs the action, and waits for its immediate consequences.
    pub(crate) async fn act(&mut self, name: &str, act: &Act) {
        self.deliver(LABELS, !act.is_missed).await;
        self.deliver(TRAIL, !act.is_unreported).await;
        let before = self.row_counts().await;
        if let Some(version) = self.change(name, &act.verb).await {
            if !act.is_unreported {
                self.attributed(name, &version).await;
            }
            if !act.is_missed {
                self.another_row(name, &before).await;
            }
            let event = json!({"detail-type": "Secret Label Updated", "resources": [self.arns[name]],
                "detail": {"name": name, "labelUpdated": "AWSCURRENT", "versionId": version}});
            if act.is_twice {
                self.start(event.clone()).await;
            }
            if act.is_late {
                self.late.push(event);
            }
        }
        self.deliver(LABELS, true).await;
        self.deliver(TRAIL, true).await;
    }

    /// Performs the change; returns the version that it has made current, if any.
    async fn change(&self, name: &str, verb: &str) -> Option<String> {
        let (secrets, arn) = (&self.cloud.secrets, &self.arns[name]);
        match verb {
            "put" => {
                let value = format!("a value after {} rows", self.rows().await.len());
                let put = secrets.put_secret_value().secret_id(arn).secret_string(value).send().await;
                put.unwrap().version_id
            }
            "rotate" => {
                let token = secrets.rotate_secret().secret_id(arn).send().await.unwrap().version_id.unwrap();
                let is_done =
                    |rotation: &Value| rotation["token"] == *token && rotation["state"] == "succeeded";
                self.rotation(name, is_done).await;
                Some(token)
            }
            "back" => {
                let versions = secrets.describe_secret().secret_id(arn).send().await.unwrap();
                let versions = versions.version_ids_to_stages.unwrap();
                let with = |label: &str| {
                    let found = versions.iter().find(|(_, labels)| labels.iter().any(|each| each == label));
                    found.unwrap().0.clone()
                };
                let (from, to) = (with("AWSCURRENT"), with("AWSPREVIOUS"));
                let moved = secrets.update_secret_version_stage().secret_id(arn).version_stage("AWSCURRENT");
                moved.remove_from_version_id(from).move_to_version_id(&to).send().await.unwrap();
                Some(to)
            }
            "cancel" => {
                secrets.cancel_rotate_secret().secret_id(arn).send().await.unwrap();
                None
            }
            "delete" => {
                secrets.delete_secret().secret_id(arn).send().await.unwrap();
                None
            }
            "break" => {
                let tag = Tag::builder().key("rotation:length").value("many").build();
                secrets.tag_resource().secret_id(arn).tags(tag).send().await.unwrap();
                None
            }
            "repair" => {
                secrets.untag_resource().secret_id(arn).tag_keys("rotation:length").send().await.unwrap();
                None
            }
            "refuse" => {
                let orders = json!({"cluster": "moveongs-dev-cluster", "service": "moveongs-dev-api", "fail_tasks": 3});
                self.cloud.admin(Method::POST, "ecs/rollouts", Some(orders)).await;
                None
            }
            verb => panic!("nobody can {verb}"),
        }
    }
}
