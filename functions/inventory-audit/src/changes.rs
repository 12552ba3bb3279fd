//! Changes of the policy: each version of its document has a record of its own, a message, and a look at its commit.
//!
//! Trigger: EventBridge, when the document was put or removed, and a daily schedule, so that an event that was lost costs a day and
//! no record; each audit looks too. Nothing of the event is used but that there was one.
//!
//! S3 does not say who wrote an object: author and commit are the document's own words. Only the deployer can write them
//! (the bucket's policy); the commit is looked up on GitHub, and the patch is compared with the commit's file.

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use shared::aws::secrets;
use shared::github::{GitHubError, Repository, Session, Setup, read};
use shared::policy::{self, Change, Document, KEY};
use shared::run::evidence::{Draft, Step};
use shared::run::in_force::{self, Broken, Source, Version, Versions};
use shared::run::notify::Message;
use shared::run::report::Reporter;
use shared::runtime::endpoint::Endpoint;
use shared::runtime::env::{Env, EnvError};
use shared::runtime::failure::{CallError, chain};
use shared::runtime::lambda::Invocation;
use shared::runtime::settings::Settings;

/// Name of the chain of these records.
const CHAIN: &str = "policy";

/// The branch on which operational changes are valid (guide).
const MAIN: &str = "main";

/// Most changes that a message names; the record has all.
const MOST_LINES: usize = 20;

/// Most differing fields that a finding names.
const MOST_FIELDS: usize = 5;

const SETUP: Setup = Setup {
    repository: "GitHubRepository",
    secret: "GitHubSecretName",
    permissions: "the permission Contents: read",
};

/// Where changes are read and recorded.
pub(crate) struct Changes {
    source: Source,
    reporter: Reporter,
    /// The repository that holds the policy, and the name of its token's secret.
    repository: Option<(Repository, String)>,
    secrets: Client,
}

/// How a change stands to [`MAIN`].
#[derive(Clone, Debug, Eq, PartialEq)]
enum Merge {
    /// The commit is on the branch, and its file has the applied patch.
    Merged,
    /// The commit is not on the branch; how it stands to it.
    Unmerged(String),
    /// The commit is on the branch, but its file differs from the applied patch; the differences.
    Differs(String),
    /// Not known, and why.
    Unknown(String),
}

/// What became of the policy with one version.
#[derive(Debug)]
enum Became {
    /// Another one.
    Changed(Document, Merge),
    /// The defaults: the document was removed.
    Removed,
    /// The version is not understood. The good version before it stays in force; none: the defaults.
    Broken(String, Option<String>),
}

/// One change.
#[derive(Debug)]
struct Recorded {
    became: Became,
    /// What differs from the policy before.
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Before {
    run_id: String,
}

#[derive(Deserialize)]
struct Compared {
    status: String,
}

/// Whether a version has no record yet, given its place (the newest is 0) and the version of the newest record. If that record was not
/// read, only the newest version counts: older ones were announced long ago.
fn is_new(version: &str, place: usize, before: Result<Option<&str>, ()>) -> bool {
    match before {
        Ok(before) => before != Some(version),
        Err(()) => place == 0,
    }
}

/// Whether an event reports a change of the document, or is the daily request to look for changes only.
pub(crate) fn is_one(event: &Value) -> bool {
    let is_put = event.get("source").is_some_and(|source| source == "aws.s3")
        && event.pointer("/detail/object/key").is_some_and(|key| key == KEY);
    is_put || event.get("policy") == Some(&Value::Bool(true))
}

impl Changes {
    /// Reads `GITHUB_REPOSITORY`, which may be empty, and with it `GITHUB_API_URL` and `GITHUB_SECRET_NAME`.
    pub(crate) fn new(settings: &Settings, env: &Env<'_>, aws: &SdkConfig) -> Result<Self, EnvError> {
        let name: Option<String> = env.optional("GITHUB_REPOSITORY")?;
        let repository = match name {
            None => None,
            Some(name) => {
                let api: Endpoint = env.required("GITHUB_API_URL")?;
                let repository = Repository::new(api, name, SETUP)
                    .map_err(|reason| EnvError::Invalid { name: "GITHUB_API_URL", reason })?;
                Some((repository, env.required("GITHUB_SECRET_NAME")?))
            }
        };
        Ok(Self {
            source: Source::new(env, aws)?,
            reporter: Reporter::of_audit(CHAIN, settings, env, aws)?,
            repository,
            secrets: Client::new(aws),
        })
    }

    /// Records what has no record yet, oldest first; gives the versions.
    ///
    /// A run is a version: an event that comes twice finds the record.
    ///
    /// # Errors
    ///
    /// The [`CallError`] of S3. What could not be recorded or announced is counted and logged, as every report.
    pub(crate) async fn record(
        &self,
        settings: &Settings,
        invocation: &Invocation,
    ) -> Result<Vec<String>, CallError> {
        let before = self.reporter.before::<Before>().await;
        let before = before.map(|before| before.map(|before| before.run_id));
        let before = before.as_ref().map(Option::as_deref).map_err(|_| ());
        let (mut versions, mut new) = (Versions::default(), 0);
        while let Some(version) = self.source.version(&mut versions, new).await?
            && is_new(&version.id, new, before)
        {
            new += 1;
        }
        let mut recorded = Vec::new();
        for place in (0..new).rev() {
            let Some(version) = self.source.version(&mut versions, place).await?.cloned() else { continue };
            let begun = self.reporter.begin(&version.id).await;
            if begun.is_recorded() && !begun.was_left_open() {
                continue;
            }
            let found = self.look(&version, &mut versions, place, invocation).await?;
            let mut draft = draft(settings, &version, &found, invocation);
            // Another function may have announced it already.
            if let Became::Broken(error, in_force) = &found.became {
                let broken = Broken { version: version.id.clone(), error: error.clone() };
                let announced = in_force::announce_once(
                    &self.reporter,
                    settings,
                    &broken,
                    in_force.as_deref(),
                    invocation.now,
                );
                draft.steps.push(Step::now("announce that it is broken", announced.await));
            }
            let message = message(settings, &version, &found);
            // A later record would hide that this one is missing.
            if !self.reporter.report(draft, message.as_ref(), begun, invocation).await {
                break;
            }
            recorded.push(version.id);
        }
        Ok(recorded)
    }

    async fn look(
        &self,
        version: &Version,
        versions: &mut Versions,
        place: usize,
        invocation: &Invocation,
    ) -> Result<Recorded, CallError> {
        let read = if version.is_marker { None } else { Some(self.source.document(version).await?) };
        let (mut before, mut place) = (None, place + 1);
        while let Some(one) = self.source.version(versions, place).await?
            && !one.is_marker
        {
            if let Ok(document) = self.source.document(one).await? {
                before = Some((one.id.clone(), document.patch));
                break;
            }
            place += 1;
        }
        let (became, patch) = match read {
            None => (Became::Removed, json!({})),
            Some(Ok(document)) => {
                let patch = document.patch.clone();
                let merge = self.merge(&document, invocation).await;
                (Became::Changed(document, merge), patch)
            }
            Some(Err(error)) => {
                let became = Became::Broken(error.to_string(), before.map(|(id, _)| id));
                return Ok(Recorded { became, changes: Vec::new() });
            }
        };
        let effective = |patch| policy::effective(patch).unwrap_or_default();
        let before = before.map_or_else(|| json!({}), |(_, patch)| patch);
        let changes = policy::changes(&effective(&before), &effective(&patch));
        Ok(Recorded { became, changes })
    }

    /// Whether the document's commit is on the branch, and its file holds the document's patch.
    async fn merge(&self, document: &Document, invocation: &Invocation) -> Merge {
        let Some((repository, token)) = &self.repository else {
            return Merge::Unknown("GitHubRepository is not set".to_owned());
        };
        let token = match secrets::value(&self.secrets, token, None).await {
            Ok(token) => token,
            Err(error) => return Merge::Unknown(chain(&error)),
        };
        let merge = match repository.session(&token, invocation) {
            Ok(session) => Self::merge_by(&session, document).await,
            Err(error) => Err(error),
        };
        merge.unwrap_or_else(|error| Merge::Unknown(chain(&error)))
    }

    /// A comparison's second page has its result and no files.
    ///
    /// Source: [compare two commits](https://docs.github.com/en/rest/commits/commits#compare-two-commits).
    async fn merge_by(session: &Session<'_>, document: &Document) -> Result<Merge, GitHubError> {
        let commit = &document.commit;
        let compare = session.url(&format!("/compare/{MAIN}...{commit}?per_page=1&page=2"));
        let status = match session.ask(Method::GET, &compare, None).await {
            Ok(answer) => read::<Compared>(answer).await?.status,
            Err(GitHubError::Refused { status: 404, .. }) => {
                // No such commit, or no such repository for this token: the branch tells them apart.
                let branch = session.url(&format!("/git/ref/heads/{MAIN}"));
                session.ask(Method::GET, &branch, None).await?;
                "unknown to the repository".to_owned()
            }
            Err(error) => return Err(error),
        };
        let merge = judged(&status);
        if merge != Merge::Merged {
            return Ok(merge);
        }
        let Some(path) = &document.path else {
            return Ok(Merge::Unknown("the document does not say which file was applied".to_owned()));
        };
        let file = session.file(path, commit).await?;
        Ok(compared(&document.patch, path, file.as_ref().map(|file| file.content.as_slice())))
    }
}

/// Compares the applied patch with the file of a merged commit; none: the commit has no such file.
fn compared(patch: &Value, path: &str, file: Option<&[u8]>) -> Merge {
    let Some(file) = file else { return Merge::Differs(format!("the commit has no {path}")) };
    let Ok(file) = serde_json::from_slice::<Value>(file) else {
        return Merge::Differs(format!("{path} is not JSON in the commit"));
    };
    let changes = policy::changes(&file, patch);
    if changes.is_empty() {
        return Merge::Merged;
    }
    let fields: Vec<_> = changes.iter().take(MOST_FIELDS).map(ToString::to_string).collect();
    let more = if changes.len() > MOST_FIELDS { ", …" } else { "" };
    Merge::Differs(format!("{path} → {KEY}: {}{more}", fields.join(", ")))
}

/// What GitHub's word for a commit, compared with the branch, means.
fn judged(status: &str) -> Merge {
    match status {
        "behind" | "identical" => Merge::Merged,
        "ahead" | "diverged" | "unknown to the repository" => Merge::Unmerged(status.to_owned()),
        other => Merge::Unknown(format!("GitHub's answer was not understood: {other}")),
    }
}

impl Recorded {
    /// What a person should do.
    fn finding(&self) -> Option<String> {
        match &self.became {
            Became::Changed(document, Merge::Unmerged(status)) => {
                Some(format!("policy.unmerged {KEY}: commit {} is not on {MAIN} ({status})", document.commit))
            }
            Became::Changed(document, Merge::Unknown(why)) => Some(format!(
                "policy.unverified {KEY}: whether commit {} is on {MAIN} and holds it: {why}",
                document.commit
            )),
            Became::Changed(document, Merge::Differs(how)) => {
                Some(format!("policy.differs {KEY}: it is not the file of commit {}: {how}", document.commit))
            }
            Became::Broken(error, _) => Some(format!("policy.broken {KEY}: {error}")),
            Became::Removed => {
                Some(format!("policy.unmerged {KEY}: it was removed, and no commit on {MAIN} says so"))
            }
            Became::Changed(_, Merge::Merged) => None,
        }
    }
}

fn draft(settings: &Settings, version: &Version, found: &Recorded, invocation: &Invocation) -> Draft {
    let mut steps = Vec::new();
    if let Became::Changed(document, merge) = &found.became {
        steps.push(Step::now("author, as the document says", document.author.clone()));
        steps.push(Step::now("commit, as the document says", document.commit.clone()));
        if let Some(reason) = &document.reason {
            steps.push(Step::now("reason, as the document says", reason.clone()));
        }
        if let Some(path) = &document.path {
            steps.push(Step::now("file, as the document says", path.clone()));
        }
        let merged = match merge {
            Merge::Merged => "yes".to_owned(),
            Merge::Differs(how) => format!("yes, and its file differs: {how}"),
            Merge::Unmerged(status) => format!("no: {status}"),
            Merge::Unknown(why) => format!("unknown: {why}"),
        };
        steps.push(Step::now(format!("is the commit on {MAIN}, with this content"), merged));
    }
    if matches!(found.became, Became::Removed) {
        steps.push(Step::now("the document was removed", "the defaults are in force"));
    }
    steps.extend(found.changes.iter().map(|change| Step::now("change", change.to_string())));
    let findings: Vec<_> = found.finding().into_iter().collect();
    Draft {
        trigger: "s3:PutObject".to_owned(),
        subject: format!("{KEY} {}", version.id),
        findings: findings.clone(),
        steps,
        ..Draft::of(
            settings,
            &version.id,
            if findings.is_empty() { "succeeded" } else { "failed" },
            invocation.now,
        )
    }
}

/// The channel's message; none for a broken version, which [`in_force::announce_once`] announces.
fn message(settings: &Settings, version: &Version, found: &Recorded) -> Option<Message> {
    let say = |portuguese: &'static str, english: &'static str| settings.language.pick(portuguese, english);
    let next = say("Próximo passo", "Next step");
    let mut lines: Vec<String> =
        found.changes.iter().take(MOST_LINES).map(|change| format!("• {change}")).collect();
    if found.changes.len() > MOST_LINES {
        lines.push(format!("… +{}", found.changes.len() - MOST_LINES));
    }
    let title = match &found.became {
        Became::Changed(document, merge) => {
            if found.changes.is_empty() {
                lines.push(say("Nenhum valor mudou.", "No value has changed.").to_owned());
            }
            lines.push(format!(
                "{}: {} · commit {}{}",
                say("Autor, segundo o documento", "Author, as the document says"),
                document.author,
                document.commit,
                document.reason.as_ref().map(|reason| format!(" · {reason}")).unwrap_or_default()
            ));
            match merge {
                Merge::Merged => lines.push(
                    say(
                        "O commit está na main, e o arquivo dele é o que foi aplicado.",
                        "The commit is on main, and its file is what was applied.",
                    )
                    .to_owned(),
                ),
                Merge::Differs(how) => lines.push(format!(
                    "*policy.differs*: {}: {how}. *{next}*: {}",
                    say(
                        "o commit está na main, mas o que foi aplicado não é o arquivo dele",
                        "the commit is on main, and what was applied is not its file"
                    ),
                    say(
                        "aplicar de novo o arquivo da main com `cargo xtask policy apply`; ver no CloudTrail quem gravou.",
                        "apply the file of main again with `cargo xtask policy apply`; see in CloudTrail who wrote it."
                    )
                )),
                Merge::Unmerged(status) => lines.push(format!(
                    "*policy.unmerged*: {} ({status}). *{next}*: {}",
                    say("o commit não está na main", "the commit is not on main"),
                    say(
                        "fazer o merge e avisar as equipes, ou aplicar de novo o arquivo da main com `cargo xtask policy apply`: uma mudança operacional só vale depois do merge.",
                        "merge it and notify the teams, or apply the file of main again with `cargo xtask policy apply`: an operational change is valid after the merge only."
                    )
                )),
                Merge::Unknown(why) => lines.push(format!(
                    "*policy.unverified*: {}: {why}. *{next}*: {}",
                    say(
                        "não se sabe se o commit está na main com este conteúdo",
                        "not known whether the commit is on main with this content"
                    ),
                    say(
                        "conferir no GitHub; se falta o arquivo, aplicar de novo com `cargo xtask policy apply`.",
                        "look it up on GitHub; where the file is missing, apply it again with `cargo xtask policy apply`."
                    )
                )),
            }
            say("Política alterada", "Policy changed")
        }
        Became::Removed => {
            lines.push(format!(
                "*policy.unmerged*: {} *{next}*: {}",
                say(
                    "o documento foi removido, e valem os padrões; nenhum commit da main diz isso.",
                    "the document was removed, and the defaults hold; no commit on main says so.",
                ),
                say(
                    "aplicar de novo o arquivo da main com `cargo xtask policy apply`. Se são os padrões que devem valer, fazer o merge de um arquivo com `{}` e aplicá-lo.",
                    "apply the file of main again with `cargo xtask policy apply`. If it is the defaults that should hold, merge a file with `{}` and apply it."
                )
            ));
            say("Política removida", "Policy removed")
        }
        Became::Broken(..) => return None,
    };
    Some(Message {
        title: format!("{title} ({})", settings.environment),
        lines,
        context: format!("{} · {} · {}", settings.function, version.id, settings.code_version),
    })
}

#[cfg(test)]
mod tests {
    use shared::runtime::language::Language;

    use super::*;

    #[test]
    fn githubs_word_for_a_commit() {
        for (status, expected) in [
            ("behind", "merged"),
            ("identical", "merged"),
            ("ahead", "unmerged"),
            ("diverged", "unmerged"),
            ("unknown to the repository", "unmerged"),
            ("", "unknown"),
            ("new", "unknown"),
        ] {
            let found = match judged(status) {
                Merge::Merged => "merged",
                Merge::Unmerged(_) => "unmerged",
                Merge::Differs(_) => "differs",
                Merge::Unknown(_) => "unknown",
            };
            assert_eq!(found, expected, "{status}");
        }
    }

    #[test]
    fn what_was_applied_is_compared_with_the_commits_file() {
        let patch = json!({"backups": {"audit": {"grafana_days": 10}}});
        let differs = |how: &str| Merge::Differs(how.to_owned());
        let other = "p.json → policy/current.json: backups.audit.grafana_days: 11 → 10";
        for (file, expected) in [
            (Some(r#"{"backups": {"audit": {"grafana_days": 10}}}"#), Merge::Merged),
            // Another form of the same.
            (Some("{\"backups\":\r\n{\"audit\":{\"grafana_days\":10}}}"), Merge::Merged),
            (Some(r#"{"backups": {"audit": {"grafana_days": 11}}}"#), differs(other)),
            (
                Some("{}"),
                differs(r#"p.json → policy/current.json: backups: + {"audit":{"grafana_days":10}}"#),
            ),
            (Some("no JSON"), differs("p.json is not JSON in the commit")),
            (Some(""), differs("p.json is not JSON in the commit")),
            (None, differs("the commit has no p.json")),
        ] {
            assert_eq!(compared(&patch, "p.json", file.map(str::as_bytes)), expected, "{file:?}");
        }
        // An element of a list that the file does not have, and a field that was left out.
        let many: Value =
            (0..9).map(|n| (format!("f{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into();
        let Merge::Differs(how) = compared(&many, "p.json", Some(b"{}")) else { panic!() };
        assert!(how.ends_with("f4: + 4, …"), "{how}");
    }

    #[test]
    fn versions_without_a_record_are_new_and_of_an_unread_one_only_the_newest() {
        for (versions, before, expected) in [
            (&["c", "b", "a"][..], Ok(Some("a")), 2),
            (&["c", "b", "a"], Ok(Some("c")), 0),
            (&["c", "b", "a"], Ok(None), 3),
            (&["c", "b", "a"], Ok(Some("gone")), 3),
            (&["c", "b", "a"], Err(()), 1),
            (&[], Err(()), 0),
            (&[], Ok(None), 0),
        ] {
            let new =
                versions.iter().enumerate().take_while(|(place, version)| is_new(version, *place, before));
            assert_eq!(new.count(), expected, "{versions:?} {before:?}");
        }
    }

    #[test]
    fn a_removal_is_a_finding_with_a_cure() {
        let found = Recorded { became: Became::Removed, changes: Vec::new() };
        let expected = "policy.unmerged policy/current.json: it was removed, and no commit on main says so";
        assert_eq!(found.finding().as_deref(), Some(expected));
        let version = Version::default();
        for language in [Language::Portuguese, Language::English] {
            let settings = Settings {
                function: "f".to_owned(),
                project: "moveongs".to_owned(),
                environment: "dev".to_owned(),
                code_version: "x".to_owned(),
                language,
                policy: "".parse().unwrap(),
            };
            let text = message(&settings, &version, &found).unwrap().text();
            for part in ["*policy.unmerged*", "`cargo xtask policy apply`"] {
                assert!(text.contains(part), "{text}");
            }
        }
    }

    #[test]
    fn an_event_of_another_object_is_none_of_the_policy() {
        let event = |source: &str, key: &str| json!({"source": source, "detail": {"object": {"key": key}}});
        assert!(is_one(&event("aws.s3", KEY)));
        for other in
            [event("aws.s3", "policy/other.json"), event("aws.scheduler", KEY), json!({}), json!(null)]
        {
            assert!(!is_one(&other), "{other}");
        }
    }
}
