//! `grafana-export` on the local cloud: an export in the bucket and as a pull request of several files, in each version of
//! Grafana, with the restore check, which leaves nothing; and the audit that asks for both.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use shared::runtime::time::{local_date, now};

use crate::advice;
use crate::cloud::{Cloud, EVIDENCE, sha256};
use crate::matrix::{Kill, points_and_reads, write};

const FOLDER: &str = "docs/observability/grafana/dev";
const BRANCH: &str = "governance/grafana-export-dev";

struct World {
    cloud: Cloud,
}

impl World {
    /// No export, record, pull request or fault, and the first Grafana.
    async fn fresh() -> Self {
        let world = Self { cloud: Cloud::connect("grafana-export").await };
        world.calm().await;
        for folder in ["evidence/grafana-export/", "runs/grafana-export/", "grafana/"] {
            world.cloud.wipe(folder).await;
        }
        world.cloud.begin_long_ago("grafana-export").await;
        for what in ["grafana", "github/repository", "slack/messages"] {
            world.cloud.admin(Method::DELETE, what, None).await;
        }
        let settings = json!({"may_write_contents": true, "truncated": false});
        world.cloud.admin(Method::POST, "github/config", Some(settings)).await;
        world
    }

    /// Ends faults and outages.
    async fn calm(&self) {
        self.cloud.calm().await;
        self.cloud.admin(Method::DELETE, "outages", None).await;
    }

    async fn ask(&self, event: &Value) -> Value {
        self.cloud.invoke(event.clone()).await.unwrap_or_else(|error| panic!("{event}: {error}"))
    }

    async fn refused(&self, event: &Value) -> String {
        let error = self.cloud.invoke(event.clone()).await.unwrap_err();
        error["errorType"].as_str().unwrap().to_owned()
    }

    async fn configure(&self, settings: Value) {
        self.cloud.admin(Method::POST, "grafana/config", Some(settings)).await;
    }

    async fn seed(&self, objects: Value) {
        self.cloud.admin(Method::POST, "grafana/seed", Some(objects)).await;
    }

    async fn grafana(&self) -> Value {
        self.cloud.admin(Method::GET, "grafana", None).await
    }

    /// UIDs of Grafana's folders and dashboards, and its groups of rules.
    async fn objects(&self) -> BTreeSet<String> {
        let state = self.grafana().await;
        let keys = |name: &str| state[name].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let groups = state["rule_groups"].as_array().unwrap().iter();
        let groups = groups.map(|group| format!("{}/{}", group["folderUid"], group["title"]));
        keys("folders").into_iter().chain(keys("dashboards")).chain(groups).collect()
    }

    async fn repository(&self) -> Value {
        self.cloud.admin(Method::GET, "github/repository", None).await
    }

    /// The files of the export's folder on a branch.
    async fn files(&self, branch: &str) -> BTreeSet<String> {
        let repository = self.repository().await;
        let files = repository["branches"][branch].as_object().cloned().unwrap_or_default();
        let below = |path: &String| path.strip_prefix(FOLDER)?.strip_prefix('/').map(str::to_owned);
        files.keys().filter_map(below).collect()
    }

    async fn pulls(&self) -> Vec<Value> {
        self.repository().await["pulls"].as_array().unwrap().clone()
    }

    async fn merge(&self, number: &Value) {
        self.cloud.admin(Method::POST, "github/pulls/merge", Some(json!({"number": number}))).await;
    }

    /// Makes the turn of a dead run old, as it is 16 minutes later.
    async fn abandon(&self) {
        let key = format!("runs/grafana-export/{}.json", sha256(b"restore check"));
        let Some(mut turn) = self.cloud.json(&key).await else { return };
        turn["at"] = json!("2026-01-01T12:00:00Z");
        let put = self.cloud.s3.put_object().bucket(EVIDENCE).key(key);
        put.body(turn.to_string().into_bytes().into()).send().await.unwrap();
    }
}

fn released() -> Value {
    json!({"version": "0", "id": "1", "source": "moveongs.release", "detail-type": "Release deployed", "detail": {"environment": "dev", "release": "v1.4.0"}})
}

#[tokio::test]
async fn a_release_is_kept_and_its_files_are_a_pull_request_until_they_are_merged() {
    let world = World::fresh().await;
    let before = world.objects().await;
    let first = world.ask(&released()).await;
    assert_eq!(
        (&first["result"], &first["check"], &first["findings"]),
        (&json!("succeeded"), &json!("passed"), &json!([])),
        "{first}"
    );
    assert_eq!(world.objects().await, before);
    let state = world.grafana().await;
    assert_eq!((&state["unknown"], &state["evaluated"]), (&json!([]), &json!(0)));
    let export = world.cloud.text(first["export"].as_str().unwrap()).await;
    assert_eq!(sha256(export.as_bytes()), first["sha256"].as_str().unwrap());
    assert_eq!(world.cloud.json("grafana/releases/v1.4.0.json").await.unwrap()["sha256"], first["sha256"]);
    let [pull] = world.pulls().await.try_into().unwrap();
    assert_eq!((&pull["number"], &pull["head"]), (&first["pull_request"], &json!(BRANCH)));
    assert!(pull["body"].as_str().unwrap().contains("* `dashboards/general/banco.json`"), "{pull}");
    let files = world.files(BRANCH).await;
    for file in [
        "README.md",
        "folders.json",
        "dashboards/moveongs/api-disponibilidade.json",
        "alerting/rule-groups/moveongs/api.json",
        "library-panels/cpu.json",
    ] {
        assert!(files.contains(file), "{file} is not in {files:?}");
    }

    // A change comes into the same pull request; after its merge, nothing is proposed until the next change.
    world.seed(json!({"dashboards": [{"folderUid": "moveongs", "dashboard": {"uid": "fila", "title": "Fila | @time"}}]})).await;
    let second = world.ask(&json!({})).await;
    assert_eq!((&second["pull_request"], &second["changes"]), (&first["pull_request"], &json!([1, 0, 0])));
    assert!(world.files(BRANCH).await.contains("dashboards/moveongs/fila.json"));
    world.merge(&first["pull_request"]).await;
    let third = world.ask(&json!({})).await;
    assert_eq!((&third["pull_request"], world.pulls().await.len()), (&Value::Null, 1));
    assert_eq!(third["check"], "not_due");

    // What is deleted in Grafana is removed from the folder.
    world.cloud.admin(Method::POST, "grafana/remove", Some(json!({"dashboard": "banco"}))).await;
    let fourth = world.ask(&json!({})).await;
    assert_eq!(fourth["changes"], json!([0, 0, 1]));
    assert!(!world.files(BRANCH).await.contains("dashboards/general/banco.json"));
    world.merge(&fourth["pull_request"]).await;
    assert!(!world.files("main").await.contains("dashboards/general/banco.json"));
    assert!(world.files("main").await.contains("dashboards/moveongs/fila.json"));
    // The release keeps what was released.
    let again = world.ask(&released()).await;
    assert_eq!((&again["result"], &again["findings"]), (&json!("succeeded"), &json!(["ReleaseKept v1.4.0"])));
    assert_eq!(world.cloud.json("grafana/releases/v1.4.0.json").await.unwrap()["sha256"], first["sha256"]);
    let record = world.cloud.record_of(&local_date(now())).await.unwrap();
    assert_eq!((&record["procedure"], &record["result"]), (&json!("grafana-export"), &json!("succeeded")));
}

#[tokio::test]
async fn each_version_is_exported_and_comes_back() {
    let nested = json!({
        "folders": [{"uid": "squads", "title": "Squads"}, {"uid": "dados", "title": "Dados", "parentUid": "squads"}],
        "dashboards": [
            {"folderUid": "dados", "dashboard": {"uid": "rds", "title": "Banco de dados", "panels": [{"id": 1, "libraryPanel": {"uid": "cpu", "name": "CPU"}}]}},
            {"folderUid": "squads", "dashboard": {"uid": "rds-2", "title": "Banco de dados"}},
        ],
        "library_elements": [
            {"uid": "memoria", "name": "Memória", "kind": 1, "type": "stat", "folderUid": "squads", "model": {"type": "stat"}},
            {"uid": "rede", "name": "Rede", "kind": 1, "type": "stat", "folderUid": "squads", "model": {"type": "stat"}},
        ],
        "rule_groups": [{"folderUid": "dados", "title": "a/b: ç", "interval": 60, "rules": [
            {"uid": "x1", "title": "X", "condition": "A", "data": [{"refId": "A"}], "noDataState": "OK", "execErrState": "Error", "for": "5m", "isPaused": false}]}],
    });
    for (version, nests) in
        [("10.0.0", false), ("10.4.19", true), ("11.6.4", true), ("12.1.0", true), ("13.0.0", true)]
    {
        let world = World::fresh().await;
        world.configure(json!({"version": version, "nests": nests, "page": 2})).await;
        let mut objects = nested.clone();
        if !nests {
            objects["folders"][1].as_object_mut().unwrap().remove("parentUid");
        }
        let is_new = version.starts_with("12") || version.starts_with("13");
        if is_new {
            let resource = json!({"apiVersion": "dashboard.grafana.app/v2beta1", "metadata": {"name": "novo"}, "spec": {"title": "Novo", "elements": {}}});
            objects["dashboards"]
                .as_array_mut()
                .unwrap()
                .push(json!({"folderUid": "dados", "resource": resource}));
        }
        world.seed(objects).await;
        let before = world.objects().await;
        let report = world.ask(&json!({})).await;
        assert_eq!(
            (&report["result"], &report["check"]),
            (&json!("succeeded"), &json!("passed")),
            "{version}: {report}"
        );
        assert_eq!(report["dashboards"], json!(4 + i32::from(is_new)), "{version}");
        assert_eq!(world.objects().await, before, "{version}");
        let state = world.grafana().await;
        assert_eq!((&state["unknown"], &state["evaluated"]), (&json!([]), &json!(0)), "{version}");
        let export = world.cloud.json(report["export"].as_str().unwrap()).await.unwrap();
        assert_eq!(export["library_panels"].as_object().unwrap().len(), 3, "{version}");
        if is_new {
            assert_eq!(export["dashboards"]["novo"]["version"], "v2beta1", "{version}");
        }
        let parent = if nests { json!("squads") } else { Value::Null };
        assert_eq!(export["folders"]["dados"].get("parent").unwrap_or(&Value::Null), &parent, "{version}");
        assert_eq!(export["rule_groups"]["dados/a/b: ç"]["interval"], 60, "{version}");
        // Asked again, every list in another order and every save with another version: nothing changed.
        world.seed(json!({"dashboards": [{"dashboard": {"uid": "banco", "title": "Banco de dados", "schemaVersion": 39, "panels": []}}]})).await;
        let again = world.ask(&json!({})).await;
        assert_eq!(
            (&again["export"], &again["changes"]),
            (&report["export"], &json!([0, 0, 0])),
            "{version}"
        );
    }
}

#[tokio::test]
async fn what_fails_is_named_and_nothing_is_called_good_that_was_not_seen() {
    let world = World::fresh().await;
    world.configure(json!({"role": "Viewer"})).await;
    assert_eq!(world.refused(&json!({})).await, "GrafanaRefused");
    assert!(world.cloud.messages("A exportação do Grafana falhou").await.len() == 1);
    world.configure(json!({"role": "Admin", "version": "9.5.0"})).await;
    assert_eq!(world.refused(&json!({})).await, "GrafanaTooOld");
    world.configure(json!({"version": "12.1.0"})).await;
    world.cloud.admin(Method::POST, "outages", Some(json!({"service": "grafana"}))).await;
    assert_eq!(world.refused(&json!({})).await, "GrafanaUnreachable");
    world.calm().await;
    assert_eq!(world.refused(&json!({"release": "../x"})).await, "InvalidEvent");
    // A busy proxy is asked again.
    world
        .cloud
        .fault(json!({"service": "grafana", "action": "GET /api/search", "effect": "throttle", "seconds": 1}))
        .await;
    // The repository refuses: the export is stored all the same.
    world.cloud.admin(Method::POST, "github/config", Some(json!({"may_write_contents": false}))).await;
    let refused = world.ask(&json!({})).await;
    assert_eq!(
        (&refused["findings"], &refused["check"]),
        (&json!(["NotProposed grafana"]), &json!("passed")),
        "{refused}"
    );
    world
        .cloud
        .admin(Method::POST, "github/config", Some(json!({"may_write_contents": true, "truncated": true})))
        .await;
    assert_eq!(world.ask(&json!({})).await["findings"], json!(["NotProposed grafana"]));
    world.cloud.admin(Method::POST, "github/config", Some(json!({"truncated": false}))).await;

    // A Grafana that loses a part of what it is given.
    world.configure(json!({"loses": "tags"})).await;
    let failed = world.ask(&json!({"check": true})).await;
    assert_eq!(failed["findings"], json!(["CheckFailed dashboards/moveongs/api-disponibilidade.json"]));
    assert_eq!(failed["paged"].as_array().unwrap().len(), 1, "{failed}");
    world.configure(json!({"loses": ""})).await;
    let cured = world.ask(&json!({})).await;
    assert_eq!((&cured["result"], &cured["check"]), (&json!("succeeded"), &json!("passed")));

    // A token of GitHub in a dashboard, a password in a contact point's address.
    let secret = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
    let hook = "https://hooks.example/T000/9f8e7d6c5b4a";
    world
        .seed(json!({
            "dashboards": [{"dashboard": {"uid": "mau", "title": "Mau", "panels": [{"description": format!("use {secret}")}]}}],
            "contact_points": [{"uid": "h", "name": "hook", "type": "webhook", "settings": {"url": hook, "password": "p"}}],
        }))
        .await;
    let found = world.ask(&json!({})).await;
    assert_eq!(found["findings"], json!(["SecretFound dashboards/general/mau.json"]));
    let mut texts = vec![found.to_string(), world.repository().await.to_string()];
    for key in world
        .cloud
        .keys("grafana/")
        .await
        .into_iter()
        .chain(world.cloud.keys("evidence/grafana-export/").await)
    {
        texts.push(world.cloud.text(&key).await);
    }
    texts.extend(world.cloud.messages("").await);
    for text in texts {
        assert!(!text.contains(secret) && !text.contains("9f8e7d6c5b4a"), "{text}");
    }
}

#[tokio::test]
async fn what_only_looks_like_a_secret_is_exported_after_the_policy_accepts_it() {
    let world = World::fresh().await;
    let model = json!({"uid": "fornecedor", "title": "Fornecedor", "panels": [{"description": "use password=ex4mple-only"}]});
    world.seed(json!({"dashboards": [{"dashboard": model}]})).await;
    let found = world.ask(&json!({})).await;
    assert_eq!(found["findings"], json!(["SecretFound dashboards/general/fornecedor.json"]));
    let told = world.cloud.messages("SecretFound").await.pop().unwrap();
    let output = advice::Advice::of(&told).run(&world.cloud, "explain");
    assert!(output.contains("sha256") && output.contains("/panels/0/description"), "{output}");
    let mut policy = world.ask(&json!({"explain": true})).await["policy"].clone();
    policy["grafana"]["accepted"][0]["reason"] = json!("Example of the vendor");
    policy["grafana"]["accepted"][0]["owner"] = json!("Squad Observability");
    world.cloud.set_policy(&policy).await;
    let cured = world.ask(&json!({"check": true})).await;
    assert_eq!(
        (&cured["result"], &cured["findings"], &cured["check"]),
        (&json!("succeeded"), &json!([]), &json!("passed")),
        "{cured}"
    );
    world.cloud.forget_policy().await;
}

#[tokio::test]
async fn the_backup_audit_asks_for_an_export_and_its_command_makes_one() {
    let world = World::fresh().await;
    let audit = Cloud::connect("backup-audit").await;
    let found = async || {
        let report = audit.invoke(json!({})).await.unwrap();
        let findings = report["findings"].as_array().unwrap().clone();
        let own =
            findings.into_iter().filter(|finding| finding["rule"].as_str().unwrap().starts_with("grafana."));
        own.collect::<Vec<_>>()
    };
    let before = found().await;
    let rules: BTreeSet<_> = before.iter().map(|finding| finding["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, BTreeSet::from(["grafana.exported", "grafana.restorable"]), "{before:?}");
    for finding in &before {
        let step = finding["next_step"].as_str().unwrap_or_else(|| panic!("{finding}"));
        let output = advice::run(&world.cloud, step);
        assert!(output.contains("\"result\": \"succeeded\""), "{step}: {output}");
    }
    assert_eq!(found().await, [Value::Null; 0]);
}

/// What the function does when it is killed.
#[derive(Clone, Copy, Debug)]
enum Case {
    Release,
    Daily,
}

#[tokio::test]
async fn every_crash_point_ends_with_one_export_one_pull_request_one_record_and_nothing_of_the_check() {
    let mut all = Vec::new();
    for (case, least) in [(Case::Release, 18), (Case::Daily, 14)] {
        let of_case = points_and_reads(least, async |kill| {
            let mut point = crash(case, kill).await?;
            point["case"] = json!(format!("{case:?}"));
            Some(point)
        });
        all.extend(of_case.await);
    }
    write("grafana-export", &all, json!({}));
}

/// Kills the function at a call; `None` when it makes fewer calls. Then the event is delivered twice.
async fn crash(case: Case, kill: Kill) -> Option<Value> {
    let world = World::fresh().await;
    let objects = world.objects().await;
    let event = match case {
        Case::Release => released(),
        Case::Daily => json!({}),
    };
    if matches!(case, Case::Daily) {
        // A change in an open pull request, which removes a file.
        world.ask(&released()).await;
        world.cloud.admin(Method::POST, "grafana/remove", Some(json!({"dashboard": "banco"}))).await;
    }
    let (operation, answer) = kill.during(&world.cloud, &event).await;
    world.calm().await;
    let mut last = Value::Null;
    for _ in 0..2 {
        world.abandon().await;
        last = world.ask(&event).await;
    }
    let at = format!("{case:?} {kill} ({operation:?})");
    assert_eq!((&last["result"], &last["findings"]), (&json!("succeeded"), &json!([])), "{at}: {last}");
    let mut expected = objects;
    let mut exports = 1;
    if matches!(case, Case::Daily) {
        expected.remove("banco");
        exports = 2;
    }
    assert_eq!(world.objects().await, expected, "{at}");
    assert_eq!(world.cloud.keys("grafana/exports/").await.len(), exports, "{at}");
    assert_eq!(world.cloud.keys("grafana/releases/").await.len(), 1, "{at}");
    assert_eq!(world.pulls().await.len(), 1, "{at}");
    assert_eq!(world.files(BRANCH).await.contains("dashboards/general/banco.json"), exports == 1, "{at}");
    let records = world.cloud.evidence("grafana-export").await;
    assert_eq!(records.len(), exports, "{at}: {records:?}");
    answer.is_none().then(|| json!({"operation": operation, "end": "succeeded"}))
}
