//! Lines as sentences, in the operators' language.

use policy::language::Language;
use policy::tr;

use crate::content::KeyRange;
use crate::judge::{Check, Figure, Line, Verdict};
use crate::reading::{Failure, FailureKind};
use crate::structure::Aspect;

/// Longest definition that a sentence quotes, in characters; the line has all of it.
const QUOTE: usize = 200;

/// Characters that a sentence quotes before two definitions differ.
const BEFORE: usize = 60;

/// A line as one sentence without its verdict: check, object and figure; and after it what to do, if there is anything.
pub fn sentence(line: &Line, language: Language) -> String {
    let Line { check, object, figure, .. } = line;
    let mut sentence = format!("{}: {}", self::check(*check, language), plain(object));
    let code = matches!(check, Check::Structure(aspect) if is_code(*aspect));
    let figure = self::figure(figure, code, language);
    if !figure.is_empty() {
        sentence.push_str(": ");
        sentence.push_str(&figure);
    }
    sentence.push('.');
    if line.verdict > Verdict::Unavailable
        && let Some(advice) = advice(line, language)
    {
        sentence.push(' ');
        sentence.push_str(advice);
    }
    sentence
}

/// A check's name.
pub fn check(check: Check, language: Language) -> &'static str {
    match check {
        Check::Critical => language.pick("a tabela crítica existe", "the critical table exists"),
        Check::Structure(aspect) => self::aspect(aspect, language),
        Check::Collation => language.pick("versão da collation", "version of the collation"),
        Check::Rows => language.pick("número de linhas", "number of rows"),
        Check::Content => language.pick("todas as linhas, lidas até o fim", "all rows, read to their end"),
        Check::Keys => language.pick("menor e maior chave", "least and greatest key"),
        Check::Sample => language.pick("amostra das primeiras linhas", "sample of the first rows"),
        Check::ForeignKey => language.pick("chave estrangeira", "foreign key"),
        Check::Sequence => language.pick("sequência diante de suas colunas", "sequence against its columns"),
        Check::Newest => language.pick("idade da linha mais nova", "age of the newest row"),
        Check::Chain => language.pick("cadeia de resumos da auditoria", "chain of audit digests"),
        Check::Heap => language.pick("páginas da tabela", "the table's pages"),
        Check::Index => language.pick("páginas do índice", "the index's pages"),
        Check::Checksums => language.pick("somas de verificação das páginas", "checksums of pages"),
        Check::Complete => language.pick("leitura completa", "complete reading"),
        Check::Version => language.pick("versão principal do snapshot", "the snapshot's major version"),
    }
}

fn aspect(aspect: Aspect, language: Language) -> &'static str {
    match aspect {
        Aspect::Database => language.pick("configuração do banco", "settings of the database"),
        Aspect::Schema => language.pick("schemas", "schemas"),
        Aspect::Extension => language.pick("extensões", "extensions"),
        Aspect::Type => language.pick("tipos", "types"),
        Aspect::Table => language.pick("tabelas", "tables"),
        Aspect::Column => language.pick("colunas", "columns"),
        Aspect::Constraint => language.pick("restrições", "constraints"),
        Aspect::Index => language.pick("índices", "indexes"),
        Aspect::Trigger => language.pick("gatilhos", "triggers"),
        Aspect::Policy => language.pick("políticas de acesso a linhas", "row-level policies"),
        Aspect::View => language.pick("visões", "views"),
        Aspect::MaterializedView => language.pick("visões materializadas", "materialized views"),
        Aspect::Function => language.pick("funções", "functions"),
        Aspect::Sequence => language.pick("configuração das sequências", "settings of sequences"),
        Aspect::Rule => language.pick("regras", "rules"),
        Aspect::EventTrigger => language.pick("gatilhos de eventos", "event triggers"),
        Aspect::Publication => language.pick("publicações", "publications"),
        Aspect::Statistics => language.pick("estatísticas estendidas", "extended statistics"),
        Aspect::Privilege => language.pick("privilégios", "privileges"),
        Aspect::DefaultPrivilege => language.pick("privilégios padrão", "default privileges"),
    }
}

/// The literals of `code` stay out.
fn figure(figure: &Figure, code: bool, language: Language) -> String {
    let shown = |text: &str| if code { without_literals(text) } else { text.to_owned() };
    match figure {
        Figure::None => String::new(),
        Figure::Equal { objects } => tr!(language, "{objects} iguais", "{objects} equal"),
        Figure::Missing { expected } => {
            let expected = quote(&shown(expected));
            tr!(
                language,
                "falta na cópia; na origem: {expected}",
                "missing in the copy; in the source: {expected}"
            )
        }
        Figure::Extra { found } => {
            let found = quote(&shown(found));
            tr!(language, "só existe na cópia: {found}", "exists in the copy only: {found}")
        }
        Figure::Differs { expected, found } => {
            let (expected, found) = difference(&shown(expected), &shown(found));
            tr!(
                language,
                "na origem: {expected}; na cópia: {found}",
                "in the source: {expected}; in the copy: {found}"
            )
        }
        Figure::Versions { recorded, actual } => {
            let actual = actual.as_deref().unwrap_or("?");
            tr!(
                language,
                "índices feitos com {recorded}, servidor com {actual}",
                "indexes built with {recorded}, server has {actual}"
            )
        }
        Figure::Rows { copy, before, after } => {
            let (before, after) = (count(*before, language), count(*after, language));
            tr!(
                language,
                "{copy} na cópia; na origem {before} antes e {after} depois do snapshot",
                "{copy} in the copy; in the source {before} before and {after} after the snapshot"
            )
        }
        Figure::Buckets { fixed, differing } => tr!(
            language,
            "{differing} de {fixed} grupos de linhas sem mudança na origem diferem na cópia",
            "{differing} of {fixed} groups of rows that did not change in the source differ in the copy"
        ),
        Figure::Hashed { rows } => tr!(language, "{rows} linhas pelo hash", "{rows} rows by hash"),
        Figure::Volatile { rows } => tr!(
            language,
            "{rows} linhas; volátil pela política, não comparada com a origem",
            "{rows} rows; volatile by the policy, not compared with the source"
        ),
        Figure::Orphans { orphans } => {
            tr!(language, "{orphans} linhas apontam para nada", "{orphans} rows point to nothing")
        }
        Figure::Sequence { next, furthest } => {
            let furthest =
                furthest.map_or_else(|| none(language).to_owned(), |furthest| furthest.to_string());
            tr!(
                language,
                "próximo valor {next}, último nas colunas {furthest}",
                "next value {next}, last in the columns {furthest}"
            )
        }
        Figure::Again { next, source } => tr!(
            language,
            "próximo valor {next}; a origem já dava {source} antes do snapshot",
            "next value {next}; the source already gave {source} before the snapshot"
        ),
        Figure::Age { seconds, limit, source_same } => age(*seconds, *limit, *source_same, language),
        Figure::Chain { rows, without, broken, first } => {
            let first = first.map(|first| tr!(language, ", o primeiro em {first}", ", the first at {first}"));
            let first = first.unwrap_or_default();
            tr!(
                language,
                "{rows} linhas, {without} sem resumo, {broken} elos partidos{first}",
                "{rows} rows, {without} without digest, {broken} broken links{first}"
            )
        }
        Figure::Pages { bytes } => tr!(language, "{bytes} bytes íntegros", "{bytes} bytes are sound"),
        Figure::Problems { problems, first } => {
            let first = quote(first);
            tr!(
                language,
                "{problems} problemas; o primeiro: {first}",
                "{problems} problems; the first: {first}"
            )
        }
        Figure::Failure(failure) => self::failure(failure, language),
        Figure::Keys { expected, found } => {
            let (expected, found) = (range(expected.as_ref(), language), range(found.as_ref(), language));
            tr!(
                language,
                "na origem {expected}; na cópia {found}",
                "in the source {expected}; in the copy {found}"
            )
        }
        Figure::Left { objects: 0, .. } => language.pick("nada falta", "nothing is left").to_owned(),
        Figure::Left { objects, bytes } => {
            tr!(
                language,
                "faltam {objects} objetos, {bytes} bytes",
                "{objects} objects are left, {bytes} bytes"
            )
        }
        Figure::NoReference => language.pick("a origem não foi lida", "the source was not read").to_owned(),
    }
}

/// What to do about it, where the figure does not say it.
fn advice(line: &Line, language: Language) -> Option<&'static str> {
    let failure = match &line.figure {
        Figure::Failure(failure) => Some(failure.kind),
        _ => None,
    };
    Some(match (line.check, failure) {
        (_, Some(FailureKind::Denied)) => language.pick(
            "Dê ao papel que lê o direito que falta.",
            "Give the reading role the right that it lacks.",
        ),
        (_, Some(FailureKind::Locked)) => language.pick(
            "Repita a leitura quando a migração tiver terminado.",
            "Repeat the reading after the migration.",
        ),
        (_, Some(FailureKind::TimedOut)) => language.pick(
            "Aumente o tempo limite por comando ou a classe da instância.",
            "Raise the statement time-out or the instance's class.",
        ),
        (Check::Version, _) => language.pick(
            "O RDS não restaura mais a versão do snapshot: atualize a origem.",
            "RDS no longer restores the snapshot's version: upgrade the source.",
        ),
        (Check::Collation, None) => language.pick(
            "Recrie com REINDEX os índices sobre texto e registre a versão com ALTER DATABASE ou ALTER COLLATION … REFRESH VERSION.",
            "Rebuild indexes on text with REINDEX, then record the version with ALTER DATABASE or ALTER COLLATION … REFRESH VERSION.",
        ),
        (Check::Index, _) if line.verdict == Verdict::Fail => {
            language.pick("Recrie o índice com REINDEX.", "Rebuild the index with REINDEX.")
        }
        (Check::Heap | Check::Content, Some(FailureKind::Corrupt)) | (Check::Heap, None) => language.pick(
            "O snapshot contém dados danificados: prove um anterior.",
            "The snapshot holds damaged data: prove an earlier one.",
        ),
        (Check::Sequence, None) if line.verdict == Verdict::Fail => language.pick(
            "Avance a sequência com setval antes de usar a cópia.",
            "Move the sequence on with setval before the copy is used.",
        ),
        _ => return None,
    })
}

fn age(seconds: Option<i64>, limit: i64, source_same: bool, language: Language) -> String {
    let limit = limit / 60;
    let same = match source_same {
        true => language.pick(", igual à origem", ", as in the source"),
        false => "",
    };
    match seconds.map(|seconds| seconds / 60) {
        Some(minutes) => tr!(
            language,
            "{minutes} min no momento do snapshot, limite {limit} min{same}",
            "{minutes} min at the snapshot's time, limit {limit} min{same}"
        ),
        None => tr!(language, "nenhuma linha, limite {limit} min{same}", "no row, limit {limit} min{same}"),
    }
}

/// Why an object was not read.
pub fn failure(failure: &Failure, language: Language) -> String {
    let mut text = match failure.kind {
        FailureKind::Denied => language.pick("o papel não pode ler", "the role may not read it"),
        FailureKind::Corrupt => language.pick("dados danificados", "damaged data"),
        FailureKind::TimedOut => {
            language.pick("demorou demais, também em partes", "took too long, in parts too")
        }
        FailureKind::Locked => {
            language.pick("outra sessão o mantém bloqueado", "another session keeps it locked")
        }
        FailureKind::Vanished => language.pick("não existe", "does not exist"),
        FailureKind::Unavailable => {
            language.pick("este servidor não tem essa verificação", "this server has no such check")
        }
        FailureKind::Other => language.pick("não pôde ser lido", "could not be read"),
    }
    .to_owned();
    let notes: Vec<&str> = failure
        .sqlstate
        .as_deref()
        .into_iter()
        .chain([failure.message.as_str()])
        .filter(|note| !note.is_empty())
        .collect();
    if !notes.is_empty() {
        text.push_str(&format!(" ({})", plain(&notes.join(", "))));
    }
    text
}

fn range(keys: Option<&KeyRange>, language: Language) -> String {
    match keys {
        Some(KeyRange { least, greatest }) => tr!(language, "{least} a {greatest}", "{least} to {greatest}"),
        None => none(language).to_owned(),
    }
}

fn count(rows: Option<u64>, language: Language) -> String {
    rows.map_or_else(|| language.pick("não lida", "not read").to_owned(), |rows| rows.to_string())
}

fn none(language: Language) -> &'static str {
    language.pick("nenhum", "none")
}

/// One line: a name or definition with line breaks must not look like another line of the report.
fn plain(text: &str) -> String {
    let unsafe_character = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let text = text.replace(unsafe_character, " ");
    text.split_whitespace().collect::<Vec<&str>>().join(" ")
}

/// Kinds whose definitions are code, in which a literal can be a key or password.
fn is_code(aspect: Aspect) -> bool {
    use Aspect::{Function, MaterializedView, Policy, Rule, Trigger, View};
    matches!(aspect, View | MaterializedView | Rule | Trigger | Policy | Function)
}

/// The definition with `'…'` for each literal, in which the server writes a quote twice.
fn without_literals(definition: &str) -> String {
    let parts = definition.replace("''", "").split('\'').map(str::to_owned).collect::<Vec<String>>();
    let each = |(place, part): (usize, String)| if place % 2 == 1 { "'…'".to_owned() } else { part };
    parts.into_iter().enumerate().map(each).collect()
}

/// Both definitions, from a little before they differ.
fn difference(one: &str, other: &str) -> (String, String) {
    let (one, other) = (plain(one), plain(other));
    let same = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let skipped = if same < QUOTE / 2 { 0 } else { same - BEFORE };
    let part = |text: &str| {
        let rest: String = text.chars().skip(skipped).collect();
        format!("{}{}", if skipped == 0 { "" } else { "…" }, quote(&rest))
    };
    (part(&one), part(&other))
}

fn quote(definition: &str) -> String {
    let text = plain(definition);
    match text.char_indices().nth(QUOTE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
