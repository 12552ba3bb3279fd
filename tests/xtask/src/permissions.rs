//! `docs/permissions.md`: the permissions of each role in `template.yaml`, for review.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_yaml_ng::Value;

/// Path of the page in the repository.
pub(crate) const PAGE: &str = "docs/permissions.md";

/// The page of a template.
pub(crate) fn page(template: &str) -> Result<String> {
    let parsed: Value = serde_yaml_ng::from_str(template).context("template.yaml is not YAML")?;
    let resources = parsed.get("Resources").and_then(Value::as_mapping).context("no resources")?;
    let comments = comments(template);
    let mut page = "# Permissões\n\nO que cada papel da stack pode fazer. Escrito por `cargo xtask draw` a partir de `template.yaml`; não editar à mão: uma mudança \
         desta página é revisada como código.\nOs nomes entre `${…}` são parâmetros ou recursos do template; «com» é a condição do template sob a qual a linha existe; \
         a última coluna é o comentário que está no template.\n"
        .to_owned();
    let mut roles: Vec<_> = resources
        .iter()
        .filter_map(|(id, resource)| Some((id.as_str()?, resource)))
        .filter(|(_, resource)| text(resource, "Type").starts_with("AWS::IAM::"))
        .collect();
    roles.sort_unstable_by_key(|(id, _)| *id);
    for (id, resource) in roles {
        let kind = text(resource, "Type");
        ensure!(
            matches!(kind, "AWS::IAM::Role" | "AWS::IAM::ManagedPolicy"),
            "{id}: {kind} is not shown by this page"
        );
        let properties = resource.get("Properties").unwrap_or(&Value::Null);
        let managed = coded(properties.get("ManagedPolicyArns"));
        let managed =
            if managed.is_empty() { managed } else { format!("\nPolíticas gerenciadas: {managed}\n") };
        page += &format!(
            "\n## {id}\n{managed}\n| bloco | ações | recursos | condição | por quê |\n| --- | --- | --- | --- | --- |\n"
        );
        let mut found = Vec::new();
        statements(properties, None, &mut found);
        for (condition, statement) in found {
            let sid = text(statement, "Sid");
            let is_shown = statement.get("NotAction").is_none();
            let resources = match statement.get("NotResource") {
                None => coded(statement.get("Resource")),
                all_but => format!("tudo menos {}", coded(all_but)),
            };
            ensure!(
                is_shown && matches!(text(statement, "Effect"), "Allow" | "Deny"),
                "{id}: {sid} is not shown by this page"
            );
            let mut conditions: Vec<String> =
                condition.map(|name| format!("com `{name}`")).into_iter().collect();
            conditions.extend(limits(statement));
            let never = if text(statement, "Effect") == "Deny" { "nunca: " } else { "" };
            let cells = [
                sid.to_owned(),
                format!("{never}{}", coded(statement.get("Action"))),
                resources,
                conditions.join("<br>"),
                comments.get(&(id.to_owned(), sid.to_owned())).cloned().unwrap_or_default(),
            ];
            page += &format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
        }
    }
    Ok(page)
}

/// The statements that allow actions, each with its template condition.
fn statements<'a>(
    value: &'a Value,
    condition: Option<&'a str>,
    found: &mut Vec<(Option<&'a str>, &'a Value)>,
) {
    match value {
        Value::Tagged(tagged) if tagged.tag == "If" => {
            let name = tagged.value.get(0).and_then(Value::as_str);
            tagged.value.as_sequence().into_iter().flatten().for_each(|one| statements(one, name, found));
        }
        Value::Tagged(tagged) => statements(&tagged.value, condition, found),
        Value::Mapping(mapping) if mapping.contains_key("Effect") => found.push((condition, value)),
        Value::Mapping(mapping) => mapping
            .iter()
            .filter(|(key, _)| key.as_str() != Some("AssumeRolePolicyDocument"))
            .for_each(|(_, one)| statements(one, condition, found)),
        Value::Sequence(sequence) => sequence.iter().for_each(|one| statements(one, condition, found)),
        _ => {}
    }
}

/// IAM's conditions of a statement.
fn limits(statement: &Value) -> Vec<String> {
    let operators = statement.get("Condition").and_then(Value::as_mapping);
    let mut found = Vec::new();
    for (operator, keys) in operators.into_iter().flatten() {
        for (key, values) in keys.as_mapping().into_iter().flatten() {
            let (operator, key) = (operator.as_str().unwrap_or("?"), key.as_str().unwrap_or("?"));
            found.push(format!("{operator} `{key}`: {}", coded(Some(values))));
        }
    }
    found
}

/// A value or a list of them, each as code.
fn coded(value: Option<&Value>) -> String {
    let list = match value {
        Some(Value::Sequence(sequence)) => sequence.iter().collect(),
        other => Vec::from_iter(other),
    };
    list.into_iter().map(one).collect::<Vec<_>>().join("<br>")
}

fn one(value: &Value) -> String {
    let Value::Tagged(tagged) = value else { return format!("`{}`", value.as_str().unwrap_or("?")) };
    let given = &tagged.value;
    if tagged.tag == "If" {
        let name = given.get(0).and_then(Value::as_str).unwrap_or("?");
        return format!("{} (com `{name}`)", coded(given.get(1)));
    }
    match given.as_str() {
        Some(name) if tagged.tag == "Sub" => format!("`{name}`"),
        Some(name) if tagged.tag == "Ref" || tagged.tag == "GetAtt" => format!("`${{{name}}}`"),
        // Other intrinsic functions appear as in the template.
        _ => {
            let whole = serde_yaml_ng::to_string(value).unwrap_or_default();
            format!("`{}`", whole.split_whitespace().collect::<Vec<_>>().join(" "))
        }
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The comments above statements, by role and `Sid`, read from the text because YAML parsers drop them.
fn comments(template: &str) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    let (mut role, mut comment) = (String::new(), Vec::new());
    for line in template.lines() {
        let item = line.trim_start();
        if let Some(id) = line.strip_prefix("  ").filter(|id| !id.starts_with([' ', '#'])) {
            role = id.trim_end_matches(':').to_owned();
            comment.clear();
        } else if let Some(words) = item.strip_prefix('#') {
            comment.push(words.trim().to_owned());
        } else if let Some(sid) = item.strip_prefix("- Sid: ") {
            if !comment.is_empty() {
                found.insert((role.clone(), sid.to_owned()), comment.join(" "));
            }
            comment.clear();
        } else if item != "- !If" && !item.strip_prefix("- ").is_some_and(is_name) {
            comment.clear();
        }
    }
    found
}

/// Whether a list item is the name of a condition.
fn is_name(item: &str) -> bool {
    item.chars().all(|one| one.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::repo::Repo;

    #[test]
    fn a_statement_is_a_row_with_its_conditions_and_comment() {
        let template = r#"
Resources:
  OneRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: { Statement: [{ Effect: Allow, Action: "sts:AssumeRole" }] }
      Policies:
        - PolicyDocument:
            Statement:
              # Only to look.
              - Sid: Look
                Effect: Allow
                Action: ["a:List", "a:Get"]
                Resource: "*"
              # In its own region:
              # the copies.
              - !If
                - HasCopies
                - Sid: Copy
                  Effect: Allow
                  Action: "a:Copy"
                  Resource: [!Sub "arn:${AWS::Region}:x", !GetAtt B.Arn, !If [HasC, !Ref C, !Ref AWS::NoValue]]
                  Condition:
                    StringLike: { "s3:prefix": [x/*, y] }
                - !Ref AWS::NoValue
              - Sid: Other
                Effect: Allow
                Action: "a:Other"
                NotResource: x
              - Sid: Last
                Effect: Allow
                Action: "a:Last"
                Resource: "*"
"#;
        let page = page(template).unwrap();
        for row in [
            "| Look | `a:List`<br>`a:Get` | `*` |  | Only to look. |\n",
            "| Copy | `a:Copy` | `arn:${AWS::Region}:x`<br>`${B.Arn}`<br>`${C}` (com `HasC`) | com `HasCopies`<br>StringLike `s3:prefix`: `x/*`<br>`y` | In its own region: the copies. |\n",
            "| Other | `a:Other` | tudo menos `x` |  |  |\n",
            "| Last | `a:Last` | `*` |  |  |\n",
        ] {
            assert!(page.contains(row), "{row} is not in {page}");
        }
        assert!(!page.contains("AssumeRole"), "{page}");
    }

    #[test]
    fn the_page_is_that_of_the_template() {
        let repo = Repo::find().unwrap();
        let template = fs::read_to_string(repo.at("template.yaml")).unwrap();
        let written = fs::read_to_string(repo.at(PAGE)).unwrap();
        assert_eq!(written, page(&template).unwrap(), "run `cargo xtask draw`");
    }
}
