//! The text after `/incidente`.

use std::collections::BTreeMap;

use incident::text::desk::Form;
use serde_json::{Map, Value, json};

use super::submission::is_id;

/// What a slash command asks.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    /// What there is.
    Help,
    /// The open incidents.
    List,
    /// Who is on call now and next.
    OnCall,
    /// A form, about an incident or none, with a text to begin with.
    Open(Form, Option<String>, String),
    /// One incident.
    Show(String),
    /// A request, whole but for the person: its verb and fields.
    Ask(&'static str, Map<String, Value>),
    /// A word that is none of the commands.
    Unknown(String),
}

/// Reads a command, in Portuguese or English, with or without accents. A verb without what it needs opens its form.
/// `people` are the names of the policy by Slack id, which a mention has.
pub(crate) fn read(text: &str, people: &BTreeMap<&str, &str>) -> Command {
    let (first, rest) = split(text);
    match plain(first).as_str() {
        "" | "ajuda" | "help" => Command::Help,
        "abertos" | "lista" | "listar" | "open" | "list" => Command::List,
        "plantao" | "oncall" | "on-call" => Command::OnCall,
        "declarar" | "declare" => Command::Open(Form::Declare, None, rest.to_owned()),
        _ if is_id(&first.to_ascii_uppercase()) => about(&first.to_ascii_uppercase(), rest, people),
        _ => Command::Unknown(first.to_owned()),
    }
}

fn about(id: &str, text: &str, people: &BTreeMap<&str, &str>) -> Command {
    let (verb, rest) = split(text);
    let form = |form: Form| Command::Open(form, Some(id.to_owned()), rest.to_owned());
    let ask = |verb: &'static str, fields: &[(&str, Value)]| {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let own = [("incident".to_owned(), json!(id))];
        Command::Ask(verb, own.into_iter().chain(fields).collect())
    };
    // A verb with its one text, or its form.
    let said = |of: Form, field: &str, text: String| {
        if text.is_empty() { form(of) } else { ask(of.name(), &[(field, json!(text))]) }
    };
    let line = || one_line(rest);
    match plain(verb).as_str() {
        "" | "ver" | "show" => Command::Show(id.to_owned()),
        "assumir" | "ack" | "acknowledge" => ask("acknowledge", &[]),
        level @ ("s0" | "s1" | "s2" | "s3") => {
            let severity = ("severity", json!(level.to_uppercase()));
            match line() {
                reason if reason.is_empty() => ask("classify", &[severity]),
                reason => ask("classify", &[severity, ("reason", json!(reason))]),
            }
        }
        "severidade" | "severity" => form(Form::Classify),
        "ic" | "comando" | "command" if rest.is_empty() => ask("command", &[]),
        "ic" | "comando" | "command" => ask("command", &[("commander", json!(named(&line(), people)))]),
        "backup" if rest.is_empty() => form(Form::Command),
        "backup" => ask("command", &[("backup", json!(named(&line(), people)))]),
        "squad" | "chamar" | "call" => said(Form::Call, "squad", line()),
        "atualizar" | "update" => said(Form::Update, "text", rest.to_owned()),
        "mitigar" | "mitigate" => said(Form::Mitigate, "text", rest.to_owned()),
        "resolver" | "resolve" => said(Form::Resolve, "reason", line()),
        "reabrir" | "reopen" => said(Form::Reopen, "reason", line()),
        "falso" | "false" => said(Form::FalseAlarm, "reason", line()),
        "runbook" => said(Form::RunbookWrong, "reason", line()),
        "unir" | "juntar" | "merge" => {
            let (into, why) = split(rest);
            let into = ("into", json!(into.to_ascii_uppercase()));
            match one_line(why) {
                _ if rest.is_empty() => form(Form::Merge),
                why if why.is_empty() => ask("merge", &[into]),
                why => ask("merge", &[into, ("reason", json!(why))]),
            }
        }
        "dados" | "data" => decided(Form::SensitiveData, "compromised", id, rest),
        "simulado" | "drill" => decided(Form::Drill, "drill", id, rest),
        "clientes" | "customers" => form(Form::TellCustomers),
        "mais" | "more" => Command::Open(Form::More, Some(id.to_owned()), String::new()),
        _ => Command::Unknown(verb.to_owned()),
    }
}

/// A yes or a no, and why; without both, the form.
fn decided(form: Form, field: &'static str, id: &str, text: &str) -> Command {
    let (word, rest) = split(text);
    let is_yes = match plain(word).as_str() {
        "sim" | "yes" => Some(true),
        "nao" | "no" => Some(false),
        _ => None,
    };
    let reason = one_line(rest);
    match is_yes {
        Some(is_yes) if !reason.is_empty() => {
            let fields = [("incident", json!(id)), (field, json!(is_yes)), ("reason", json!(reason))];
            Command::Ask(
                form.name(),
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            )
        }
        _ => Command::Open(form, Some(id.to_owned()), reason),
    }
}

/// A person: the name in the policy if the text is a mention, `<@U024BE7LH|ana>`; otherwise the text itself.
fn named(text: &str, people: &BTreeMap<&str, &str>) -> String {
    let mention = text.strip_prefix("<@").and_then(|rest| rest.strip_suffix('>'));
    let id = mention.map(|mention| mention.split('|').next().unwrap_or(mention));
    match id {
        Some(id) => people.get(id).map_or_else(|| id.to_owned(), |name| (*name).to_owned()),
        None => text.trim_start_matches('@').to_owned(),
    }
}

/// The first word, and what follows it with its line breaks.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A word in small letters, without the accents of Portuguese.
fn plain(word: &str) -> String {
    let letter = |c: char| match c {
        'á' | 'à' | 'â' | 'ã' => 'a',
        'é' | 'ê' => 'e',
        'í' => 'i',
        'ó' | 'ô' | 'õ' => 'o',
        'ú' => 'u',
        'ç' => 'c',
        c => c,
    };
    word.to_lowercase().chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use incident::person::Request;

    use super::*;

    const ID: &str = "INC-20261129-7Q2MZK4A";

    fn people() -> BTreeMap<&'static str, &'static str> {
        BTreeMap::from([("U024BE7LH", "Ana Souza")])
    }

    fn parsed(text: &str) -> Command {
        read(text, &people())
    }

    #[test]
    fn commands_are_read_in_both_languages() {
        let open = |form: Form, words: &str| Command::Open(form, None, words.to_owned());
        for (text, expected) in [
            ("", Command::Help),
            ("  ajuda ", Command::Help),
            ("HELP", Command::Help),
            ("abertos", Command::List),
            ("list", Command::List),
            ("plantão", Command::OnCall),
            ("plantao", Command::OnCall),
            ("PLANTÃO", Command::OnCall),
            ("oncall", Command::OnCall),
            ("declarar", open(Form::Declare, "")),
            ("declarar caiu\ntudo", open(Form::Declare, "caiu\ntudo")),
            ("dançar", Command::Unknown("dançar".to_owned())),
            ("INC-1 assumir", Command::Unknown("INC-1".to_owned())),
            (ID, Command::Show(ID.to_owned())),
            ("inc-20261129-7q2mzk4a ver", Command::Show(ID.to_owned())),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn a_verb_with_all_it_needs_is_a_request_that_the_desk_accepts() {
        for (text, verb, fields) in [
            ("assumir", "acknowledge", json!({})),
            ("ack", "acknowledge", json!({})),
            ("s0", "classify", json!({"severity": "S0"})),
            ("S2 só um\nrelatório", "classify", json!({"severity": "S2", "reason": "só um relatório"})),
            ("ic", "command", json!({})),
            ("ic <@U024BE7LH|ana.souza>", "command", json!({"commander": "Ana Souza"})),
            ("ic <@U024BE7LH>", "command", json!({"commander": "Ana Souza"})),
            ("ic <@U0UNKNOWN>", "command", json!({"commander": "U0UNKNOWN"})),
            ("ic Bia Lima", "command", json!({"commander": "Bia Lima"})),
            ("backup @Bia", "command", json!({"backup": "Bia"})),
            ("squad Banco de Dados", "call", json!({"squad": "Banco de Dados"})),
            ("atualizar o login\nnão volta", "update", json!({"text": "o login\nnão volta"})),
            ("mitigar voltei a versão", "mitigate", json!({"text": "voltei a versão"})),
            ("resolver  o login   voltou", "resolve", json!({"reason": "o login voltou"})),
            ("reabrir caiu de novo", "reopen", json!({"reason": "caiu de novo"})),
            ("falso era um teste", "false_alarm", json!({"reason": "era um teste"})),
            ("runbook o passo 2 não existe", "runbook_wrong", json!({"reason": "o passo 2 não existe"})),
            ("unir inc-20261129-aaaaaaaa", "merge", json!({"into": "INC-20261129-AAAAAAAA"})),
            (
                "merge INC-20261129-AAAAAAAA a mesma causa",
                "merge",
                json!({"into": "INC-20261129-AAAAAAAA", "reason": "a mesma causa"}),
            ),
            (
                "dados sim um dump vazou",
                "sensitive_data",
                json!({"compromised": true, "reason": "um dump vazou"}),
            ),
            (
                "dados não era fictício",
                "sensitive_data",
                json!({"compromised": false, "reason": "era fictício"}),
            ),
            ("simulado sim treino", "drill", json!({"drill": true, "reason": "treino"})),
        ] {
            let Command::Ask(read, mut given) = parsed(&format!("{ID} {text}")) else { panic!("{text}") };
            assert_eq!(read, verb, "{text}");
            assert_eq!(given.remove("incident"), Some(json!(ID)), "{text}");
            assert_eq!(Value::Object(given.clone()), fields, "{text}");
            given.insert("incident".to_owned(), json!(ID));
            given.insert("by".to_owned(), json!("Ana"));
            let request = Request::try_from(json!({read: given}));
            assert!(request.is_ok(), "{text}: {request:?}");
        }
    }

    #[test]
    fn a_verb_that_lacks_something_opens_its_form() {
        for (text, form, words) in [
            ("severidade", Form::Classify, ""),
            ("backup", Form::Command, ""),
            ("squad", Form::Call, ""),
            ("atualizar", Form::Update, ""),
            ("mitigar", Form::Mitigate, ""),
            ("resolver", Form::Resolve, ""),
            ("reabrir", Form::Reopen, ""),
            ("falso", Form::FalseAlarm, ""),
            ("runbook", Form::RunbookWrong, ""),
            ("juntar", Form::Merge, ""),
            ("dados", Form::SensitiveData, ""),
            ("dados sim", Form::SensitiveData, ""),
            ("dados talvez um dump", Form::SensitiveData, "um dump"),
            ("simulado não", Form::Drill, ""),
            // Customers are written to after a look at the mail only.
            ("clientes já voltou", Form::TellCustomers, "já voltou"),
            ("mais", Form::More, ""),
        ] {
            let expected = Command::Open(form, Some(ID.to_owned()), words.to_owned());
            assert_eq!(parsed(&format!("{ID} {text}")), expected, "{text}");
        }
        assert_eq!(parsed(&format!("{ID} dançar agora")), Command::Unknown("dançar".to_owned()));
    }
}
