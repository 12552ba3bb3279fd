//! The rules: findings of the inventory's resources and of the project's other resources. No I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

use shared::policy::{Area, Kind, Policy, Responsible, resolve};

use super::arn::{bare, kind_and_name, resource_of, type_of};
use super::facts::{Details, Observation, STACK_TAG, States, Tagged};
use super::row::{Problem, Row, Verdict, plain, sort};
use super::state::{Managed, terraform_type};

/// A resource that must exist.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Wanted {
    pub area: Area,
    pub kind: Kind,
    /// Its name, in the form that [`Kind`] describes.
    pub name: String,
    /// The responsible teams.
    pub responsible: Responsible,
    /// Whether Terraform must manage it. It cannot manage the bucket of its own state.
    pub must_be_managed: bool,
}

/// The audited stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stack<'a> {
    /// Policy in force.
    pub policy: &'a Policy,
    pub project: &'a str,
    pub environment: &'a str,
    /// ARN of this product's own stack.
    pub own: &'a str,
}

/// The resources that must exist: those in the policy's inventory, the `secrets` that template and policy name (name to
/// the policy's key), and the bucket of the Terraform states.
pub(crate) fn wanted(
    stack: Stack<'_>,
    secrets: &BTreeMap<&str, &str>,
    state_bucket: Option<&str>,
) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for area in Area::ALL {
        let holding = stack.policy.inventory.areas.holding(area);
        let one = |kind: Kind, name: String, responsible: &Responsible| Wanted {
            area,
            kind,
            name,
            responsible: responsible.clone(),
            must_be_managed: true,
        };
        for (kind, names) in &holding.resources {
            for name in names {
                let name = resolve(name, stack.project, stack.environment);
                let is_named = *kind == Kind::Secret && secrets.contains_key(name.as_str());
                let is_state = *kind == Kind::S3Bucket && Some(name.as_str()) == state_bucket;
                if !is_named && !is_state {
                    wanted.push(one(*kind, name, &holding.responsible));
                }
            }
        }
        if area == Area::Secrets {
            let named = secrets.iter().map(|(name, key)| {
                one(Kind::Secret, (*name).to_owned(), stack.policy.secret_responsible(key))
            });
            wanted.extend(named);
        }
        if let (Area::Infrastructure, Some(bucket)) = (area, state_bucket) {
            let bucket = one(Kind::S3Bucket, bucket.to_owned(), &holding.responsible);
            wanted.push(Wanted { must_be_managed: false, ..bucket });
        }
    }
    wanted
}

/// The rows of an audit, worst first: the inventory's resources, the areas, the states, and the project's other
/// resources.
pub(crate) fn decide(
    stack: Stack<'_>,
    seen: Vec<(Wanted, Observation)>,
    states: &States,
    tagged: &Result<Vec<Tagged>, String>,
) -> Vec<Row> {
    let infrastructure = stack.policy.responsible(Area::Infrastructure);
    let is_unseen = |(_, observation): &(Wanted, Observation)| matches!(observation, Observation::Unknown(_));
    let nothing_read = !seen.is_empty() && seen.iter().all(is_unseen);
    let general =
        |kind: &str, name: String, problem: Problem| Row::general(kind, name, infrastructure, vec![problem]);
    let named = || format!("{}-{}", stack.project, stack.environment);
    let mut rows = Vec::new();
    if nothing_read {
        rows.push(general("inventory", named(), Problem::NothingRead));
    }
    match states {
        States::Undeclared => rows.push(general("terraform-state", named(), Problem::StateUndeclared)),
        States::Read { unread, .. } => rows.extend(unread.iter().map(|(name, why)| {
            general("terraform-state", plain(name), Problem::StateUnreadable { why: why.clone() })
        })),
    }
    if let Err(why) = tagged {
        rows.push(general("tagged-resources", named(), Problem::ListUnread { why: why.clone() }));
    }
    for area in Area::ALL {
        let holding = stack.policy.inventory.areas.holding(area);
        let row = |problem| Row {
            area: Some(area),
            responsible: holding.responsible.clone(),
            ..general("area", area.name().to_owned(), problem)
        };
        if is_one_team(&holding.responsible) {
            rows.push(row(Problem::OneTeam));
        }
        // These areas have resources from the template: secrets, and the states' bucket.
        let is_of_the_template = matches!(area, Area::Secrets | Area::Infrastructure);
        if !is_of_the_template && holding.resources.values().all(Vec::is_empty) {
            rows.push(row(Problem::EmptyArea));
        }
    }
    let listed = listed(seen.iter().map(|(wanted, _)| wanted));
    let rotates = rotating(&seen, tagged);
    rows.extend(seen.into_iter().map(|(wanted, observation)| judge(stack, wanted, observation, states)));
    let others = tagged.iter().flatten();
    rows.extend(others.filter_map(|found| judge_other(stack, found, &listed, states)));
    for (arn, places) in states.managed().map(Managed::duplicates).unwrap_or_default() {
        let found = kind_and_name(&arn).map(|(kind, name)| (kind.name().to_owned(), name));
        let (kind, name) = found.unwrap_or_else(|| (type_of(&arn), resource_of(&arn).to_owned()));
        let problem = Problem::InTwoStates { places };
        attach(&mut rows, Some(&arn), problem, |problem| general(&kind, plain(&name), problem));
    }
    for value in states.managed().into_iter().flat_map(|managed| &managed.values) {
        let rotates = value.arn.as_ref().and_then(|arn| rotates.get(arn).copied()).or(value.rotates);
        let name = plain(&format!("{} {}", value.place.file, value.place.address));
        let problem = Problem::ValueInState { value: value.clone(), rotates };
        attach(&mut rows, value.arn.as_deref(), problem, |problem| {
            general("terraform-value", name.clone(), problem)
        });
    }
    sort(&mut rows);
    rows
}

/// Whether rotation is on, by the ARN of each secret that was read.
fn rotating(seen: &[(Wanted, Observation)], tagged: &Result<Vec<Tagged>, String>) -> BTreeMap<String, bool> {
    let listed = seen.iter().filter_map(|(_, observation)| match observation {
        Observation::Present { arn, details, .. } => Some((arn, details)),
        _ => None,
    });
    let others = tagged.iter().flatten().map(|found| (&found.arn, &found.details));
    listed.chain(others).filter_map(|(arn, details)| Some((arn.clone(), details.rotates?))).collect()
}

/// Secrets that have a value in a state and were not read: ARN to name.
pub(crate) fn unseen_secrets(
    states: &States,
    seen: &[(Wanted, Observation)],
    tagged: &Result<Vec<Tagged>, String>,
) -> BTreeMap<String, String> {
    let looked = rotating(seen, tagged);
    let held = states.managed().into_iter().flat_map(|managed| &managed.values);
    held.filter_map(|value| value.arn.as_ref())
        .filter(|arn| !looked.contains_key(*arn))
        .filter_map(|arn| match kind_and_name(arn)? {
            (Kind::Secret, name) => Some((arn.clone(), name)),
            _ => None,
        })
        .collect()
}

/// Adds a problem to its resource's row; if there is none, adds the row that `own` makes.
fn attach(rows: &mut Vec<Row>, arn: Option<&str>, problem: Problem, own: impl Fn(Problem) -> Row) {
    match rows.iter_mut().find(|row| !row.arn.is_empty() && Some(bare(&row.arn)) == arn) {
        Some(row) => {
            row.problems.push(problem);
            row.problems.sort();
        }
        None => rows.push(own(problem)),
    }
}

/// Whether the primary and the backup are the same team.
fn is_one_team(responsible: &Responsible) -> bool {
    let [primary, backup] =
        [&responsible.primary, &responsible.backup].map(|team| team.trim().to_lowercase());
    primary == backup
}

/// Kind and name of each resource of the inventory.
pub(crate) fn listed<'a>(wanted: impl IntoIterator<Item = &'a Wanted>) -> BTreeSet<(Kind, String)> {
    wanted.into_iter().map(|wanted| (wanted.kind, wanted.name.clone())).collect()
}

/// The row of a resource of the inventory.
fn judge(stack: Stack<'_>, wanted: Wanted, observation: Observation, states: &States) -> Row {
    let mut row = Row {
        area: Some(wanted.area),
        kind: wanted.kind.name().to_owned(),
        name: wanted.name,
        arn: String::new(),
        responsible: wanted.responsible,
        exists: Verdict::Unknown,
        tags: Verdict::Unknown,
        state: Verdict::Unknown,
        settings: Verdict::Unknown,
        import: None,
        problems: Vec::new(),
    };
    // If the area has one team, the area's own row reports it.
    if is_one_team(&row.responsible) && !is_one_team(stack.policy.responsible(wanted.area)) {
        row.problems.push(Problem::OneTeam);
    }
    match observation {
        Observation::Unknown(why) => row.problems.push(Problem::InsufficientData { why }),
        Observation::Absent => {
            let is_known = states.managed().is_some_and(|managed| managed.has_name(wanted.kind, &row.name));
            let is_in_state = (is_known || states.is_complete()).then_some(is_known);
            row.exists = Verdict::Fail;
            (row.tags, row.state, row.settings) = (Verdict::NotAsked, Verdict::NotAsked, Verdict::NotAsked);
            row.problems.push(Problem::Missing { is_in_state });
        }
        Observation::OutsideAws => {
            row.exists = Verdict::NotAsked;
            (row.tags, row.state, row.settings) = (Verdict::NotAsked, Verdict::NotAsked, Verdict::NotAsked);
        }
        Observation::Present { arn, tags, details } => {
            row.exists = Verdict::Pass;
            let mut is_of_a_stack = false;
            match tags {
                Err(why) => row.problems.push(Problem::InsufficientData { why }),
                Ok(tags) => {
                    is_of_a_stack = tags.keys().any(|key| key == STACK_TAG);
                    let missing = missing_tags(stack, &tags, wanted.must_be_managed);
                    row.tags = if missing.is_empty() { Verdict::Pass } else { Verdict::Fail };
                    if !missing.is_empty() {
                        row.problems.push(Problem::TagsMissing { tags: missing });
                    }
                }
            }
            row.state = if !wanted.must_be_managed || is_of_a_stack {
                Verdict::NotAsked
            } else {
                in_state(Some(wanted.kind), &arn, &details, states)
            };
            if row.state == Verdict::Fail {
                row.problems.push(Problem::NotInState);
            }
            let (settings, differing) = compare(wanted.kind, &arn, &row.name, &details, states);
            row.settings = settings;
            row.problems.extend(differing);
            row.import = importable(wanted.kind, &row.name, &arn, &details);
            row.arn = arn;
        }
    }
    row.problems.sort();
    row
}

/// Required tags that are missing or have another value. Without `is_of_one`, any environment is accepted: a bucket of
/// states can serve several.
fn missing_tags(
    stack: Stack<'_>,
    tags: &BTreeMap<String, String>,
    is_of_one: bool,
) -> Vec<(&'static str, Option<String>)> {
    let environment = is_of_one.then_some(stack.environment);
    let required = [("Project", Some(stack.project)), ("Environment", environment), ("ManagedBy", None)];
    let lacks = |(key, value): &(&str, Option<&str>)| match (tags.get(*key), value) {
        (None, _) => true,
        (Some(found), Some(value)) => found != value,
        (Some(found), None) => found.trim().is_empty(),
    };
    required.into_iter().filter(lacks).map(|(key, value)| (key, value.map(str::to_owned))).collect()
}

fn in_state(kind: Option<Kind>, arn: &str, details: &Details, states: &States) -> Verdict {
    let Some(managed) = states.managed() else { return Verdict::Unknown };
    // Terraform manages the members of a Multi-AZ cluster through the cluster.
    let cluster = details.cluster.as_ref().filter(|_| !is_aurora(details)).map(|cluster| {
        let (place, _) = arn.rsplit_once(":db:").unwrap_or_default();
        format!("{place}:cluster:{cluster}")
    });
    if managed.has_arn(kind, arn)
        || cluster.is_some_and(|cluster| managed.has_arn(Some(Kind::RdsCluster), &cluster))
    {
        Verdict::Pass
    } else if states.is_complete() {
        Verdict::Fail
    } else {
        Verdict::Unknown
    }
}

/// Whether Terraform has a resource type for members of the database's cluster.
fn is_aurora(details: &Details) -> bool {
    details
        .engine
        .as_deref()
        .is_some_and(|engine| ["aurora", "docdb", "neptune"].iter().any(|own| engine.starts_with(own)))
}

/// Compares the settings in AWS with those in the state.
fn compare(kind: Kind, arn: &str, name: &str, details: &Details, states: &States) -> (Verdict, Vec<Problem>) {
    let Some(managed) = states.managed() else { return (Verdict::Unknown, Vec::new()) };
    let held = managed.settings(kind, arn, name);
    let (mut is_unseen, mut problems) = (false, Vec::new());
    let is_asked = !held.is_empty();
    for (setting, (expected, place)) in held {
        match details.settings.get(&setting) {
            Some(Ok(found)) => {
                let difference = setting.difference(found, &expected);
                problems.extend(difference.map(|(found, expected)| Problem::Drift {
                    setting,
                    found,
                    expected,
                    place,
                }));
            }
            Some(Err(why)) => {
                is_unseen = true;
                problems.push(Problem::InsufficientData { why: why.clone() });
            }
            None => {
                is_unseen = true;
                problems
                    .push(Problem::InsufficientData { why: format!("AWS does not show {}", setting.name()) });
            }
        }
    }
    let verdict = if problems.iter().any(|problem| matches!(problem, Problem::Drift { .. })) {
        Verdict::Fail
    } else if is_unseen || !is_asked && !states.is_complete() {
        Verdict::Unknown
    } else if is_asked {
        Verdict::Pass
    } else {
        Verdict::NotAsked
    };
    (verdict, problems)
}

/// Terraform's type and id to import a resource; for a member of a Multi-AZ cluster, those of the cluster.
fn importable(kind: Kind, name: &str, arn: &str, details: &Details) -> Option<(&'static str, String)> {
    let engine = details.engine.as_deref().unwrap_or_default();
    let of = |instance, cluster| if kind == Kind::RdsInstance { instance } else { cluster };
    let imported = match (kind, &details.cluster) {
        (Kind::RdsInstance | Kind::RdsCluster, _) if engine.starts_with("docdb") => {
            of("aws_docdb_cluster_instance", "aws_docdb_cluster")
        }
        (Kind::RdsInstance | Kind::RdsCluster, _) if engine.starts_with("neptune") => {
            of("aws_neptune_cluster_instance", "aws_neptune_cluster")
        }
        (Kind::RdsInstance, Some(_)) if is_aurora(details) => "aws_rds_cluster_instance",
        (Kind::RdsInstance, Some(cluster)) => return Some(("aws_rds_cluster", cluster.clone())),
        _ => terraform_type(kind)?,
    };
    // The import id is the name, except for a secret: its ARN.
    Some((imported, if kind == Kind::Secret { arn } else { name }.to_owned()))
}

/// Whether a tagged resource belongs to this environment. None if its tag is missing or empty, or differs from this
/// environment's name only in case: then no environment has it.
fn is_here(stack: Stack<'_>, found: &Tagged) -> Option<bool> {
    let environment = found.environment.as_deref().map(str::trim).filter(|name| !name.is_empty())?;
    let is_misspelt = environment != stack.environment && environment.eq_ignore_ascii_case(stack.environment);
    (!is_misspelt).then_some(environment == stack.environment)
}

/// Kind and name of a tagged resource that the inventory lacks although it has its kind. It may have been deleted: the
/// list lags.
pub(crate) fn unlisted(
    stack: Stack<'_>,
    found: &Tagged,
    listed: &BTreeSet<(Kind, String)>,
) -> Option<(Kind, String)> {
    let is_own = found.stack.as_deref() == Some(stack.own);
    let known = kind_and_name(bare(&found.arn)).filter(|known| !listed.contains(known))?;
    (!is_own && is_here(stack, found) != Some(false)).then_some(known)
}

/// The row of a tagged resource outside the inventory; none if the resource is in it, or belongs elsewhere.
fn judge_other(
    stack: Stack<'_>,
    found: &Tagged,
    listed: &BTreeSet<(Kind, String)>,
    states: &States,
) -> Option<Row> {
    let is_here = is_here(stack, found);
    if found.stack.as_deref() == Some(stack.own) || is_here == Some(false) {
        return None;
    }
    let arn = bare(&found.arn);
    let known = kind_and_name(arn);
    if known.as_ref().is_some_and(|known| listed.contains(known)) {
        return None;
    }
    let kind = type_of(arn);
    if stack.policy.inventory.untracked.contains(&kind) {
        return None;
    }
    let mut problems = Vec::new();
    // CloudFormation manages the resources of a stack. A resource of unknown environment may be in another
    // environment's state.
    let state = if found.stack.is_some() || is_here.is_none() {
        Verdict::NotAsked
    } else {
        in_state(known.as_ref().map(|(kind, _)| *kind), arn, &found.details, states)
    };
    let (mut settings, mut import) = (Verdict::NotAsked, None);
    if let (Some((kind, name)), Some(true)) = (&known, is_here) {
        let (verdict, differing) = compare(*kind, arn, name, &found.details, states);
        settings = verdict;
        problems.extend(differing);
        import = importable(*kind, name, arn, &found.details);
    }
    if is_here.is_none() {
        problems
            .push(Problem::TagsMissing { tags: vec![("Environment", Some(stack.environment.to_owned()))] });
    }
    if state == Verdict::Fail {
        problems.push(Problem::NotInState);
    }
    if known.is_some() && is_here.is_some() {
        problems.push(Problem::NotInInventory);
    }
    problems.sort();
    let (kind, name) = known
        .map_or_else(|| (kind, resource_of(arn).to_owned()), |(kind, name)| (kind.name().to_owned(), name));
    let name = plain(&name);
    Some(Row {
        area: None,
        kind,
        name,
        arn: arn.to_owned(),
        responsible: stack.policy.responsible(Area::Infrastructure).clone(),
        exists: Verdict::NotAsked,
        tags: if is_here.is_some() { Verdict::Pass } else { Verdict::Fail },
        state,
        settings,
        import,
        problems,
    })
}

#[cfg(test)]
mod tests;
