use anyhow::bail;
use serde_json::json;

use super::*;
use crate::repo::Build;

/// The repository's own files, read as a deployer's machine has them.
fn repo() -> Repo {
    Repo { root: Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), build: Build::Run }
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("xtask-configure-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn options(folder: &Path, set: &[(&str, &str)]) -> Options {
    Options {
        project: "moveongs".to_owned(),
        environment: "dev".to_owned(),
        region: None,
        set: set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        folder: Some(folder.to_owned()),
        language: Language::Portuguese,
        dry_run: false,
    }
}

/// Whether a command of the AWS CLI only lists or describes.
pub(super) fn only_reads(verb: &str) -> bool {
    ["list-", "describe-"].iter().any(|begin| verb.starts_with(begin))
}

/// A small account, as the AWS CLI answers for it. Everything that it does not list fails the test.
fn account(arguments: &[&str]) -> Result<Value> {
    let arn = |name: &str| format!("arn:aws:secretsmanager:us-east-1:111122223333:secret:{name}-AbCdEf");
    Ok(match arguments {
        ["sts", "get-caller-identity"] => {
            json!({"Account": "111122223333", "Arn": "arn:aws:iam::111122223333:user/ana"})
        }
        ["rds", "describe-db-instances"] => {
            json!({"DBInstances": [{"DBInstanceIdentifier": "moveongs-dev-db", "Engine": "postgres"}]})
        }
        ["ecs", "list-clusters", ..] => {
            json!(["arn:aws:ecs:us-east-1:111122223333:cluster/moveongs-dev-cluster"])
        }
        ["ecs", "describe-clusters", ..] => json!({"clusters": [{"clusterName": "moveongs-dev-cluster"}]}),
        ["ecs", "list-services", ..] => json!(["api"]),
        ["ecs", "describe-services", ..] => {
            json!({"services": [{"serviceName": "moveongs-dev-api", "taskDefinition": "moveongs-dev-api:1"}]})
        }
        ["ecs", "describe-task-definition", ..] => {
            json!([{"secrets": [{"name": "JWT_SECRET", "valueFrom": arn("moveongs-dev-jwt")}], "plain": null}])
        }
        ["secretsmanager", "list-secrets"] => json!({"SecretList": [
            {"Name": "moveongs-dev-jwt", "ARN": arn("moveongs-dev-jwt"), "SecretVersionsToStages": {"a": ["AWSCURRENT"]}},
            {"Name": "/moveongs/dev/slack", "ARN": arn("/moveongs/dev/slack"), "SecretVersionsToStages": {"b": ["AWSCURRENT"]}}]}),
        ["s3api", "list-buckets", ..] => json!(["moveongs-dev-attachments"]),
        ["iam", "list-groups", ..] => json!(["moveongs-ops"]),
        ["iam" | "dynamodb" | "logs", verb, ..] if only_reads(verb) => json!([]),
        ["rds" | "ec2" | "kms" | "sesv2" | "cloudformation", verb, ..] if only_reads(verb) => json!({}),
        other => bail!("unexpected: {other:?}"),
    })
}

fn nobody(_: &str, _: &Ask) -> Result<Option<String>> {
    Ok(None)
}

fn run(options: &Options) -> (Result<bool>, String) {
    let mut said = String::new();
    let result = write(&repo(), options, "us-east-1", &account, &mut nobody, &mut |line| {
        said.push_str(line);
        said.push('\n');
    });
    (result, said)
}

const ANSWERS: [(&str, &str); 4] = [
    ("PagingEmail", "plantao@moveongs.org"),
    ("DeployerArns", "arn:aws:iam::111122223333:role/deployer-dev"),
    ("AnchorBucketName", ""),
    ("AppUrl", ""),
];

#[test]
fn with_an_open_question_nothing_is_written_and_the_question_is_told() {
    let folder = folder("open");
    let (result, said) = run(&options(&folder, &[("AnchorBucketName", ""), ("AppUrl", "")]));
    assert!(!result.unwrap());
    for line in ["--set PagingEmail=", "--set DeployerArns=arn:aws:iam::111122223333:user/ana"] {
        assert!(said.contains(line), "{said}");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_files_are_complete_and_a_second_run_changes_nothing() {
    let folder = folder("twice");
    let (result, said) = run(&options(&folder, &ANSWERS));
    assert!(result.unwrap(), "{said}");
    // Each value is explained in a line.
    assert!(said.contains("JwtSecretName = moveongs-dev-jwt\n    segredo do JWT_SECRET"), "{said}");
    let values = written(&folder, "dev").unwrap();
    let template = template::ours();
    for name in template.required() {
        assert!(values.contains_key(&name), "{name}: {values:?}");
    }
    assert!(template.broken(&values).unwrap().is_empty());
    assert_eq!(values.get("AppUrl").map(String::as_str), Some(""));
    let text = fs::read_to_string(folder.join("dev.yaml")).unwrap();
    assert!(!text.contains("CodeVersion:"), "{text}");
    let policy = fs::read_to_string(folder.join("policy/dev.json")).unwrap();
    policy.parse::<Policy>().unwrap();

    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let before = ["dev.yaml", "samconfig.toml", "policy/dev.json"].map(read);
    for set in [&[][..], &ANSWERS] {
        let (result, said) = run(&options(&folder, set));
        assert!(result.unwrap());
        assert!(said.ends_with("Nada muda.\n"), "{said}");
        assert_eq!(before, ["dev.yaml", "samconfig.toml", "policy/dev.json"].map(read));
    }
    // No file of an interrupted write stays.
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_wrong_answer_and_another_environments_file_are_refused_before_anything_is_written() {
    let folder = folder("refused");
    let wrong = |name: &str, value: &str| {
        let mut set = ANSWERS.to_vec();
        set.retain(|(one, _)| *one != name);
        set.push((name, value));
        let options = options(&folder, &set);
        format!("{:#}", run(&options).0.unwrap_err())
    };
    for (name, value, expected) in [
        ("PagingEmail", "nobody", "PagingEmail: expected the pattern"),
        ("NoSuchParameter", "x", "NoSuchParameter: the template has no such parameter"),
        ("DeployerArns", "arn:aws:sts::111122223333:assumed-role/a/b", "DeployerArns: expected"),
        ("TwilioSecretName", "x", "TwilioAccountSid"),
        ("Environment", "prod", "one file for each environment"),
        ("Project", "another", "one file for each project"),
        ("CodeVersion", "abc", "on the command line of each deployment"),
    ] {
        if name == "TwilioSecretName" {
            // What it needs is asked.
            let (result, said) = run(&options(&folder, &[&ANSWERS[..], &[(name, value)]].concat()));
            assert!(!result.unwrap());
            assert!(said.contains(expected), "{said}");
            continue;
        }
        let error = wrong(name, value);
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    fs::write(folder.join("dev.yaml"), "Environment: dev\nPagingEmail: a@b.org\n").unwrap();
    let error = format!("{:#}", run(&options(&folder, &ANSWERS)).0.unwrap_err());
    assert!(error.contains("change it there"), "{error}");
    // The file of one project is not another's, whether it says so or not.
    for (text, project) in
        [("Environment: dev\n", "another"), ("Project: another\nEnvironment: dev\n", "moveongs")]
    {
        fs::write(folder.join("dev.yaml"), text).unwrap();
        let options = Options { project: project.to_owned(), ..options(&folder, &ANSWERS) };
        let error = format!("{:#}", run(&options).0.unwrap_err());
        assert!(error.contains("one file for each project"), "{error}");
        assert_eq!(fs::read_to_string(folder.join("dev.yaml")).unwrap(), text);
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn every_parameter_is_written_left_out_or_said_to_stay_at_its_default() {
    let folder = folder("all");
    let (result, said) = run(&options(&folder, &ANSWERS));
    assert!(result.unwrap(), "{said}");
    let values = written(&folder, "dev").unwrap();
    let absent = said.split("De fora, porque").nth(1).unwrap().lines().next().unwrap();
    let absent: Vec<&str> = absent.rsplit(": ").next().unwrap().split(", ").collect();
    let defaults = said.split("Ficam no padrão:\n").nth(1).unwrap();
    let defaults: Vec<&str> = defaults
        .lines()
        .map_while(|line| line.strip_prefix("  ")?.split_once(" = "))
        .map(|(name, _)| name)
        .collect();
    for name in template::ours().names().filter(|name| *name != CODE_VERSION) {
        let places = [values.contains_key(name), absent.contains(&name), defaults.contains(&name)];
        assert_eq!(places.iter().filter(|is_there| **is_there).count(), 1, "{name}: {places:?}\n{said}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn an_enter_at_a_question_that_may_stay_empty_never_loses_the_other_answers() {
    // A token of GitHub: its repository is asked; Enter leaves both out, and the files are written.
    let folder = folder("enter");
    let with_github = |arguments: &[&str]| {
        let mut answer = account(arguments)?;
        if arguments == ["secretsmanager", "list-secrets"] {
            let secret = json!({"Name": "/moveongs/dev/github", "ARN": "arn:github", "SecretVersionsToStages": {"c": ["AWSCURRENT"]}});
            answer["SecretList"].as_array_mut().unwrap().push(secret);
        }
        Ok(answer)
    };
    let mut asked = Vec::new();
    let mut said = String::new();
    let options = options(&folder, &ANSWERS);
    let mut person = |_: &str, ask: &Ask| {
        asked.push(ask.name.clone());
        Ok(answer(ask, "\n"))
    };
    let result = write(&repo(), &options, "us-east-1", &with_github, &mut person, &mut |line| said += line);
    assert!(result.unwrap(), "{said}");
    assert_eq!(asked, ["GitHubRepository"]);
    let values = written(&folder, "dev").unwrap();
    assert_eq!(values.get("GitHubRepository").map(String::as_str), Some(""));
    assert!(!values.contains_key("GitHubSecretName"), "{values:?}");
    assert!(said.contains("GitHubSecretName fica de fora"), "{said}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_is_shown_to_be_pasted_is_one_word_and_what_the_template_refuses_is_not_shown() {
    for (value, expected) in [
        ("", ""),
        ("arn:aws:iam::111122223333:role/deployer-dev", "arn:aws:iam::111122223333:role/deployer-dev"),
        ("a,b@c.org", "a,b@c.org"),
        ("$(rm -r x)", "'$(rm -r x)'"),
        ("it's `x`", r"'it'\''s `x`'"),
    ] {
        assert_eq!(word(value), expected);
    }
    let folder = folder("shown");
    // IAM takes no such name; whatever answers is not trusted for it.
    let odd = |arguments: &[&str]| match arguments {
        ["iam", "list-roles", ..] => Ok(json!([
            "arn:aws:iam::111122223333:role/deploy\u{1b}[2J",
            "arn:aws:iam::111122223333:role/deploy; reboot",
            "arn:aws:iam::111122223333:role/deployer"
        ])),
        other => account(other),
    };
    let mut said = String::new();
    let options = options(&folder, &[]);
    let is_complete =
        write(&repo(), &options, "us-east-1", &odd, &mut nobody, &mut |line| said += line).unwrap();
    assert!(
        !is_complete && said.contains("--set DeployerArns=arn:aws:iam::111122223333:role/deployer"),
        "{said}"
    );
    assert!(!said.contains('\u{1b}') && !said.contains("reboot"), "{said}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_dry_run_writes_nothing() {
    let folder = folder("dry");
    let options = Options { dry_run: true, ..options(&folder, &ANSWERS) };
    let (result, said) = run(&options);
    assert!(result.unwrap());
    assert!(said.contains("Seria escrito: dev.yaml, samconfig.toml, policy/dev.json"), "{said}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_line_at_the_terminal_chooses_types_or_leaves_out() {
    let ask = |candidates: &[&str], is_required: bool| Ask {
        name: "X".to_owned(),
        candidates: candidates.iter().map(|one| (*one).to_owned()).collect(),
        why: String::new(),
        is_required,
    };
    for (ask, line, expected) in [
        (ask(&["a"], true), "\n", Some("a")),
        (ask(&["a", "b"], true), "\n", None),
        (ask(&["a", "b"], true), "2\n", Some("b")),
        (ask(&["a", "b"], true), "3\n", Some("3")),
        (ask(&["a", "b"], true), " c \n", Some("c")),
        (ask(&["a", "b", "c"], true), "3, 1\n", Some("c,a")),
        (ask(&["a", "b"], true), "1,x\n", Some("1,x")),
        (ask(&[], true), "\n", None),
        (ask(&["a"], false), "\n", Some("")),
        (ask(&["a"], false), "1\n", Some("a")),
        (ask(&[], false), "0\n", Some("0")),
    ] {
        assert_eq!(answer(&ask, line).as_deref(), expected, "{ask:?} {line:?}");
    }
}

#[test]
fn each_parameter_has_its_meaning_in_both_languages() {
    let page = fs::read_to_string(repo().at("docs/implantacao.md")).unwrap();
    let meanings = meanings(&page);
    let template = template::ours();
    // Only a local cloud sets these.
    let of_tests = ["SlackApiUrl", "TwilioApiUrl", "TwilioAccountsUrl"];
    for name in template.names().filter(|name| !of_tests.contains(name)) {
        let meaning =
            meanings.get(name).unwrap_or_else(|| panic!("docs/implantacao.md does not explain {name}"));
        assert!(meaning.len() > 5 && !meaning.contains(['`', '[', '|']), "{name}: {meaning}");
        assert!(!template.description(name).is_empty());
    }
}

#[test]
fn a_clause_has_neither_links_nor_marks() {
    for (text, expected) in [
        (
            "segredo do `JWT_SECRET` e intervalo (guia: 90 dias)",
            "segredo do JWT_SECRET e intervalo (guia: 90 dias)",
        ),
        ("onde; leia [isto](a.md#b) antes", "onde"),
        ("onde (S3; até 8 chaves) fica `x.y`; leia", "onde (S3; até 8 chaves) fica x.y"),
        (
            "pasta ([postmortem.md](postmortem.md#onde)) e **mais**. Outra frase",
            "pasta (postmortem.md) e mais",
        ),
    ] {
        assert_eq!(clause(text), expected);
    }
}

/// The IAM action of an AWS CLI command.
fn action(arguments: &[&str]) -> String {
    let (service, verb) = (arguments[0], arguments[1]);
    let service = match service {
        "s3api" => "s3",
        "elbv2" => "elasticloadbalancing",
        "sesv2" => "ses",
        other => other,
    };
    let verb = match (service, verb) {
        ("s3", "list-buckets") => return "s3:ListAllMyBuckets".to_owned(),
        ("s3", "list-objects-v2") => return "s3:ListBucket".to_owned(),
        ("s3", "get-bucket-encryption") => return "s3:GetEncryptionConfiguration".to_owned(),
        (_, verb) => verb,
    };
    let word = |word: &str| match word {
        "db" => "DB".to_owned(),
        word => word[..1].to_uppercase() + &word[1..],
    };
    format!("{service}:{}", verb.split('-').map(word).collect::<String>())
}

#[test]
fn the_page_of_adoption_lists_exactly_the_actions_that_are_called() {
    let called = std::cell::RefCell::new(std::collections::BTreeSet::new());
    let full = |arguments: &[&str]| {
        called.borrow_mut().insert(action(arguments));
        Ok(match arguments {
            ["sts", ..] => json!({"Account": "1", "Arn": "arn:aws:sts::1:assumed-role/Ana/ana"}),
            ["iam", "get-role", ..] => json!({"Role": {"Arn": "arn:aws:iam::1:role/Ana"}}),
            ["ecs", "describe-services", ..] => {
                json!({"services": [{"serviceName": "a", "taskDefinition": "a:1", "loadBalancers": [{"targetGroupArn": "arn:tg"}]}]})
            }
            ["s3api", "list-buckets", ..] => json!(["moveongs-terraform-state"]),
            ["elbv2", ..] => json!({}),
            ["s3api", "list-objects-v2", ..] => json!([]),
            ["s3api", ..] => json!({}),
            other => account(other)?,
        })
    };
    let folder = folder("actions");
    let mut said = Vec::new();
    let options = options(&folder, &ANSWERS);
    write(&repo(), &options, "us-east-1", &full, &mut nobody, &mut |line| said.push(line.to_owned()))
        .unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let page = fs::read_to_string(repo().at("docs/adotar.md")).unwrap();
    let listed = page.split("O que ele chama: ").nth(1).unwrap().lines().next().unwrap();
    let listed: std::collections::BTreeSet<String> =
        listed.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(called.into_inner(), listed, "left what is called, right what the page lists");
    for other in [["kms", "decrypt"], ["iam", "create-user"], ["rds", "delete-db-instance"]] {
        assert!(account(&other).is_err(), "{other:?}");
    }
}
