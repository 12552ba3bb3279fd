//! The rules: what is wrong with each resource of the inventory, and which others there are. No I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

use shared::policy::{Area, Kind, Policy, Responsible, resolve};

use crate::settings::Setting;
use crate::state::{Managed, Place, Value, bare, terraform_type};

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

/// How a look at a resource ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Sight {
    /// There is none, or it is being deleted.
    Absent,
    /// It is there.
    Present {
        /// Its ARN.
        arn: String,
        /// Its tags, or why they were not seen.
        tags: Result<BTreeMap<String, String>, String>,
        /// What else was seen of it.
        more: More,
    },
    /// It is outside AWS, so that there is nothing to look at.
    Elsewhere,
    /// Nobody knows, and why.
    Unseen(String),
}

/// What AWS shows of a resource besides its tags.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct More {
    /// Settings, or why they were not seen.
    pub settings: BTreeMap<Setting, Result<String, String>>,
    /// Whether a secret has a rotation.
    pub rotates: Option<bool>,
    /// Engine of a database.
    pub engine: Option<String>,
    /// The cluster that a database instance is a member of.
    pub cluster: Option<String>,
}

/// What is known of the Terraform states.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum State {
    /// The template does not name one.
    Undeclared,
    /// Those that were looked for.
    Read {
        /// What those hold that were read.
        managed: Managed,
        /// Those that were not: a name, and why. What is in none of the others can be in one of these.
        unread: Vec<(String, String)>,
    },
}

impl State {
    fn managed(&self) -> Option<&Managed> {
        match self {
            Self::Undeclared => None,
            Self::Read { managed, .. } => Some(managed),
        }
    }

    /// Whether what is in no state that was read is in none.
    fn is_whole(&self) -> bool {
        matches!(self, Self::Read { unread, .. } if unread.is_empty())
    }
}

/// A resource that carries the project's tag.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Tagged {
    /// Its ARN.
    pub arn: String,
    /// The environment that its tag names.
    pub environment: Option<String>,
    /// The CloudFormation stack that has made it.
    pub stack: Option<String>,
    /// What a look at it showed, if it is of a kind of the inventory.
    pub more: More,
}

/// How one question about a resource ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// As it should be.
    Pass,
    /// Not as it should be.
    Fail,
    /// Nobody could see.
    Unknown,
    /// Not asked.
    NotAsked,
}

impl Verdict {
    /// Its word in answer and table.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pass => "ok",
            Self::Fail => "finding",
            Self::Unknown => "unverified",
            Self::NotAsked => "",
        }
    }
}

/// What is wrong, or could not be seen; the worst first.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Problem {
    /// Nothing of the inventory could be seen.
    NothingRead,
    /// It does not exist; with whether Terraform believes that it does, if that is known.
    Missing {
        /// Whether the state has it.
        is_in_state: Option<bool>,
    },
    /// It could not be looked at.
    InsufficientData {
        /// Why.
        why: String,
    },
    /// A state holds a secret value in clear.
    ValueInState {
        /// Where.
        value: Value,
        /// Whether the secret has a rotation, if it is one.
        rotates: Option<bool>,
    },
    /// Terraform manages it in more than one place.
    InTwoStates {
        /// The places.
        places: BTreeSet<Place>,
    },
    /// The template does not say where the state is.
    StateUndeclared,
    /// The state was not read.
    StateUnreadable {
        /// Why.
        why: String,
    },
    /// What else there is could not be listed.
    ListUnread {
        /// Why.
        why: String,
    },
    /// It lacks tags, or they say something else; with the values that they must have, none for any.
    TagsMissing {
        /// Names, and the values that they must have.
        tags: Vec<(&'static str, Option<String>)>,
    },
    /// AWS shows a setting otherwise than the state.
    Drift {
        /// The setting.
        setting: Setting,
        /// What AWS shows.
        found: String,
        /// What the state holds.
        expected: String,
        /// Where it holds it.
        place: Place,
    },
    /// It exists, and the state does not know it.
    NotInState,
    /// It is of a kind that the inventory holds, and not in it.
    NotInInventory,
    /// One team is primary and backup.
    OneTeam,
    /// The inventory has an area without a resource.
    EmptyArea,
}

impl Problem {
    /// Its stable name.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::NothingRead => "NothingRead",
            Self::Missing { .. } => "Missing",
            Self::InsufficientData { .. } => "InsufficientData",
            Self::ValueInState { .. } => "ValueInState",
            Self::InTwoStates { .. } => "InTwoStates",
            Self::Drift { .. } => "Drift",
            Self::StateUndeclared => "StateUndeclared",
            Self::StateUnreadable { .. } => "StateUnreadable",
            Self::ListUnread { .. } => "ListUnread",
            Self::TagsMissing { .. } => "TagsMissing",
            Self::NotInState => "NotInState",
            Self::NotInInventory => "NotInInventory",
            Self::OneTeam => "OneTeam",
            Self::EmptyArea => "EmptyArea",
        }
    }

    /// Whether somebody is to be woken.
    pub(crate) fn pages(&self) -> bool {
        matches!(self, Self::NothingRead | Self::Missing { .. })
    }

    /// Whether it says that something could not be seen, rather than that something is wrong.
    pub(crate) fn is_unverified(&self) -> bool {
        matches!(
            self,
            Self::NothingRead
                | Self::InsufficientData { .. }
                | Self::StateUndeclared
                | Self::StateUnreadable { .. }
                | Self::ListUnread { .. }
        )
    }
}

/// What was decided of one thing: a resource, an area, the state or the list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Row {
    /// Its area; none for a resource that the inventory does not have.
    pub area: Option<Area>,
    /// Its kind in the inventory, or service and type of its ARN, or `area`, `terraform-state`, `tagged-resources`,
    /// `inventory`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its ARN, if that was seen.
    pub arn: String,
    /// Who answers for it.
    pub responsible: Responsible,
    /// Whether it exists.
    pub exists: Verdict,
    /// Whether it has the tags.
    pub tags: Verdict,
    /// Whether the state has it.
    pub state: Verdict,
    /// Whether its settings are those of the state.
    pub settings: Verdict,
    /// Terraform's type and id by which it is imported, if it is of a kind of the inventory.
    pub import: Option<(&'static str, String)>,
    /// What is wrong, worst first.
    pub problems: Vec<Problem>,
}

impl Row {
    /// What the row is about, in one line; without what ends a finding's key.
    pub(crate) fn about(&self) -> String {
        format!("{} {}", self.kind, self.name).replace(": ", ":")
    }

    /// What makes problems of two runs the same one.
    pub(crate) fn key(&self, problem: &Problem) -> String {
        let part = match problem {
            Problem::Drift { setting, .. } => format!(" {}", setting.name()),
            _ => String::new(),
        };
        format!("{} {}{part}", problem.kind(), self.about())
    }
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

/// Each problem with its row.
pub(crate) fn problems(rows: &[Row]) -> impl Iterator<Item = (&Row, &Problem)> {
    rows.iter().flat_map(|row| row.problems.iter().map(move |problem| (row, problem)))
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

/// The tag that CloudFormation gives to what a stack makes; nobody else can.
pub(crate) const STACK_TAG: &str = "aws:cloudformation:stack-id";

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

/// A name that stays in its place in a message: AWS lets some, an alarm's, hold line ends and backquotes.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || c == '`' { '?' } else { c }).collect()
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

/// The end of an ARN, which names the resource.
fn resource_of(arn: &str) -> &str {
    arn.splitn(6, ':').nth(5).unwrap_or(arn)
}

/// Kind and name of a resource that the inventory could hold, by its ARN.
fn known(arn: &str) -> Option<(Kind, String)> {
    let mut parts = arn.splitn(6, ':').skip(2);
    let (service, resource) = (parts.next()?, parts.nth(2)?);
    let after = |prefix: &str| resource.strip_prefix(prefix).map(str::to_owned);
    match service {
        "ecs" => after("cluster/")
            .map(|name| (Kind::EcsCluster, name))
            .or_else(|| after("service/").map(|name| (Kind::EcsService, name))),
        "logs" => after("log-group:").map(|name| (Kind::LogGroup, name)),
        "aps" => after("workspace/").map(|name| (Kind::PrometheusWorkspace, name)),
        "elasticfilesystem" => after("file-system/").map(|name| (Kind::EfsFileSystem, name)),
        "grafana" => after("/workspaces/").map(|name| (Kind::GrafanaWorkspace, name)),
        "rds" => after("db:")
            .map(|name| (Kind::RdsInstance, name))
            .or_else(|| after("cluster:").map(|name| (Kind::RdsCluster, name))),
        "s3" if !resource.contains(['/', ':']) => Some((Kind::S3Bucket, resource.to_owned())),
        // Secrets Manager adds a hyphen and six characters.
        "secretsmanager" => {
            let name = after("secret:")?;
            let end = name.len().checked_sub(7).filter(|end| name.is_char_boundary(*end))?;
            name.get(end..)?.starts_with('-').then_some(())?;
            Some((Kind::Secret, name.get(..end)?.to_owned()))
        }
        _ => None,
    }
}

/// Service and type of an ARN, e.g. `rds:snapshot`.
fn type_of(arn: &str) -> String {
    let mut parts = arn.splitn(6, ':').skip(2);
    let service = parts.next().unwrap_or_default();
    let resource = parts.nth(2).unwrap_or_default();
    let kind = match (resource.split_once(['/', ':']), service) {
        // An API's path begins with a slash.
        (Some(("", path)), _) => path.split('/').next().unwrap_or_default(),
        (Some((kind, _)), _) => kind,
        (None, "s3") => "bucket",
        (None, "sns") => "topic",
        (None, "sqs") => "queue",
        (None, _) => "resource",
    };
    format!("{service}:{kind}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::parse;

    const DB: &str = "arn:aws:rds:us-east-1:123456789012:db:moveongs-dev-db";

    fn policy() -> Policy {
        "".parse().unwrap()
    }

    fn stack(policy: &Policy) -> Stack<'_> {
        Stack { policy, project: "moveongs", environment: "dev", own: "own" }
    }

    fn read(managed: Managed) -> State {
        State::Read { managed, unread: Vec::new() }
    }

    fn unreadable() -> State {
        State::Read { managed: Managed::default(), unread: vec![("x".to_owned(), "y".to_owned())] }
    }

    /// Of the application, without its secret values, of which a test of its own speaks.
    fn state() -> State {
        let mut managed = parse("x", include_str!("../tests/terraform.tfstate").as_bytes()).unwrap();
        managed.values.clear();
        read(managed)
    }

    fn tags(values: [&str; 3]) -> BTreeMap<String, String> {
        let named = ["Project", "Environment", "ManagedBy"].into_iter().zip(values);
        named
            .filter(|(_, value)| *value != "-")
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    fn tagged(arn: &str, environment: Option<&str>, stack: Option<&str>) -> Tagged {
        let [environment, stack] = [environment, stack].map(|value| value.map(str::to_owned));
        Tagged { arn: arn.to_owned(), environment, stack, more: More::default() }
    }

    fn good() -> BTreeMap<String, String> {
        tags(["moveongs", "dev", "terraform"])
    }

    fn database() -> Wanted {
        let policy = policy();
        wanted(stack(&policy), &BTreeMap::new(), None)
            .into_iter()
            .find(|each| each.kind == Kind::RdsInstance)
            .unwrap()
    }

    #[track_caller]
    fn check(sight: Sight, state: &State, verdicts: [Verdict; 3], problems: &[&str]) {
        let policy = policy();
        let row = judge(stack(&policy), database(), sight, state);
        assert_eq!([row.exists, row.tags, row.state], verdicts, "{row:?}");
        assert_eq!(row.problems.iter().map(Problem::kind).collect::<Vec<_>>(), problems, "{row:?}");
    }

    fn present(tags: Result<BTreeMap<String, String>, String>) -> Sight {
        Sight::Present { arn: DB.to_owned(), tags, more: More::default() }
    }

    #[test]
    fn each_question_has_three_answers() {
        use Verdict::{Fail, NotAsked, Pass, Unknown};
        let unread = unreadable();
        let other = read(Managed::default());
        check(present(Ok(good())), &state(), [Pass, Pass, Pass], &[]);
        check(present(Ok(good())), &other, [Pass, Pass, Fail], &["NotInState"]);
        // That the state is not read is said once, and not for each resource.
        check(present(Ok(good())), &unread, [Pass, Pass, Unknown], &[]);
        check(present(Ok(good())), &State::Undeclared, [Pass, Pass, Unknown], &[]);
        check(present(Err("x".to_owned())), &state(), [Pass, Unknown, Pass], &["InsufficientData"]);
        check(present(Ok(BTreeMap::new())), &other, [Pass, Fail, Fail], &["TagsMissing", "NotInState"]);
        check(Sight::Absent, &state(), [Fail, NotAsked, NotAsked], &["Missing"]);
        let unseen = || Sight::Unseen("x".to_owned());
        check(unseen(), &state(), [Unknown, Unknown, Unknown], &["InsufficientData"]);
        // What a stack made is not Terraform's.
        let mut stacks = good();
        stacks.insert(STACK_TAG.to_owned(), "arn".to_owned());
        check(present(Ok(stacks)), &other, [Pass, Pass, NotAsked], &[]);
    }

    #[test]
    fn the_three_tags() {
        let policy = policy();
        for (values, expected) in [
            (["moveongs", "dev", "terraform"], vec![]),
            (["moveongs", "dev", "ana"], vec![]),
            (["moveongs", "dev", " "], vec!["ManagedBy"]),
            (["moveongs", "prod", "terraform"], vec!["Environment"]),
            (["Moveongs", "dev", "-"], vec!["Project", "ManagedBy"]),
            (["-", "-", "-"], vec!["Project", "Environment", "ManagedBy"]),
        ] {
            let lacks = lacking(stack(&policy), &tags(values), true);
            assert_eq!(lacks.iter().map(|(key, _)| *key).collect::<Vec<_>>(), expected, "{values:?}");
        }
    }

    #[test]
    fn a_missing_resource_says_whether_terraform_believes_in_it() {
        let policy = policy();
        for (state, expected) in
            [(state(), Some(true)), (read(Managed::default()), Some(false)), (State::Undeclared, None)]
        {
            let row = judge(stack(&policy), database(), Sight::Absent, &state);
            assert_eq!(row.problems, [Problem::Missing { is_in_state: expected }]);
        }
    }

    #[test]
    fn what_must_exist_is_of_policy_and_template() {
        let policy: Policy =
            r#"{"rotation": {"secrets": {"reports": {"max_age_days": 9, "test_sql": ["SELECT 1"]}}}}"#
                .parse()
                .unwrap();
        let secrets = BTreeMap::from([
            ("/moveongs/dev/jwt", "JWT_SECRET"),
            ("/moveongs/dev/db", "DATABASE_URL"),
            ("moveongs-dev-redis-url", "moveongs-dev-redis-url"),
            ("reports", "reports"),
        ]);
        let wanted = wanted(stack(&policy), &secrets, Some("states"));
        let lines: Vec<_> = wanted
            .iter()
            .map(|each| {
                format!(
                    "{} {} {} {}",
                    each.area.name(),
                    each.kind.name(),
                    each.name,
                    each.responsible.primary
                )
            })
            .collect();
        let expected = [
            "application ecs-cluster moveongs-dev-cluster Squad Backend",
            "application ecs-service moveongs-dev-cluster/moveongs-dev-api Squad Backend",
            "database rds-instance moveongs-dev-db Squad Dados",
            "attachments s3-bucket moveongs-dev-attachments Squad Infra",
            "observability log-group /aws/ecs/moveongs-dev-api Squad Observability",
            "secrets secret /moveongs/dev/db Squad Dados",
            "secrets secret /moveongs/dev/jwt Squad Infra",
            "secrets secret moveongs-dev-redis-url Squad Infra",
            "secrets secret reports Squad Dados",
            "infrastructure s3-bucket states Squad Infra",
        ];
        assert_eq!(lines, expected);
        // A state does not hold its own bucket.
        assert_eq!(wanted.iter().filter(|each| !each.is_terraforms).count(), 1);
    }

    #[test]
    fn others_of_the_project_are_listed_by_what_is_known_of_them() {
        let policy = policy();
        let arn = |rest: &str| tagged(&format!("arn:aws:{rest}"), Some("dev"), None);
        let account = "us-east-1:123456789012";
        let listed = BTreeSet::from([(Kind::RdsInstance, "moveongs-dev-db".to_owned())]);
        for (rest, expected) in [
            // The inventory's own.
            (format!("rds:{account}:db:moveongs-dev-db"), None),
            // AWS makes these.
            (format!("rds:{account}:snapshot:moveongs-dev-20260301"), None),
            (format!("ecs:{account}:task/moveongs-dev-cluster/0123"), None),
            (format!("ecs:{account}:task-definition/moveongs-dev-api:7"), None),
            (format!("rds:{account}:cluster-snapshot:x"), None),
            // Of a kind of the inventory.
            (
                "s3:::moveongs-dev-attachments".to_owned(),
                Some(("s3-bucket moveongs-dev-attachments", vec!["NotInInventory"])),
            ),
            (
                "s3:::moveongs-dev-copies".to_owned(),
                Some(("s3-bucket moveongs-dev-copies", vec!["NotInState", "NotInInventory"])),
            ),
            (
                format!("logs:{account}:log-group:/aws/x:*"),
                Some(("log-group /aws/x", vec!["NotInState", "NotInInventory"])),
            ),
            (
                format!("secretsmanager:{account}:secret:/m/dev/key-AbCdEf"),
                Some(("secret /m/dev/key", vec!["NotInState", "NotInInventory"])),
            ),
            (
                format!("ecs:{account}:service/c/web"),
                Some(("ecs-service c/web", vec!["NotInState", "NotInInventory"])),
            ),
            (
                format!("rds:{account}:cluster:moveongs-dev"),
                Some(("rds-cluster moveongs-dev", vec!["NotInState", "NotInInventory"])),
            ),
            (
                format!("elasticfilesystem:{account}:file-system/fs-1"),
                Some(("efs-file-system fs-1", vec!["NotInState", "NotInInventory"])),
            ),
            (
                format!("grafana:{account}:/workspaces/g-1"),
                Some(("grafana-workspace g-1", vec!["NotInState", "NotInInventory"])),
            ),
            (
                format!("aps:{account}:workspace/ws-1"),
                Some(("prometheus-workspace ws-1", vec!["NotInState", "NotInInventory"])),
            ),
            // Of another kind: only Terraform is to know it.
            (
                format!("ec2:{account}:subnet/subnet-0aaaaaaaaaaaaaaa1"),
                Some(("ec2:subnet subnet/subnet-0aaaaaaaaaaaaaaa1", vec![])),
            ),
            (format!("sns:{account}:byhand"), Some(("sns:topic byhand", vec!["NotInState"]))),
            (
                "apigateway:us-east-1::/restapis/abc".to_owned(),
                Some(("apigateway:restapis /restapis/abc", vec!["NotInState"])),
            ),
        ] {
            let row = judge_other(stack(&policy), &arn(&rest), &listed, &state());
            let seen =
                row.as_ref().map(|row| (row.about(), row.problems.iter().map(Problem::kind).collect()));
            assert_eq!(seen, expected.map(|(about, kinds)| (about.to_owned(), kinds)), "{rest}");
        }
        // Without a state nobody knows, and nothing is called unmanaged.
        let row =
            judge_other(stack(&policy), &arn(&format!("sns:{account}:byhand")), &listed, &State::Undeclared);
        assert_eq!(row.map(|row| (row.state, row.problems)), Some((Verdict::Unknown, vec![])));
    }

    #[test]
    fn what_could_not_be_seen_is_said_and_never_fine() {
        let policy = policy();
        let kinds = |seen: Vec<(Wanted, Sight)>, state: &State, tagged: &Result<Vec<Tagged>, String>| {
            let rows = decide(stack(&policy), seen, state, tagged);
            rows.iter().flat_map(|row| row.problems.iter().map(Problem::kind)).collect::<Vec<_>>()
        };
        let seen = |sight: Sight| vec![(database(), sight)];
        let (none, unread) = (Ok(Vec::new()), Err("x".to_owned()));
        assert_eq!(kinds(seen(present(Ok(good()))), &state(), &none), [""; 0]);
        assert_eq!(kinds(seen(present(Ok(good()))), &State::Undeclared, &none), ["StateUndeclared"]);
        let lost = unreadable();
        assert_eq!(kinds(seen(present(Ok(good()))), &lost, &none), ["StateUnreadable"]);
        assert_eq!(kinds(seen(present(Ok(good()))), &state(), &unread), ["ListUnread"]);
        let unseen = || seen(Sight::Unseen("x".to_owned()));
        assert_eq!(kinds(unseen(), &state(), &none), ["NothingRead", "InsufficientData"]);
        let both = vec![(database(), Sight::Unseen("x".to_owned())), (database(), present(Ok(good())))];
        assert_eq!(kinds(both, &state(), &none), ["InsufficientData"]);
        assert_eq!(kinds(unseen(), &state(), &unread), ["NothingRead", "InsufficientData", "ListUnread"]);
        // What this product's stack made is neither the inventory's nor Terraform's.
        let own = tagged("arn:aws:s3:::evidence", Some("dev"), Some("own"));
        assert_eq!(kinds(Vec::new(), &state(), &Ok(vec![own])), [""; 0]);
    }

    #[test]
    fn what_has_no_environment_is_reported_and_what_has_another_is_not_ours() {
        let policy = policy();
        let (bucket, alarm) =
            ("arn:aws:s3:::copies", "arn:aws:cloudwatch:us-east-1:123456789012:alarm:API: `y`\n");
        for (found, expected) in [
            (
                tagged(bucket, Some("dev"), None),
                Some(("s3-bucket copies", vec!["NotInState", "NotInInventory"])),
            ),
            (tagged(bucket, None, None), Some(("s3-bucket copies", vec!["TagsMissing"]))),
            (tagged(bucket, Some(" "), None), Some(("s3-bucket copies", vec!["TagsMissing"]))),
            (tagged(bucket, Some("Dev"), None), Some(("s3-bucket copies", vec!["TagsMissing"]))),
            (tagged(bucket, Some("prod"), None), None),
            // Another stack's is not Terraform's, and still nobody answers for it.
            (tagged(bucket, Some("dev"), Some("other")), Some(("s3-bucket copies", vec!["NotInInventory"]))),
            (tagged(bucket, None, Some("own")), None),
            // A name cannot end its key, nor leave its place in a message.
            (tagged(alarm, Some("dev"), None), Some(("cloudwatch:alarm alarm:API:?y??", vec!["NotInState"]))),
        ] {
            let row = judge_other(stack(&policy), &found, &BTreeSet::new(), &state());
            let seen =
                row.as_ref().map(|row| (row.about(), row.problems.iter().map(Problem::kind).collect()));
            assert_eq!(seen, expected.map(|(about, kinds)| (about.to_owned(), kinds)), "{found:?}");
        }
    }

    #[test]
    fn what_the_list_has_and_the_inventory_has_not_is_looked_at() {
        let policy = policy();
        let listed = BTreeSet::from([(Kind::S3Bucket, "a".to_owned())]);
        let is_looked_at = |found: &Tagged| unlisted(stack(&policy), found, &listed).is_some();
        assert!(is_looked_at(&tagged("arn:aws:s3:::b", Some("dev"), None)));
        assert!(is_looked_at(&tagged("arn:aws:s3:::b", None, Some("other"))));
        for found in [
            tagged("arn:aws:s3:::a", Some("dev"), None),
            tagged("arn:aws:s3:::b", Some("prod"), None),
            tagged("arn:aws:s3:::b", Some("dev"), Some("own")),
            tagged("arn:aws:sns:us-east-1:123456789012:b", Some("dev"), None),
        ] {
            assert!(!is_looked_at(&found), "{found:?}");
        }
    }

    #[test]
    fn a_bucket_of_states_can_be_that_of_several_environments() {
        let policy = policy();
        let wanted = wanted(stack(&policy), &BTreeMap::new(), Some("states")).pop().unwrap();
        let kinds = |values: [&str; 3]| {
            let sight = Sight::Present {
                arn: "arn:aws:s3:::states".to_owned(),
                tags: Ok(tags(values)),
                more: More::default(),
            };
            let row = judge(stack(&policy), wanted.clone(), sight, &state());
            row.problems.iter().map(Problem::kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(["moveongs", "prod", "ana"]), [""; 0]);
        assert_eq!(kinds(["moveongs", "-", "ana"]), ["TagsMissing"]);
        assert_eq!(kinds(["other", "dev", "ana"]), ["TagsMissing"]);
    }

    #[test]
    fn an_area_without_resources_is_reported_and_a_secret_has_two_teams_too() {
        let policy: Policy = r#"{"inventory": {"areas": {"database": {"resources": {"rds-instance": []}}}},
            "rotation": {"secrets": {"JWT_SECRET": {"responsible": {"primary": "Squad Infra", "backup": " squad infra"}}}}}"#
            .parse()
            .unwrap();
        let secrets = BTreeMap::from([("jwt", "JWT_SECRET")]);
        let seen = wanted(stack(&policy), &secrets, None).into_iter().filter(|each| each.name == "jwt");
        let seen = seen.map(|each| (each, present(Ok(good())))).collect();
        let rows = decide(stack(&policy), seen, &read(Managed::default()), &Ok(Vec::new()));
        let keys: BTreeSet<_> =
            rows.iter().flat_map(|row| row.problems.iter().map(|problem| row.key(problem))).collect();
        let expected = ["EmptyArea area database", "NotInState secret jwt", "OneTeam secret jwt"];
        assert_eq!(keys, expected.map(str::to_owned).into());
    }

    #[test]
    fn an_area_whose_teams_are_one_has_no_backup() {
        let one = r#"{"inventory": {"areas": {"database": {"responsible": {"backup": "Squad Dados"}}}}}"#;
        let policy: Policy = one.parse().unwrap();
        let rows = decide(stack(&policy), Vec::new(), &state(), &Ok(Vec::new()));
        assert_eq!(
            rows.iter().map(|row| row.key(&row.problems[0])).collect::<Vec<_>>(),
            ["OneTeam area database"]
        );
        assert_eq!(rows[0].area, Some(Area::Database));
    }

    /// The states that the case describes: a resource of each type that a line names, without what the inventory does not ask for.
    fn split() -> Vec<(&'static str, Managed)> {
        let case = include_str!("../../../tests/cases/12-terraform-states-split.md");
        let lines =
            case.lines().filter_map(|line| line.strip_prefix("s3://moveongs-tfstate/")?.split_once(' '));
        let arns = [
            ("aws_db_instance", DB),
            ("aws_s3_bucket", "arn:aws:s3:::moveongs-dev-attachments"),
            ("aws_vpc", "arn:aws:ec2:us-east-1:123456789012:vpc/vpc-1"),
        ];
        let state = |(key, holds): (&'static str, &str)| {
            let held = arns.iter().filter(|(kind, _)| holds.contains(kind)).map(|(kind, arn)| {
                serde_json::json!({"mode": "managed", "type": kind, "name": "x", "instances": [{"attributes": {"arn": arn}}]})
            });
            let held: Vec<_> = held.collect();
            (
                key,
                parse(key, serde_json::json!({"version": 4, "resources": held}).to_string().as_bytes())
                    .unwrap(),
            )
        };
        lines.map(state).collect()
    }

    #[test]
    fn an_environment_has_several_states_and_what_one_that_is_unread_may_hold_is_not_verified() {
        let policy = policy();
        let bucket = wanted(stack(&policy), &BTreeMap::new(), None)
            .into_iter()
            .find(|each| each.kind == Kind::S3Bucket)
            .unwrap();
        let judged = |wanted: &Wanted, arn: &str, state: &State| {
            let sight = Sight::Present { arn: arn.to_owned(), tags: Ok(good()), more: More::default() };
            let row = judge(stack(&policy), wanted.clone(), sight, state);
            (row.state, row.problems.iter().map(Problem::kind).collect::<Vec<_>>())
        };
        let merged = |unread: &[&str]| {
            let mut managed = Managed::default();
            for (_, held) in split().into_iter().filter(|(key, _)| !unread.contains(key)) {
                managed.merge(held);
            }
            State::Read {
                managed,
                unread: unread.iter().map(|key| ((*key).to_owned(), "x".to_owned())).collect(),
            }
        };
        let attachments = "arn:aws:s3:::moveongs-dev-attachments";
        let (fine, unverified) = ((Verdict::Pass, vec![]), (Verdict::Unknown, vec![]));
        let all = merged(&[]);
        assert_eq!(
            [judged(&database(), DB, &all), judged(&bucket, attachments, &all)],
            [fine.clone(), fine.clone()]
        );
        let partly = merged(&["dev/database/terraform.tfstate"]);
        assert_eq!(
            [judged(&database(), DB, &partly), judged(&bucket, attachments, &partly)],
            [unverified, fine]
        );
        let missing = judge(stack(&policy), database(), Sight::Absent, &partly);
        assert_eq!(missing.problems, [Problem::Missing { is_in_state: None }]);
        // Each state that is not read is said by its name.
        let rows = decide(stack(&policy), Vec::new(), &partly, &Ok(Vec::new()));
        let keys: Vec<_> = rows.iter().map(|row| row.key(&row.problems[0])).collect();
        assert_eq!(keys, ["StateUnreadable terraform-state dev/database/terraform.tfstate"]);
        // Without it, what is in none is in none.
        let mut apart = Managed::default();
        apart.merge(split().remove(2).1);
        assert_eq!(judged(&database(), DB, &read(apart)), (Verdict::Fail, vec!["NotInState"]));
    }

    #[test]
    fn a_member_of_a_cluster_is_imported_as_what_it_is() {
        let policy = policy();
        let more = |engine: &str, cluster: Option<&str>| More {
            engine: Some(engine.to_owned()),
            cluster: cluster.map(str::to_owned),
            ..More::default()
        };
        for (more, expected) in [
            (more("postgres", None), ("aws_db_instance", "moveongs-dev-db")),
            (
                more("aurora-postgresql", Some("moveongs-dev")),
                ("aws_rds_cluster_instance", "moveongs-dev-db"),
            ),
            // Terraform has no resource for a member of a Multi-AZ cluster.
            (more("postgres", Some("moveongs-dev")), ("aws_rds_cluster", "moveongs-dev")),
            (more("docdb", Some("moveongs-dev")), ("aws_docdb_cluster_instance", "moveongs-dev-db")),
        ] {
            let sight = Sight::Present { arn: DB.to_owned(), tags: Ok(good()), more };
            let row = judge(stack(&policy), database(), sight, &read(Managed::default()));
            assert_eq!(row.problems, [Problem::NotInState]);
            assert_eq!(row.import.as_ref().map(|(kind, id)| (*kind, id.as_str())), Some(expected));
        }
        // In the state are the member itself, or its Multi-AZ cluster.
        let case = include_str!("../../../tests/cases/11b-terraform-state-aurora-member.json");
        let cluster = r#"{"version": 4, "resources": [{"mode": "managed", "type": "aws_rds_cluster", "name": "x",
            "instances": [{"attributes": {"arn": "arn:aws:rds:us-east-1:123456789012:cluster:moveongs-dev"}}]}]}"#;
        for (engine, state, verdict) in [
            ("aurora-postgresql", case, Verdict::Pass),
            ("aurora-postgresql", cluster, Verdict::Fail),
            ("postgres", cluster, Verdict::Pass),
        ] {
            let sight = Sight::Present {
                arn: DB.to_owned(),
                tags: Ok(good()),
                more: more(engine, Some("moveongs-dev")),
            };
            let state = read(parse("k", state.as_bytes()).unwrap());
            assert_eq!(judge(stack(&policy), database(), sight, &state).state, verdict, "{engine}");
        }
    }

    #[test]
    fn a_value_in_a_state_is_said_of_its_secret() {
        let policy = policy();
        let case = include_str!("../../../tests/cases/09a-terraform-state-holds-the-value.json");
        let state = read(parse("dev.tfstate", case.as_bytes()).unwrap());
        let arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:/moveongs/dev/jwt-a1B2c3";
        let secrets = BTreeMap::from([("/moveongs/dev/jwt", "JWT_SECRET")]);
        for rotates in [true, false] {
            let more = More { rotates: Some(rotates), ..More::default() };
            let seen = wanted(stack(&policy), &secrets, None)
                .into_iter()
                .filter(|each| each.name == "/moveongs/dev/jwt")
                .map(|each| {
                    (each, Sight::Present { arn: arn.to_owned(), tags: Ok(good()), more: more.clone() })
                });
            let rows = decide(stack(&policy), seen.collect(), &state, &Ok(Vec::new()));
            let [row] = &rows[..] else { panic!("{rows:?}") };
            assert_eq!(row.key(&row.problems[0]), "ValueInState secret /moveongs/dev/jwt");
            let Problem::ValueInState { rotates: reported, .. } = &row.problems[0] else { panic!("{row:?}") };
            assert_eq!(*reported, Some(rotates));
        }
        // What has no row, gets one; its secret is looked at for its rotation.
        let unlooked = unlooked(&state, &[], &Ok(Vec::new()));
        assert_eq!(unlooked, BTreeMap::from([(arn.to_owned(), "/moveongs/dev/jwt".to_owned())]));
        let State::Read { mut managed, .. } = state else { panic!("the state is read") };
        managed.note_rotation(arn, true);
        let state = read(managed);
        let rows = decide(stack(&policy), Vec::new(), &state, &Ok(Vec::new()));
        let keys: Vec<_> = rows.iter().map(|row| row.key(&row.problems[0])).collect();
        assert_eq!(keys, ["ValueInState terraform-value dev.tfstate aws_secretsmanager_secret_version.jwt"]);
        assert!(matches!(rows[0].problems[0], Problem::ValueInState { rotates: Some(true), .. }), "{rows:?}");
    }

    #[test]
    fn a_setting_that_the_state_holds_and_aws_shows_otherwise_is_found() {
        let policy = policy();
        let held = format!(
            r#"{{"version": 4, "resources": [{{"mode": "managed", "type": "aws_db_instance", "name": "db", "instances": [
                {{"attributes": {{"arn": "{DB}", "backup_retention_period": 7, "deletion_protection": true}}}}]}}]}}"#
        );
        let state = read(parse("k", held.as_bytes()).unwrap());
        let shown = |retention: Result<&str, &str>, protection: Option<&str>| {
            let retention = retention.map(str::to_owned).map_err(str::to_owned);
            let protection = protection.map(|value| (Setting::DeletionProtection, Ok(value.to_owned())));
            let settings = [(Setting::BackupRetention, retention)].into_iter().chain(protection).collect();
            let sight = Sight::Present {
                arn: DB.to_owned(),
                tags: Ok(good()),
                more: More { settings, ..More::default() },
            };
            let row = judge(stack(&policy), database(), sight, &state);
            let keys = row.problems.iter().map(|problem| row.key(problem)).collect::<Vec<_>>();
            (row.settings, keys)
        };
        let key = |key: &str| format!("{key} rds-instance moveongs-dev-db");
        let retention = format!("{} backup_retention_period", key("Drift"));
        let protection = format!("{} deletion_protection", key("Drift"));
        assert_eq!(shown(Ok("7"), Some("true")), (Verdict::Pass, vec![]));
        assert_eq!(shown(Ok("1"), Some("true")), (Verdict::Fail, vec![retention.clone()]));
        assert_eq!(shown(Ok("1"), Some("false")), (Verdict::Fail, vec![retention, protection]));
        // What was not read is not verified.
        assert_eq!(shown(Err("x"), Some("true")), (Verdict::Unknown, vec![key("InsufficientData")]));
        assert_eq!(shown(Ok("7"), None), (Verdict::Unknown, vec![key("InsufficientData")]));
    }

    #[test]
    fn a_place_outside_aws_is_not_asked_for() {
        let url: Policy = r#"{"inventory": {"areas": {"observability": {"resources": {"log-group": [],
            "url": ["https://grafana.example.org"], "grafana-workspace": ["g-0123456789"]}}}}}"#
            .parse()
            .unwrap();
        let all = wanted(stack(&url), &BTreeMap::new(), None);
        let grafana = all.iter().find(|each| each.kind == Kind::Url).unwrap().clone();
        let row = judge(stack(&url), grafana, Sight::Elsewhere, &state());
        assert_eq!([row.exists, row.tags, row.state, row.settings], [Verdict::NotAsked; 4]);
        assert!(row.problems.is_empty() && all.iter().any(|each| each.kind == Kind::GrafanaWorkspace));
    }

    #[test]
    fn only_what_is_gone_wakes_somebody() {
        let pages = |problem: Problem| problem.pages();
        assert!(pages(Problem::NothingRead) && pages(Problem::Missing { is_in_state: None }));
        for quiet in [
            Problem::NotInState,
            Problem::StateUndeclared,
            Problem::InsufficientData { why: String::new() },
            Problem::OneTeam,
        ] {
            assert!(!pages(quiet));
        }
    }
}
