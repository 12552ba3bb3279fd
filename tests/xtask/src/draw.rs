//! `cargo xtask draw`: generates the pages of the state machines in `docs/estados` and of the roles' permissions.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::aws::text;
use crate::permissions;
use crate::repo::Repo;

const DEFINITION: &str = "statemachine.asl.json";

/// The definitions, by function.
pub(crate) fn definitions(repo: &Repo) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for function in repo.functions()? {
        let path = repo.at("functions").join(&function).join(DEFINITION);
        if path.exists() {
            found.push((function, fs::read_to_string(&path)?));
        }
    }
    Ok(found)
}

/// The pages: path below the repository, and content.
fn pages(repo: &Repo) -> Result<Vec<(String, String)>> {
    let page = |(function, definition): (String, String)| {
        let definition = serde_json::from_str(&definition)
            .with_context(|| format!("functions/{function}/{DEFINITION} is not JSON"))?;
        Ok((format!("docs/estados/{function}.md"), page(&function, &definition)))
    };
    definitions(repo)?.into_iter().map(page).collect()
}

/// `cargo xtask draw`.
pub(crate) fn draw(repo: &Repo) -> Result<()> {
    fs::create_dir_all(repo.at("docs/estados"))?;
    for (path, content) in pages(repo)? {
        fs::write(repo.at(&path), content)?;
        println!("{path}");
    }
    let template = fs::read_to_string(repo.at("template.yaml"))?;
    fs::write(repo.at(permissions::PAGE), permissions::page(&template)?)?;
    println!("{}", permissions::PAGE);
    Ok(())
}

/// The diagram in Mermaid, which GitHub renders.
fn page(function: &str, definition: &Value) -> String {
    // Sorted by name: whether serde_json keeps the order depends on features enabled elsewhere in the build.
    let states = definition.get("States").and_then(Value::as_object).cloned().unwrap_or_default();
    let states: BTreeMap<_, _> = states.into_iter().collect();
    let start = text(definition, "/StartAt").unwrap_or("?");
    // A state's name, such as `Note`, may be a Mermaid keyword.
    let id = |name: &str| format!("state_{name}");
    let mut lines: Vec<_> =
        states.keys().map(|name| format!("    state \"{name}\" as {}", id(name))).collect();
    lines.push(format!("    [*] --> {}", id(start)));
    let mut rows = Vec::new();
    for (name, state) in &states {
        let from = id(name);
        for choice in list(state, "Choices") {
            let condition = text(choice, "/Condition").unwrap_or_default();
            let condition = condition.trim_start_matches("{%").trim_end_matches("%}").trim();
            let condition = condition.trim_start_matches("$states.input.");
            let next = id(text(choice, "/Next").unwrap_or("?"));
            lines.push(format!("    {from} --> {next}: {condition}"));
        }
        if let Some(next) = text(state, "/Default") {
            lines.push(format!("    {from} --> {}: senão", id(next)));
        }
        if let Some(next) = text(state, "/Next") {
            lines.push(format!("    {from} --> {}", id(next)));
        }
        for catch in list(state, "Catch") {
            let errors: Vec<_> = list(catch, "ErrorEquals").iter().filter_map(Value::as_str).collect();
            let next = id(text(catch, "/Next").unwrap_or("?"));
            lines.push(format!("    {from} --> {next}: {}", errors.join(", ")));
        }
        let kind = text(state, "/Type").unwrap_or("?");
        if matches!(kind, "Succeed" | "Fail") || state.get("End").is_some() {
            lines.push(format!("    {from} --> [*]"));
        }
        rows.push(format!("| {name} | {kind} | {} |", text(state, "/Comment").unwrap_or_default()));
    }
    format!(
        "# Estados de `{function}`\n\nDesenhado por `cargo xtask draw` a partir de `functions/{function}/{DEFINITION}`; não editar à mão.\n\n```mermaid\nstateDiagram-v2\n{}\n```\n\n| estado | tipo | o que faz |\n| --- | --- | --- |\n{}\n",
        lines.join("\n"),
        rows.join("\n"),
    )
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_way_out_of_a_state_is_drawn() {
        let definition = json!({"StartAt": "Ask", "States": {
            "Ask": {"Type": "Task", "Comment": "Ask it.", "Next": "Is",
                "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Bad"}]},
            "Bad": {"Type": "Fail"},
            "Is": {"Type": "Choice", "Default": "Bad",
                "Choices": [{"Condition": "{% $states.input.status = 'yes' %}", "Next": "Good"}]},
            "Good": {"Type": "Pass", "End": true},
        }});
        let page = page("p", &definition);
        for line in [
            "    state \"Ask\" as state_Ask\n",
            "    [*] --> state_Ask\n",
            "    state_Ask --> state_Is\n",
            "    state_Ask --> state_Bad: States.ALL\n",
            "    state_Is --> state_Good: status = 'yes'\n",
            "    state_Is --> state_Bad: senão\n",
            "    state_Bad --> [*]\n",
            "    state_Good --> [*]\n",
            "| Ask | Task | Ask it. |\n",
        ] {
            assert!(page.contains(line), "{line} is not in {page}");
        }
    }

    #[test]
    fn the_pages_are_those_of_the_definitions() {
        let repo = Repo::find().unwrap();
        for (path, content) in pages(&repo).unwrap() {
            assert_eq!(fs::read_to_string(repo.at(&path)).unwrap(), content, "run `cargo xtask draw`");
        }
    }
}
