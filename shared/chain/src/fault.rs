//! Faults of a chain: the object, the fact, and the next step.

use jiff::Timestamp;
use policy::language::Language;
use policy::tr;

use crate::{Stack, Witness};

/// One thing that is wrong with a chain.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Fault {
    /// The chain: its procedure, or `anchors`.
    pub chain: String,
    /// Sequence of the object; none if its key is that of no object of the chain.
    pub sequence: Option<u64>,
    /// Key of the object. Like everything that an object says, it is foreign text.
    pub key: String,
    /// The fault's kind.
    pub harm: Harm,
}

/// Damage to an object of a chain, or to the chain at its place.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Harm {
    /// No object is at this place, or at any up to `to`.
    Missing {
        /// Sequence of the last missing object.
        to: u64,
    },
    /// Its SHA-256 is not the one that the next object names.
    Altered {
        /// Sequence of the next object.
        by: u64,
    },
    /// It does not name the object before it as the previous one.
    Mislinked,
    /// It says that it has another place in the chain.
    Misplaced {
        /// The sequence that it says.
        says: u64,
    },
    /// It is a record of another procedure.
    OtherProcedure {
        /// The procedure that it says.
        says: String,
    },
    /// It belongs to another stack.
    OtherStack {
        /// The stack that it says.
        says: Stack,
    },
    /// It is an anchor of another evidence bucket.
    OtherBucket {
        /// The bucket that it says.
        says: String,
    },
    /// It is not in the form in which this product writes it.
    Invalid {
        /// The reason.
        reason: String,
    },
    /// It is in a form that this version does not know: a newer version's, or forged.
    OtherForm {
        /// The form that it says.
        schema: u32,
    },
    /// It is larger than any object that is read.
    TooLarge {
        /// Its size, in bytes.
        bytes: u64,
    },
    /// An object that has no place in the chain.
    Foreign,
    /// A chain of a procedure that is none of [`PROCEDURES`](crate::PROCEDURES).
    NoProcedure,
    /// A delete marker hides it.
    Hidden {
        /// Version id of the marker.
        marker: String,
    },
    /// Its key was written more than once.
    Replaced {
        /// The ids of all its versions, oldest first.
        versions: Vec<String>,
    },
    /// No run noted this place before it was written.
    Unnoted {
        /// Sequence of the place that the record's run noted; none without a note.
        noted: Option<u64>,
    },
    /// Its SHA-256 is not the one that a witness names.
    Contradicted {
        /// The witness.
        witness: Witness,
    },
    /// A witness shows that this object existed, and the chain ends before it.
    Truncated {
        /// The witness.
        witness: Witness,
        /// Sequence of the newest object.
        end: u64,
    },
    /// A witness shows that this object existed, and the chain has none.
    Gone {
        /// The witness.
        witness: Witness,
    },
}

/// An object that could not be read. Its neighbours' links are not verified.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Unknown {
    /// The chain: its procedure, or `anchors`.
    pub chain: String,
    /// Sequence of the object, if it has one.
    pub sequence: Option<u64>,
    /// Key of the object.
    pub key: String,
    /// Why it was not read.
    pub reason: String,
}

impl Fault {
    /// The fault's stable name.
    pub fn kind(&self) -> &'static str {
        match &self.harm {
            Harm::Missing { .. } => "EvidenceMissing",
            Harm::Altered { .. } => "EvidenceAltered",
            Harm::Mislinked => "EvidenceMislinked",
            Harm::Misplaced { .. } => "EvidenceMisplaced",
            Harm::OtherProcedure { .. } => "EvidenceOfOtherProcedure",
            Harm::OtherStack { .. } => "EvidenceOfOtherStack",
            Harm::OtherBucket { .. } => "EvidenceOfOtherBucket",
            Harm::Invalid { .. } => "EvidenceInvalid",
            Harm::OtherForm { .. } => "EvidenceOfOtherForm",
            Harm::TooLarge { .. } => "EvidenceTooLarge",
            Harm::Foreign => "EvidenceForeign",
            Harm::NoProcedure => "EvidenceOfNoProcedure",
            Harm::Hidden { .. } => "EvidenceHidden",
            Harm::Replaced { .. } => "EvidenceReplaced",
            Harm::Unnoted { .. } => "EvidenceUnnoted",
            Harm::Contradicted { .. } => "EvidenceContradicted",
            Harm::Truncated { .. } => "EvidenceTruncated",
            Harm::Gone { .. } => "EvidenceGone",
        }
    }

    /// The fact, in one clause without a full stop. It may hold foreign text.
    pub fn what(&self, language: Language) -> String {
        let Self { chain, key, .. } = self;
        let one = self.object(language);
        match &self.harm {
            Harm::Missing { to } if self.sequence != Some(*to) => {
                let from = self.sequence.unwrap_or_default();
                tr!(
                    language,
                    "{chain}: faltam os números {from} a {to}",
                    "{chain}: numbers {from} to {to} are missing"
                )
            }
            Harm::Missing { .. } => tr!(language, "{one} de {chain} falta", "{one} of {chain} is missing"),
            Harm::Altered { by } => tr!(
                language,
                "{one} de {chain} não é o que o número {by} nomeia pelo SHA-256: foi alterado, ou a cadeia foi reescrita a partir do número {by}",
                "{one} of {chain} is not the one that number {by} names by its SHA-256: it was altered, or the chain was rewritten from number {by} on",
            ),
            Harm::Mislinked => tr!(
                language,
                "{one} de {chain} não nomeia o anterior",
                "{one} of {chain} does not name the one before it",
            ),
            Harm::Misplaced { says } => tr!(
                language,
                "no lugar d{one} de {chain} está o número {says}",
                "in the place of {one} of {chain} is number {says}",
            ),
            Harm::OtherProcedure { says } => tr!(
                language,
                "no lugar d{one} de {chain} está um registro de {says}",
                "in the place of {one} of {chain} is a record of {says}",
            ),
            Harm::OtherStack { says: Stack { project, environment } } => tr!(
                language,
                "no lugar d{one} de {chain} está um de outra stack: {project}, {environment}",
                "in the place of {one} of {chain} is one of another stack: {project}, {environment}",
            ),
            Harm::OtherBucket { says } => tr!(
                language,
                "{one} de {chain} é de outro bucket de evidência: {says}",
                "{one} of {chain} is of another evidence bucket: {says}",
            ),
            Harm::Invalid { reason } => tr!(
                language,
                "{one} de {chain} não tem a forma em que as funções gravam: {reason}",
                "{one} of {chain} is not in the form that the functions write: {reason}",
            ),
            Harm::OtherForm { schema } => tr!(
                language,
                "{one} de {chain} está na forma {schema}, que esta versão não conhece",
                "{one} of {chain} is in form {schema}, which this version does not know",
            ),
            Harm::TooLarge { bytes } => tr!(
                language,
                "{one} de {chain} tem {bytes} bytes, mais do que se lê",
                "{one} of {chain} has {bytes} bytes, more than is read",
            ),
            Harm::Foreign => {
                tr!(language, "{key} não é um objeto da cadeia", "{key} is no object of the chain")
            }
            Harm::NoProcedure => tr!(
                language,
                "{key}: o produto não tem um procedimento {chain}",
                "{key}: the product has no procedure {chain}",
            ),
            Harm::Hidden { marker } => tr!(
                language,
                "um delete marker esconde {one} de {chain} (versão {marker})",
                "a delete marker hides {one} of {chain} (version {marker})",
            ),
            Harm::Replaced { versions } => {
                let versions = versions.join(", ");
                tr!(
                    language,
                    "{one} de {chain} foi gravado mais de uma vez (versões, a mais antiga primeiro: {versions})",
                    "{one} of {chain} was written more than once (versions, oldest first: {versions})",
                )
            }
            Harm::Unnoted { noted: None } => tr!(
                language,
                "nenhuma execução anotou {one} de {chain} antes de gravar, como as funções fazem",
                "no run noted {one} of {chain} before it was written, as the functions do",
            ),
            Harm::Unnoted { noted: Some(noted) } => tr!(
                language,
                "a execução que {one} de {chain} diz ser anotou o número {noted}",
                "the run that {one} of {chain} claims to be noted number {noted}",
            ),
            Harm::Contradicted { witness } => {
                let witness = witness.name(language);
                tr!(
                    language,
                    "{one} de {chain} não é o que {witness} nomeia",
                    "{one} of {chain} is not the one that {witness} names",
                )
            }
            Harm::Truncated { witness, end } => {
                let witness = witness.name(language);
                tr!(
                    language,
                    "{chain} termina no número {end}, e {witness} mostra que existia {one}",
                    "{chain} ends at number {end}, and {witness} shows that {one} existed",
                )
            }
            Harm::Gone { witness } => {
                let witness = witness.name(language);
                tr!(
                    language,
                    "de {chain} não resta nada, e {witness} mostra que existia {one}",
                    "nothing of {chain} is left, and {witness} shows that {one} existed",
                )
            }
        }
    }

    /// The next step for a person, in one sentence.
    pub fn next(&self, language: Language) -> &'static str {
        match &self.harm {
            Harm::Hidden { .. } => language.pick(
                "ver no CloudTrail quem escondeu; depois, quem publica a stack (DeployerArns) tira o marcador (docs/implantacao.md)",
                "find out in CloudTrail who hid it; then a principal that deploys the stack (DeployerArns) removes the marker (docs/implantacao.md)",
            ),
            Harm::Replaced { .. } => language.pick(
                "guardar todas as versões, a mais antiga é a verdadeira; ver no CloudTrail quem gravou as outras (docs/implantacao.md)",
                "keep all versions, the oldest is the true one; find out in CloudTrail who wrote the others (docs/implantacao.md)",
            ),
            Harm::TooLarge { .. } => language.pick(
                "ver no CloudTrail quem gravou o objeto, e guardá-lo; as funções cortam um registro acima de 1 MiB",
                "find out in CloudTrail who wrote the object, and keep it; the functions cut a record above 1 MiB",
            ),
            Harm::Foreign => language.pick(
                "ver no CloudTrail quem gravou o objeto, e guardá-lo; não é das funções",
                "find out in CloudTrail who wrote the object, and keep it; no function wrote it",
            ),
            Harm::Truncated { witness: Witness::Note { .. } | Witness::Anchor { .. }, .. } => language.pick(
                "se isto é uma cópia, copiar o bucket de novo, as âncoras primeiro: uma execução pode ter gravado durante a cópia; se continuar, não mudar nada, guardar o bucket com todas as versões e ver no CloudTrail quem apagou (docs/auditor.md, Quando algo não confere)",
                "if this is a copy, copy the bucket again, the anchors first: a run may have written during the copy; if it stays, change nothing, keep the bucket with all its versions, and find out in CloudTrail who deleted (docs/auditor.md, Quando algo não confere)",
            ),
            Harm::OtherForm { .. } | Harm::NoProcedure => language.pick(
                "conferir com a versão mais nova deste programa; se ela também não conhece a forma ou o procedimento, ver no CloudTrail quem gravou",
                "verify with the newest version of this program; if it does not know the form or the procedure either, find out in CloudTrail who wrote it",
            ),
            Harm::OtherBucket { .. } => language.pick(
                "cada bucket de evidência precisa de um lugar só seu para as âncoras: corrigir AnchorBucketName de uma das stacks",
                "each evidence bucket needs a place of its own for its anchors: correct AnchorBucketName of one of the stacks",
            ),
            _ => language.pick(
                "não mudar nada; guardar o bucket com todas as versões e este resultado; ver no CloudTrail quem gravou ou apagou; comparar com uma cópia anterior (docs/auditor.md, Quando algo não confere)",
                "change nothing; keep the bucket with all its versions and this result; find out in CloudTrail who wrote or deleted; compare with an earlier copy (docs/auditor.md, Quando algo não confere)",
            ),
        }
    }

    /// The object, by its number, or by its key without one, as that of a copy.
    fn object(&self, language: Language) -> String {
        let Some(number) = self.sequence else {
            let key = &self.key;
            return tr!(language, "o arquivo {key}", "file {key}");
        };
        if self.chain == "anchors" {
            tr!(language, "o número {number}", "number {number}")
        } else {
            tr!(language, "o registro {number}", "record {number}")
        }
    }
}

impl Unknown {
    /// The object and the reason, in one clause. It may hold foreign text.
    pub fn what(&self, language: Language) -> String {
        let Self { chain, key, reason, .. } = self;
        tr!(
            language,
            "{chain}: {key} não pôde ser lido: {reason}",
            "{chain}: {key} could not be read: {reason}"
        )
    }
}

impl Witness {
    /// The witness, as a sentence names it.
    fn name(&self, language: Language) -> String {
        match self {
            Self::Earlier => language.pick("uma conferência anterior", "an earlier verification").to_owned(),
            Self::Anchor { key, at } => {
                let at = utc(*at);
                tr!(language, "a âncora de {at} ({key})", "the anchor of {at} ({key})")
            }
            Self::Begun { key } | Self::Note { key } => tr!(language, "a anotação {key}", "the note {key}"),
        }
    }
}

fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
