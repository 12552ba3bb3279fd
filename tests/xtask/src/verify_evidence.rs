//! `cargo xtask verify-evidence`: verifies a copy of the evidence bucket, offline, with the functions' own code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use chain::anchor::Anchors;
use chain::{
    Fault, Folder, Harm, Listing, MOST_BYTES, Notes, PROCEDURES, Stack, State, Unknown, Verdict, Verifier,
    Version, Witness,
};
use clap::Args;
use jiff::Timestamp;
use policy::language::Language;
use policy::tr;
use serde_json::Value;

use crate::aws::text;
use crate::table::table;

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
    /// Faults outside of every chain.
    faults: Vec<Fault>,
    /// Records in the copy that were written after the list of versions was made.
    newer: u64,
    /// Gaps of the runs' notes, by chain; none if the copy has no notes.
    notes: Option<Vec<Gap>>,
    has_stack: bool,
    has_versions: bool,
    /// When the newest anchor was made; none if no anchor names a chain.
    anchored: Option<Timestamp>,
    /// Whether anchors are in none of the lists of versions, or newer than theirs. A file with one anchor needs none.
    has_unlisted_anchors: bool,
    /// Whether all anchors are of one folder: no copy of one is elsewhere.
    has_lone_anchors: bool,
}

/// Gaps of the notes of a chain's runs.
struct Gap {
    chain: String,
    /// Records without a note before the first one with a note.
    unnoted: u64,
    /// The place after the chain's end, if a run noted it.
    open: Option<u64>,
    has_begun: bool,
}

/// An object of a copy.
struct Object {
    key: String,
    path: PathBuf,
}

fn judged(copy: &Path, options: &Options) -> Result<Judged> {
    let evidence = copy.join("evidence");
    let has_stack = options.project.is_some();
    let runs = copy.join("runs");
    let has_notes = runs.is_dir();
    // A sync makes no folder where all is deleted; notes or anchors then name it.
    ensure!(
        evidence.is_dir() || has_notes || (copy.is_dir() && !options.anchors.is_empty()),
        "{} has no folder evidence: copy the whole bucket; without --copy, this command prints how",
        copy.display()
    );
    let mut procedures: BTreeMap<String, Vec<Object>> = BTreeMap::new();
    let mut faults = Vec::new();
    let all = if evidence.is_dir() { objects(&evidence, "evidence")? } else { Vec::new() };
    for object in all {
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
    let is_chain = options.anchors.iter().any(|path| path.is_dir());
    ensure!(
        is_chain || listing.is_none(),
        "--versions lists anchors: give --anchors the folder with the copy of them"
    );
    let anchors = anchors(options, &stack, listing.as_ref())?;
    let mut notes = if has_notes { notes(&runs)? } else { BTreeMap::new() };

    // A chain that is gone has witnesses only.
    let names: BTreeSet<String> = procedures
        .keys()
        .chain(versions.keys())
        .cloned()
        .chain(anchors.iter().flat_map(Anchors::procedures).map(str::to_owned))
        .chain(notes.iter().filter(|(_, notes)| notes.is_witness()).map(|(name, _)| name.clone()))
        .collect();
    let (mut verdicts, mut gaps, mut newer) = (Vec::new(), Vec::new(), 0);
    for name in names {
        if !PROCEDURES.contains(&name.as_str()) {
            let key = Folder::records(&name).prefix();
            faults.push(Fault { chain: name.clone(), sequence: None, key, harm: Harm::NoProcedure });
        }
        let mut verifier = Verifier::new(&name).of(stack.clone());
        if let Some(anchors) = &anchors {
            verifier = verifier.witnessed(anchors.pins(&name));
        }
        let notes = notes.remove(&name).unwrap_or_else(|| Notes::new(&name));
        let (noted, has_begun) = (notes.newest(), notes.has_begun());
        if has_notes {
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
        let unnoted = verifier.unnoted();
        let verdict = verifier.finish();
        let next = verdict.head.as_ref().map_or(1, |head| head.sequence + 1);
        gaps.push(Gap { chain: name, unnoted, open: noted.filter(|noted| *noted == next), has_begun });
        verdicts.push(verdict);
    }
    // The other notes show no record.
    gaps.extend(notes.into_iter().filter_map(|(chain, notes)| {
        notes.newest().map(|open| Gap { chain, unnoted: 0, open: Some(open), has_begun: true })
    }));
    let names_a_chain = |anchors: &&Anchors| anchors.procedures().next().is_some();
    let anchored = anchors.as_ref().filter(names_a_chain).and_then(Anchors::latest);
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
    Ok(Judged {
        stack,
        verdicts,
        faults,
        newer,
        notes: has_notes.then_some(gaps),
        has_stack,
        has_versions,
        anchored,
        has_unlisted_anchors,
        has_lone_anchors: is_chain && options.anchors.iter().all(|path| path.is_dir()),
    })
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

/// The notes in a copy's folder `runs`, by procedure.
fn notes(runs: &Path) -> Result<BTreeMap<String, Notes>> {
    let mut found: BTreeMap<String, Notes> = BTreeMap::new();
    for Object { key, path } in objects(runs, "runs")? {
        let Some((procedure, _)) = key.strip_prefix("runs/").and_then(|key| key.split_once('/')) else {
            continue;
        };
        let notes = found.entry(procedure.to_owned()).or_insert_with(|| Notes::new(procedure));
        match read(&path) {
            Read::Bytes(bytes) => notes.note(&key, &bytes),
            Read::Large(size) => notes.large(&key, size),
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
        if self.has_lone_anchors {
            limits.push(language.pick(
                "as últimas âncoras apagadas, ou todas reescritas: não comparadas com uma cópia noutro lugar, como a do repositório (--anchors ARQUIVO)",
                "the last anchors deleted, or all rewritten: not compared with a copy elsewhere, such as the repository's (--anchors FILE)",
            ).to_owned());
        }
        match self.anchored {
            None => limits.push(language.pick(
                "um bucket reescrito do começo ao fim, uma cadeia cortada ou mudada no fim, ou uma apagada com as suas anotações: só as âncoras mostram (--anchors)",
                "a bucket that was rewritten consistently, a chain cut or changed at its end, or one deleted with its notes: only anchors show that (--anchors)",
            ).to_owned()),
            Some(at) => self.beyond(utc(at), language, &mut limits),
        }
        match &self.notes {
            None => limits.push(language.pick(
                "registros que nenhuma execução anotou, e cadeias de que só as anotações sabem: não comparados com runs/, que a cópia não tem",
                "records that no run noted, and chains that only notes know: not compared with runs/, which the copy does not have",
            ).to_owned()),
            Some(gaps) => limits.extend(gaps.iter().flat_map(|gap| gap.limits(language))),
        }
        let has = |one: &&&str| !self.verdicts.iter().any(|verdict| verdict.chain == ***one);
        let absent: Vec<&str> = PROCEDURES.iter().filter(has).copied().collect();
        if !absent.is_empty() {
            let absent = absent.join(", ");
            limits.push(tr!(
                language,
                "procedimentos sem cadeia: nunca gravaram, ou a cadeia foi apagada com tudo o que a comparação conhece: {absent}",
                "procedures without a chain: they never wrote, or it was deleted with all that it is compared with: {absent}",
            ));
        }
        if !self.has_stack {
            limits.push(language.pick(
                "se a evidência é da stack que se quer: não comparada com o nome dela (--project, --environment)",
                "whether the evidence is that of the stack that is meant: not compared with its name (--project, --environment)",
            ).to_owned());
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

    /// The limits of anchors: records that are newer than the newest one.
    fn beyond(&self, at: String, language: Language, limits: &mut Vec<String>) {
        let newer = |verdict: &Verdict| {
            let (chain, head) = (&verdict.chain, verdict.head.as_ref()?.sequence);
            let first = verdict.anchored.as_ref().map_or(1, |pin| pin.sequence + 1);
            let is_newer = first <= head && chain != "anchors";
            is_newer.then(|| tr!(language, "{chain} a partir de {first}", "{chain} from {first} on"))
        };
        let newer: Vec<String> = self.verdicts.iter().filter_map(newer).collect();
        if !newer.is_empty() {
            let newer = newer.join(", ");
            limits.push(tr!(
                language,
                "registros não comparados com uma âncora: {newer}",
                "records that were not compared with an anchor: {newer}",
            ));
        }
        limits.push(tr!(
            language,
            "o que foi gravado depois da âncora mais nova ({at}) e apagado do fim: só uma âncora posterior mostra",
            "what was written after the newest anchor ({at}) and deleted from the end: only a later anchor shows that",
        ));
    }
}

impl Gap {
    fn limits(&self, language: Language) -> Vec<String> {
        let Self { chain, unnoted, open, has_begun } = self;
        let mut limits = Vec::new();
        if *unnoted > 0 {
            limits.push(tr!(
                language,
                "{chain}: os primeiros {unnoted} registros não comparados com a anotação da sua execução, que falta: são mais antigos que as anotações, ou elas foram apagadas",
                "{chain}: the first {unnoted} records were not compared with their run's note, which is missing: they are older than the notes, or the notes were deleted",
            ));
        }
        if let Some(open) = open {
            limits.push(tr!(
                language,
                "{chain}: uma execução anotou o registro {open}, que não está lá: ainda não o tinha gravado, parou antes, ou ele foi apagado",
                "{chain}: a run noted record {open}, which is not there: it had not written it yet, stopped before, or the record was deleted",
            ));
        }
        if !has_begun {
            limits.push(tr!(
                language,
                "{chain}: não comparada com runs/{chain}/begun.json, que falta",
                "{chain}: not compared with runs/{chain}/begun.json, which is missing",
            ));
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
