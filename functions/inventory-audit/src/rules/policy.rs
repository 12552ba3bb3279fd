//! The rules: what is wrong with each resource of the inventory, and which others there are. No I/O, no clock.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use shared::policy::{Area, Kind, Policy, Responsible, resolve};

use super::arn::{bare, known, resource_of, type_of};
use super::facts::{More, STACK_TAG, Sight, State, Tagged};
use super::row::{Problem, Row, Verdict, plain};
use super::state::{Managed, terraform_type};

/// A resource that must exist.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Wanted {
    /// Its area.
    pub area: Area,
    /// Its kind.
    pub kind: Kind,
    /// Its name, as [`Kind`] says.
    pub name: String,
    /// Who answers for it.
    pub responsible: Responsible,
    /// Whether Terraform is to manage it. The bucket of its own state it cannot.
    pub is_terraforms: bool,
}

/// Whose inventory it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stack<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The project.
    pub project: &'a str,
    /// The environment.
    pub environment: &'a str,
    /// ARN of this product's own stack.
    pub own: &'a str,
}

/// What must exist: what the policy lists, the secrets that template and policy name, by their names and the policy's keys,
/// and the bucket of the Terraform state.
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
            is_terraforms: true,
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
            wanted.push(Wanted { is_terraforms: false, ..bucket });
        }
    }
    wanted
}

/// What is wrong with each resource of the inventory, with the areas, and with what else the project has; worst first.
pub(crate) fn decide(
    stack: Stack<'_>,
    seen: Vec<(Wanted, Sight)>,
    state: &State,
    tagged: &Result<Vec<Tagged>, String>,
) -> Vec<Row> {
    let infrastructure = stack.policy.responsible(Area::Infrastructure);
    let is_unseen = |(_, sight): &(Wanted, Sight)| matches!(sight, Sight::Unseen(_));
    let nothing_read = !seen.is_empty() && seen.iter().all(is_unseen);
    let general = |kind: &str, name: String, problem: Problem| Row {
        area: Some(Area::Infrastructure),
        kind: kind.to_owned(),
        name,
        arn: String::new(),
        responsible: infrastructure.clone(),
        exists: Verdict::NotAsked,
        tags: Verdict::NotAsked,
        state: Verdict::NotAsked,
        settings: Verdict::NotAsked,
        import: None,
        problems: vec![problem],
    };
    let named = || format!("{}-{}", stack.project, stack.environment);
    let mut rows = Vec::new();
    if nothing_read {
        rows.push(general("inventory", named(), Problem::NothingRead));
    }
    match state {
        State::Undeclared => rows.push(general("terraform-state", named(), Problem::StateUndeclared)),
        State::Read { unread, .. } => rows.extend(unread.iter().map(|(name, why)| {
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
        // The template names secrets and the bucket of the state.
        let is_of_the_template = matches!(area, Area::Secrets | Area::Infrastructure);
        if !is_of_the_template && holding.resources.values().all(Vec::is_empty) {
            rows.push(row(Problem::EmptyArea));
        }
    }
    let listed = listed(seen.iter().map(|(wanted, _)| wanted));
    let rotates = rotating(&seen, tagged);
    rows.extend(seen.into_iter().map(|(wanted, sight)| judge(stack, wanted, sight, state)));
    let others = tagged.iter().flatten();
    rows.extend(others.filter_map(|found| judge_other(stack, found, &listed, state)));
    for (arn, places) in state.managed().map(Managed::doubles).unwrap_or_default() {
        let found = known(&arn).map(|(kind, name)| (kind.name().to_owned(), name));
        let (kind, name) = found.unwrap_or_else(|| (type_of(&arn), resource_of(&arn).to_owned()));
        let problem = Problem::InTwoStates { places };
        attach(&mut rows, Some(&arn), problem, |problem| general(&kind, plain(&name), problem));
    }
    for value in state.managed().into_iter().flat_map(|managed| &managed.values) {
        let rotates = value.arn.as_ref().and_then(|arn| rotates.get(arn).copied()).or(value.rotates);
        let name = plain(&format!("{} {}", value.place.file, value.place.address));
        let problem = Problem::ValueInState { value: value.clone(), rotates };
        attach(&mut rows, value.arn.as_deref(), problem, |problem| {
            general("terraform-value", name.clone(), problem)
        });
    }
    rows.sort_by_cached_key(|row| {
        (row.problems.first().map_or((1, None), |first| (0, Some(first.clone()))), row.about())
    });
    rows
}

/// Whether each secret that was looked at has a rotation, by its ARN.
fn rotating(seen: &[(Wanted, Sight)], tagged: &Result<Vec<Tagged>, String>) -> BTreeMap<String, bool> {
    let listed = seen.iter().filter_map(|(_, sight)| match sight {
        Sight::Present { arn, more, .. } => Some((arn, more)),
        _ => None,
    });
    let others = tagged.iter().flatten().map(|found| (&found.arn, &found.more));
    listed.chain(others).filter_map(|(arn, more)| Some((arn.clone(), more.rotates?))).collect()
}

/// ARNs and names of the secrets whose values the states hold, and that were not looked at.
pub(crate) fn unlooked(
    state: &State,
    seen: &[(Wanted, Sight)],
    tagged: &Result<Vec<Tagged>, String>,
) -> BTreeMap<String, String> {
    let looked = rotating(seen, tagged);
    let held = state.managed().into_iter().flat_map(|managed| &managed.values);
    held.filter_map(|value| value.arn.as_ref())
        .filter(|arn| !looked.contains_key(*arn))
        .filter_map(|arn| match known(arn)? {
            (Kind::Secret, name) => Some((arn.clone(), name)),
            _ => None,
        })
        .collect()
}

/// Adds a problem to the row of a resource, or a row of its own.
fn attach(rows: &mut Vec<Row>, arn: Option<&str>, problem: Problem, own: impl Fn(Problem) -> Row) {
    match rows.iter_mut().find(|row| !row.arn.is_empty() && Some(bare(&row.arn)) == arn) {
        Some(row) => {
            row.problems.push(problem);
            row.problems.sort();
        }
        None => rows.push(own(problem)),
    }
}

/// Whether nobody stands behind whoever is first.
fn is_one_team(responsible: &Responsible) -> bool {
    let [primary, backup] =
        [&responsible.primary, &responsible.backup].map(|team| team.trim().to_lowercase());
    primary == backup
}

/// What the inventory has.
pub(crate) fn listed<'a>(wanted: impl IntoIterator<Item = &'a Wanted>) -> BTreeSet<(Kind, String)> {
    wanted.into_iter().map(|wanted| (wanted.kind, wanted.name.clone())).collect()
}

/// One resource of the inventory.
fn judge(stack: Stack<'_>, wanted: Wanted, sight: Sight, state: &State) -> Row {
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
    // The area's own says so of the area.
    if is_one_team(&row.responsible) && !is_one_team(stack.policy.responsible(wanted.area)) {
        row.problems.push(Problem::OneTeam);
    }
    match sight {
        Sight::Unseen(why) => row.problems.push(Problem::InsufficientData { why }),
        Sight::Absent => {
            let believes = state.managed().is_some_and(|managed| managed.has_name(wanted.kind, &row.name));
            let is_in_state = (believes || state.is_whole()).then_some(believes);
            row.exists = Verdict::Fail;
            (row.tags, row.state, row.settings) = (Verdict::NotAsked, Verdict::NotAsked, Verdict::NotAsked);
            row.problems.push(Problem::Missing { is_in_state });
        }
        Sight::Elsewhere => {
            row.exists = Verdict::NotAsked;
            (row.tags, row.state, row.settings) = (Verdict::NotAsked, Verdict::NotAsked, Verdict::NotAsked);
        }
        Sight::Present { arn, tags, more } => {
            row.exists = Verdict::Pass;
            let mut is_of_a_stack = false;
            match tags {
                Err(why) => row.problems.push(Problem::InsufficientData { why }),
                Ok(tags) => {
                    is_of_a_stack = tags.keys().any(|key| key == STACK_TAG);
                    let lacks = lacking(stack, &tags, wanted.is_terraforms);
                    row.tags = if lacks.is_empty() { Verdict::Pass } else { Verdict::Fail };
                    if !lacks.is_empty() {
                        row.problems.push(Problem::TagsMissing { tags: lacks });
                    }
                }
            }
            row.state = if !wanted.is_terraforms || is_of_a_stack {
                Verdict::NotAsked
            } else {
                in_state(Some(wanted.kind), &arn, &more, state)
            };
            if row.state == Verdict::Fail {
                row.problems.push(Problem::NotInState);
            }
            let (settings, differing) = compare(wanted.kind, &arn, &row.name, &more, state);
            row.settings = settings;
            row.problems.extend(differing);
            row.import = importable(wanted.kind, &row.name, &arn, &more);
            row.arn = arn;
        }
    }
    row.problems.sort();
    row
}

/// The tags that are missing, or that say something else. A bucket of states can be that of several environments.
fn lacking(
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

fn in_state(kind: Option<Kind>, arn: &str, more: &More, state: &State) -> Verdict {
    let Some(managed) = state.managed() else { return Verdict::Unknown };
    // Terraform manages the members of a Multi-AZ cluster with the cluster.
    let cluster = more.cluster.as_ref().filter(|_| !is_aurora(more)).map(|cluster| {
        let (place, _) = arn.rsplit_once(":db:").unwrap_or_default();
        format!("{place}:cluster:{cluster}")
    });
    if managed.has_arn(kind, arn)
        || cluster.is_some_and(|cluster| managed.has_arn(Some(Kind::RdsCluster), &cluster))
    {
        Verdict::Pass
    } else if state.is_whole() {
        Verdict::Fail
    } else {
        Verdict::Unknown
    }
}

/// Whether the members of a database's cluster are resources of their own in Terraform.
fn is_aurora(more: &More) -> bool {
    more.engine
        .as_deref()
        .is_some_and(|engine| ["aurora", "docdb", "neptune"].iter().any(|own| engine.starts_with(own)))
}

/// Whether AWS shows the settings that the state holds, and what is wrong.
fn compare(kind: Kind, arn: &str, name: &str, more: &More, state: &State) -> (Verdict, Vec<Problem>) {
    let Some(managed) = state.managed() else { return (Verdict::Unknown, Vec::new()) };
    let held = managed.settings(kind, arn, name);
    let (mut is_unseen, mut problems) = (false, Vec::new());
    let is_asked = !held.is_empty();
    for (setting, (expected, place)) in held {
        match more.settings.get(&setting) {
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
    } else if is_unseen || !is_asked && !state.is_whole() {
        Verdict::Unknown
    } else if is_asked {
        Verdict::Pass
    } else {
        Verdict::NotAsked
    };
    (verdict, problems)
}

/// Terraform's type and id by which a resource is imported; for a member of a Multi-AZ cluster, its cluster's.
fn importable(kind: Kind, name: &str, arn: &str, more: &More) -> Option<(&'static str, String)> {
    let engine = more.engine.as_deref().unwrap_or_default();
    let of = |instance, cluster| if kind == Kind::RdsInstance { instance } else { cluster };
    let imported = match (kind, &more.cluster) {
        (Kind::RdsInstance | Kind::RdsCluster, _) if engine.starts_with("docdb") => {
            of("aws_docdb_cluster_instance", "aws_docdb_cluster")
        }
        (Kind::RdsInstance | Kind::RdsCluster, _) if engine.starts_with("neptune") => {
            of("aws_neptune_cluster_instance", "aws_neptune_cluster")
        }
        (Kind::RdsInstance, Some(_)) if is_aurora(more) => "aws_rds_cluster_instance",
        (Kind::RdsInstance, Some(cluster)) => return Some(("aws_rds_cluster", cluster.clone())),
        _ => terraform_type(kind)?,
    };
    // Each provider's own id; a secret's is its ARN.
    Some((imported, if kind == Kind::Secret { arn } else { name }.to_owned()))
}

/// Whether a tagged resource is this environment's, by its tag. One without a name there, or with ours spelt otherwise, is
/// nobody's, which is none.
fn is_ours(stack: Stack<'_>, found: &Tagged) -> Option<bool> {
    let environment = found.environment.as_deref().map(str::trim).filter(|name| !name.is_empty())?;
    let is_misspelt = environment != stack.environment && environment.eq_ignore_ascii_case(stack.environment);
    (!is_misspelt).then_some(environment == stack.environment)
}

/// The kind and name of a resource that the inventory could hold and does not. It may be gone: the list lags behind.
pub(crate) fn unlisted(
    stack: Stack<'_>,
    found: &Tagged,
    listed: &BTreeSet<(Kind, String)>,
) -> Option<(Kind, String)> {
    let is_own = found.stack.as_deref() == Some(stack.own);
    let known = known(bare(&found.arn)).filter(|known| !listed.contains(known))?;
    (!is_own && is_ours(stack, found) != Some(false)).then_some(known)
}

/// A resource that carries the tags and is none of the inventory's; none if it is.
fn judge_other(
    stack: Stack<'_>,
    found: &Tagged,
    listed: &BTreeSet<(Kind, String)>,
    in_states: &State,
) -> Option<Row> {
    let is_ours = is_ours(stack, found);
    if found.stack.as_deref() == Some(stack.own) || is_ours == Some(false) {
        return None;
    }
    let arn = bare(&found.arn);
    let known = known(arn);
    if known.as_ref().is_some_and(|known| listed.contains(known)) {
        return None;
    }
    let kind = type_of(arn);
    if stack.policy.inventory.untracked.contains(&kind) {
        return None;
    }
    let mut problems = Vec::new();
    // Another stack's are CloudFormation's; whose environment is not known can be in another's state.
    let state = if found.stack.is_some() || is_ours.is_none() {
        Verdict::NotAsked
    } else {
        in_state(known.as_ref().map(|(kind, _)| *kind), arn, &found.more, in_states)
    };
    let (mut settings, mut import) = (Verdict::NotAsked, None);
    if let (Some((kind, name)), Some(true)) = (&known, is_ours) {
        let (verdict, differing) = compare(*kind, arn, name, &found.more, in_states);
        settings = verdict;
        problems.extend(differing);
        import = importable(*kind, name, arn, &found.more);
    }
    if is_ours.is_none() {
        problems
            .push(Problem::TagsMissing { tags: vec![("Environment", Some(stack.environment.to_owned()))] });
    }
    if state == Verdict::Fail {
        problems.push(Problem::NotInState);
    }
    if known.is_some() && is_ours.is_some() {
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
        tags: if is_ours.is_some() { Verdict::Pass } else { Verdict::Fail },
        state,
        settings,
        import,
        problems,
    })
}
