//! Checks the documents against the repository: links, the map, the table of procedures, and the tests that they name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::samples::accept;
use crate::template::{get, template, text};
use crate::{folders, quoted_after, root};

/// Maximum lines of `ARCHITECTURE.md`; decisions, figures and instructions have their own pages.
const LONGEST_ARCHITECTURE: usize = 150;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Markdown file of the root, of `docs/` and of the folders of tests, relative to the root.
fn pages() -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["", "docs", "docs/decisions", "docs/estados", "tests/cloud", "shared/certificates"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// A page's text without its code blocks.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let mut kept = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// The anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let prose = prose(text);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).collect()
}

/// A page's links into the repository, and its broken links.
fn links(page: &str, text: &str) -> (usize, Vec<String>) {
    let prose = prose(text);
    let mut count = 0;
    let mut broken = Vec::new();
    for piece in prose.split("](").skip(1) {
        let target = piece.split(')').next().unwrap();
        if target.starts_with("http") {
            continue;
        }
        count += 1;
        let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
        let folder = Path::new(page).parent().unwrap();
        let path = if file.is_empty() { root().join(page) } else { root().join(folder).join(file) };
        let is_there = path.exists()
            && (fragment.is_empty() || anchors(&fs::read_to_string(&path).unwrap()).contains(fragment));
        if !is_there {
            broken.push(format!("{page}: {target}"));
        }
    }
    (count, broken)
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut count = 0;
    for page in pages() {
        let (found, broken) = links(&page, &read(&page));
        assert!(broken.is_empty(), "{broken:?}");
        count += found;
    }
    assert!(count > 100, "only {count} links found");
}

#[test]
fn a_broken_link_would_be_found() {
    let (count, broken) = links(
        "docs/tests.md",
        "[a](../README.md) [b](missing.md) [c](../CONTRIBUTING.md#no-such-heading) [d](#rotations)",
    );
    assert_eq!((count, broken.len()), (4, 2), "{broken:?}");
}

#[test]
fn the_architecture_stays_a_map() {
    let text = read("ARCHITECTURE.md");
    let lines = text.lines().count();
    assert!(lines <= LONGEST_ARCHITECTURE, "{lines} lines: move decisions to docs/decisions");
    let decisions = fs::read_dir(root().join("docs/decisions")).unwrap();
    for decision in decisions {
        let name = decision.unwrap().file_name().into_string().unwrap();
        assert!(text.contains(&format!("(docs/decisions/{name})")), "ARCHITECTURE.md does not name {name}");
        assert!(read(&format!("docs/decisions/{name}")).contains("\nDecided 20"), "{name} has no date");
    }
    let shared: BTreeSet<String> = [
        "shared/src",
        "shared/src/runtime",
        "shared/src/run",
        "shared/src/aws",
        "shared/src/audit",
        "shared/incident/src",
    ]
    .iter()
    .flat_map(|folder| fs::read_dir(root().join(folder)).unwrap())
    .filter_map(|entry| {
        entry.unwrap().file_name().into_string().unwrap().strip_suffix(".rs").map(str::to_owned)
    })
    .filter(|module| module != "lib")
    .collect();
    for module in shared {
        assert!(text.contains(&format!("`{module}`")), "ARCHITECTURE.md does not name {module}");
    }
}

#[test]
fn the_readme_has_a_row_for_each_procedure() {
    let text = read("README.md");
    for function in folders("functions") {
        let row = text.lines().find(|line| line.starts_with(&format!("| [`{function}`]("))).expect(&function);
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert!(cells.len() == 4 && cells.iter().all(|cell| !cell.is_empty()), "{function}: {cells:?}");
    }
}

#[test]
fn the_tests_that_documents_name_exist() {
    let mut count = 0;
    for page in ["docs/tests.md", "CONTRIBUTING.md", "ARCHITECTURE.md"] {
        for path in read(page).split('`').skip(1).step_by(2).filter(|code| code.starts_with("tests/")) {
            assert!(root().join(path).exists(), "{page} names {path}");
            count += 1;
        }
    }
    assert!(count > 30, "only {count} paths found");
}

/// Every text file with one of the endings below a folder, in one string.
fn all_text(folder: &Path, endings: &[&str], text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all_text(&path, endings, text);
        } else if path.extension().is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted)) {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn the_tests_that_the_threat_model_names_exist() {
    let mut code = String::new();
    for folder in ["functions", "shared", "tests"] {
        all_text(&root().join(folder), &["rs", "py"], &mut code);
    }
    let text = read("docs/threat-model.md");
    let is_test = |name: &&str| {
        name.matches('_').count() > 3
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let names: BTreeSet<&str> = text.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let is_there = code.contains(&format!("fn {name}(")) || code.contains(&format!("def {name}("));
        assert!(is_there, "docs/threat-model.md names {name}, which is no test");
    }
}

#[test]
fn the_page_of_those_on_call_names_every_alarm_and_every_procedure() {
    let page = read("docs/plantao.md");
    let template = template();
    let functions = folders("functions");
    let mut count = 0;
    for resource in get(&template, &["Resources"]).as_mapping().unwrap().values() {
        if text(get(resource, &["Type"])) != "AWS::CloudWatch::Alarm" {
            continue;
        }
        let name = text(get(resource, &["Properties", "AlarmName"]));
        let name = name.strip_prefix("${Project}-${Environment}-").unwrap_or(name);
        // An alarm that belongs to no function is named in full.
        let end =
            functions.iter().find_map(|function| name.strip_prefix(&format!("{function}-"))).unwrap_or(name);
        assert!(page.contains(&format!("`{end}`")), "docs/plantao.md does not name {end}");
        count += 1;
    }
    assert!(count > 20, "only {count} alarms found");
    let pages = functions
        .iter()
        .filter(|function| read(&format!("functions/{function}/Cargo.toml")).contains("paging"));
    for function in pages {
        assert!(page.contains(&format!("`{function}/`")), "docs/plantao.md has no pages of {function}");
    }
}

#[test]
fn the_auditors_page_says_where_the_proof_of_every_control_and_chain_is() {
    let page = read("docs/auditor.md");
    let table = page.split("| controle (guia) | prova |").nth(1).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').collect())
        .collect();
    let controls = read("functions/governance-report/src/rules/control.rs");
    // The control of the evidence itself is of all sections: 1–6.
    let is_one = |section: &String| section.chars().all(|c| c.is_ascii_digit() || c == '.');
    let sections: BTreeSet<String> = quoted_after(&controls, "guide: ").into_iter().filter(is_one).collect();
    assert!(sections.len() > 9, "{sections:?}");
    let is_word = |text: &str, section: &str| {
        text.split(|c: char| !(c.is_ascii_digit() || c == '.')).any(|word| word == section)
    };
    for section in &sections {
        assert!(rows.iter().any(|row| is_word(row[0], section)), "docs/auditor.md has no proof of {section}");
    }
    let template = read("template.yaml");
    let chains: BTreeSet<&str> = template
        .split("evidence/")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !(c.is_ascii_lowercase() || c == '-')).next())
        .filter(|chain| !chain.is_empty())
        .collect();
    assert!(chains.len() > 15, "{chains:?}");
    let proofs: String = rows.iter().map(|row| row[1]).collect();
    for chain in chains {
        assert!(
            proofs.contains(&format!("{chain}/`")),
            "docs/auditor.md does not say what evidence/{chain}/ proves"
        );
    }
}

#[test]
fn the_runbooks_that_sample_events_name_exist() {
    let mut samples = String::new();
    for folder in ["events", "shared/incident/tests/events"] {
        all_text(&root().join(folder), &["json"], &mut samples);
    }
    let mut count = 0;
    for rest in samples.split("docs/").skip(1) {
        let target: String =
            rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '#')).collect();
        let Some((file, fragment)) = target.split_once('#') else { continue };
        let is_there = root().join("docs").join(file).exists()
            && anchors(&read(&format!("docs/{file}"))).contains(fragment);
        assert!(is_there, "a sample names docs/{target}");
        count += 1;
    }
    assert!(count > 5, "only {count} runbooks found");
}

/// The names that a text quotes, of two or more words joined by capitals: statements, parameters, kinds of findings.
fn names(text: &str) -> BTreeSet<&str> {
    let is_name = |word: &&str| {
        word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.chars().all(|c| c.is_ascii_alphanumeric())
            && word.matches(|c: char| c.is_ascii_uppercase()).count() > 1
            && word.contains(|c: char| c.is_ascii_lowercase())
    };
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).filter(is_name).collect()
}

#[test]
fn every_name_that_a_page_quotes_exists() {
    // A statement has no form of its own in a text, so all names are held to what is deployed.
    let mut code = read("template.yaml") + &read("docs/deployer-policy.json");
    for folder in ["functions", "shared", "tests/xtask", "docs/terraform"] {
        all_text(&root().join(folder), &["rs", "json", "txt", "tf"], &mut code);
    }
    let mut known: BTreeSet<&str> = code.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    // Of an integration that the page only mentions.
    known.insert("BatchImportFindings");
    let mut count = 0;
    for page in pages().iter().filter(|page| page.matches('/').count() == 1 && page.starts_with("docs/")) {
        let text = read(page);
        let quoted = names(&text);
        let unknown: Vec<_> = quoted.iter().filter(|name| !known.contains(*name)).collect();
        assert!(unknown.is_empty(), "{page} names {unknown:?}");
        count += quoted.len();
    }
    assert!(count > 500, "only {count} names found");
    // The beginning of a name is another name.
    assert!(!known.contains("NobodyShortensLocks") && known.contains("NobodyShortensLocksOrChangesKeys"));
    assert_eq!(names("tira `NobodyShortensLocks` da política"), BTreeSet::from(["NobodyShortensLocks"]));
}

#[test]
fn every_statement_that_a_page_calls_one_is_in_a_policy() {
    let template = read("template.yaml");
    let policy: Value = serde_json::from_str(&read("docs/deployer-policy.json")).unwrap();
    let mut statements: BTreeSet<&str> = policy["Statement"]
        .as_array()
        .unwrap()
        .iter()
        .map(|statement| statement["Sid"].as_str().unwrap())
        .collect();
    statements.extend(template.lines().filter_map(|line| line.trim_start().strip_prefix("- Sid: ")));
    let mut count = 0;
    for page in pages() {
        let text = read(&page);
        for line in text.lines() {
            let mut is_one = false;
            let pieces: Vec<&str> = line.split('`').collect();
            for pair in pieces.chunks_exact(2) {
                let [before, name] = pair else { continue };
                let goes_on = is_one && [", ", " e "].contains(before);
                is_one = goes_on || before.ends_with("bloco ") || before.ends_with("blocos ");
                // Terraform's blocks are in small letters.
                if is_one && name.starts_with(|c: char| c.is_ascii_uppercase()) {
                    assert!(statements.contains(name), "{page} names the statement {name}");
                    count += 1;
                }
            }
        }
    }
    assert!(count > 4, "only {count} statements found");
}

/// The pages about restores, each with its state machine's function and that machine's first step.
const RESTORES: [(&str, &str, &str); 2] = [
    ("docs/restauracao.md", "restore-test", "choose"),
    ("docs/restauracao-emergencia.md", "emergency-restore", "open"),
];

/// The function that a line of a page invokes, or that the state machine started by it calls first, and the event.
fn order(line: &str, own: &str, first: &str) -> Option<(String, String)> {
    if let Some(rest) = line.strip_prefix("echo '") {
        let (event, command) = rest.split_once("' | aws lambda invoke --function-name moveongs-dev-")?;
        return Some((command.split(' ').next()?.to_owned(), event.to_owned()));
    }
    let (_, input) = line.strip_prefix("aws stepfunctions start-execution ")?.split_once("--input '")?;
    let input = input.trim_end_matches('\'');
    Some((own.to_owned(), format!(r#"{{"step":"{first}","execution":"e","input":{input}}}"#)))
}

#[test]
fn the_functions_accept_the_orders_of_the_pages_about_restores() {
    for (page, own, first) in RESTORES {
        let mut count = 0;
        for line in read(page).lines().map(str::trim) {
            let Some((function, event)) = order(line, own, first) else { continue };
            let accepted = |event: &str| {
                let event: Value = serde_json::from_str(event).map_err(|error| error.to_string())?;
                accept(&function, "scheduled", event)
            };
            // Nobody is named by an order that was pasted as it stands.
            let is_open = event.contains("QUEM") || event.contains("MOTIVO");
            if own == "emergency-restore" && is_open {
                assert!(accepted(&event).is_err(), "{page}: {line}");
            }
            let filled = event.replace("QUEM", "ana").replace("MOTIVO", "o disco se perdeu");
            accepted(&filled).unwrap_or_else(|error| panic!("{page}: {line}: {error}"));
            count += 1;
        }
        assert!(count > 5, "only {count} orders found in {page}");
    }
}

#[test]
fn the_pages_about_restores_name_every_kind_of_failure() {
    for (page, function, _) in RESTORES {
        let errors = read(&format!("functions/{function}/src/error.rs"));
        let variants = errors.split("workflow_errors! {").nth(1).unwrap().split("\n}\n").next().unwrap();
        let variants = variants.lines().filter_map(|line| line.strip_prefix("        "));
        let variants = variants.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
        let of_every_workflow = ["InvalidEvent", "PageFailed", "DeadlineExceeded"];
        let kinds: Vec<&str> = variants
            .map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap())
            .chain(of_every_workflow)
            .collect();
        assert!(kinds.len() > 30, "{function}: {kinds:?}");
        let text = read(page);
        let missing: Vec<_> = kinds.iter().filter(|kind| !text.contains(&format!("`{kind}`"))).collect();
        assert!(missing.is_empty(), "{page} does not name {missing:?}");
    }
}
