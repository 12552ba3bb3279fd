//! `cargo xtask configure`: proposes the stack's parameters from what the account has, and writes them.
//!
//! Like `cargo xtask policy`, it reaches the account of the caller's `aws`, and only lists and describes: it changes
//! nothing there and reads no secret's value. Facts come from [`account`], decisions from [`rules`]; [`file`] keeps what
//! people wrote.

mod account;
mod facts;
mod file;
mod names;
mod rules;
mod template;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use policy::language::Language;
use policy::{Area, Kind, Policy, tr};
use serde_json::Value;

use crate::apply;
use crate::repo::Repo;
use crate::run;
use crate::up;
use facts::Facts;
use file::Holdings;
use names::{Owner, Place};
use rules::{Ask, Found, Known, Plan};
use template::{CODE_VERSION, Template};

#[derive(Args)]
pub(crate) struct Options {
    /// Project of the stack
    #[arg(long, default_value = "moveongs")]
    pub(crate) project: String,
    /// Environment of the stack
    #[arg(long, value_parser = ["dev", "staging", "prod"])]
    pub(crate) environment: String,
    /// Region of the stack [default: that of the AWS CLI]
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// Answer to a question, or a parameter to set; an empty value leaves it out. May be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) set: Vec<(String, String)>,
    /// Folder of ENVIRONMENT.yaml, samconfig.toml and policy/ENVIRONMENT.json [default: the repository]
    #[arg(long)]
    pub(crate) folder: Option<PathBuf>,
    /// Language of the explanations: pt-BR or en
    #[arg(long, default_value = "pt-BR")]
    pub(crate) language: Language,
    /// Whether to show what would be written, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Splits `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The name of a place's stack.
fn stack(place: &Place) -> String {
    format!("{}-governance-{}", place.project, place.environment)
}

/// Answers a question: none without a terminal. An empty answer leaves the parameter out.
pub(crate) type Person<'a> = &'a mut dyn FnMut(&str, &Ask) -> Result<Option<String>>;

/// `cargo xtask configure`. Returns whether the files are complete.
pub(crate) fn configure(repo: &Repo, options: &Options) -> Result<bool> {
    let mut at_terminal = |meaning: &str, ask: &Ask| asked(meaning, ask, options.language);
    let region = match options
        .region
        .clone()
        .or_else(|| run::env("AWS_REGION"))
        .or_else(|| run::env("AWS_DEFAULT_REGION"))
    {
        Some(region) => region,
        None => {
            let found = apply::printed(&["configure", "get", "region"]).unwrap_or_default();
            ensure!(!found.is_empty(), "which region? Pass --region, e.g. --region us-east-1");
            found
        }
    };
    let aws = |arguments: &[&str]| apply::aws(&[&["--region", &region], arguments].concat());
    // Names and settings come from the account: none is a command for the terminal.
    let mut say = |line: &str| println!("{}", line.replace(|c: char| c.is_control() && c != '\n', "?"));
    write(repo, options, &region, &aws, &mut at_terminal, &mut say)
}

/// A run: the files as they were found, the account, and the person.
struct Session<'a> {
    files: Files,
    /// Text of the parameters' file; none if there is none.
    existing: Option<String>,
    /// The parameters in it.
    in_file: BTreeMap<String, String>,
    template: Template,
    place: Place,
    facts: Facts,
    language: Language,
    meanings: BTreeMap<String, String>,
    say: &'a mut dyn FnMut(&str),
}

/// Reads the account, asks the person, and writes the files. Returns false, and writes nothing, if a question is open.
pub(crate) fn write(
    repo: &Repo,
    options: &Options,
    region: &str,
    aws: account::Aws<'_>,
    person: Person<'_>,
    say: &mut dyn FnMut(&str),
) -> Result<bool> {
    let folder = options.folder.clone().unwrap_or_else(|| repo.root.clone());
    let files = Files::of(&folder, &options.environment);
    let template = Template::parse(&fs::read_to_string(repo.at("template.yaml"))?)?;
    let existing = optional(&files.parameters)?;
    let in_file = file::read(existing.as_deref().unwrap_or_default())
        .with_context(|| format!("{}", files.parameters.display()))?;
    let (given, new) = answers(&in_file, options, &files)?;
    refuse(&template, &given, &options.project, &options.environment)?;

    let caller = account::caller(aws).context("the account cannot be reached with `aws`")?;
    let place = Place {
        project: options.project.clone(),
        environment: options.environment.clone(),
        region: region.to_owned(),
        account: caller.account.clone(),
        partition: caller.partition.clone(),
    };
    let language = options.language;
    let (account, stack) = (&place.account, stack(&place));
    say(&tr!(
        language,
        "{stack}, conta {account}, {region}: só leitura, e nenhum valor de segredo",
        "{stack}, account {account}, {region}: only reading, and no secret's value"
    ));
    let facts = account::read(aws, caller, &place);
    let page = fs::read_to_string(repo.at("docs/implantacao.md"))?;
    let meanings = meanings(&page);
    let mut session = Session { files, existing, in_file, template, place, facts, language, meanings, say };
    let Some((plan, answered)) = session.ask(given, new, person)? else { return Ok(false) };
    session.show(&plan);
    session.finish(repo, options.dry_run, &plan, answered)?;
    Ok(true)
}

/// The files of an environment.
struct Files {
    folder: PathBuf,
    /// Name of the parameters' file, relative to the folder.
    name: String,
    parameters: PathBuf,
    samconfig: PathBuf,
    policy: PathBuf,
}

impl Files {
    fn of(folder: &Path, environment: &str) -> Self {
        let name = format!("{environment}.yaml");
        Self {
            folder: folder.to_owned(),
            parameters: folder.join(&name),
            samconfig: folder.join("samconfig.toml"),
            policy: folder.join(format!("policy/{environment}.json")),
            name,
        }
    }
}

/// The file's text; none if there is no file.
fn optional(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

/// All that was answered, and what of it the file does not have yet.
fn answers(
    in_file: &BTreeMap<String, String>,
    options: &Options,
    files: &Files,
) -> Result<(BTreeMap<String, String>, BTreeMap<String, String>)> {
    let mut given = in_file.clone();
    let mut new = BTreeMap::new();
    for (name, value) in &options.set {
        ensure!(name != CODE_VERSION, "{name} is given on the command line of each deployment, not here");
        match in_file.get(name) {
            Some(there) if there == value => {}
            Some(there) => bail!("{name} is {there:?} in {}: change it there", files.parameters.display()),
            None => {
                given.insert(name.clone(), value.clone());
                new.insert(name.clone(), value.clone());
            }
        }
    }
    Ok((given, new))
}

/// Refuses answers that CloudFormation would refuse, and another project's or environment's file.
fn refuse(
    template: &Template,
    given: &BTreeMap<String, String>,
    project: &str,
    environment: &str,
) -> Result<()> {
    // A file without a project is the default's.
    let of_file = given.contains_key("Environment").then_some("moveongs");
    if let Some(other) =
        given.get("Project").map(String::as_str).or(of_file).filter(|other| *other != project)
    {
        bail!("Project is {other}, and --project {project}: one file for each project");
    }
    if let Some(other) = given.get("Environment").filter(|other| *other != environment) {
        bail!("Environment is {other}, and --environment {environment}: one file for each environment");
    }
    let mut wrong = Vec::new();
    for (name, value) in given {
        if let Err(reason) = template.check(name, value) {
            wrong.push(format!("{name}: {reason}, found {value:?}"));
        }
    }
    ensure!(wrong.is_empty(), "nothing was written:\n  {}", wrong.join("\n  "));
    Ok(())
}

impl Session<'_> {
    fn meaning(&self, name: &str) -> String {
        let english = self.template.description(name);
        let portuguese = self.meanings.get(name).map_or(english, String::as_str);
        self.language.pick(portuguese, english).to_owned()
    }

    /// Plans and asks until nothing is open. Returns the plan and the answers, or none if a question stays open.
    fn ask(
        &mut self,
        mut given: BTreeMap<String, String>,
        mut answered: BTreeMap<String, String>,
        person: Person<'_>,
    ) -> Result<Option<(Plan, BTreeMap<String, String>)>> {
        let required = self.template.required();
        loop {
            let (facts, place, language) = (&self.facts, &self.place, self.language);
            let mut plan = rules::plan(&Known { facts, place, given: &given, required: &required, language });
            for ask in &mut plan.asks {
                ask.candidates.retain(|one| {
                    !one.contains(char::is_control) && self.template.check(&ask.name, one).is_ok()
                });
            }
            let Some(ask) = plan.asks.first() else { return Ok(Some((plan, answered))) };
            let meaning = self.meaning(&ask.name);
            let Some(answer) = person(&meaning, ask)? else {
                self.show_open(&plan);
                return Ok(None);
            };
            match self.template.check(&ask.name, &answer) {
                Ok(()) => {
                    given.insert(ask.name.clone(), answer.clone());
                    answered.insert(ask.name.clone(), answer);
                }
                Err(reason) => (self.say)(&format!("{}: {reason}", ask.name)),
            }
        }
    }

    /// The open questions, where there is no terminal to ask.
    fn show_open(&mut self, plan: &Plan) {
        let language = self.language;
        self.show_notices(plan);
        (self.say)(&tr!(
            language,
            "\nNada foi escrito. Responda com --set, e repita; onde um vazio serve, `--set NOME=` deixa o parâmetro de fora:",
            "\nNothing was written. Answer with --set, and run it again; where an empty value will do, `--set NAME=` leaves the parameter out:"
        ));
        for ask in &plan.asks {
            let (meaning, why) = (self.meaning(&ask.name), &ask.why);
            let empty =
                if ask.is_required { "" } else { language.pick(" [pode ficar vazio]", " [may be empty]") };
            (self.say)(&format!(
                "\n  --set {}={}\n      {meaning}: {why}{empty}",
                ask.name,
                ask.candidates.first().map_or_else(|| "…".to_owned(), |one| word(one))
            ));
            for other in ask.candidates.iter().skip(1).map(|one| word(one)) {
                (self.say)(&tr!(language, "      ou {other}", "      or {other}"));
            }
        }
    }

    fn show_notices(&mut self, plan: &Plan) {
        for notice in &plan.notices {
            (self.say)(&format!("! {notice}"));
        }
    }

    /// Each value with its reason, then what was left out.
    fn show(&mut self, plan: &Plan) {
        for found in &plan.found {
            let meaning = self.meaning(&found.name);
            (self.say)(&format!("{} = {}\n    {meaning} ({})", found.name, found.value, found.why));
        }
        self.show_notices(plan);
        if !plan.absent.is_empty() {
            let absent = plan.absent.join(", ");
            (self.say)(&tr!(
                self.language,
                "De fora, porque a conta não tem nada para eles (docs/adotar.md diz o que criar): {absent}",
                "Left out, because the account has nothing for them (docs/adotar.md tells what to create): {absent}"
            ));
        }
    }

    /// The parameters that are in neither list: what they are for, and their defaults.
    fn show_defaults(&mut self, values: &BTreeMap<String, String>, plan: &Plan) {
        let mut lines = vec![self.language.pick("Ficam no padrão:", "Left at their defaults:").to_owned()];
        let is_left = |name: &&str| {
            *name != CODE_VERSION && !values.contains_key(*name) && !plan.absent.iter().any(|one| one == name)
        };
        for name in self.template.names().filter(is_left) {
            let default = self.template.default(name).filter(|default| !default.is_empty());
            let default = default.unwrap_or_else(|| self.language.pick("(vazio)", "(empty)"));
            lines.push(format!("  {name} = {default}: {}", self.meaning(name)));
        }
        lines.iter().for_each(|line| (self.say)(line));
    }

    /// Checks the whole and writes the files.
    fn finish(
        &mut self,
        repo: &Repo,
        dry_run: bool,
        plan: &Plan,
        answered: BTreeMap<String, String>,
    ) -> Result<()> {
        let language = self.language;
        // To be given again, if all of it is refused.
        let answers: String =
            answered.iter().map(|(name, value)| format!("\n  --set {name}={}", word(value))).collect();
        let by_person = tr!(language, "resposta", "answer");
        let mut new: Vec<Found> = plan.found.clone();
        new.extend(answered.into_iter().map(|(name, value)| Found { name, value, why: by_person.clone() }));
        // In the template's order, whose groups people know.
        let order: Vec<&str> = self.template.names().collect();
        new.sort_by_key(|one| order.iter().position(|name| *name == one.name));
        let mut all = self.in_file.clone();
        all.extend(new.iter().map(|one| (one.name.clone(), one.value.clone())));
        refuse(&self.template, &all, &self.place.project, &self.place.environment)?;
        let broken = self.template.broken(&all)?;
        ensure!(
            broken.is_empty(),
            "nothing was written; CloudFormation would refuse it:\n  {}\nThe answers:{answers}",
            broken.join("\n  ")
        );
        if self.existing.is_none() {
            self.show_defaults(&all, plan);
        }

        let lines = file::lines(&new, |name| self.meaning(name));
        let parameters = file::parameters(self.existing.as_deref(), &lines, &self.place, language)?;
        let samconfig = match optional(&self.files.samconfig)? {
            Some(text) => text,
            None => fs::read_to_string(repo.at("samconfig.toml"))?,
        };
        let (samconfig, kept) = file::samconfig(&samconfig, &self.place, &self.files.name)?;
        for key in kept {
            (self.say)(&tr!(
                language,
                "! samconfig.toml: {key} tem outro valor, que fica",
                "! samconfig.toml: {key} has another value, which stays"
            ));
        }
        let policy = self.policy(&all)?;
        let files = &self.files;
        let writes = [
            (&files.parameters, Some(parameters)),
            (&files.samconfig, Some(samconfig)),
            (&files.policy, policy),
        ];
        let mut written = Vec::new();
        for (path, text) in writes {
            let Some(text) = text else { continue };
            if optional(path)?.as_ref() == Some(&text) {
                continue;
            }
            if !dry_run {
                replace(path, &text)?;
            }
            written.push(path.strip_prefix(&files.folder).unwrap_or(path).display().to_string());
        }
        self.next_steps(dry_run, &written);
        Ok(())
    }

    /// The policy's file, if there is none; the inventory of an existing one is only compared.
    fn policy(&mut self, values: &BTreeMap<String, String>) -> Result<Option<String>> {
        let holdings = self.holdings(values);
        let language = self.language;
        let path = &self.files.policy;
        if path.exists() {
            let patch: Value = apply::checked(path)?;
            let inventory = Policy::of(&patch)?.inventory;
            let changes = file::inventory(&inventory, &holdings, &self.place);
            if changes != serde_json::json!({}) {
                let (path, changes) = (path.display(), serde_json::to_string_pretty(&changes)?);
                (self.say)(&tr!(
                    language,
                    "! {path} fica como está; para que o inventário nomeie o que a conta tem:\n{changes}",
                    "! {path} stays as it is; for the inventory to name what the account has:\n{changes}"
                ));
            }
            return Ok(None);
        }
        let inventory = "".parse::<Policy>()?.inventory;
        let text = file::policy(&inventory, &file::inventory(&inventory, &holdings, &self.place))?;
        text.parse::<Policy>().context("the policy that would be written is not one")?;
        Ok(Some(text))
    }

    /// The account's resources for the inventory.
    fn holdings(&self, values: &BTreeMap<String, String>) -> Holdings {
        let mut holdings = Holdings::default();
        let value = |name: &str| values.get(name).filter(|value| !value.is_empty());
        let seen = |list: &facts::Seen<facts::Service>| list.clone().unwrap_or_default();
        if let Some(cluster) = value("EcsClusterName") {
            holdings.add(Area::Application, Kind::EcsCluster, cluster);
            for service in seen(&self.facts.services).iter().filter(|one| one.cluster == *cluster) {
                if self.place.owner(&service.named.name, &service.named.tags) != Owner::Other {
                    holdings.add(
                        Area::Application,
                        Kind::EcsService,
                        format!("{cluster}/{}", service.named.name),
                    );
                }
                for group in &service.log_groups {
                    if self.place.owner(group, &BTreeMap::new()) != Owner::Other {
                        holdings.add(Area::Observability, Kind::LogGroup, group);
                    }
                }
            }
        }
        if let Some(database) = value("DatabaseInstanceId") {
            // A member of a cluster is an instance.
            let found = self.facts.database(database);
            let is_cluster = found.is_some_and(|one| one.named.name == *database && one.is_cluster);
            let kind = if is_cluster { Kind::RdsCluster } else { Kind::RdsInstance };
            holdings.add(Area::Database, kind, database);
        }
        let prefix = self.place.prefix();
        let buckets = self.facts.buckets.as_deref().unwrap_or_default();
        for (parameter, area, default) in [
            ("AttachmentsBucketName", Area::Attachments, "attachments"),
            ("UploadsBucketName", Area::Attachments, "uploads"),
            ("GrafanaExportBucketName", Area::Observability, "grafana"),
        ] {
            let default = format!("{prefix}-{default}");
            if let Some(name) = value(parameter).or_else(|| buckets.contains(&default).then_some(&default)) {
                holdings.add(area, Kind::S3Bucket, name);
            }
        }
        let named: Vec<&String> =
            values.iter().filter(|(name, _)| name.ends_with("SecretName")).map(|(_, value)| value).collect();
        // The audit knows by themselves the ones that the stack or the policy names.
        for secret in self.facts.secrets.as_deref().unwrap_or_default() {
            let is_read = || {
                let services = self.facts.services.as_deref().unwrap_or_default();
                let mut all = services.iter().flat_map(|service| &service.secrets);
                all.any(|(_, from)| from.starts_with(&secret.arn))
            };
            if self.place.owner(&secret.named.name, &secret.named.tags) == Owner::Ours
                && !named.contains(&&secret.named.name)
                && is_read()
            {
                holdings.add(Area::Secrets, Kind::Secret, &secret.named.name);
            }
        }
        holdings
    }

    fn next_steps(&mut self, dry_run: bool, written: &[String]) {
        let (language, environment) = (self.language, &self.place.environment);
        let (project, name) = (&self.place.project, &self.files.name);
        let list = written.join(", ");
        if written.is_empty() {
            (self.say)(language.pick("\nNada muda.", "\nNothing changes."));
            return;
        }
        if dry_run {
            (self.say)(&tr!(language, "\nSeria escrito: {list}", "\nWould be written: {list}"));
            return;
        }
        let of_project = if project == "moveongs" { String::new() } else { format!(" --project {project}") };
        (self.say)(&tr!(
            language,
            "\nEscrito: {list}. Leia, complete em policy/{environment}.json quem responde por cada área e os contatos, e publique (docs/implantacao.md):\n\n\
             cargo xtask oncall policy/{environment}.json\n\
             sam build --config-env {environment}\n\
             sam deploy --config-env {environment} --parameter-overrides file://{name} CodeVersion=$(git rev-parse --short=12 HEAD)\n\
             cargo xtask policy apply{of_project} --environment {environment} policy/{environment}.json",
            "\nWritten: {list}. Read them, fill in who is responsible for each area, and their contacts, in policy/{environment}.json, and deploy (docs/implantacao.md):\n\n\
             cargo xtask oncall policy/{environment}.json\n\
             sam build --config-env {environment}\n\
             sam deploy --config-env {environment} --parameter-overrides file://{name} CodeVersion=$(git rev-parse --short=12 HEAD)\n\
             cargo xtask policy apply{of_project} --environment {environment} policy/{environment}.json"
        ));
    }
}

/// A value as one word of a POSIX shell.
fn word(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "+,-./:=@_".contains(c);
    if value.chars().all(is_plain) { value.to_owned() } else { up::quoted(value) }
}

/// Replaces a file at once, so that an interrupted run leaves the old one.
fn replace(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().context("a file without a folder")?;
    fs::create_dir_all(folder)?;
    let new = path.with_extension(format!("new-{}", std::process::id()));
    fs::write(&new, text)
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("{} cannot be written", path.display()))
}

/// Asks at the terminal: a number chooses a candidate, several with commas choose several, Enter the only one or nothing.
fn asked(meaning: &str, ask: &Ask, language: Language) -> Result<Option<String>> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Ok(None);
    }
    println!("\n{}\n    {meaning}: {}", ask.name, ask.why);
    for (number, candidate) in ask.candidates.iter().enumerate() {
        println!("    {}) {candidate}", number + 1);
    }
    loop {
        print!("{}", prompt(ask, language));
        std::io::stdout().flush()?;
        let mut line = String::new();
        if stdin.lock().read_line(&mut line)? == 0 {
            bail!("no answer");
        }
        run::check()?;
        if let Some(answer) = answer(ask, &line) {
            return Ok(Some(answer));
        }
    }
}

fn prompt(ask: &Ask, language: Language) -> String {
    match (ask.candidates.as_slice(), ask.is_required) {
        ([_], true) => tr!(language, "[Enter: 1] > ", "[Enter: 1] > "),
        (_, true) => "> ".to_owned(),
        (_, false) => tr!(language, "[Enter: deixar de fora] > ", "[Enter: leave it out] > "),
    }
}

/// The answer in a typed line; none if it is no answer.
fn answer(ask: &Ask, line: &str) -> Option<String> {
    let line = line.trim();
    let numbered = |word: &str| {
        ask.candidates.get(word.trim().parse::<usize>().ok()?.checked_sub(1)?).map(String::as_str)
    };
    if let Some(chosen) = line.split(',').map(numbered).collect::<Option<Vec<_>>>() {
        return Some(chosen.join(","));
    }
    match (line, ask.candidates.as_slice(), ask.is_required) {
        ("", [only], true) => Some(only.clone()),
        ("", _, true) => None,
        (text, _, _) => Some(text.to_owned()),
    }
}

/// The purpose of each parameter, from the deployment page's table: the first clause of its row, without links.
fn meanings(page: &str) -> BTreeMap<String, String> {
    let rows = page.split("| parâmetro | para quê |").nth(1).unwrap_or_default();
    let rows = rows.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut meanings = BTreeMap::new();
    for row in rows {
        let mut cells = row.trim_matches('|').splitn(2, '|');
        let (Some(names), Some(text)) = (cells.next(), cells.next()) else { continue };
        let text = clause(text.trim());
        for name in names.split('`').skip(1).step_by(2) {
            meanings.insert(name.to_owned(), text.clone());
        }
    }
    meanings
}

/// The first clause of a text, without the marks of Markdown.
fn clause(text: &str) -> String {
    let mut depth = 0_u32;
    let mut end = text.len();
    for (at, mark) in text.char_indices() {
        match mark {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '.' | ';' if depth == 0 && text.get(at + 1..at + 2) == Some(" ") => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    let mut plain = String::new();
    let mut rest = text.get(..end).unwrap_or(text);
    // [words](address) keeps its words.
    while let Some((before, after)) = rest.split_once('[') {
        let Some((words, tail)) = after.split_once("](") else { break };
        plain.push_str(before);
        plain.push_str(words);
        rest = tail.split_once(')').map_or("", |(_, after)| after);
    }
    plain.push_str(rest);
    plain.replace(['`', '*'], "").trim().to_owned()
}

/// The parameters in an environment's file that [`write`] wrote.
pub(crate) fn written(folder: &Path, environment: &str) -> Result<BTreeMap<String, String>> {
    let path = Files::of(folder, environment).parameters;
    file::read(&optional(&path)?.with_context(|| format!("{} was not written", path.display()))?)
}

/// A setting of `sam deploy` in the `samconfig.toml` that [`write`] wrote.
pub(crate) fn setting(folder: &Path, environment: &str, key: &str) -> Result<String> {
    let path = Files::of(folder, environment).samconfig;
    let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    file::setting(&text, environment, key).with_context(|| format!("{} has no {key}", path.display()))
}

#[cfg(test)]
mod tests;
