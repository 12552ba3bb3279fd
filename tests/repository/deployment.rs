//! The deployment's pages against template and code: parameters, and the services that each function calls.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::template::{get, template, text, used};
use crate::{folders, root};

fn page() -> String {
    fs::read_to_string(root().join("docs/implantacao.md")).unwrap()
}

/// The service of an IAM action, by the name of its VPC endpoint.
fn service(action: &str) -> &str {
    match action.split(':').next().unwrap() {
        "cloudformation" => "cloudcontrolapi",
        "cloudwatch" => "monitoring",
        "ses" => "email",
        "tag" => "tagging",
        prefix => prefix,
    }
}

/// The texts between backquotes.
fn quoted(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_page_names_the_services_that_each_function_calls() {
    let page = page();
    let table = page.split("| função | serviços |").nth(1).expect("a table of services by function");
    let rows: BTreeMap<&str, BTreeSet<&str>> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            (cells[1].trim().trim_matches('`'), quoted(cells[2]))
        })
        .collect();
    let mut all = BTreeSet::new();
    for function in folders("functions") {
        let actions = used(&function);
        let called: BTreeSet<&str> = actions.iter().map(|action| service(action)).collect();
        assert_eq!(rows.get(function.as_str()), Some(&called), "{function}: left the page, right the code");
        all.extend(called.into_iter().map(str::to_owned));
    }
    assert_eq!(rows.len(), folders("functions").len());
    let endpoints = page.split("| serviço | endpoint |").nth(1).expect("a table of endpoints");
    let endpoints: BTreeSet<String> = endpoints
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .flat_map(|line| quoted(line.split('|').nth(1).unwrap()))
        .map(str::to_owned)
        .collect();
    assert_eq!(endpoints, all, "left the page's endpoints, right what the functions call");
}

#[test]
fn the_file_of_parameters_has_the_templates_names_and_lacks_none_that_must_be_set() {
    let template = template();
    let parameters = get(&template, &["Parameters"]).as_mapping().unwrap();
    let names: BTreeSet<&str> = parameters.keys().map(text).collect();
    let required: BTreeSet<&str> = parameters
        .iter()
        .filter(|(_, parameter)| parameter.get("Default").is_none())
        .map(|(name, _)| text(name))
        .filter(|name| *name != "CodeVersion")
        .collect();
    let example = fs::read_to_string(root().join("docs/parametros.yaml")).unwrap();
    let set: serde_yaml_ng::Mapping = serde_yaml_ng::from_str(&example).unwrap();
    let missing: Vec<_> = required.iter().filter(|name| !set.contains_key(**name)).collect();
    assert!(missing.is_empty(), "docs/parametros.yaml lacks {missing:?}, which have no default");
    let first = example.split("# Recomendados\n").next().unwrap().split("# Obrigatórios\n").nth(1).unwrap();
    let first: serde_yaml_ng::Mapping = serde_yaml_ng::from_str(first).unwrap();
    assert_eq!(first.keys().map(text).collect::<BTreeSet<_>>(), required, "left the page's required ones");
    for (name, value) in &set {
        let allowed = get(&template, &["Parameters", text(name), "AllowedValues"]);
        let fits = allowed.as_sequence().is_none_or(|allowed| allowed.contains(value));
        assert!(names.contains(text(name)) && fits, "{name:?}: {value:?}");
    }
    // The optional ones are comments of one word and a colon.
    let is_name = |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric());
    let optional = example.lines().filter_map(|line| line.strip_prefix("# ")?.split_once(": "));
    let optional: Vec<_> = optional.map(|(name, _)| name).filter(|name| is_name(name)).collect();
    assert!(optional.len() > 10, "{optional:?}");
    for name in optional {
        assert!(names.contains(name) && !required.contains(name), "{name} is no optional parameter");
    }
}

#[test]
fn the_page_says_what_each_parameter_is_for() {
    let page = page();
    let table = page.split("| parâmetro | para quê |").nth(1).expect("a table of parameters");
    let explained: BTreeSet<&str> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .flat_map(|line| quoted(line.split('|').nth(1).unwrap()))
        .collect();
    let template = template();
    let parameters = get(&template, &["Parameters"]).as_mapping().unwrap();
    let names: BTreeSet<&str> = parameters.keys().map(text).collect();
    // Only a local cloud sets these addresses.
    let of_tests = BTreeSet::from(["SlackApiUrl", "TwilioApiUrl", "TwilioAccountsUrl"]);
    let missing: Vec<_> = names.difference(&explained).filter(|name| !of_tests.contains(**name)).collect();
    assert!(missing.is_empty(), "docs/implantacao.md does not explain {missing:?}");
    let unknown: Vec<_> = explained.difference(&names).collect();
    assert!(unknown.is_empty(), "docs/implantacao.md explains {unknown:?}, which the template does not have");
}
