//! Sentences.

use shared::runtime::language::Language;
use shared::tr;

use crate::rules::line::{Line, Outcome, Verdict};
use crate::rules::progress::Progress;
use crate::rules::row::Stratum;

/// A count with the language's separator of thousands.
pub(super) fn number(count: u64, language: Language) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(if language == Language::Portuguese { '.' } else { ',' });
        }
        text.push(digit);
    }
    text
}

/// Tenths of a percent.
fn percent(permille: u64, language: Language) -> String {
    let separator = if language == Language::Portuguese { ',' } else { '.' };
    format!("{}{separator}{} %", permille / 10, permille % 10)
}

/// Foreign text in a message or record: an error's, or a name. It cannot begin a line, a format or a code, or hide a part.
pub(super) fn visible(foreign: &str) -> String {
    let is_seen = |c: char| (c.is_alphanumeric() || c.is_ascii_graphic() || c == ' ') && !"*`".contains(c);
    foreign.chars().map(|c| if is_seen(c) { c } else { '?' }).collect()
}

/// A line of the record: check, object, kind and details.
pub(crate) fn line(line: &Line) -> String {
    let Line { object, check, outcome, .. } = line;
    format!("{} {object} {}: {}", check.word(), outcome.kind(), sentence(outcome, Language::English))
}

/// The run's result in one sentence, with its confidence.
pub(crate) fn result(progress: &Progress, language: Language) -> String {
    let confidence = progress.confidence();
    let say = |count: u64| number(count, language);
    let (seed, all) = (&progress.seed, say(progress.population));
    let tested = say(u64::try_from(progress.sample.len()).unwrap_or(u64::MAX));
    let random = say(confidence.tested);
    let chosen = tr!(
        language,
        "{tested} de {all} anexos testados (semente {seed})",
        "tested {tested} of {all} attachments (seed {seed})",
    );
    if progress.population == 0 {
        return tr!(language, "o banco não tem anexos", "the database has no attachments");
    }
    if confidence.tested == 0 {
        return tr!(
            language,
            "{chosen}; nenhum dos sorteados pôde ser comparado, e a amostra não diz nada dos outros",
            "{chosen}; no randomly chosen one could be compared, so the sample says nothing about the others",
        );
    }
    let most = percent(confidence.permille(), language);
    if confidence.tested < confidence.drawn {
        let (drawn, damaged) = (say(confidence.drawn), say(confidence.damaged));
        let unknown = say(confidence.drawn - confidence.tested);
        return tr!(
            language,
            "{chosen}; de {drawn} sorteados, {random} comparados, {damaged} com dano; contando como danificados os {unknown} sem comparação, no máximo {most} de todos, com 95 % de confiança",
            "{chosen}; of {drawn} randomly chosen, {random} compared, {damaged} damaged; counting the {unknown} not compared as damaged, at most {most} of all, at 95 % confidence",
        );
    }
    if confidence.damaged == 0 {
        return tr!(
            language,
            "{chosen}; com {random} sorteados de {all} íntegros, no máximo {most} estão danificados, com 95 % de confiança",
            "{chosen}; with {random} randomly chosen of {all} sound, at most {most} are damaged, at 95 % confidence",
        );
    }
    let damaged = say(confidence.damaged);
    tr!(
        language,
        "{chosen}; de {random} sorteados, {damaged} com dano: no máximo {most} de todos, com 95 % de confiança",
        "{chosen}; of {random} randomly chosen, {damaged} damaged: at most {most} of all, at 95 % confidence",
    )
}

/// What the run noticed beside its lines.
pub(crate) fn notes(progress: &Progress, language: Language) -> Vec<String> {
    let mut notes = Vec::new();
    let say = |count: u64| number(count, language);
    if !progress.unsampled.is_empty() {
        let name = |stratum: &Stratum| match stratum {
            Stratum::Recent => language.pick("recentes", "recent"),
            Stratum::Old => language.pick("antigos", "old"),
            Stratum::Large => language.pick("grandes", "large"),
            Stratum::Random => language.pick("sorteados", "random"),
            Stratum::Listed => language.pick("listados", "listed"),
        };
        let parts: Vec<_> = progress.unsampled.iter().map(name).collect();
        let parts = parts.join(", ");
        notes.push(tr!(
            language,
            "a tabela não tem as colunas para escolher os {parts} (created_at, size_bytes)",
            "the table lacks the columns to choose the {parts} ones (created_at, size_bytes)",
        ));
    }
    let Some(listing) = &progress.listing else {
        notes.push(tr!(
            language,
            "há mais anexos do que uma listagem compara (attachments.listing_pages da política): só a amostra diz o que falta",
            "there are more attachments than a list compares (attachments.listing_pages of the policy): only the sample shows what is missing",
        ));
        return notes;
    };
    let keys = say(listing.keys);
    if let Some(missing) = listing.missing.filter(|missing| *missing > 0) {
        let missing = say(missing);
        notes.push(tr!(
            language,
            "linhas do banco sem objeto entre {keys} chaves do bucket: {missing}",
            "rows of the database without an object among {keys} keys of the bucket: {missing}",
        ));
    }
    if !listing.is_complete {
        notes.push(tr!(
            language,
            "só as primeiras {keys} chaves do bucket foram listadas (attachments.listing_pages da política)",
            "only the first {keys} keys of the bucket were listed (attachments.listing_pages of the policy)",
        ));
    }
    if listing.orphans > 0 {
        let (orphans, named) = (say(listing.orphans), listing.named.join(", "));
        notes.push(tr!(
            language,
            "chaves do bucket sem linha em attachments: {orphans} de {keys} (certificados e formulários também gravam ali): {named}",
            "{orphans} of {keys} keys of the bucket without a row in attachments (certificates and forms write there, too): {named}",
        ));
    }
    notes
}

/// The first characters of a hash, which suffice to compare.
fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}

/// An outcome in one sentence.
pub(crate) fn sentence(outcome: &Outcome, language: Language) -> String {
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english).to_owned();
    match outcome {
        Outcome::Sound { bytes } => tr!(language, "íntegro, {bytes} bytes", "sound, {bytes} bytes"),
        Outcome::NoSize => say("a linha não tem tamanho", "the row has no size"),
        Outcome::OddChecksum => say(
            "o checksum da linha não é um SHA-256: nada diz qual é o conteúdo certo",
            "the row's checksum is no SHA-256: nothing says what the content must be",
        ),
        Outcome::NoChecksum => say(
            "a linha não tem SHA-256: nada diz qual é o conteúdo certo",
            "the row has no SHA-256: nothing says what the content must be",
        ),
        Outcome::OtherBucket { bucket } => {
            let bucket = visible(bucket);
            tr!(
                language,
                "o objeto está em outro bucket, {bucket}",
                "the object is in another bucket, {bucket}"
            )
        }
        Outcome::UnknownPlace => say(
            "a linha não diz onde o arquivo está, ou tem um id que não é da aplicação",
            "the row does not say where the file is, or has an id that is not the application's",
        ),
        Outcome::Unreadable { why } => {
            let why = visible(why);
            tr!(language, "não pôde ser lido: {why}", "could not be read: {why}")
        }
        Outcome::TooLarge { bytes, .. } => tr!(
            language,
            "tem {bytes} bytes, mais do que o teste lê (1 GiB)",
            "has {bytes} bytes, more than the test reads (1 GiB)",
        ),
        Outcome::NotAllListed { pages } => tr!(
            language,
            "objetos apagados só foram procurados em {pages} páginas de versões, e o bucket tem mais",
            "deleted objects were looked for in {pages} pages of versions only, and the bucket has more",
        ),
        Outcome::NotConfirmed { why } => {
            let why = visible(why);
            tr!(
                language,
                "as linhas com falha não foram lidas de novo, e alguma pode ter mudado durante o teste: {why}",
                "the rows with a failure were not read again, and some may have changed during the test: {why}",
            )
        }
        Outcome::Changed => {
            say("mudou ou foi apagado durante o teste", "changed or was deleted during the test")
        }
        Outcome::NoUploads { bucket } => tr!(
            language,
            "não há bucket {bucket} com os uploads on-prem",
            "there is no bucket {bucket} with the on-premises uploads",
        ),
        Outcome::NotDue => say(
            "é mais novo que o último envio on-prem que já devia ter acontecido",
            "is newer than the last on-premises synchronisation that is due",
        ),
        Outcome::NoApplication => say(
            "a stack não tem AppUrl e SmokeSecretName: nada foi baixado pela API",
            "the stack has no AppUrl and SmokeSecretName: nothing was downloaded through the API",
        ),
        Outcome::NoAccount { why } => {
            let why = visible(why);
            tr!(
                language,
                "a conta de teste não pode ser usada: {why}",
                "the smoke account cannot be used: {why}"
            )
        }
        Outcome::MaskedLogin => say(
            "o login responde um token mascarado: nenhum cliente entra",
            "the login answers a masked token: no client can log in",
        ),
        Outcome::SecondFactor => {
            say("a conta de teste exige um segundo fator", "the smoke account requires a second factor")
        }
        Outcome::LoginFailed { answer } => {
            let answer = visible(answer);
            tr!(
                language,
                "o login da conta de teste falhou: {answer}",
                "the smoke account's login failed: {answer}"
            )
        }
        Outcome::RateLimited => say(
            "a aplicação limitou as requisições (retry-after)",
            "the application limited the requests (retry-after)",
        ),
        Outcome::NotServed { status } => tr!(
            language,
            "a API respondeu {status}, que nada diz do arquivo",
            "the API answered {status}, which says nothing about the file",
        ),
        Outcome::NotChecked => say("não houve tempo", "there was no time"),
        Outcome::Missing => say(
            "o banco tem a linha, e o bucket não tem o objeto nem uma versão dele",
            "the database has the row, and the bucket has neither the object nor a version of it",
        ),
        Outcome::Absent { why } => {
            let why = visible(why);
            tr!(
                language,
                "o banco tem a linha, o bucket não tem o objeto, e se há versões não se sabe: {why}",
                "the database has the row, the bucket does not have the object, and whether there are versions is not known: {why}",
            )
        }
        Outcome::KeyUnusable { code, .. } => tr!(
            language,
            "o objeto existe e ninguém o lê: o KMS recusa a chave dele ({code})",
            "the object exists and nobody can read it: KMS refuses its key ({code})",
        ),
        Outcome::BrokenOff { why, .. } => {
            let why = visible(why);
            tr!(
                language,
                "o objeto existe e nenhuma de 3 tentativas o leu até o fim: {why}",
                "the object exists and none of 3 attempts read it to its end: {why}",
            )
        }
        Outcome::Archived { .. } => say(
            "o objeto está arquivado, e ninguém o lê sem trazê-lo de volta",
            "the object is in an archive, and nobody can read it before it is brought back",
        ),
        Outcome::Hidden { marker } => tr!(
            language,
            "o objeto está apagado pelo marcador {marker}, e o conteúdo ainda existe",
            "the delete marker {marker} hides the object, whose content still exists",
        ),
        Outcome::WrongSize { expected, found, .. } => tr!(
            language,
            "tem {found} bytes, e o banco diz {expected}",
            "has {found} bytes, and the database says {expected}",
        ),
        Outcome::WrongContent { expected, found, .. } => {
            let (expected, found) = (short(expected), short(found));
            tr!(
                language,
                "tem o SHA-256 {found}…, e o banco diz {expected}…",
                "has the SHA-256 {found}…, and the database says {expected}…",
            )
        }
        Outcome::RestoreDiffers { version } => tr!(
            language,
            "a cópia restaurada difere da versão {version}",
            "the restored copy differs from the version {version}",
        ),
        Outcome::NotSent { bucket } => {
            tr!(
                language,
                "o envio on-prem não o pôs em {bucket}",
                "the on-premises synchronisation did not put it into {bucket}"
            )
        }
        Outcome::SentDiffers { bucket } => tr!(
            language,
            "o arquivo em {bucket} não tem o conteúdo que o banco diz",
            "the file in {bucket} does not have the content that the database says",
        ),
        Outcome::ServedDiffers { found } => {
            let (bytes, hash) = (found.bytes, short(&found.sha256));
            tr!(
                language,
                "a API entrega outros {bytes} bytes (SHA-256 {hash}…)",
                "the API delivers {bytes} other bytes (SHA-256 {hash}…)",
            )
        }
        Outcome::ServedJson => say(
            "a API responde o JSON da linha no lugar do arquivo, também com download=1",
            "the API answers the row's JSON in place of the file, also with download=1",
        ),
        Outcome::ServeFailed { status } => tr!(
            language,
            "a API respondeu {status} ao download",
            "the API answered the download with {status}",
        ),
    }
}

/// The verdict as a word for people.
pub(super) fn word(verdict: Verdict, language: Language) -> &'static str {
    match verdict {
        Verdict::Pass => language.pick("íntegros", "sound"),
        Verdict::Unverified => language.pick("não verificados por completo", "not fully verified"),
        Verdict::NotFinished => language.pick("não terminou", "not finished"),
        Verdict::Fail => language.pick("há dano", "damage found"),
    }
}
