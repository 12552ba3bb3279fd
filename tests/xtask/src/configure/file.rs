//! The files that `configure` writes: parameters, `samconfig.toml`, policy. What people wrote stays as it is; only what is
//! missing is added, so a second run changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use policy::language::Language;
use policy::{Area, Inventory, Kind, resolve, tr};
use serde_json::{Map, Value, json};
use toml_edit::{DocumentMut, Item, Table, TableLike};

use super::names::Place;
use super::rules::Found;

/// The parameters in a file of an environment. A list is joined by commas, as SAM does.
pub(crate) fn read(text: &str) -> Result<BTreeMap<String, String>> {
    use serde_yaml_ng::Value;
    let scalar = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null => Some(String::new()),
        _ => None,
    };
    let parsed: Value = serde_yaml_ng::from_str(text).context("not YAML")?;
    let Value::Mapping(mapping) = parsed else {
        if matches!(parsed, Value::Null) {
            return Ok(BTreeMap::new());
        }
        bail!("expected `Parameter: value` lines");
    };
    let mut values = BTreeMap::new();
    for (name, value) in &mapping {
        let name = name.as_str().context("a parameter's name is not text")?;
        let value = match value {
            Value::Sequence(list) => {
                list.iter().map(scalar).collect::<Option<Vec<_>>>().map(|list| list.join(","))
            }
            one => scalar(one),
        };
        values.insert(
            name.to_owned(),
            value.with_context(|| format!("{name}: expected text or a list of text"))?,
        );
    }
    Ok(values)
}

/// One parameter of a file, with its comment.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) comment: String,
}

/// The file's text with the lines added; the text itself if there is none to add.
pub(crate) fn parameters(
    existing: Option<&str>,
    lines: &[Line],
    place: &Place,
    language: Language,
) -> Result<String> {
    let mut text = existing.unwrap_or_default().to_owned();
    if lines.is_empty() {
        return Ok(text);
    }
    let Place { project, environment, .. } = place;
    if text.is_empty() {
        text += &tr!(
            language,
            "# Parâmetros de {project}-{environment}, escritos por `cargo xtask configure`. Mude o que quiser: o que está aqui fica\n# como está. Não há segredo neste arquivo, só nomes. O que não está aqui tem o padrão; docs/implantacao.md explica\n# cada parâmetro. CodeVersion vem na linha de comando, a cada deploy.\n",
            "# Parameters of {project}-{environment}, written by `cargo xtask configure`. Change what you like: what is here stays.\n# No secret is in this file, only names. What is not here has its default; docs/implantacao.md explains each parameter.\n# CodeVersion is given on the command line of each deployment.\n"
        );
    } else {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text += language
            .pick("\n# Acrescentado por `cargo xtask configure`\n", "\n# Added by `cargo xtask configure`\n");
    }
    for Line { name, value, comment } in lines {
        // A comment has no second line.
        let comment = comment.replace(['\n', '\r'], " ");
        let scalar = serde_yaml_ng::to_string(value).with_context(|| format!("{name} cannot be written"))?;
        text += &format!("\n# {comment}\n{name}: {}\n", scalar.trim_end());
    }
    let written = read(&text)?;
    for Line { name, value, .. } in lines {
        if written.get(name) != Some(value) {
            bail!("{name} cannot be written to the file: its value would be read as {:?}", written.get(name));
        }
    }
    Ok(text)
}

/// `samconfig.toml` with the environment's section: that of `default`, with the stack, the region and the parameters' file.
/// A key that is there stays; the names of those that differ are returned.
pub(crate) fn samconfig(existing: &str, place: &Place, file: &str) -> Result<(String, Vec<String>)> {
    let mut document: DocumentMut = existing.parse().context("samconfig.toml is not TOML")?;
    if document.get("version").is_none() {
        document.insert("version", toml_edit::value(0.1));
    }
    let overrides = format!("file://{file}");
    let stack = super::stack(place);
    let mut kept = Vec::new();
    for (command, own) in [
        ("build", vec![("parameter_overrides", overrides.as_str())]),
        (
            "deploy",
            vec![
                ("stack_name", stack.as_str()),
                ("region", place.region.as_str()),
                ("parameter_overrides", overrides.as_str()),
            ],
        ),
    ] {
        let of_default: Vec<(String, Item)> = document
            .get("default")
            .and_then(|one| one.get(command)?.get("parameters")?.as_table_like())
            .into_iter()
            .flat_map(TableLike::iter)
            .map(|(key, item)| (key.to_owned(), item.clone()))
            .collect();
        let environment = table(document.as_table_mut(), &place.environment, true)?;
        let parameters = table(table(environment, command, true)?, "parameters", false)?;
        for (key, value) in own {
            match parameters.get(key) {
                None => drop(parameters.insert(key, toml_edit::value(value))),
                Some(item) if item.as_str() == Some(value) => {}
                Some(_) => kept.push(format!("{}.{command}.parameters.{key}", place.environment)),
            }
        }
        for (key, mut item) in of_default {
            if parameters.get(&key).is_none() {
                if let Some(value) = item.as_value_mut() {
                    value.decor_mut().clear();
                }
                parameters.insert(&key, item);
            }
        }
    }
    Ok((document.to_string(), kept))
}

/// A text of an environment's `deploy` section of `samconfig.toml`.
pub(crate) fn setting(text: &str, environment: &str, key: &str) -> Option<String> {
    let document: DocumentMut = text.parse().ok()?;
    let parameters = document.get(environment)?.get("deploy")?.get("parameters")?;
    parameters.get(key)?.as_str().map(str::to_owned)
}

/// The table below another one, which is made if it is missing.
fn table<'a>(parent: &'a mut dyn TableLike, key: &str, is_implicit: bool) -> Result<&'a mut dyn TableLike> {
    let mut empty = Table::new();
    empty.set_implicit(is_implicit);
    let item = parent.entry(key).or_insert(Item::Table(empty));
    item.as_table_like_mut().with_context(|| format!("samconfig.toml: {key} is not a table"))
}

/// The account's resources for the inventory.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Holdings(pub(crate) BTreeMap<(&'static str, Kind), BTreeSet<String>>);

impl Holdings {
    pub(crate) fn add(&mut self, area: Area, kind: Kind, name: impl Into<String>) {
        self.0.entry((area.name(), kind)).or_default().insert(name.into());
    }
}

/// The changes of the inventory after which it names what the account has. For a kind of which the account has
/// something, the default's names that it does not have go, except secrets: a missing one is a finding.
pub(crate) fn inventory(inventory: &Inventory, holdings: &Holdings, place: &Place) -> Value {
    let mut areas = Map::new();
    for area in Area::ALL {
        let mut kinds = Map::new();
        let held = |kind: Kind| holdings.0.get(&(area.name(), kind)).filter(|names| !names.is_empty());
        for kind in Kind::ALL {
            let Some(found) = held(kind) else { continue };
            let named = inventory.areas.holding(area).resources.get(&kind).cloned().unwrap_or_default();
            let is_named = |name: &String| {
                named.iter().any(|one| resolve(one, &place.project, &place.environment) == *name)
            };
            if found.iter().all(is_named) {
                continue;
            }
            let keeps = |one: &String| {
                kind == Kind::Secret || found.contains(&resolve(one, &place.project, &place.environment))
            };
            let mut all: Vec<String> = named.iter().filter(|one| keeps(one)).cloned().collect();
            all.extend(found.iter().filter(|name| !is_named(name)).cloned());
            kinds.insert(kind.name().to_owned(), json!(all));
        }
        if !kinds.is_empty() {
            areas.insert(area.name().to_owned(), json!({ "resources": kinds }));
        }
    }
    if areas.is_empty() { json!({}) } else { json!({ "inventory": { "areas": areas } }) }
}

/// A new policy file: the inventory, and for people to fill in who is responsible and how a squad is reached.
pub(crate) fn policy(inventory: &Inventory, changes: &Value) -> Result<String> {
    let mut patch = changes.clone();
    let mut squads = BTreeSet::new();
    for area in Area::ALL {
        let responsible = &inventory.areas.holding(area).responsible;
        squads.extend([responsible.primary.clone(), responsible.backup.clone()]);
        let responsible = json!({"primary": responsible.primary, "backup": responsible.backup});
        let path = ["inventory", "areas", area.name()];
        let mut at = &mut patch;
        for key in path {
            let object = at.as_object_mut().context("the policy is not an object")?;
            at = object.entry(key).or_insert_with(|| json!({}));
        }
        at.as_object_mut()
            .context("the policy is not an object")?
            .insert("responsible".to_owned(), responsible);
    }
    let squads: Map<String, Value> =
        squads.into_iter().map(|squad| (squad, json!({"contacts": []}))).collect();
    let object = patch.as_object_mut().context("the policy is not an object")?;
    object.insert("incidents".to_owned(), json!({"people": {}, "squads": squads}));
    Ok(format!("{}\n", serde_json::to_string_pretty(&patch)?))
}

/// The lines of a plan, with what each parameter is for.
pub(crate) fn lines(found: &[Found], meaning: impl Fn(&str) -> String) -> Vec<Line> {
    let line = |one: &Found| Line {
        name: one.name.clone(),
        value: one.value.clone(),
        comment: format!("{} ({})", meaning(&one.name), one.why),
    };
    found.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use policy::Policy;

    use super::super::names::place;
    use super::*;

    fn line(name: &str, value: &str) -> Line {
        Line { name: name.to_owned(), value: value.to_owned(), comment: "por quê".to_owned() }
    }

    #[test]
    fn every_value_is_read_as_it_was_written() {
        let values = [
            ("SlackChannel", "#incidentes-moveongs"),
            ("SyntheticPageHour", ""),
            ("PageHealthEvents", "false"),
            ("TwilioAccountSid", "AC0123456789"),
            ("QueueFailures", "5"),
            ("TerraformStateKey", "env:/dev/terraform.tfstate,a"),
            ("ApiLatencySeconds", "0.4"),
            ("RunbooksUrl", "https://example.org/a: b # c"),
            ("X", "null"),
            ("Y", "é ' \" \\ |"),
        ];
        let lines: Vec<Line> = values.iter().map(|(name, value)| line(name, value)).collect();
        let text = parameters(None, &lines, &place(), Language::Portuguese).unwrap();
        let expected: BTreeMap<String, String> =
            values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(read(&text).unwrap(), expected);
    }

    #[test]
    fn what_people_wrote_stays_byte_by_byte_and_a_second_run_adds_nothing() {
        let theirs = "# nosso\nEnvironment: dev   # sim\nVpcSubnetIds: [subnet-a, subnet-b]";
        let text =
            parameters(Some(theirs), &[line("PagingEmail", "a@b.org")], &place(), Language::Portuguese)
                .unwrap();
        assert!(text.starts_with(theirs), "{text}");
        let values = read(&text).unwrap();
        assert_eq!(values.get("VpcSubnetIds").map(String::as_str), Some("subnet-a,subnet-b"));
        assert_eq!(values.get("PagingEmail").map(String::as_str), Some("a@b.org"));
        assert_eq!(parameters(Some(&text), &[], &place(), Language::Portuguese).unwrap(), text);
    }

    #[test]
    fn a_comment_cannot_become_a_parameter() {
        let evil = Line { comment: "x\nJwtSecretName: evil".to_owned(), ..line("PagingEmail", "none") };
        let text = parameters(None, &[evil], &place(), Language::English).unwrap();
        assert_eq!(read(&text).unwrap().len(), 1, "{text}");
    }

    #[test]
    fn a_section_of_the_environment_is_added_and_all_else_stays() {
        let theirs = "# ours\nversion = 0.1\n\n[default.build.parameters]\nbeta_features = true # cargo-lambda\n\n\
            [default.deploy.parameters]\ncapabilities = \"CAPABILITY_IAM\"\nresolve_s3 = true\n\n\
            [prod.deploy.parameters] # by hand\nstack_name = \"x\"\n";
        let (text, kept) = samconfig(theirs, &place(), "dev.yaml").unwrap();
        assert!(kept.is_empty(), "{kept:?}");
        assert!(text.starts_with(theirs), "{text}");
        let added = &text[theirs.len()..];
        assert_eq!(
            added,
            "\n[dev.build.parameters]\nparameter_overrides = \"file://dev.yaml\"\nbeta_features = true\n\n\
             [dev.deploy.parameters]\nstack_name = \"moveongs-governance-dev\"\nregion = \"us-east-1\"\n\
             parameter_overrides = \"file://dev.yaml\"\ncapabilities = \"CAPABILITY_IAM\"\nresolve_s3 = true\n"
        );
        assert_eq!(setting(&text, "dev", "capabilities").as_deref(), Some("CAPABILITY_IAM"));
        assert_eq!(setting(&text, "dev", "resolve_s3"), None);
        assert_eq!(samconfig(&text, &place(), "dev.yaml").unwrap(), (text, Vec::new()));
    }

    #[test]
    fn a_key_of_theirs_is_kept_and_named() {
        let theirs = "version = 0.1\n[dev.deploy.parameters]\nregion = \"sa-east-1\"\n";
        let (text, kept) = samconfig(theirs, &place(), "dev.yaml").unwrap();
        assert_eq!(kept, ["dev.deploy.parameters.region"]);
        assert!(text.contains("region = \"sa-east-1\"") && text.contains("stack_name"), "{text}");
        assert!(samconfig("dev = 3", &place(), "dev.yaml").is_err());
        assert!(samconfig("[dev", &place(), "dev.yaml").is_err());
    }

    fn defaults() -> Inventory {
        "{}".parse::<Policy>().unwrap().inventory
    }

    #[test]
    fn an_account_as_the_terraform_makes_it_needs_no_change_of_the_inventory() {
        let mut holdings = Holdings::default();
        holdings.add(Area::Application, Kind::EcsCluster, "moveongs-dev-cluster");
        holdings.add(Area::Application, Kind::EcsService, "moveongs-dev-cluster/moveongs-dev-api");
        holdings.add(Area::Database, Kind::RdsInstance, "moveongs-dev-db");
        assert_eq!(inventory(&defaults(), &holdings, &place()), json!({}));
    }

    #[test]
    fn other_names_replace_those_that_the_account_does_not_have_and_a_secret_is_never_dropped() {
        let mut holdings = Holdings::default();
        holdings.add(Area::Application, Kind::EcsService, "moveongs-dev-cluster/moveongs-dev-api");
        holdings.add(Area::Application, Kind::EcsService, "moveongs-dev-cluster/worker");
        holdings.add(Area::Database, Kind::RdsInstance, "database-1");
        holdings.add(Area::Secrets, Kind::Secret, "moveongs-dev-audit-key");
        let changes = inventory(&defaults(), &holdings, &place());
        assert_eq!(
            changes,
            json!({"inventory": {"areas": {
                "application": {"resources": {"ecs-service": ["{project}-{environment}-cluster/{project}-{environment}-api", "moveongs-dev-cluster/worker"]}},
                "database": {"resources": {"rds-instance": ["database-1"]}},
                "secrets": {"resources": {"secret": ["{project}-{environment}-redis-url", "moveongs-dev-audit-key"]}},
            }}})
        );
        // The functions accept the file, and it then holds all that was found.
        let text = policy(&defaults(), &changes).unwrap();
        let read: Policy = text.parse().unwrap();
        assert_eq!(inventory(&read.inventory, &holdings, &place()), json!({}));
        assert!(read.incidents.squads.len() >= 3);
    }
}
