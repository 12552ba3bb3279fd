//! `docs/adotar.md` and `docs/terraform`: the findings that they name exist, and the Terraform is what its provider takes.
//! Terraform itself does not run here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use hcl::structure::{Block, Body};

use crate::{quoted_after, root};

/// Names that Terraform gives a meaning in every resource.
const META: [&str; 5] = ["count", "depends_on", "for_each", "lifecycle", "provider"];

/// What `infra/terraform` of the application has, and the files here refer to.
const OF_THE_APPLICATION: [&str; 28] = [
    "aws_ecs_cluster.this",
    "aws_ecs_task_definition.api",
    "aws_iam_role.ecs_task",
    "aws_kms_key.app",
    "aws_lb_target_group.api",
    "aws_s3_bucket.attachments",
    "aws_s3_bucket_versioning.attachments",
    "aws_secretsmanager_secret_version.database_url",
    "aws_secretsmanager_secret_version.jwt",
    "aws_secretsmanager_secret_version.redis_url",
    "aws_security_group.ecs_service",
    "aws_security_group.redis",
    "data.aws_caller_identity",
    "data.aws_partition",
    "local.name",
    "module.vpc",
    "var.aws_region",
    "var.container_port",
    "var.create_rds",
    "var.create_redis",
    "var.desired_count",
    "var.environment",
    "var.extra_environment",
    "var.rds_allocated_storage",
    "var.rds_instance_class",
    "var.redis_node_type",
    "var.redis_num_cache_nodes",
    "var.vpc_cidr",
];

/// More of its variables.
const VARIABLES_OF_THE_APPLICATION: [&str; 3] = ["var.rds_multi_az", "var.rds_password", "var.rds_username"];

/// The Terraform files by folder: a folder is a module, but `novo` and `trocar` belong to the application's.
fn files() -> Vec<(String, PathBuf, Body)> {
    let mut found = Vec::new();
    for folder in ["estado", "governanca", "novo", "trocar"] {
        for entry in fs::read_dir(root().join("docs/terraform").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let body = hcl::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let module = if ["novo", "trocar"].contains(&folder) { "application" } else { folder };
            found.push((module.to_owned(), path, body));
        }
    }
    assert!(found.len() > 12, "{found:?}");
    found
}

/// The arguments of a block by name, and whether each is required.
type Arguments = BTreeMap<String, bool>;

/// The provider's schema, by the path of a block.
fn schema() -> BTreeMap<String, Arguments> {
    let text = fs::read_to_string(root().join("tests/repository/terraform.txt")).unwrap();
    let line = |line: &str| {
        let (path, names) = line.split_once(": ").unwrap();
        let name = |word: &str| {
            let word = word.trim_end_matches("{}");
            (word.trim_end_matches('!').to_owned(), word.ends_with('!'))
        };
        (path.to_owned(), names.split_whitespace().map(name).collect())
    };
    text.lines().filter(|line| !line.starts_with('#')).map(line).collect()
}

fn labels(block: &Block) -> Vec<&str> {
    block.labels.iter().map(|label| label.as_str()).collect()
}

/// What a block has that the schema does not know, and what it lacks.
fn wrong(path: &str, body: &Body, schema: &BTreeMap<String, Arguments>, found: &mut Vec<String>) {
    let Some(known) = schema.get(path) else {
        found.push(format!("{path} is not in tests/repository/terraform.txt"));
        return;
    };
    let is_top = !path.contains('.');
    let mut has = BTreeSet::new();
    let attributes = body.attributes().map(|one| one.key.as_str());
    for name in attributes.chain(body.blocks().map(|one| one.identifier.as_str())) {
        has.insert(name);
        if !(known.contains_key(name) || is_top && META.contains(&name)) {
            found.push(format!("{path} has no {name}"));
        }
    }
    for (name, is_required) in known {
        if *is_required && !has.contains(name.as_str()) {
            found.push(format!("{path} lacks {name}"));
        }
    }
    for block in body.blocks().filter(|one| !is_top || !META.contains(&one.identifier.as_str())) {
        wrong(&format!("{path}.{}", block.identifier.as_str()), &block.body, schema, found);
    }
}

#[test]
fn the_terraform_has_only_what_the_provider_takes_and_all_that_it_requires() {
    let schema = schema();
    let mut found = Vec::new();
    let mut count = 0;
    for (_, path, body) in files() {
        for block in body.blocks() {
            let kind = block.identifier.as_str();
            let prefix = match kind {
                "resource" => "",
                "data" => "data ",
                "terraform" | "provider" | "variable" | "output" | "locals" | "module" | "removed" => {
                    continue;
                }
                other => panic!("{}: {other}", path.display()),
            };
            count += 1;
            wrong(&format!("{prefix}{}", labels(block)[0]), &block.body, &schema, &mut found);
        }
    }
    assert!(count > 30 && found.is_empty(), "{count}: {found:?}");
}

#[test]
fn a_misspelled_or_missing_argument_would_be_found() {
    let body = hcl::parse("bucket = \"a\"\nrule {\n  id = \"x\"\n  filter {}\n  expires {}\n}\n").unwrap();
    let mut found = Vec::new();
    wrong("aws_s3_bucket_lifecycle_configuration", &body, &schema(), &mut found);
    assert!(
        found.contains(&"aws_s3_bucket_lifecycle_configuration.rule has no expires".to_owned()),
        "{found:?}"
    );
    assert!(
        found.contains(&"aws_s3_bucket_lifecycle_configuration.rule lacks status".to_owned()),
        "{found:?}"
    );
}

/// The addresses that a file refers to: `aws_s3_bucket.state`, `data.aws_partition`, `var.project`.
fn references(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mut found = BTreeSet::new();
    for line in code {
        let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || "_.".contains(c)));
        for word in words {
            let parts: Vec<&str> = word.split('.').collect();
            if let [first, second, ..] = parts.as_slice()
                && (first.starts_with("aws_") || ["data", "local", "module", "var"].contains(first))
            {
                found.insert(format!("{first}.{second}"));
            }
        }
    }
    found
}

#[test]
fn every_reference_of_the_terraform_is_defined_beside_it_or_in_the_applications() {
    let mut defined: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut referred: Vec<(String, String, String)> = Vec::new();
    for (module, path, body) in files() {
        let own = defined.entry(module.clone()).or_default();
        for block in body.blocks() {
            let labels = labels(block);
            match (block.identifier.as_str(), labels.as_slice()) {
                ("resource", [kind, name]) => {
                    assert!(own.insert(format!("{kind}.{name}")), "{kind}.{name} twice")
                }
                ("data", [kind, ..]) => drop(own.insert(format!("data.{kind}"))),
                ("variable", [name]) => drop(own.insert(format!("var.{name}"))),
                ("module", [name]) => drop(own.insert(format!("module.{name}"))),
                ("locals", _) => {
                    own.extend(block.body.attributes().map(|one| format!("local.{}", one.key.as_str())))
                }
                _ => {}
            }
        }
        let text = fs::read_to_string(&path).unwrap();
        let file = path.display().to_string();
        referred.extend(references(&text).into_iter().map(|one| (module.clone(), file.clone(), one)));
    }
    let theirs = defined.get_mut("application").unwrap();
    theirs
        .extend(OF_THE_APPLICATION.iter().chain(&VARIABLES_OF_THE_APPLICATION).map(|one| (*one).to_owned()));
    let missing: Vec<_> = referred.iter().filter(|(module, _, one)| !defined[module].contains(one)).collect();
    assert!(referred.len() > 60 && missing.is_empty(), "{missing:?}");
}

/// The findings of the audits by name, and the backup audit's rules.
fn findings() -> (BTreeSet<String>, BTreeSet<String>) {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let rules: BTreeSet<String> = read("shared/backup-rules.txt").lines().map(str::to_owned).collect();
    let mut names = BTreeSet::new();
    for path in [
        "functions/inventory-audit/src/rules/row.rs",
        "functions/rotation-audit/src/rules/finding.rs",
        "shared/policy/src/oncall/finding.rs",
    ] {
        let found: Vec<String> = quoted_after(&read(path), "=> ");
        assert!(!found.is_empty(), "{path}");
        names.extend(found.into_iter().filter(|name| name.starts_with(char::is_uppercase)));
    }
    (rules, names)
}

#[test]
fn every_finding_of_a_divided_audit_belongs_to_a_control_of_the_governance_page() {
    let of_buckets = |rule: &str| rule.starts_with("s3.");
    for rule in backup_audit::rules() {
        // An expired exception belongs to the rule that it excepts; without coverage, nothing is known of any.
        let is_general = ["audit.coverage", "audit.exception-expired"].contains(&rule);
        for role in backup_audit::roles() {
            let controls = governance_report::controls_of("backup-audit", rule, Some(role));
            assert_eq!(controls.len(), usize::from(!is_general), "{rule} {role}: {controls:?}");
        }
        let without = governance_report::controls_of("backup-audit", rule, None);
        assert_eq!(without.is_empty(), is_general || of_buckets(rule), "{rule}");
    }
    for path in ["functions/inventory-audit/src/rules/row.rs", "shared/policy/src/oncall/finding.rs"] {
        let text = fs::read_to_string(root().join(path)).unwrap();
        let kinds =
            quoted_after(&text, "=> ").into_iter().filter(|name| name.starts_with(char::is_uppercase));
        for kind in kinds {
            // If nothing was read, nothing is known of any.
            let is_general = kind == "NothingRead";
            let controls = governance_report::controls_of("inventory-audit", &kind, None);
            assert_eq!(controls.is_empty(), is_general, "{kind}: {controls:?}");
        }
    }
}

#[test]
fn the_page_of_adoption_names_every_rule_of_the_backup_audit_and_no_finding_that_does_not_exist() {
    let page = fs::read_to_string(root().join("docs/adotar.md")).unwrap();
    let (rules, names) = findings();
    let quoted: BTreeSet<&str> = page.split('`').skip(1).step_by(2).collect();
    let missing: Vec<_> = rules.iter().filter(|rule| !quoted.contains(rule.as_str())).collect();
    assert!(missing.is_empty(), "docs/adotar.md does not say what makes these disappear: {missing:?}");
    // The last column of each table of steps.
    let mut count = 0;
    let mut is_step = false;
    for line in page.lines() {
        is_step = line.ends_with("| some |") || is_step && line.starts_with('|');
        let last = line.trim_end_matches('|').rsplit('|').next().filter(|_| is_step).unwrap_or_default();
        for word in last.split('`').skip(1).step_by(2) {
            assert!(
                rules.contains(word) || names.contains(word),
                "docs/adotar.md: {word} is no finding: {line}"
            );
            count += 1;
        }
    }
    assert!(count > 60, "only {count} findings");
    for file in ["estado", "governanca", "novo", "trocar"] {
        for entry in fs::read_dir(root().join("docs/terraform").join(file)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_named = page.contains(&format!("terraform/{file}/{name}")) || file == "governanca";
            assert!(is_named, "docs/adotar.md does not name terraform/{file}/{name}");
        }
    }
}

/// A section of a page: from its heading to the next one of its level or above.
fn section(page: &str, title: &str) -> String {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let level = title.split(' ').next().unwrap();
    let (_, rest) = text.split_once(&format!("\n{title}\n")).unwrap_or_else(|| panic!("{page}: no {title}"));
    let is_next = |line: &&str| line.starts_with('#') && line.split(' ').next().unwrap().len() <= level.len();
    // A comment of a shell's block is no heading.
    let mut is_code = false;
    let lines = rest.lines().take_while(|line| {
        is_code ^= line.trim_start().starts_with("```");
        is_code || !is_next(line)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn whoever_deploys_by_a_page_puts_the_policy_in_force() {
    for (page, title) in [
        ("README.md", "## Deploy to AWS"),
        ("docs/adotar.md", "## Publicar"),
        ("docs/implantacao.md", "## Implantar"),
    ] {
        let text = section(page, title);
        assert!(
            text.contains("cargo xtask policy apply --environment dev policy/dev.json"),
            "{page}: {title}"
        );
    }
    let checks = section("docs/implantacao.md", "## Conferir");
    assert!(checks.contains("cargo xtask policy show --environment dev"), "docs/implantacao.md: Conferir");
}

/// A block of the Terraform files, and the folder's module.
fn blocks(kind: &str, of: &str) -> Vec<(String, Body)> {
    let all = files().into_iter().flat_map(|(module, _, body)| {
        let blocks: Vec<Block> = body.into_blocks().collect();
        blocks.into_iter().map(move |block| (module.clone(), block))
    });
    all.filter(|(_, block)| block.identifier.as_str() == kind && labels(block).first() == Some(&of))
        .map(|(module, block)| (module, block.body))
        .collect()
}

/// An attribute as it is written.
fn written(body: &Body, name: &str) -> Option<String> {
    body.attributes().find(|one| one.key.as_str() == name).map(|one| one.expr.to_string())
}

#[test]
fn a_role_that_may_write_the_policy_is_one_that_people_assume() {
    // A pipeline's or CloudFormation's own role alone would lock every person out of the policy and of people's data.
    let documents = blocks("data", "aws_iam_policy_document");
    let principals: Vec<String> = documents
        .iter()
        .flat_map(|(_, body)| body.blocks())
        .filter(|one| {
            written(&one.body, "actions").is_some_and(|actions| actions.contains("\"sts:AssumeRole\""))
        })
        .flat_map(|one| one.body.blocks())
        .filter_map(|one| written(&one.body, "identifiers"))
        .collect();
    assert!(principals.iter().any(|one| one.contains("var.governance_people")), "{principals:?}");
    let people = &blocks("variable", "governance_people")[0].1;
    assert!(
        written(people, "default").is_none()
            && people.blocks().any(|one| one.identifier.as_str() == "validation")
    );
    let service = &blocks("variable", "service_role_arn")[0].1;
    let page = fs::read_to_string(root().join("docs/implantacao.md")).unwrap();
    let row = page.lines().find(|line| line.starts_with("| `DeployerArns` |")).unwrap();
    let module = section("docs/adotar.md", "## A stack pelo Terraform");
    for text in [row, &written(service, "description").unwrap(), &module] {
        assert!(text.contains("pessoas assum"), "{text}");
    }
}

#[test]
fn what_an_account_has_once_is_made_once_and_minor_versions_are_left_to_rds() {
    let providers = blocks("resource", "aws_iam_openid_connect_provider");
    assert_eq!(providers.iter().map(|(module, _)| module.as_str()).collect::<Vec<_>>(), ["estado"]);
    let database = &blocks("module", "rds")[0].1;
    assert_eq!(written(database, "auto_minor_version_upgrade").as_deref(), Some("true"));
    let version = written(database, "engine_version").unwrap();
    assert!(!version.contains('.'), "an apply after RDS's own upgrade would ask for {version} again");
}

#[test]
fn the_page_of_deployment_counts_the_alarms() {
    let template = fs::read_to_string(root().join("template.yaml")).unwrap();
    let count = template.matches("    Type: AWS::CloudWatch::Alarm\n").count();
    let page = fs::read_to_string(root().join("docs/implantacao.md")).unwrap();
    let line = format!("| alarmes: 0,10 USD cada | {count} com todos os parâmetros,");
    assert!(page.contains(&line), "docs/implantacao.md, «Custo»: the template has {count} alarms");
}

#[test]
fn the_page_of_deployment_names_all_that_a_deleted_stack_leaves() {
    let template = fs::read_to_string(root().join("template.yaml")).unwrap();
    let page = "docs/implantacao.md";
    let removal = section(page, "### Remover");
    let failure = section(page, "## Quando a criação falha, ou a stack é apagada");
    // The resource and its type are the lines above.
    let (mut resource, mut kind, mut count) = ("", "", 0);
    for line in template.lines() {
        if line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':') {
            resource = line.trim().trim_end_matches(':');
        } else if let Some(found) = line.strip_prefix("    Type: ") {
            kind = found;
        } else if line.starts_with("    DeletionPolicy: Retain") {
            count += 1;
            let name = if kind == "AWS::Logs::LogGroup" { "grupos de log" } else { &format!("`{resource}`") };
            for (title, text) in [("Remover", &removal), ("Quando a criação falha", &failure)] {
                assert!(text.contains(name), "docs/implantacao.md, «{title}» does not name {resource}");
            }
        }
    }
    assert!(count > 20, "only {count} retained resources");
    // Personal data come first.
    assert!(removal.find("`PeopleBucket`") < removal.find("`EvidenceBucket`"));
    assert!(failure.find("`PeopleBucket`") < failure.find("`EvidenceBucketPolicy`"));
}

#[test]
fn the_pipeline_runs_the_documented_command_with_the_documented_tools() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let workflow = read("docs/github-actions/deploy.yml");
    let parsed: serde_yaml_ng::Value = serde_yaml_ng::from_str(&workflow).unwrap();
    let steps = |job: &str| parsed["jobs"][job]["steps"].as_sequence().unwrap().clone();
    let commands = |job: &str| -> Vec<String> {
        let runs: Vec<_> =
            steps(job).iter().filter_map(|step| step["run"].as_str().map(str::to_owned)).collect();
        runs.iter().flat_map(|all| all.lines().map(str::to_owned)).collect()
    };
    let deploy = commands("deploy").into_iter().find(|line| line.starts_with("sam deploy "));
    let deploy = deploy.unwrap().replace('"', "").replace("$ENVIRONMENT", "dev");
    // samconfig.toml asks, and nobody answers a pipeline.
    assert!(read("samconfig.toml").contains("confirm_changeset = true"));
    assert!(deploy.contains(" --no-confirm-changeset "));
    let page = read("docs/adotar.md");
    assert!(page.contains(&deploy) && page.contains("github-actions/deploy.yml"), "{deploy}");
    let install =
        commands("build").into_iter().find_map(|line| Some(line.split_once("pip install ")?.1.to_owned()));
    let install = format!("\npip install {}\n", install.unwrap());
    assert!(section("docs/implantacao.md", "### Ferramentas").contains(&install), "{install}");
    // What is built, or installed from source, never runs where a token of the identity can be had.
    assert!(parsed["permissions"].is_null() && !workflow.contains("secrets."));
    let build = &parsed["jobs"]["build"];
    assert!(build["environment"].is_null());
    let granted = build["permissions"].as_mapping().unwrap();
    assert!(granted.len() == 1 && build["permissions"]["contents"] == "read", "{granted:?}");
    assert_eq!(parsed["jobs"]["deploy"]["permissions"]["id-token"], "write");
    assert_eq!(parsed["jobs"]["deploy"]["needs"], "build");
    assert!(commands("build").iter().any(|line| line.starts_with("sam build ")));
    let deploying = commands("deploy");
    for line in &deploying {
        assert!(!["sam build", "cargo", "rustup"].iter().any(|tool| line.contains(tool)), "{line}");
    }
    // The artifact keeps modes, and only what was built leaves it.
    assert!(commands("build").iter().any(|line| line.ends_with("aws-sam.tar\" .aws-sam/build")));
    assert!(deploying.iter().any(|line| line.ends_with("aws-sam.tar\" .aws-sam/build")));
    // The role equals an administrator: no environment without the branch.
    for text in [&workflow, &page, &read("docs/implantacao.md")] {
        assert!(text.contains("Deployment branches"));
    }
}

#[test]
fn the_check_of_a_pull_requests_policy_has_both_repositories_and_no_credential() {
    let text = section("docs/politica.md", "### No CI");
    let block = text.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let job: serde_yaml_ng::Value = serde_yaml_ng::from_str(block).unwrap();
    let granted = job["permissions"].as_mapping().unwrap();
    assert!(granted.len() == 1 && job["permissions"]["contents"] == "read", "{granted:?}");
    let [theirs, ours, check] = job["steps"].as_sequence().unwrap().as_slice() else { panic!("{job:?}") };
    // Without a repository, an action checks out the workflow's own: the application's.
    let folder = theirs["with"]["path"].as_str().unwrap();
    assert!(theirs["with"]["repository"].is_null() && !ours["with"]["repository"].is_null());
    for checkout in [theirs, ours] {
        assert_eq!(checkout["with"]["persist-credentials"], false);
    }
    assert_eq!(check["working-directory"], ours["with"]["path"]);
    assert_eq!(check["run"], format!("cargo xtask oncall ../{folder}/policy/prod.json"));
}

/// The packages of a lock file, each with its hashes.
fn locked(path: &str) -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut packages: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut package = "";
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let line = line.trim_end_matches(" \\");
        if let Some(hash) = line.trim_start().strip_prefix("--hash=sha256:") {
            packages.get_mut(package).unwrap().insert(hash.to_owned());
        } else {
            package = line;
            packages.entry(package.to_owned()).or_default();
        }
    }
    packages
}

/// What a text runs or installs beside a credential that another day could be something else.
fn movable(text: &str) -> Vec<&str> {
    let is_commit = |reference: &str| {
        let (commit, version) = reference.split_once(" # v").unwrap_or_default();
        commit.len() == 40
            && commit.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
            && version.split('.').count() == 3
            && version.split('.').all(|number| number.parse::<u16>().is_ok())
    };
    let is_fixed = |line: &&str| {
        if let Some((_, action)) = line.split_once("uses: ") {
            return action.split_once('@').is_some_and(|(_, reference)| is_commit(reference));
        }
        let Some((_, install)) = line.split_once("pip install ") else { return true };
        let files = install.strip_prefix("--only-binary :all: --no-deps --require-hashes -r ");
        files.is_some_and(|files| {
            files.split(" -r ").all(|file| {
                let packages = locked(file);
                let is_pinned =
                    |(name, hashes): (&String, &BTreeSet<String>)| name.contains("==") && !hashes.is_empty();
                !packages.is_empty() && packages.iter().all(is_pinned)
            })
        })
    };
    text.lines().filter(|line| !is_fixed(line)).collect()
}

#[test]
fn what_runs_beside_a_credential_is_named_by_its_hash() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (mut actions, mut installs) = (0, 0);
    let mut files = vec!["docs/politica.md".to_owned(), "docs/implantacao.md".to_owned()];
    for entry in fs::read_dir(root().join("docs/github-actions")).unwrap() {
        files.push(format!("docs/github-actions/{}", entry.unwrap().file_name().into_string().unwrap()));
    }
    for file in files {
        let text = read(&file);
        let found = movable(&text);
        assert!(found.is_empty(), "{file}: {found:?}");
        actions += text.matches("uses: ").count();
        installs += text.matches("pip install ").count();
    }
    assert!(actions > 6 && installs > 2, "{actions} actions, {installs} installations");
    // One version each: what `sam build` runs is what the local cloud was tested with.
    let cloud = locked("tests/cloud/requirements.txt");
    for (package, hashes) in locked("tests/cloud/requirements-lambda.txt") {
        assert_eq!(cloud.get(&package), Some(&hashes), "{package}");
    }
}

#[test]
fn a_tag_or_a_package_without_a_hash_would_be_found() {
    for text in [
        "- uses: actions/checkout@v4",
        "- uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1",
        "- uses: actions/checkout@3d3c42e # v7.0.1",
        "- uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7",
        "pip install aws-sam-cli==1.170.0",
        "pip install --only-binary :all: --no-deps --require-hashes -r tests/cloud/requirements-sam.in",
        "pip install --require-hashes -r tests/cloud/requirements-sam.txt",
    ] {
        assert_eq!(movable(text), [text]);
    }
}

/// IAM's limit for all inline policies of a role, without white space.
const MOST_INLINE: usize = 10_240;

/// IAM's limit for a managed policy, without white space.
const MOST_MANAGED: usize = 6_144;

#[test]
fn the_deployers_policy_fits_a_role_without_the_address_which_fits_a_policy_of_its_own() {
    let text = fs::read_to_string(root().join("docs/deployer-policy.json")).unwrap();
    let size = |environment: &str, is_kept: &dyn Fn(&str) -> bool| {
        let filled = text
            .replace("CONTA", "111122223333")
            .replace("REGIAO", "us-east-1")
            .replace("moveongs-governance-dev", &format!("moveongs-governance-{environment}"))
            .replace("moveongs-dev", &format!("moveongs-{environment}"))
            .replace("/moveongs/dev/", &format!("/moveongs/{environment}/"));
        let mut policy: serde_json::Value = serde_json::from_str(&filled).unwrap();
        let statements = policy["Statement"].as_array_mut().unwrap();
        statements.retain(|one| is_kept(one["Sid"].as_str().unwrap()));
        assert!(!statements.is_empty());
        policy.to_string().chars().filter(|c| !c.is_whitespace()).count()
    };
    let page = fs::read_to_string(root().join("docs/implantacao.md")).unwrap();
    let over = |environment: &str| size(environment, &|_| true).saturating_sub(MOST_INLINE);
    let said = format!("(passa em {} caracteres, ou {} em staging)", over("dev"), over("staging"));
    assert!(over("dev") > 0 && page.contains(&said), "docs/implantacao.md: {said}");
    let rest = size("staging", &|sid| sid != "AddressOfThePage");
    assert!(rest + 500 < MOST_INLINE, "{rest}");
    assert!(size("staging", &|sid| sid == "AddressOfThePage") <= MOST_MANAGED);
    // The Terraform parts them by the same name.
    let roles = fs::read_to_string(root().join("docs/terraform/novo/papeis.tf")).unwrap();
    for text in [r#"one.Sid != "AddressOfThePage""#, r#"one.Sid == "AddressOfThePage""#] {
        assert!(roles.contains(text), "{text}");
    }
}
