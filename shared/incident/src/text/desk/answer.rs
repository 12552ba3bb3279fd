//! What one person reads after a request: an ephemeral message, whose text has no markup.

use jiff::Timestamp;
use policy::incidents::Who;
use policy::oncall::{self, Shift};
use policy::time::local;
use policy::{Policy, tr};
use serde_json::{Value, json};

use super::Form;
use crate::incident::{Act, Incident};
use crate::person::Request;
use crate::store::{Outcome, Refusal};
use crate::text::slack::{BLOCKS_LIMIT, FALLBACK_LIMIT, SECTION_LIMIT, cost, escaped, plain, section};
use crate::text::{self, Language, block, cut, line};

/// Most incidents and squads that an answer lists. All are listed by the commands of docs/incidentes.md.
const MOST_LISTED: usize = 30;

/// Most characters of a line.
const LINE_LIMIT: usize = 600;

/// A message to one person, for a response URL and for the answer to a slash command. It replaces no message.
pub fn ephemeral(lines: &[String]) -> Value {
    let lines = lines.iter().map(|line| cut(&block(line), SECTION_LIMIT - 1, "…", cost));
    let mut sections: Vec<String> = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        match sections.last_mut() {
            Some(last) if last.chars().chain(line.chars()).map(cost).sum::<usize>() < SECTION_LIMIT => {
                last.push('\n');
                last.push_str(&line);
            }
            _ => sections.push(line),
        }
    }
    if sections.is_empty() {
        sections.push("…".to_owned());
    }
    let fallback = escaped(sections.first().map(String::as_str).unwrap_or_default(), FALLBACK_LIMIT);
    let blocks = sections.iter().map(|text| section(plain(text, SECTION_LIMIT)));
    let (mut shown, mut size) = (Vec::new(), 0);
    for block in blocks {
        size += block.to_string().encode_utf16().count();
        if !shown.is_empty() && size > BLOCKS_LIMIT {
            break;
        }
        shown.push(block);
    }
    json!({
        "response_type": "ephemeral",
        "replace_original": false,
        "text": fallback,
        "blocks": shown,
    })
}

/// What the slash command knows.
pub fn help(language: Language) -> Vec<String> {
    let text = language.pick(
        "Cada incidente tem botões na mensagem dele. Também por aqui:\n\
         /incidente abertos: o que está aberto\n\
         /incidente plantao: quem está de plantão, e quem vem depois\n\
         /incidente declarar: abre um incidente\n\
         /incidente INC-…: como está\n\
         /incidente INC-… assumir\n\
         /incidente INC-… s0, s1, s2 ou s3 [por quê]\n\
         /incidente INC-… ic [@quem]; backup @quem: quem comanda\n\
         /incidente INC-… squad NOME: chama um squad\n\
         /incidente INC-… atualizar TEXTO\n\
         /incidente INC-… mitigar TEXTO: o impacto acabou\n\
         /incidente INC-… resolver COMO; reabrir POR QUÊ; falso POR QUÊ\n\
         /incidente INC-… unir INC-…: os dois são um só\n\
         /incidente INC-… dados sim ou não O QUE SE VIU: dados pessoais (LGPD)\n\
         /incidente INC-… simulado sim ou não POR QUÊ; runbook O QUE ESTÁ ERRADO\n\
         /incidente INC-… clientes: o e-mail aos clientes, que se confere antes\n\
         Sem o texto, abre o formulário. Sem o Slack: cargo xtask incident (docs/incidentes.md).",
        "Each incident has buttons on its message. Also here:\n\
         /incidente open: what is open\n\
         /incidente oncall: who is on call, and who is next\n\
         /incidente declare: opens an incident\n\
         /incidente INC-…: how it stands\n\
         /incidente INC-… ack\n\
         /incidente INC-… s0, s1, s2 or s3 [why]\n\
         /incidente INC-… command [@who]; backup @who: who commands\n\
         /incidente INC-… call NAME: calls a squad in\n\
         /incidente INC-… update TEXT\n\
         /incidente INC-… mitigate TEXT: the impact is over\n\
         /incidente INC-… resolve HOW; reopen WHY; false WHY\n\
         /incidente INC-… merge INC-…: both are one\n\
         /incidente INC-… data yes or no WHAT WAS SEEN: personal data (LGPD)\n\
         /incidente INC-… drill yes or no WHY; runbook WHAT IS WRONG\n\
         /incidente INC-… customers: the mail to the customers, which is looked at first\n\
         Without the text, it opens the form. Without Slack: cargo xtask incident (docs/incidentes.md).",
    );
    vec![text.to_owned()]
}

/// Who is on call now and next, for each squad.
pub fn on_call(policy: &Policy, now: Timestamp, language: Language) -> Vec<String> {
    let squads = &policy.incidents.squads;
    if squads.is_empty() {
        let text = language.pick(
            "A política não tem squads (incidents.squads): ninguém está de plantão.",
            "The policy has no squads (incidents.squads): nobody is on call.",
        );
        return vec![text.to_owned()];
    }
    let squad = |name: &String| {
        let present = oncall::on_call(policy, name, now);
        let mut text = format!("{}: {}", line(name), people(&present, language));
        // A rotation of one person never changes; its next shift says nothing.
        if let Some((at, next)) = oncall::change(policy, name, now) {
            let (at, next) = (local(at), people(&next, language));
            text = tr!(language, "{text}, até {at}; depois {next}", "{text}, until {at}; then {next}");
        }
        cut(&text, LINE_LIMIT, "…", cost)
    };
    let mut lines: Vec<_> = squads.keys().take(MOST_LISTED).map(squad).collect();
    lines.extend(rest(squads.len(), language));
    lines
}

fn people(shift: &Shift<'_>, language: Language) -> String {
    let nobody =
        || language.pick("ninguém; um page vai para os contatos", "nobody; a page goes to the contacts");
    let person = shift.person.map_or_else(|| nobody().to_owned(), line);
    match shift.second.map(line) {
        Some(second) => tr!(language, "{person} (segunda pessoa: {second})", "{person} (second: {second})"),
        None => person,
    }
}

fn rest(all: usize, language: Language) -> Option<String> {
    let more = all.checked_sub(MOST_LISTED).filter(|more| *more > 0)?;
    Some(tr!(language, "e mais {more}: docs/incidentes.md", "and {more} more: docs/incidentes.md"))
}

/// The open incidents, as they are at `now`.
pub fn incidents(open: &[Incident], language: Language, now: Timestamp) -> Vec<String> {
    if open.is_empty() {
        return vec![language.pick("Nenhum incidente aberto.", "No incident is open.").to_owned()];
    }
    let shown = open.iter().take(MOST_LISTED).map(|incident| {
        let since = text::since(incident, language, now);
        format!("{}, {since}", named(incident, language, LINE_LIMIT / 2))
    });
    shown.chain(rest(open.len(), language)).collect()
}

/// The mark, the id and the headline of an incident.
fn named(incident: &Incident, language: Language, limit: usize) -> String {
    let (id, headline) = (text::id(incident, language), text::headline(incident, language));
    format!("{} {id} {}", text::mark(incident), cut(&headline, limit, "…", cost))
}

/// How one incident stands.
pub fn standing(incident: &Incident, language: Language, now: Timestamp) -> Vec<String> {
    let mut lines = vec![named(incident, language, LINE_LIMIT), text::since(incident, language, now)];
    let people = text::people(incident, language).into_iter();
    lines.extend(people.map(|(role, name)| format!("{}: {name}", role.label(language))));
    lines.extend(
        text::facts(incident, language).into_iter().map(|(label, value)| format!("{label}: {value}")),
    );
    lines.extend(
        text::notices(incident, language, now).into_iter().map(|(mark, text)| format!("{mark} {text}")),
    );
    let reason = block(&incident.reason);
    if !reason.is_empty() {
        lines.push(format!(
            "{}:\n{}",
            text::reason_label(incident, language),
            cut(&reason, 1_500, "…", cost)
        ));
    }
    lines.into_iter().map(|line| cut(&line, 2 * LINE_LIMIT, "…", cost)).collect()
}

/// What became of a request: also that somebody else was faster, and who.
pub fn told(
    request: &Request,
    outcome: Outcome,
    incident: Option<&Incident>,
    before: Option<&Act>,
    language: Language,
) -> Vec<String> {
    let what = what(request, language);
    let by = before.map(|act| {
        let (by, at) = (cut(&line(&act.by), 100, "…", cost), local(act.at));
        tr!(language, " por {by}, {at}", " by {by}, {at}")
    });
    let said = match outcome {
        Outcome::Already => {
            let by = by.unwrap_or_default();
            tr!(
                language,
                "Já estava feito{by}: {what}. Nada mudou.",
                "It was done already{by}: {what}. Nothing changed."
            )
        }
        Outcome::Recorded => tr!(language, "Anotado: {what}.", "Noted: {what}."),
        _ => tr!(language, "Feito: {what}.", "Done: {what}."),
    };
    let shown = incident.map(|incident| named(incident, language, LINE_LIMIT));
    [said].into_iter().chain(shown).collect()
}

/// What a request does, as the end of a sentence.
fn what(request: &Request, language: Language) -> String {
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english).to_owned();
    let shown = |text: &str| cut(&line(text), 200, "…", cost);
    match request {
        Request::Declare(_) => say("incidente declarado", "incident declared"),
        Request::Acknowledge(_) => say("assumido; a escalação parou", "acknowledged; the escalation stopped"),
        Request::Classify(asked) => {
            let level = text::severity(asked.severity, language);
            tr!(language, "severidade {level}", "severity {level}")
        }
        Request::Command(asked) => match (&asked.commander, &asked.backup) {
            (Some(commander), _) => {
                let commander = shown(commander);
                tr!(language, "{commander} comanda o incidente", "{commander} commands the incident")
            }
            (None, Some(backup)) => {
                let backup = shown(backup);
                tr!(language, "{backup} substitui quem comanda", "{backup} stands in for the commander")
            }
            (None, None) => say("você comanda o incidente", "you command the incident"),
        },
        Request::Call(asked) => {
            let squad = shown(&asked.squad);
            tr!(language, "squad {squad} chamado", "squad {squad} called in")
        }
        Request::Update(_) => say("atualização registrada", "update recorded"),
        Request::Mitigate(_) => say("o impacto acabou", "the impact is over"),
        Request::Resolve(_) => say("encerrado", "resolved"),
        Request::Reopen(_) => say("reaberto", "reopened"),
        Request::FalseAlarm(_) => say("encerrado como alarme falso", "closed as a false alarm"),
        Request::Merge(asked) => {
            let into = shown(&asked.into);
            tr!(language, "unido a {into}", "merged into {into}")
        }
        Request::SensitiveData(asked) if asked.compromised => say(
            "dados pessoais comprometidos: sim; o relógio da LGPD corre",
            "personal data compromised: yes; the clock of the LGPD runs",
        ),
        Request::SensitiveData(_) => {
            say("dados pessoais comprometidos: não", "personal data compromised: no")
        }
        Request::Drill(asked) if asked.drill => say("é um simulado", "it is a drill"),
        Request::Drill(_) => say("não é um simulado", "it is no drill"),
        Request::RunbookWrong(_) => say(
            "runbook errado; vira uma ação do post-mortem",
            "wrong runbook; it becomes an action of the post-mortem",
        ),
        Request::TellCustomers(_) => say("e-mail aos clientes na fila", "mail to the customers queued"),
        Request::Mute(_) => say("silenciado", "muted"),
        Request::Unmute(_) => say("silêncio encerrado", "unmuted"),
    }
}

/// A request that was refused: nothing was done, why, and what helps.
pub fn refused(refusal: &Refusal, language: Language) -> Vec<String> {
    let nothing = language.pick("Nada foi feito:", "Nothing was done:");
    let why = why(refusal, language);
    vec![cut(&format!("{nothing} {why}"), 2 * LINE_LIMIT, "…", cost)]
}

fn why(refusal: &Refusal, language: Language) -> String {
    let shown = |text: &str| cut(&line(text), 200, "…", cost);
    let say = |portuguese: &'static str, english: &'static str| language.pick(portuguese, english).to_owned();
    match refusal {
        Refusal::NotAllowed { who, may, .. } => {
            let who = who_may(*who, language);
            let may = if may.is_empty() { String::new() } else { format!(" ({})", shown(&may.join(", "))) };
            tr!(language, "isso cabe a {who}{may}.", "this is for {who}{may}.")
        }
        Refusal::NoIncident(id) => {
            let id = shown(id);
            tr!(
                language,
                "não há incidente {id}. O id está no fim da mensagem dele.",
                "there is no incident {id}. Its id is at the end of its message."
            )
        }
        Refusal::Over { incident, at } => {
            let (id, since) = (shown(incident), at.map(local));
            let since = since.map(|at| tr!(language, " desde {at}", " since {at}")).unwrap_or_default();
            tr!(
                language,
                "{id} acabou{since}. Se não acabou, reabra.",
                "{id} is over{since}. If it is not, reopen it."
            )
        }
        Refusal::Part { incident, into } => {
            let (id, into) = (shown(incident), shown(into));
            tr!(
                language,
                "{id} é parte de {into}: diga isso de {into}, ou reabra {id} para separar os dois.",
                "{id} is a part of {into}: say it of {into}, or reopen {id} to separate them."
            )
        }
        Refusal::Newer { incident, newer } => {
            let (id, newer) = (shown(incident), shown(newer));
            tr!(
                language,
                "o problema de {id} tem um incidente mais novo, {newer}: diga isso dele.",
                "the problem of {id} has a newer incident, {newer}: say it of that one."
            )
        }
        Refusal::HasParts { incident, parts } => {
            let (id, parts) = (shown(incident), shown(&parts.join(", ")));
            tr!(
                language,
                "{id} tem partes ({parts}): una o outro a {id}, ou separe cada parte com reabrir.",
                "{id} has parts ({parts}): merge the other one into {id}, or separate each part with reopen."
            )
        }
        Refusal::Silent { incident, into } => {
            let (id, into) = (shown(incident), shown(into));
            tr!(
                language,
                "{into} está em silêncio e ainda não chamou ninguém: assuma {into} primeiro, ou una {into} a {id}.",
                "{into} is muted and has called nobody yet: acknowledge {into} first, or merge {into} into {id}."
            )
        }
        Refusal::DrillAndReal { incident, into } => {
            let (id, into) = (shown(incident), shown(into));
            tr!(
                language,
                "de {id} e {into}, um é simulado e o outro não: corrija isso primeiro (simulado sim ou não).",
                "of {id} and {into}, one is a drill and the other is not: correct that first (drill yes or no)."
            )
        }
        Refusal::UnknownSquad { squad, known } => {
            let (squad, known) = (shown(squad), cut(&line(&known.join(", ")), 600, "…", cost));
            tr!(
                language,
                "a política não tem o squad {squad}. Ela tem: {known}.",
                "the policy has no squad {squad}. It has: {known}."
            )
        }
        Refusal::UnknownPerson { name, known } => {
            let (name, known) = (shown(name), cut(&line(&known.join(", ")), 600, "…", cost));
            tr!(
                language,
                "a política não tem a pessoa {name}, e nada a chamaria. Escolha como está nela: {known}.",
                "the policy has no person {name}, whom nothing would call. Name one as it does: {known}."
            )
        }
        Refusal::OwnBackup(name) => {
            let name = shown(name);
            tr!(
                language,
                "{name} não pode comandar e substituir: escolha outra pessoa.",
                "{name} cannot be both commander and backup: name another person."
            )
        }
        Refusal::NoCustomers => say(
            "a política não tem endereços de clientes (incidents.customers): escreva a eles por outro meio.",
            "the policy has no addresses of customers (incidents.customers): write to them in another way.",
        ),
        Refusal::DrillTold(id) => {
            let id = shown(id);
            tr!(
                language,
                "{id} é um simulado: clientes não são avisados. Se não é, diga isso primeiro (simulado não).",
                "{id} is a drill: no customer is written to. If it is none, say so first (drill no)."
            )
        }
        Refusal::Invalid(error) => shown(&error.to_string()),
    }
}

fn who_may(who: Who, language: Language) -> &'static str {
    match who {
        Who::Anyone => language.pick("qualquer pessoa", "anyone"),
        Who::People => language.pick(
            "quem está em incidents.people da política com o seu usuário do Slack",
            "the people of the policy's incidents.people, with their Slack user",
        ),
        Who::OnCall => language.pick(
            "quem está de plantão num squad do incidente",
            "those who are on call in a squad of the incident",
        ),
        Who::Commander => language.pick(
            "quem comanda o incidente ou substitui quem comanda; «Incident commander», em Mais…, põe você no comando",
            "the incident commander or the backup; «Incident commander», under More…, makes you the commander",
        ),
    }
}

/// A request that could not be done now, for a reason that is not the person's; `kind` is the error's. It is tried again.
pub fn later(kind: &str, language: Language) -> Vec<String> {
    let kind = cut(&line(kind), 100, "…", cost);
    vec![tr!(
        language,
        "Ainda não deu certo ({kind}). É tentado de novo sozinho por alguns minutos. Se não aparecer «Feito» aqui: cargo xtask incident (docs/incidentes.md).",
        "It has not worked yet ({kind}). It is tried again for some minutes. If «Done» does not appear here: cargo xtask incident (docs/incidentes.md)."
    )]
}

/// An order about a restore that is noted, or not: nobody knows. `why` is what is known.
pub fn unclear(why: &str, language: Language) -> Vec<String> {
    let why = cut(&line(why), LINE_LIMIT, "…", cost);
    vec![tr!(
        language,
        "Não se sabe se a ordem foi anotada; anotada, ela vale. É tentado de novo sozinho por alguns minutos. Antes de outra ordem, veja como está: {{\"order\":\"status\"}} (docs/restauracao-emergencia.md). {why}",
        "Nobody knows whether the order was noted; if it was, it holds. It is tried again for some minutes. Before another order, see how it stands: {{\"order\":\"status\"}} (docs/restauracao-emergencia.md). {why}"
    )]
}

/// A squad that was called in, of whom nobody can be reached.
pub fn unreached(language: Language) -> &'static str {
    language.pick(
        "⚠️ Ninguém deste squad foi chamado: a política não tem contato nem plantão dele. Ligue para alguém.",
        "⚠️ Nobody of this squad was called: the policy has no contact and no rotation of it. Phone somebody.",
    )
}

/// What an answer says too while the policy could not be read since the process began.
pub fn without_policy(language: Language) -> &'static str {
    language.pick(
        "⚠️ A política não pôde ser lida (S3): valem os padrões, sem pessoas nem squads. Daqui a um minuto é lida de novo.",
        "⚠️ The policy could not be read (S3): the defaults hold, without people and squads. It is read again in a minute.",
    )
}

/// An order about a restore that was given before, and is refused now: the first time may have been accepted.
pub fn ordered_again(run: &str, refusal: &str, language: Language) -> Vec<String> {
    let (run, refusal) = (line(run), cut(&line(refusal), LINE_LIMIT, "…", cost));
    vec![tr!(
        language,
        "Restauração {run}: a ordem já tinha sido dada, e a resposta se perdeu; pode ter valido. Veja como está: {{\"order\":\"status\"}} (docs/restauracao-emergencia.md). Agora: {refusal}",
        "Restore {run}: the order was given before, and its answer was lost; it may have held. See how it stands: {{\"order\":\"status\"}} (docs/restauracao-emergencia.md). Now: {refusal}"
    )]
}

/// A modal that Slack did not open. `why` is Slack's code.
pub fn unopened(form: Form, why: &str, language: Language) -> Vec<String> {
    let (label, why) = (form.label(language), cut(&line(why), 100, "…", cost));
    vec![tr!(
        language,
        "O Slack não abriu «{label}» ({why}). Tente de novo, ou escreva o comando inteiro: /incidente ajuda.",
        "Slack did not open «{label}» ({why}). Try again, or type the whole command: /incidente help."
    )]
}

/// A decision about a restore by somebody whom the policy does not know.
pub fn only_people(language: Language) -> String {
    language
        .pick(
            "Nada foi feito: uma restauração só é decidida por quem está em incidents.people da política com o seu usuário do Slack.",
            "Nothing was done: a restore is decided only by the people of the policy's incidents.people, with their Slack user.",
        )
        .to_owned()
}

/// What `emergency-restore` said to an order: the lines of its answer, or its refusal.
pub fn ordered(run: &str, said: Result<&[String], &str>, language: Language) -> Vec<String> {
    let run = line(run);
    match said {
        Ok(lines) => {
            let first = tr!(
                language,
                "Restauração {run}: ordem aceita. O que segue aparece no canal.",
                "Restore {run}: order accepted. What follows appears in the channel."
            );
            [first].into_iter().chain(lines.iter().cloned()).collect()
        }
        Err(refusal) => {
            let refusal = cut(&line(refusal), 2 * LINE_LIMIT, "…", cost);
            vec![tr!(
                language,
                "Restauração {run}: ordem recusada, nada mudou. {refusal}",
                "Restore {run}: order refused, nothing changed. {refusal}"
            )]
        }
    }
}
