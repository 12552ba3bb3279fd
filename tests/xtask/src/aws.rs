//! Calls to the local cloud as its root user: with the AWS CLI where a person would use it, otherwise over HTTP.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cloud::Cloud;
use crate::http::{self, Answer};
use crate::repo::Repo;
use crate::run::{self, Log};

pub(crate) const REGION: &str = "us-east-1";
/// Key id and secret of the root user.
pub(crate) const KEY: &str = "test";

/// A local cloud and the tools to talk to it.
#[derive(Clone, Debug)]
pub(crate) struct Aws {
    pub(crate) cloud: Cloud,
    python: PathBuf,
    warm_cli: PathBuf,
}

impl Aws {
    pub(crate) fn new(repo: &Repo, cloud: &Cloud) -> Self {
        let warm_cli = repo.at("tests/cloud/localcloud/warmcli.py");
        Self { cloud: cloud.clone(), python: repo.venv("python"), warm_cli }
    }

    /// The environment of an AWS CLI or SDK, without the user's own profiles.
    pub(crate) fn environment(&self) -> [(&'static str, &str); 8] {
        [
            ("AWS_ENDPOINT_URL", &self.cloud.endpoint),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", KEY),
            ("AWS_REGION", REGION),
            ("AWS_DEFAULT_REGION", REGION),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]
    }

    /// The AWS CLI.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Command {
        let mut command = run::command(&self.python);
        command.arg("-I").arg(&self.warm_cli).arg(&self.cloud.folder);
        // On a loaded machine, the local cloud may take longer than the CLI's own minute.
        command
            .envs(self.environment())
            .args(["--output", "json", "--cli-read-timeout", "300"])
            .args(arguments);
        command
    }

    /// The AWS CLI's answer.
    pub(crate) fn ask(&self, arguments: &[&str], log: &Log) -> Result<Value> {
        let answer = run::output(&mut self.cli(arguments), log)?;
        if answer.trim_ascii().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer)
            .with_context(|| format!("`aws {}` did not answer in JSON", arguments.join(" ")))
    }

    /// Sends a request whose signature names the service; the local cloud checks nothing else in the signature.
    pub(crate) fn wire(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        let signature = format!(
            "AWS4-HMAC-SHA256 Credential={KEY}/20260101/{REGION}/{service}/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={}",
            "0".repeat(64)
        );
        let mut all = vec![("Authorization", signature.as_str()), ("X-Amz-Date", "20260101T000000Z")];
        all.extend_from_slice(headers);
        http::request(&self.cloud.endpoint, method, path, &all, body, Duration::from_secs(120))
    }

    /// Calls an AWS JSON 1.1 service. `Err` holds the service's error code.
    pub(crate) fn json(&self, service: &str, target: &str, body: &Value) -> Result<Value> {
        let headers = [("X-Amz-Target", target), ("Content-Type", "application/x-amz-json-1.1")];
        let answer = self.wire(service, "POST", "/", &headers, body.to_string().as_bytes())?;
        if answer.status != 200 {
            bail!("{target}: {} {}", answer.status, answer.text().trim());
        }
        Ok(serde_json::from_slice(&answer.body)?)
    }

    pub(crate) fn secrets(&self, operation: &str, body: &Value) -> Result<Value> {
        self.json("secretsmanager", &format!("secretsmanager.{operation}"), body)
    }

    /// Calls the local cloud's admin interface.
    pub(crate) fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let path = format!("/_local/{path}");
        let answer = http::request(
            &self.cloud.endpoint,
            method,
            &path,
            &[],
            body.as_bytes(),
            Duration::from_secs(60),
        )?;
        if answer.status != 200 {
            bail!("{method} {path}: {} {}", answer.status, answer.text().trim());
        }
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// The configuration of a deployed function.
    pub(crate) fn function(&self, name: &str) -> Result<Value> {
        let path = format!("/2015-03-31/functions/{name}/configuration");
        let answer = self.wire("lambda", "GET", &path, &[], &[])?;
        if answer.status != 200 {
            bail!(
                "no function `{name}` is deployed ({}); `cargo xtask up` deploys the template",
                answer.text().trim()
            );
        }
        Ok(serde_json::from_slice(&answer.body)?)
    }
}

/// The string at a JSON pointer.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}
