//! `onboarding` on the local cloud: a person comes and goes, with an IAM group, Grafana's users, a board and a real rotation;
//! the commands that its answers advise are run and cure. Nobody but the function reads or writes the names, and they are in
//! nothing else that the cloud holds.
//!
//! No clock is moved: where a day has to pass, the test writes an earlier one into the document, as the account's root.

use aws_sdk_s3::error::ProvideErrorMetadata;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};
use shared::runtime::time::{local_date, now};

use crate::advice::Advice;
use crate::cloud::{Cloud, eventually, sha256};
use crate::matrix::{Kill, points_and_reads, write};

const BUCKET: &str = "moveongs-dev-people-000000000000";

const GROUP: &str = "moveongs-ops";

const LABEL: &str = "governance-onboarding";

const JWT: &str = "/moveongs/dev/jwt";

const QUEUE: &str = "onboarding-pages";

/// Names that occur nowhere else.
const NAME: &str = "Beatriz Quaresma";
const MENTOR: &str = "Anastácia Mentora";
const ROLE: &str = "Plantonista Noturna";
const USER: &str = "beatriz.quaresma";
const LOGIN: &str = "beatriz@quaresma.example";

struct World {
    cloud: Cloud,
    /// Number of pages before the test.
    pages: usize,
}

impl World {
    /// Nobody is in the list, the group, Grafana or on the board.
    async fn fresh() -> Self {
        let cloud = Cloud::connect("onboarding").await;
        cloud.calm().await;
        cloud.followups(false).await;
        cloud.s3.delete_object().bucket(BUCKET).key(people_key()).send().await.unwrap();
        for folder in ["evidence/onboarding/", "runs/onboarding/"] {
            cloud.wipe(folder).await;
        }
        cloud.begin_long_ago("onboarding").await;
        cloud.admin(Method::DELETE, "github/issues", None).await;
        let settings = json!({"issues": true, "may_write": true, "may_label": true, "remaining": -1});
        cloud.admin(Method::POST, "github/config", Some(settings)).await;
        let world = Self { pages: cloud.listen_to_pages(QUEUE).await, cloud };
        world.policy(json!({})).await;
        let group = [("Version", "2010-05-08"), ("GroupName", GROUP)];
        if !world.cloud.query("iam", "ListGroups", &group[..1]).await.contains(GROUP) {
            world.cloud.query("iam", "CreateGroup", &group).await;
        }
        if !world.cloud.query("iam", "ListUsers", &group[..1]).await.contains(USER) {
            world.cloud.iam("CreateUser", USER, &[]).await;
        }
        world.group("RemoveUserFromGroup").await;
        world.grafana(&[]).await;
        world
    }

    async fn policy(&self, onboarding: Value) {
        let people = json!({MENTOR: {"slack": "U0000MENTORA"}});
        self.cloud.set_policy(&json!({"onboarding": onboarding, "incidents": {"people": people}})).await;
    }

    /// Adds the user to the group, or removes it.
    async fn group(&self, action: &str) {
        let is_in =
            self.cloud.query("iam", "GetGroup", &[("Version", "2010-05-08"), ("GroupName", GROUP)]).await;
        if (action == "AddUserToGroup") != is_in.contains(USER) {
            self.cloud.iam(action, USER, &[("GroupName", GROUP)]).await;
        }
    }

    /// Sets Grafana's users beside its administrator.
    async fn grafana(&self, logins: &[&str]) {
        let user = |login: &&str| json!({"login": login, "email": login, "name": NAME, "role": "Viewer", "isDisabled": false});
        let admin = json!({"login": "admin", "email": "admin@localhost", "name": "", "role": "Admin", "isDisabled": false});
        let users: Vec<_> = [admin].into_iter().chain(logins.iter().map(user)).collect();
        self.cloud.admin(Method::POST, "grafana/users", Some(json!({"users": users}))).await;
    }

    async fn ask(&self, event: &Value) -> Value {
        self.cloud.invoke(event.clone()).await.unwrap_or_else(|error| panic!("{event}: {error}"))
    }

    /// A request that is refused, which is an answer and no failure.
    async fn refused(&self, event: &Value) -> String {
        let answer = self.ask(event).await;
        assert_eq!(answer["outcome"], "refused", "{event}: {answer}");
        answer["kind"].as_str().unwrap().to_owned()
    }

    async fn issues(&self) -> Vec<Value> {
        let all = self.cloud.admin(Method::GET, "github/issues", None).await;
        let all = all["issues"].as_array().unwrap().clone();
        all.into_iter().filter(|issue| issue["labels"].to_string().contains(LABEL)).collect()
    }

    /// The run ids of the records, without the person's id and without those of daily runs.
    async fn steps(&self) -> Vec<String> {
        let records = self.cloud.evidence("onboarding").await;
        let ids = records.into_iter().map(|(_, record)| record["run_id"].as_str().unwrap().to_owned());
        ids.filter_map(|id| Some(id.strip_prefix("P-")?.split_once('/')?.1.to_owned())).collect()
    }

    async fn people(&self) -> Value {
        let object = self.cloud.s3.get_object().bucket(BUCKET).key(people_key()).send().await.unwrap();
        serde_json::from_slice(&object.body.collect().await.unwrap().into_bytes()).unwrap()
    }

    /// Changes what is stored about a person as nobody may: days have passed.
    async fn rewrite(&self, id: &str, change: impl Fn(&mut Value)) {
        let mut people = self.people().await;
        change(&mut people["people"][id]);
        let put = self.cloud.s3.put_object().bucket(BUCKET).key(people_key());
        put.body(people.to_string().into_bytes().into()).send().await.unwrap();
    }

    /// Runs the command that an answer advises.
    fn run(&self, line: &Value) {
        let command = line["next"].as_str().unwrap();
        Advice::of(&format!("`{command}`")).run(&self.cloud, "aws iam");
    }
}

fn people_key() -> String {
    format!("runs/onboarding/{}.json", sha256(b"people"))
}

fn start() -> Value {
    json!({"start": {
        "name": NAME, "role": ROLE, "start": local_date(now()), "mentor": MENTOR, "iam_user": USER, "grafana_login": LOGIN,
    }})
}

fn said(id: &Value, item: &str, by: &str) -> Value {
    json!({"acknowledge": {"person": id, "item": item, "by": by}})
}

fn leave(id: &Value) -> Value {
    json!({"leave": {"person": id, "on": local_date(now())}})
}

/// The line of a list with this value.
fn line<'a>(list: &'a Value, field: &str, value: &str) -> &'a Value {
    let found = list.as_array().unwrap().iter().find(|line| line[field] == value);
    found.unwrap_or_else(|| panic!("no {value} in {list}"))
}

/// Rotates `JWT_SECRET`; the token, which is the run id of its record.
async fn rotated() -> String {
    let rotation = Cloud::connect("rotate-random").await;
    let token = rotation.secrets.rotate_secret().secret_id(JWT).rotate_immediately(true).send().await;
    let token = token.unwrap().version_id.unwrap();
    eventually("the record of the rotation", async || rotation.record_of(&token).await).await;
    token
}

#[tokio::test]
async fn a_person_comes_and_goes_and_what_is_advised_cures() {
    let world = World::fresh().await;
    world.policy(json!({"documents": ["docs/observability/README.md"], "shadowing": ["rotation"]})).await;
    let begun = world.ask(&start()).await;
    let id = begun["person"].clone();
    let [issue] = world.issues().await.try_into().unwrap();
    assert_eq!(begun["issues"], json!([issue["number"]]));
    assert!(issue["title"].to_string().contains(id.as_str().unwrap()), "{issue}");
    assert_eq!(world.ask(&start()).await["outcome"], "unchanged");
    let messages = world.cloud.messages(id.as_str().unwrap()).await;
    assert!(messages.iter().any(|text| text.contains("<@U0000MENTORA>")), "{messages:?}");

    world.ask(&said(&id, "document:docs/observability/README.md", NAME)).await;
    world.ask(&said(&id, "local_environment", MENTOR)).await;
    let shadow =
        |run: &str| json!({"shadow": {"person": id, "procedure": "rotate-random", "run": run, "by": MENTOR}});
    assert_eq!(world.refused(&shadow("no-such-token")).await, "NoRecord");
    let token = rotated().await;
    let shadowed = world.ask(&shadow(&token)).await;
    let item = line(&shadowed["items"], "item", "shadow_rotation");
    assert_eq!((&item["state"], &item["by"]), (&json!("done"), &json!("mentor")), "{item}");

    // The advice of the answer, run as an operator does, is seen.
    world.run(line(&shadowed["items"], "item", "aws_access"));
    world.grafana(&[LOGIN]).await;
    let day = world.ask(&json!({})).await;
    assert_eq!(
        (&day["result"], &day["completed"], &day["closed"]),
        (&json!("succeeded"), &json!([id]), &json!([issue["number"]])),
        "{day}"
    );

    // The person leaves, with everything.
    let left = world.ask(&leave(&id)).await;
    assert_eq!(line(&left["access"], "place", "aws_group")["state"], "remains");
    assert_eq!(line(&left["access"], "place", "grafana")["state"], "remains");
    let removal = world.issues().await.pop().unwrap();
    assert_eq!((&removal["state"], &left["issues"]), (&json!("open"), &json!([removal["number"]])));
    let record =
        world.cloud.record_of(&format!("{}/left/{}/1", id.as_str().unwrap(), local_date(now()))).await;
    let record = record.unwrap();
    assert_eq!((record["findings"].as_array().unwrap().len(), &record["result"]), (2, &json!("failed")));
    // The request paged it already; a second run of the day has its own record.
    let late = world.ask(&json!({})).await;
    let remains = |place: &str| json!(format!("AccessRemains {}/{place}", id.as_str().unwrap()));
    assert_eq!(late["findings"], json!([remains("aws_group"), remains("grafana")]));
    assert_eq!((&late["result"], &late["paged"]), (&json!("failed"), &json!([])));
    assert_ne!(late["run_id"], day["run_id"]);
    let record = world.cloud.record_of(late["run_id"].as_str().unwrap()).await.unwrap();
    assert_eq!(record["findings"].as_array().unwrap().len(), 2);
    let pages = eventually("the page", async || {
        let pages = world.cloud.queued(QUEUE).await;
        (pages.len() > world.pages).then_some(pages)
    })
    .await;
    assert_eq!(world.refused(&json!({"forget": {"person": id}})).await, "AccessRemains");

    let shown = world.ask(&json!({"show": {"person": id}})).await;
    assert_eq!(shown["name"], NAME);
    world.run(line(&shown["access"], "place", "aws_group"));
    world.grafana(&[]).await;
    let forgotten = world.ask(&json!({"forget": {"person": id}})).await;
    assert_eq!(forgotten["state"], "forgotten");
    assert_eq!(world.people().await, json!({"people": {}, "unreported": []}));
    let open: Vec<_> = world.issues().await.into_iter().filter(|issue| issue["state"] != "closed").collect();
    assert!(open.is_empty(), "{open:?}");
    // Nobody else ever had the name.
    let mut held = vec![format!("{pages:?}"), format!("{:?}", world.issues().await)];
    held.extend(world.cloud.messages("").await);
    held.extend(world.cloud.log_lines("").await);
    for prefix in ["evidence/", "runs/"] {
        for key in world.cloud.keys(&format!("{prefix}onboarding/")).await {
            held.push(world.cloud.text(&key).await);
        }
    }
    for personal in [NAME, MENTOR, ROLE, USER, LOGIN, "Quaresma"] {
        let found: Vec<_> = held.iter().filter(|text| text.contains(personal)).collect();
        assert!(found.is_empty(), "{personal} is in {found:?}");
    }
    world.cloud.forget_policy().await;
}

#[tokio::test]
async fn what_is_late_or_was_not_seen_is_a_finding() {
    let world = World::fresh().await;
    let id = world.ask(&start()).await["person"].clone();
    let name = id.as_str().unwrap();
    world
        .rewrite(name, |person| person["due"] = json!(local_date(now() - SignedDuration::from_hours(48))))
        .await;
    let late = world.ask(&json!({})).await;
    assert_eq!(late["findings"], json!([format!("OnboardingOverdue {name}")]));
    assert_eq!((&late["result"], &late["paged"]), (&json!("failed"), &json!([])));
    // IAM and Grafana refuse.
    world.cloud.deny("iam", "GetGroup").await;
    world.cloud.deny("grafana", "GET /api/org/users").await;
    let unseen = world.ask(&json!({})).await;
    assert_eq!(
        unseen["findings"],
        json!(["NotSeen aws_group", "NotSeen grafana", format!("OnboardingOverdue {name}")]),
        "{unseen}"
    );
    world.cloud.calm().await;
    world.cloud.forget_policy().await;
}

#[tokio::test]
async fn an_account_that_is_no_persons_counts_until_the_policy_names_it() {
    let world = World::fresh().await;
    let mut other = start();
    other["start"].as_object_mut().unwrap().remove("iam_user");
    world.ask(&other).await;
    world.group("AddUserToGroup").await;
    assert_eq!(world.ask(&json!({})).await["findings"], json!(["NotListed aws_group/1"]));
    world.policy(json!({"accounts": {USER: "Emergency; Squad Security keeps its key"}})).await;
    assert_eq!(world.ask(&json!({})).await["findings"], json!([]));
    let accounts = world.ask(&json!({"show": {}})).await["accounts"].clone();
    assert_eq!((&accounts[0]["iam_user"], &accounts[0]["state"]), (&json!(USER), &json!("in_group")));
    world.group("RemoveUserFromGroup").await;
    world.cloud.forget_policy().await;
}

#[tokio::test]
async fn a_task_is_closed_when_the_leaving_is_taken_back_and_opened_again_when_it_is_not() {
    let world = World::fresh().await;
    let id = world.ask(&start()).await["person"].clone();
    world.group("AddUserToGroup").await;
    let removal = async || {
        let issues = world.issues().await;
        let of: Vec<_> =
            issues.into_iter().filter(|issue| issue["body"].to_string().contains(":removal:")).collect();
        let [issue] = of.try_into().unwrap();
        (issue["number"].clone(), issue["state"].clone())
    };
    let left = world.ask(&leave(&id)).await;
    let (number, state) = removal().await;
    assert_eq!((&state, &left["issues"]), (&json!("open"), &json!([number])));
    world.ask(&json!({"stay": {"person": id}})).await;
    assert_eq!(removal().await, (number.clone(), json!("closed")));
    let again = world.ask(&leave(&id)).await;
    assert_eq!((removal().await, &again["issues"]), ((number.clone(), json!("open")), &json!([number])));
    world.group("RemoveUserFromGroup").await;
    assert_eq!(world.ask(&json!({"forget": {"person": id}})).await["state"], "forgotten");
    assert_eq!(removal().await.1, "closed");
    world.cloud.forget_policy().await;
}

#[tokio::test]
async fn only_the_function_reads_and_writes_the_names() {
    let world = World::fresh().await;
    world.ask(&start()).await;
    let key = people_key();
    let administrator = world.cloud.administrator("onboarding-administrator").await;
    let deployer = world.cloud.s3_as(world.cloud.deployer().await);
    for other in [&administrator, &deployer] {
        let read = other.get_object().bucket(BUCKET).key(&key).send().await.unwrap_err();
        assert_eq!(read.code(), Some("AccessDenied"));
        let write = other.put_object().bucket(BUCKET).key(&key).body(b"{}".to_vec().into());
        assert_eq!(write.send().await.unwrap_err().code(), Some("AccessDenied"));
    }
    let delete = administrator.delete_object().bucket(BUCKET).key(&key).send().await.unwrap_err();
    assert_eq!(delete.code(), Some("AccessDenied"));
    let version = aws_sdk_s3::types::VersioningConfiguration::builder()
        .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
        .build();
    let versions = administrator.put_bucket_versioning().bucket(BUCKET).versioning_configuration(version);
    assert_eq!(versions.send().await.unwrap_err().code(), Some("AccessDenied"));
    let own = world.cloud.s3_as(world.cloud.own_role().await);
    own.get_object().bucket(BUCKET).key(&key).send().await.unwrap();
    // It keeps one version, and deletes none of it by itself.
    let listed = world.cloud.s3.list_object_versions().bucket(BUCKET).send().await.unwrap();
    assert_eq!((listed.versions().len(), listed.delete_markers().len()), (1, 0));
    let refused = own.delete_object().bucket(BUCKET).key(&key).send().await.unwrap_err();
    assert_eq!(refused.code(), Some("AccessDenied"));
    // The deployer, who removes the stack, may delete the data but not read it.
    deployer.delete_object().bucket(BUCKET).key(&key).send().await.unwrap();
    world.cloud.forget_policy().await;
}

/// What the function does when it is killed.
#[derive(Clone, Copy, Debug)]
enum Case {
    Start,
    Complete,
    Change,
    Leave,
    Stay,
    Forget,
    Daily,
}

#[tokio::test]
async fn every_crash_point_ends_with_one_person_one_record_and_one_issue() {
    let mut all = Vec::new();
    for (case, least) in [
        (Case::Start, 5),
        (Case::Complete, 4),
        (Case::Change, 3),
        (Case::Leave, 5),
        (Case::Stay, 3),
        (Case::Forget, 4),
        (Case::Daily, 4),
    ] {
        let of_case = points_and_reads(least, async |kill| {
            let mut point = crash(case, kill).await?;
            point["case"] = json!(format!("{case:?}"));
            Some(point)
        });
        all.extend(of_case.await);
    }
    write("onboarding", &all, json!({}));
}

/// Kills the function at a call; `None` when it makes fewer calls. Then the event is delivered twice.
async fn crash(case: Case, kill: Kill) -> Option<Value> {
    let world = World::fresh().await;
    world.policy(json!({"documents": [], "shadowing": [], "forget_days": 1})).await;
    let event = match case {
        Case::Start => start(),
        _ => {
            let id = world.ask(&start()).await["person"].clone();
            if matches!(case, Case::Complete) {
                world.group("AddUserToGroup").await;
                world.grafana(&[LOGIN]).await;
            }
            match case {
                Case::Complete => said(&id, "local_environment", MENTOR),
                Case::Change => json!({"change": {"person": id, "role": "Plantonista Diurna"}}),
                Case::Stay => {
                    world.ask(&leave(&id)).await;
                    json!({"stay": {"person": id}})
                }
                Case::Leave => {
                    world.group("AddUserToGroup").await;
                    leave(&id)
                }
                _ => {
                    world.ask(&leave(&id)).await;
                    let yesterday = local_date(now() - SignedDuration::from_hours(24));
                    world.rewrite(id.as_str().unwrap(), |person| person["left"] = json!(yesterday)).await;
                    if matches!(case, Case::Forget) { json!({"forget": {"person": id}}) } else { json!({}) }
                }
            }
        }
    };
    let (operation, answer) = kill.during(&world.cloud, &event).await;
    world.cloud.calm().await;
    for _ in 0..2 {
        abandon(&world).await;
        world.ask(&event).await;
    }
    let at = format!("{case:?} {kill} ({operation:?})");
    let (steps, issues, people) = (world.steps().await, world.issues().await, world.people().await);
    let today = local_date(now());
    let left = format!("left/{today}/1");
    let (expected, tasks, count) = match case {
        Case::Start => (vec!["begun"], 1, 1),
        Case::Complete => (vec!["begun", "ticked/local_environment", "completed"], 1, 1),
        Case::Change => (vec!["begun", "changed/1"], 1, 1),
        Case::Leave => (vec!["begun", left.as_str()], 2, 1),
        Case::Stay => (vec!["begun", left.as_str(), "stays/2"], 1, 1),
        Case::Forget | Case::Daily => (vec!["begun", left.as_str(), "forgotten"], 1, 0),
    };
    assert_eq!(steps, expected, "{at}");
    assert_eq!(issues.len(), tasks, "{at}: {issues:?}");
    assert_eq!(people["people"].as_object().unwrap().len(), count, "{at}");
    assert_eq!(people["unreported"], json!([]), "{at}");
    if matches!(case, Case::Complete) {
        assert_eq!(issues[0]["state"], "closed", "{at}");
    }
    answer.is_none().then(|| json!({"operation": operation, "end": "succeeded"}))
}

/// Makes the claims on tasks without an issue old, as they are when the event is delivered again minutes later.
async fn abandon(world: &World) {
    for key in world.cloud.keys("runs/onboarding/").await {
        let Some(mut claim) = world.cloud.json(&key).await else { continue };
        if claim.get("taken").is_some() && claim["issue"].is_null() {
            claim["taken"] = json!("2026-01-01T12:00:00Z");
            let put = world.cloud.s3.put_object().bucket(crate::cloud::EVIDENCE).key(key);
            put.body(claim.to_string().into_bytes().into()).send().await.unwrap();
        }
    }
}
