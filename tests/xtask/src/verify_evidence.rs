//! `cargo xtask verify-evidence`: verifies a copy of the evidence bucket, offline, with the functions' own code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use chain::anchor::Anchors;
use chain::{
    Fault, Folder, Harm, Listing, MOST_BYTES, Notes, Stack, State, Unknown, Verdict, Verifier, Version,
    Witness,
};
use clap::Args;
use jiff::Timestamp;
use policy::language::Language;
use policy::tr;
use serde_json::Value;

use crate::aws::text;
use crate::table::table;

/// The largest document in `runs/` that is read: notes have some hundred bytes.
const MOST_OF_NOTE: u64 = 4096;

#[derive(Args)]
pub(crate) struct Options {
    /// Folder with a copy of the bucket: evidence/, and runs/ if there is one [default: print how to make one]
    #[arg(long)]
    copy: Option<PathBuf>,
    /// Output of `aws s3api list-object-versions` for the prefix evidence/ or anchors/, made before the copy; may be repeated
    #[arg(long)]
    versions: Vec<PathBuf>,
    /// Folder with a copy of all anchors, or a file with one anchor, such as the repository's copy; may be repeated
    #[arg(long)]
    anchors: Vec<PathBuf>,
    /// Project of the stack, which every record must name [default: the one that the first record names]
    #[arg(long, requires = "environment")]
    project: Option<String>,
    /// Environment of the stack: dev, staging or prod
    #[arg(long, requires = "project")]
    environment: Option<String>,
    /// The evidence bucket, which every anchor must name [default: the one that the first anchor names]
    #[arg(long)]
    bucket: Option<String>,
    /// Language of the result: en, pt-BR
    #[arg(long, default_value = "en")]
    language: Language,
}

/// Returns whether everything was verified.
pub(crate) fn verify(options: &Options) -> Result<bool> {
    let Some(copy) = &options.copy else {
        println!("{}", how(options.bucket.as_deref(), options.language));
        return Ok(false);
    };
    let result = judged(copy, options)?;
    println!("{}", result.text(options.language));
    Ok(result.is_verified())
}

/// The verdicts on a copy.
struct Judged {
    stack: Stack,
    /// The chains, by name, then the anchors, if any were given.
    verdicts: Vec<Verdict>,
    /// What is wrong outside of every chain.
    faults: Vec<Fault>,
    /// Records in the copy that were written after the list of versions was made.
    newer: u64,
    has_notes: bool,
    has_versions: bool,
    has_anchors: bool,
    /// Whether anchors are in none of the lists of versions, or newer than theirs. A file with one anchor needs none.
    has_unlisted_anchors: bool,
}

/// An object of a copy.
struct Object {
    key: String,
    path: PathBuf,
}

fn judged(copy: &Path, options: &Options) -> Result<Judged> {
    let evidence = copy.join("evidence");
    ensure!(
        evidence.is_dir(),
        "{} has no folder evidence: copy the whole bucket; without --copy, this command prints how",
        copy.display()
    );
    let mut procedures: BTreeMap<String, Vec<Object>> = BTreeMap::new();
    let mut faults = Vec::new();
    for object in objects(&evidence, "evidence")? {
        match procedure(&object.key) {
            Some(procedure) => procedures.entry(procedure.to_owned()).or_default().push(object),
            None => faults.push(foreign(object.key)),
        }
    }
    let stack = match (&options.project, &options.environment) {
        (Some(project), Some(environment)) => {
            Stack { project: project.clone(), environment: environment.clone() }
        }
        _ => first_stack(procedures.values().flatten())
            .context("no record names its stack: give --project and --environment")?,
    };

    let mut versions: BTreeMap<String, Vec<Version>> = BTreeMap::new();
    let mut of_anchors: Vec<Version> = Vec::new();
    for file in &options.versions {
        let listed = chain::versions(&fs::read(file).with_context(|| unread(file))?);
        let listed = listed.map_err(anyhow::Error::msg).with_context(|| {
            format!("{} is not the output of `aws s3api list-object-versions`", file.display())
        })?;
        let is_known = |version: &Version| {
            ["evidence/", "anchors/"].iter().any(|prefix| version.key.starts_with(prefix))
        };
        ensure!(
            listed.iter().any(is_known),
            "{} lists no version below evidence/ or anchors/: make the list again",
            file.display()
        );
        for version in listed {
            match procedure(&version.key) {
                Some(procedure) => versions.entry(procedure.to_owned()).or_default().push(version),
                None if version.key.starts_with("evidence/") => faults.push(foreign(version.key)),
                None => of_anchors.push(version),
            }
        }
    }
    let has_versions = !versions.is_empty();
    let folder = Folder::anchors(&stack);
    of_anchors.retain(|version| version.key.starts_with(&folder.prefix()));
    let listing =
        Some(of_anchors).filter(|listed| !listed.is_empty()).map(|listed| Listing::of(&folder, listed));
    let anchors = anchors(options, &stack, listing.as_ref())?;
    let has_notes = copy.join("runs").is_dir();
    let mut notes = if has_notes { notes(&copy.join("runs"))? } else { BTreeMap::new() };

    // A chain that is gone has witnesses only.
    let names: BTreeSet<String> = procedures
        .keys()
        .chain(versions.keys())
        .cloned()
        .chain(anchors.iter().flat_map(Anchors::procedures).map(str::to_owned))
        .chain(notes.iter().filter(|(_, (_, has_begun))| *has_begun).map(|(name, _)| name.clone()))
        .collect();
    let (mut verdicts, mut newer) = (Vec::new(), 0);
    for name in names {
        let mut verifier = Verifier::new(&name).of(stack.clone());
        if let Some(anchors) = &anchors {
            verifier = verifier.witnessed(anchors.pins(&name));
        }
        if has_notes {
            let notes = notes.remove(&name).map_or_else(|| Notes::new(&name), |(notes, _)| notes);
            verifier = verifier.noted(notes);
        }
        let folder = Folder::records(&name);
        let listing = has_versions.then(|| Listing::of(&folder, versions.remove(&name).unwrap_or_default()));
        if let Some(listing) = &listing {
            verifier = verifier.listed(listing);
        }
        let objects = procedures.remove(&name).unwrap_or_default();
        newer += feed(&folder, objects, listing.as_ref(), |key, read, stored| match read {
            Read::Bytes(bytes) => {
                verifier.record(key, &bytes, stored);
            }
            Read::Large(size) => verifier.large(key, size),
            Read::Failed(reason) => verifier.unread(key, &reason),
        });
        verdicts.push(verifier.finish());
    }
    let has_anchors = anchors.as_ref().is_some_and(|anchors| anchors.procedures().next().is_some());
    let is_chain = options.anchors.iter().any(|path| path.is_dir());
    let listed = listing.as_ref().and_then(|listing| listing.objects.last()).map(|entry| entry.sequence);
    let newest = anchors.as_ref().and_then(Anchors::newest).map(|newest| newest.anchor.sequence);
    match anchors {
        Some(anchors) if is_chain => verdicts.push(anchors.finish()),
        // Of a copy of one anchor alone, the chain of anchors is not known.
        Some(anchors) => faults.extend(anchors.faults().iter().cloned()),
        None => {}
    }
    faults.sort();
    faults.dedup();
    let has_unlisted_anchors = listed < newest;
    Ok(Judged { stack, verdicts, faults, newer, has_notes, has_versions, has_anchors, has_unlisted_anchors })
}

/// Feeds a chain's objects to its verification, oldest first, each with the time when S3 stored it, together with those that
/// only the list of versions shows. Returns the number of objects that are newer than the list.
fn feed(
    folder: &Folder,
    objects: Vec<Object>,
    listing: Option<&Listing>,
    mut take: impl FnMut(&str, Read, Option<Timestamp>),
) -> u64 {
    let unread = |reason: &str| Read::Failed(reason.to_owned());
    let listed = listing.map(|listing| &listing.objects[..]).unwrap_or_default();
    let newest = listed.last().map_or(0, |entry| entry.sequence);
    let mut listed: BTreeMap<&str, &Version> =
        listed.iter().map(|entry| (entry.version.key.as_str(), &entry.version)).collect();
    let copied: BTreeMap<String, PathBuf> =
        objects.into_iter().map(|object| (object.key, object.path)).collect();
    let keys: BTreeSet<String> =
        copied.keys().cloned().chain(listed.keys().map(|key| (*key).to_owned())).collect();
    let mut newer = 0;
    // Keys count down.
    for key in keys.into_iter().rev() {
        let version = listed.remove(key.as_str());
        let sequence = folder.sequence(&key);
        let is_unlisted = listing.is_some() && version.is_none() && sequence.is_some();
        let found = match copied.get(&key) {
            None => unread("the list of versions has it, and the copy does not: copy the bucket again"),
            Some(_) if is_unlisted && sequence <= Some(newest) => {
                unread("the copy has it, and the list of versions does not")
            }
            Some(path) => match read(path) {
                Read::Bytes(bytes) if version.is_some_and(|version| version.size != bytes.len() as u64) => {
                    unread("the copy has another size than the list of versions")
                }
                found => found,
            },
        };
        newer += u64::from(is_unlisted && sequence > Some(newest));
        take(&key, found, version.and_then(|version| version.modified));
    }
    newer
}

enum Read {
    Bytes(Vec<u8>),
    Large(u64),
    /// It was not read, for this reason.
    Failed(String),
}

impl From<io::Error> for Read {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

fn read(path: &Path) -> Read {
    match fs::metadata(path).map(|metadata| metadata.len()) {
        Ok(size) if size > MOST_BYTES => Read::Large(size),
        Ok(_) => fs::read(path).map_or_else(Read::from, Read::Bytes),
        Err(error) => error.into(),
    }
}

fn unread(path: &Path) -> String {
    format!("{} cannot be read", path.display())
}

/// Every file below a folder, with its key.
fn objects(folder: &Path, key: &str) -> Result<Vec<Object>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| unread(folder))? {
        let path = entry.with_context(|| unread(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let key = format!("{key}/{name}");
        if path.is_dir() {
            found.extend(objects(&path, &key)?);
        } else {
            found.push(Object { key, path });
        }
    }
    Ok(found)
}

/// The procedure whose chain a key is in.
fn procedure(key: &str) -> Option<&str> {
    Some(key.strip_prefix("evidence/")?.split_once('/')?.0).filter(|procedure| !procedure.is_empty())
}

fn foreign(key: String) -> Fault {
    Fault { chain: "evidence".to_owned(), sequence: None, key, harm: Harm::Foreign }
}

/// The stack that the first readable record names.
fn first_stack<'a>(objects: impl Iterator<Item = &'a Object>) -> Option<Stack> {
    let of = |object: &Object| {
        let Read::Bytes(bytes) = read(&object.path) else { return None };
        let record: Value = serde_json::from_slice(&bytes).ok()?;
        let field = |pointer| text(&record, pointer).map(str::to_owned);
        Some(Stack { project: field("/project")?, environment: field("/environment")? })
    };
    objects.into_iter().find_map(of)
}

/// The notes in a copy's folder `runs`, by procedure, and whether the chain of each has begun.
fn notes(runs: &Path) -> Result<BTreeMap<String, (Notes, bool)>> {
    let mut found: BTreeMap<String, (Notes, bool)> = BTreeMap::new();
    for Object { key, path } in objects(runs, "runs")? {
        let Some((procedure, name)) = key.strip_prefix("runs/").and_then(|key| key.split_once('/')) else {
            continue;
        };
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > MOST_OF_NOTE) {
            continue;
        }
        let (notes, has_begun) =
            found.entry(procedure.to_owned()).or_insert_with(|| (Notes::new(procedure), false));
        *has_begun |= name == "begun.json";
        match read(&path) {
            Read::Bytes(bytes) => notes.note(&key, &bytes),
            Read::Large(_) => {}
            Read::Failed(reason) => notes.unread(&key, &reason),
        }
    }
    Ok(found)
}

/// The anchors of the stack; none if none were given.
fn anchors(options: &Options, stack: &Stack, listing: Option<&Listing>) -> Result<Option<Anchors>> {
    if options.anchors.is_empty() {
        return Ok(None);
    }
    let (folders, files): (Vec<_>, Vec<_>) = options.anchors.iter().partition(|path| path.is_dir());
    if folders.len() > 1 {
        bail!("give --anchors one folder: the anchors of a stack are one chain");
    }
    let mut anchors = Anchors::new(stack.clone(), options.bucket.as_deref());
    for file in &files {
        anchors =
            anchors.witnessed(&file.display().to_string(), &fs::read(file).with_context(|| unread(file))?);
    }
    let Some(folder) = folders.first() else { return Ok(Some(anchors)) };
    let own = Folder::anchors(stack);
    if let Some(listing) = listing {
        anchors = anchors.listed(listing);
    }
    let Stack { project, environment } = stack;
    let places = [format!("anchors/{project}/{environment}"), format!("{project}/{environment}")];
    let place = places.iter().map(|place| folder.join(place)).find(|place| place.is_dir());
    let place = place.unwrap_or_else(|| folder.to_path_buf());
    let found = objects(&place, own.prefix().trim_end_matches('/'))?;
    feed(&own, found, listing, |key, read, _| match read {
        Read::Bytes(bytes) => anchors.anchor(key, &bytes),
        Read::Large(size) => anchors.large(key, size),
        Read::Failed(reason) => anchors.unread(key, &reason),
    });
    Ok(Some(anchors))
}

impl Judged {
    fn is_verified(&self) -> bool {
        let is_verified = |verdict: &Verdict| verdict.state() == State::Verified;
        self.faults.is_empty() && !self.verdicts.is_empty() && self.verdicts.iter().all(is_verified)
    }

    fn text(&self, language: Language) -> String {
        let Self { stack: Stack { project, environment }, verdicts, .. } = self;
        let mut lines = vec![
            tr!(language, "stack: {project}, {environment}", "stack: {project}, {environment}"),
            String::new(),
            table(&rows(verdicts, language)),
        ];
        let faults = || self.faults.iter().chain(verdicts.iter().flat_map(|verdict| &verdict.faults));
        let unknown: Vec<&Unknown> = verdicts.iter().flat_map(|verdict| &verdict.unknown).collect();
        if faults().next().is_some() {
            lines.push(format!("\n{}", language.pick("não confere:", "wrong:")));
            lines.extend(faults().map(|fault| format!("  {}: {}", fault.kind(), fault.what(language))));
        }
        if !unknown.is_empty() {
            lines.push(format!("\n{}", language.pick("não verificado:", "not verified:")));
            lines.extend(unknown.iter().map(|unknown| format!("  {}", unknown.what(language))));
        }
        let next: BTreeSet<&str> = faults().map(|fault| fault.next(language)).collect();
        if !next.is_empty() {
            lines.push(format!("\n{}:", language.next_step()));
            lines.extend(next.into_iter().map(|next| format!("  {next}")));
        }
        let limits = self.limits(language);
        if !limits.is_empty() {
            lines.push(format!("\n{}", language.pick("o que isto não mostra:", "what this does not show:")));
            lines.extend(limits.into_iter().map(|limit| format!("  {limit}")));
        }
        let (chains, read) = (verdicts.len(), verdicts.iter().map(|verdict| verdict.read).sum::<u64>());
        lines.push(if self.is_verified() {
            tr!(
                language,
                "\nconfere: {chains} cadeias, {read} objetos",
                "\nverified: {chains} chains, {read} objects"
            )
        } else {
            language.pick("\nNÃO CONFERE", "\nNOT VERIFIED").to_owned()
        });
        // Foreign text must not control the terminal.
        let plain = |one: char| if one.is_control() && one != '\n' { '?' } else { one };
        lines.join("\n").chars().map(plain).collect()
    }

    fn limits(&self, language: Language) -> Vec<String> {
        let mut limits = Vec::new();
        if !self.has_versions {
            limits.push(language.pick(
                "registros escondidos por um delete marker, ou gravados mais de uma vez: uma cópia só tem as versões atuais (--versions)",
                "records that a delete marker hides, or that were written more than once: a copy has only the current versions (--versions)",
            ).to_owned());
        }
        if self.has_unlisted_anchors {
            limits.push(language.pick(
                "âncoras escondidas por um delete marker, ou gravadas mais de uma vez (--versions do bucket das âncoras)",
                "anchors that a delete marker hides, or that were written more than once (--versions of the anchors' bucket)",
            ).to_owned());
        }
        if !self.has_anchors {
            limits.push(language.pick(
                "um bucket reescrito do começo ao fim, ou uma cadeia cortada no fim: só as âncoras mostram (--anchors)",
                "a bucket that was rewritten consistently, or a chain cut at its end: only anchors show that (--anchors)",
            ).to_owned());
        }
        if !self.has_notes {
            limits.push(
                language
                    .pick(
                        "registros que nenhuma execução anotou: a cópia não tem runs/",
                        "records that no run noted: the copy has no runs/",
                    )
                    .to_owned(),
            );
        }
        if self.newer > 0 {
            let newer = self.newer;
            limits.push(tr!(
                language,
                "outras versões de {newer} registros, gravados depois da lista de versões",
                "other versions of {newer} records that are newer than the list of versions",
            ));
        }
        for verdict in &self.verdicts {
            if let Some(late) = verdict.late {
                let (chain, records, hours) = (&verdict.chain, late.records, late.longest.as_hours());
                limits.push(tr!(
                    language,
                    "{chain}: {records} registros foram gravados no S3 até {hours} h depois do fim que dizem ter; um bucket copiado ou trocado tem esse aspecto",
                    "{chain}: S3 stored {records} records up to {hours} h after the end that they state; a bucket that was copied or replaced looks like this",
                ));
            }
        }
        limits
    }
}

fn rows(verdicts: &[Verdict], language: Language) -> Vec<Vec<String>> {
    let head = match language {
        Language::Portuguese => ["cadeia", "estado", "lidos", "último", "fim", "SHA-256", "âncora"],
        Language::English => ["chain", "state", "read", "newest", "ended", "SHA-256", "anchored"],
    };
    let row = |verdict: &Verdict| {
        let state = match verdict.state() {
            State::Verified => language.pick("confere", "verified"),
            State::Damaged => language.pick("NÃO CONFERE", "WRONG"),
            State::Unknown => language.pick("NÃO VERIFICADA", "UNKNOWN"),
            State::Empty => language.pick("VAZIA", "EMPTY"),
        };
        let newest = verdict.head.as_ref();
        let anchored = verdict.anchored.as_ref().map(|pin| match &pin.witness {
            Witness::Anchor { at, .. } => format!("{} ({})", pin.sequence, utc(*at)),
            Witness::Earlier | Witness::Begun { .. } | Witness::Note { .. } => pin.sequence.to_string(),
        });
        vec![
            verdict.chain.clone(),
            state.to_owned(),
            verdict.read.to_string(),
            newest.map_or_else(String::new, |head| head.sequence.to_string()),
            newest.map_or_else(String::new, |head| utc(head.ended)),
            newest.map_or_else(String::new, |head| head.sha256.chars().take(12).collect()),
            anchored.unwrap_or_default(),
        ]
    };
    std::iter::once(head.map(str::to_owned).to_vec()).chain(verdicts.iter().map(row)).collect()
}

fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%MZ").to_string()
}

/// How to make a copy, with its versions and its anchors.
fn how(bucket: Option<&str>, language: Language) -> String {
    let bucket = bucket.unwrap_or("EVIDENCE_BUCKET");
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english);
    [
        say(
            "Faça a cópia nesta ordem: o que testemunha vem antes do que é testemunhado, e uma execução durante a cópia não parece um dano. O papel precisa de s3:ListBucket, s3:ListBucketVersions e s3:GetObject.",
            "Make the copy in this order: witnesses come before what they witness, so that a run during the copy does not look like damage. The role needs s3:ListBucket, s3:ListBucketVersions and s3:GetObject.",
        ),
        "",
        say(
            "1. As âncoras: do repositório, se a stack as grava lá, e depois do bucket delas, com todas as versões.",
            "1. The anchors: from the repository if the stack commits them there, and then from their bucket, with all versions.",
        ),
        "git fetch origin governance/anchors",
        "git show FETCH_HEAD:ANCHOR_FOLDER/PROJECT-ENVIRONMENT.json > anchor.json",
        "aws s3api list-object-versions --bucket ANCHOR_BUCKET --prefix anchors/PROJECT/ENVIRONMENT/ --output json > anchor-versions.json",
        "aws s3 sync --exact-timestamps s3://ANCHOR_BUCKET/anchors/PROJECT/ENVIRONMENT/ copy/anchors/PROJECT/ENVIRONMENT/",
        say(
            "2. Todas as versões: um sync só traz as atuais, e não mostra o que um delete marker esconde nem o que foi gravado de novo.",
            "2. All versions: a sync brings only the current ones, and shows neither what a delete marker hides nor what was written again.",
        ),
        &format!("aws s3api list-object-versions --bucket {bucket} --prefix evidence/ --output json > versions.json"),
        say("3. Os registros e as anotações das execuções.", "3. The records, and the notes of the runs."),
        &format!("aws s3 sync --exact-timestamps s3://{bucket}/evidence/ copy/evidence/"),
        &format!("aws s3 sync --exact-timestamps s3://{bucket}/runs/ copy/runs/"),
        say("4. Conferir.", "4. Verify."),
        "cargo xtask verify-evidence --copy copy --versions versions.json --versions anchor-versions.json --anchors copy/anchors --anchors anchor.json --project PROJECT --environment ENVIRONMENT",
    ]
    .join("\n")
}

#[cfg(test)]
mod tests;
