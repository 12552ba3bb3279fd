//! The commands advised in operators' messages, run as an operator runs them: pasted into a shell.

use std::process::Command;

use aws_sdk_s3::config::Credentials;
use serde_json::Value;

use crate::cloud::Cloud;

/// The commands of one message, in order.
#[derive(Debug)]
pub(crate) struct Advice {
    commands: Vec<String>,
}

impl Advice {
    /// The commands in a message's text or its JSON in the channel: text between backquotes that is an AWS CLI command or
    /// pipes into one.
    pub(crate) fn of(message: &str) -> Self {
        let mut texts = Vec::new();
        match serde_json::from_str::<Value>(message) {
            Ok(json) => strings(&json, &mut texts),
            Err(_) => texts.push(message.to_owned()),
        }
        let mut commands: Vec<String> = Vec::new();
        for text in texts {
            // Slack displays these escapes as characters.
            let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
            let quoted = text
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|command| command.starts_with("aws ") || command.contains(" | aws "));
            for command in quoted {
                // The fallback text of a message repeats its blocks.
                if !commands.iter().any(|known| known == command) {
                    commands.push(command.to_owned());
                }
            }
        }
        Self { commands }
    }

    /// All commands, as an operator reads them.
    pub(crate) fn commands(&self) -> &[String] {
        &self.commands
    }

    /// Runs the only command that contains `part`, which must succeed; returns its output.
    pub(crate) fn run(&self, cloud: &Cloud, part: &str) -> String {
        run(cloud, self.only(part))
    }

    fn only(&self, part: &str) -> &str {
        let found: Vec<_> = self.commands.iter().filter(|command| command.contains(part)).collect();
        let [command] = found[..] else {
            panic!("{} commands hold {part:?}: {:?}", found.len(), self.commands)
        };
        command
    }

    /// Runs it with the keys of a principal other than the account's root.
    pub(crate) fn run_as(&self, cloud: &Cloud, key: &Credentials, part: &str) -> String {
        run_as(cloud, Some(key), self.only(part))
    }

    /// Runs it after writing `content`, without a line end, to the file that the command names.
    pub(crate) fn run_with(&self, cloud: &Cloud, part: &str, file: &str, content: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(file), content).unwrap();
        let here = Self {
            commands: self
                .commands
                .iter()
                .map(|command| {
                    command.replace(
                        &format!("file://{file}"),
                        &format!("file://{}/{file}", folder.path().display()),
                    )
                })
                .collect(),
        };
        here.run(cloud, part)
    }
}

fn strings(json: &Value, texts: &mut Vec<String>) {
    match json {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(all) => all.iter().for_each(|each| strings(each, texts)),
        Value::Object(all) => all.values().for_each(|each| strings(each, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Runs a command in a shell whose `aws` reaches the local cloud and cannot reach AWS.
pub(crate) fn run(cloud: &Cloud, command: &str) -> String {
    run_as(cloud, None, command)
}

fn run_as(cloud: &Cloud, key: Option<&Credentials>, command: &str) -> String {
    let (id, secret) = key.map_or(("test", "test"), |key| (key.access_key_id(), key.secret_access_key()));
    let script = format!("aws() {{ python -I \"$WARM_CLI\" \"$WARM_CLI_FOLDER\" \"$@\"; }}\n{command}");
    let output = Command::new("sh")
        .args(["-euc", &script])
        .env("WARM_CLI", concat!(env!("CARGO_MANIFEST_DIR"), "/cloud/localcloud/warmcli.py"))
        .env("WARM_CLI_FOLDER", cloud.folder())
        .envs([("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)])
        .envs(key.and_then(Credentials::session_token).map(|token| ("AWS_SESSION_TOKEN", token)))
        .envs([("AWS_REGION", "us-east-1"), ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_PAGER", "")])
        .envs([("AWS_CONFIG_FILE", "/dev/null"), ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")])
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env_remove("AWS_PROFILE")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {error}");
    String::from_utf8(output.stdout).unwrap()
}
