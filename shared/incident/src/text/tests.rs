pub(super) mod limits;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use policy::oncall::{Shift, Why};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::slack::{HandOver, UserId, hand_over, message, plain_message, plain_reply, reply};
use super::*;
use crate::incident::{Act, Action, Attempts, Called, Entry, Mute, Part, SensitiveData, SlackPost};

const LANGUAGES: [Language; 2] = [Language::Portuguese, Language::English];
const STATES: [State; 4] = [State::Triggered, State::Acknowledged, State::Mitigated, State::Resolved];
const SEVERITIES: [Severity; 4] = [Severity::S0, Severity::S1, Severity::S2, Severity::S3];
const ACTIONS: [Action; 31] = [
    Action::Triggered,
    Action::Event,
    Action::Reopened,
    Action::Flapping,
    Action::Acknowledged,
    Action::Escalated,
    Action::SeverityConfirmed,
    Action::SeverityChanged,
    Action::CommanderAssigned,
    Action::SquadCalled,
    Action::Update,
    Action::Mitigated,
    Action::Resolved,
    Action::Muted,
    Action::Unmuted,
    Action::Suppressed,
    Action::Sent,
    Action::SendFailed,
    Action::FalseAlarm,
    Action::Merged,
    Action::SensitiveData,
    Action::Drill,
    Action::RunbookWrong,
    Action::Reminded,
    Action::SupportCase,
    Action::CustomersTold,
    Action::CustomersNotTold,
    Action::PostMortem,
    Action::Restore,
    Action::Note,
    Action::Other,
];
pub(super) const MAIL_TAGS: [&str; 16] = [
    "!doctype", "html", "head", "meta", "title", "body", "h1", "h2", "p", "strong", "bdi", "table", "tr",
    "th", "td", "pre",
];
const PREVIEW_TAGS: [&str; 19] = [
    "!doctype", "html", "head", "meta", "title", "style", "body", "h1", "div", "table", "tr", "td", "p",
    "pre", "b", "br", "bdi", "span", "a",
];

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn now() -> Timestamp {
    at("2026-11-29T12:12:30Z")
}

fn on_call() -> UserId {
    UserId::parse("U024BE7LH").unwrap()
}

/// An alarm of the application, twelve minutes old.
pub(super) fn normal() -> Incident {
    Incident {
        id: "INC-20261129-7Q2MZK4A".to_owned(),
        version: 3,
        environment: "prod".to_owned(),
        severity: Severity::S1,
        severity_proposed_by: "critical".to_owned(),
        title: "API moveongs-prod: 5xx acima de 5% (últimos 10 min)".to_owned(),
        reason: "Threshold Crossed: 2 out of the last 2 datapoints [7.1 (29/11/26 12:00:00), 9.4] > 5.0"
            .to_owned(),
        source: "cloudwatch".to_owned(),
        problem: "arn:aws:cloudwatch:us-east-1:123456789012:alarm:moveongs-prod-5xx".to_owned(),
        resource: "moveongs-prod-api".to_owned(),
        first_at: at("2026-11-29T12:00:00Z"),
        last_at: at("2026-11-29T12:10:00Z"),
        count: 3,
        flaps: 1,
        owner: "Squad Infra".to_owned(),
        backup: "Squad Backend".to_owned(),
        on_call: "Ana Souza".to_owned(),
        runbook:
            "https://github.com/moveongs/api/blob/main/docs/observability/runbooks/api-disponibilidade.md"
                .to_owned(),
        link:
            "https://console.aws.amazon.com/cloudwatch/home?region=us-east-1#alarmsV2:alarm/moveongs-prod-5xx"
                .to_owned(),
        command: "aws ecs describe-services --cluster moveongs-prod --services api".to_owned(),
        labels: BTreeMap::from([("service".to_owned(), "moveongs-api".to_owned())]),
        ..Incident::default()
    }
}

/// Texts that break messages.
pub(super) fn nasty() -> Vec<String> {
    let family = "👨‍👩‍👧‍👦";
    let mut texts = [
        "",
        "   ",
        "\n\n\n",
        "\0",
        "\u{200b}\u{200d}\u{feff}",
        "\u{3164}",
        "<!channel>",
        "<!here|x>",
        "<@U123>",
        "<#C123>",
        "<!subteam^S1>",
        "<http://evil.example|click>",
        "<https://evil.example>",
        "https://evil.example/a",
        "*bold* _it_ ~s~ `c`",
        "```code```",
        "a ``` b ```` c `",
        "> quote\n>>> all",
        ":fire: :heart:",
        "&lt;!channel&gt; &amp;amp;",
        "שלום עולם",
        "مرحبا بالعالم 123",
        "\u{202e}gpj.exe",
        "\u{2067}a\u{2066}b\u{2069}",
        "a\nb\r\nc\rd\u{2028}e\u{85}f",
        "a\0b\u{7}\u{1b}[31mred\u{7f}\u{9b}",
        "Estado: resolvido\n\nRunbook: https://evil.example",
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='x",
        "javascript:alert(1)",
        "{} {0} {title}",
        "ação é",
        "日本語のテキスト",
        "\u{e0041}\u{e0042}",
        "Ana \u{301}\u{301}\u{301}",
    ]
    .map(str::to_owned)
    .to_vec();
    for piece in
        ["a", "é", "日", "😀", family, "<", "&", ">", "\"", "\\", "\n", "\t", "`", "*", "a ", "e\u{301}"]
    {
        let length = piece.chars().count();
        texts.extend([255, 4_000].map(|count| piece.repeat(count / length)));
    }
    texts.push(format!("e{}", "\u{301}".repeat(4_000)));
    texts.push("<!channel> ".repeat(400));
    texts.push(format!("https://a.example/{}", "a".repeat(1_982)));
    texts.push(format!("https://a.example/{}", "a".repeat(4_000)));
    texts
}

fn filled(text: &str) -> Incident {
    let label = text.chars().take(60).collect::<String>();
    let long = || text.to_owned();
    let text = || text.chars().take(300).collect::<String>();
    Incident {
        id: text(),
        version: u64::MAX,
        environment: text(),
        state: State::Triggered,
        severity: Severity::S0,
        severity_proposed: Severity::S0,
        severity_proposed_by: text(),
        severity_confirmed_by: text(),
        title: long(),
        reason: long(),
        source: text(),
        problem: text(),
        resource: text(),
        first_at: Timestamp::MIN,
        last_at: Timestamp::MAX,
        triggered_at: Timestamp::MAX,
        impact_since: Some(Timestamp::MIN),
        count: u64::MAX,
        flaps: u32::MAX,
        owner: text(),
        backup: text(),
        on_call: text(),
        acknowledged_by: text(),
        acknowledged_at: Some(Timestamp::MAX),
        first_acknowledged_at: Some(Timestamp::MAX),
        paged_at: Some(Timestamp::MAX),
        untaken_since: Some(Timestamp::MAX),
        awaited_since: Some(Timestamp::MAX),
        paged_version: 1,
        told_again_at: None,
        commander: text(),
        commander_backup: text(),
        called: vec![Called { squad: text(), ..Called::default() }; 2],
        updates: u32::MAX,
        known_updates: u32::MAX,
        updated_at: Some(Timestamp::MAX),
        last_update: long(),
        vouched_at: Some(Timestamp::MAX),
        has_foreign_title: false,
        customers_text: long(),
        customers_updates: u32::MAX,
        sensitive_data: Some(SensitiveData {
            is_compromised: true,
            by: text(),
            reason: text(),
            at: Timestamp::MAX,
            known_since: Some(Timestamp::MAX),
        }),
        is_false_alarm: true,
        merged_into: text(),
        parts: vec![Part { incident: text(), title: text() }; 3],
        runbook_wrong: text(),
        acts: ACTIONS.map(|action| (action, Act { by: text(), at: Timestamp::MAX })).into(),
        severity_changed_at: Some(Timestamp::MAX),
        mitigated_at: Some(Timestamp::MIN),
        resolved_at: Some(Timestamp::MAX),
        runbook: text(),
        link: text(),
        command: long(),
        labels: (0..60).map(|number| (format!("{number}{label}"), label.clone())).collect(),
        is_drill: true,
        muted: Some(Mute { by: text(), reason: text(), until: Timestamp::MAX }),
        understood: false,
        attempts: Attempts { count: u32::MAX, unclear: u32::MAX },
        slack: Some(SlackPost { channel: text(), ts: text() }),
        update_due: Some(Timestamp::MAX),
    }
}

/// A text in the fields that an alarm fills.
fn by_alarm(text: &str) -> Incident {
    Incident {
        title: text.to_owned(),
        reason: text.to_owned(),
        resource: text.to_owned(),
        labels: filled(text).labels,
        first_at: Timestamp::MAX,
        last_at: Timestamp::MIN,
        ..normal()
    }
}

/// A text in the fields that people and the policy fill, with the longest addresses.
fn by_people(text: &str) -> Incident {
    let link = format!("https://a.example/{}", "b".repeat(1_982));
    Incident {
        owner: text.to_owned(),
        on_call: text.to_owned(),
        command: text.to_owned(),
        runbook: link.clone(),
        link,
        muted: filled(text).muted,
        is_drill: true,
        ..normal()
    }
}

/// Each nasty text in each state, and an empty incident. Text, form, language and state meet in all pairs, not in all
/// combinations, which take minutes: each form is in each state and language, with some of the texts.
pub(super) fn extremes() -> Vec<(Incident, Language)> {
    let states = || STATES.into_iter().zip(SEVERITIES).enumerate();
    let mut cases = Vec::new();
    for (place, text) in nasty().iter().enumerate() {
        for (turn, (state, severity)) in states() {
            let turn = place + turn;
            let form = [filled, by_alarm, by_people][turn % 3];
            cases.push((Incident { state, severity, ..form(text) }, LANGUAGES[turn % 2]));
        }
    }
    for language in LANGUAGES {
        let empty =
            states().map(|(_, (state, severity))| Incident { state, severity, ..Incident::default() });
        cases.extend(empty.map(|incident| (incident, language)));
    }
    cases
}

/// Everything that every text of an incident has to hold.
fn check(incident: &Incident, language: Language, now: Timestamp) -> Result<(), String> {
    let user = on_call();
    let body = message(incident, language, now, &[user], true);
    limits::slack(&body, &["U024BE7LH"])?;
    // What a button sends back is shown to nobody.
    let shown = body["blocks"].as_array().unwrap().iter().filter(|block| block["type"] != "actions");
    let mentions: usize = shown.map(|block| block.to_string().matches("<@").count()).sum();
    let expected = usize::from(incident.state == State::Triggered);
    if mentions != expected {
        return Err(format!("{mentions} mentions"));
    }
    if incident.state == State::Triggered {
        limits::slack(&message(incident, language, now, &[], true), &[])?;
    }
    limits::page(&preview::html(&body), &PREVIEW_TAGS)?;

    limits::sms(&sms::message(incident, language))?;
    limits::sms(&sms::call(incident, Call::SquadCalled, &incident.reason, language))?;
    let call = mail::call(incident, Call::Reminder, &incident.reason, language, now);
    limits::subject(&call.subject)?;
    limits::page(&call.html, &[MAIL_TAGS.as_slice(), &["a"]].concat())?;

    let mail = mail::message(incident, language, now);
    limits::subject(&mail.subject)?;
    limits::page(&mail.html, &[MAIL_TAGS.as_slice(), &["a"]].concat())?;
    if mail.text.len() > 256 * 1024 {
        return Err(format!("mail of {} bytes", mail.text.len()));
    }
    limits::pagerduty(&pagerduty::event(incident, language))
}

#[test]
fn every_extreme_passes_every_limit_in_every_state() {
    for (incident, language) in extremes() {
        if let Err(problem) = check(&incident, language, now()) {
            let title = incident.title.chars().take(40).collect::<String>();
            panic!("{:?} {title:?}: {problem}", incident.state);
        }
    }
}

#[test]
fn every_extreme_entry_passes_slacks_limits() {
    let users = [on_call(), UserId::parse("S0614TZR7").unwrap()];
    for text in nasty() {
        for (place, action) in ACTIONS.into_iter().enumerate() {
            let entry = Entry { at: now(), by: text.clone(), action, text: text.clone() };
            let language = LANGUAGES[place % 2];
            limits::slack(&reply(&text, &entry, language, &[]), &[]).unwrap();
            limits::slack(&reply(&text, &entry, language, &users), &["U024BE7LH", "S0614TZR7"]).unwrap();
        }
    }
}

#[test]
fn a_normal_message_in_slack() {
    let body = message(&normal(), Language::Portuguese, now(), &[on_call()], false);
    let label = |text: &str| json!({"type": "mrkdwn", "text": format!("*{text}*"), "verbatim": true});
    let plain = |text: &str| json!({"type": "plain_text", "text": text, "emoji": false});
    let mrkdwn = |text: &str| json!({"type": "mrkdwn", "text": text, "verbatim": true});
    let expected = json!({
        "text": "🟠 [prod] S1 alta: API moveongs-prod: 5xx acima de 5% (últimos 10 min)",
        "parse": "none",
        "link_names": false,
        "blocks": [
            {"type": "header", "text": plain("🟠 [prod] S1 alta: API moveongs-prod: 5xx acima de 5% (últimos 10 min)")},
            {"type": "section", "text": mrkdwn("*Acionado*, desde 2026-11-29 09:00:00 -03:00, há 12 min\n3 eventos, o último em 2026-11-29 09:10:00 -03:00; voltou 1 vez")},
            {"type": "section", "fields": [
                label("Responsável"), plain("Squad Infra"),
                label("Backup"), plain("Squad Backend"),
                label("De plantão"), mrkdwn("<@U024BE7LH>"),
            ]},
            {"type": "section", "fields": [
                label("Severidade"), plain("S1 alta, proposta por critical"),
                label("Recurso"), plain("moveongs-prod-api"),
                label("Rótulos"), plain("service=moveongs-api"),
            ]},
            {"type": "section", "text": mrkdwn("*Motivo*\n```\nThreshold Crossed: 2 out of the last 2 datapoints [7.1 (29/11/26 12:00:00), 9.4] &gt; 5.0\n```")},
            {"type": "section", "text": mrkdwn("*Próximo comando*\n```\naws ecs describe-services --cluster moveongs-prod --services api\n```")},
            {"type": "actions", "elements": [
                {"type": "button", "action_id": "runbook", "text": plain("Runbook"), "url": "https://github.com/moveongs/api/blob/main/docs/observability/runbooks/api-disponibilidade.md"},
                {"type": "button", "action_id": "link", "text": plain("Abrir o alerta"), "url": "https://console.aws.amazon.com/cloudwatch/home?region=us-east-1#alarmsV2:alarm/moveongs-prod-5xx"},
            ]},
            {"type": "context", "elements": [plain("INC-20261129-7Q2MZK4A"), plain("prod"), plain("Origem: cloudwatch")]},
        ],
        "metadata": {"event_type": "incident", "event_payload": {"incident": "INC-20261129-7Q2MZK4A", "version": 3}},
    });
    assert_eq!(body, expected);
}

#[test]
fn a_normal_mail() {
    let mail = mail::message(&normal(), Language::Portuguese, now());
    assert_eq!(
        mail.subject,
        "[prod] S1 acionado INC-20261129-7Q2MZK4A: API moveongs-prod: 5xx acima de 5% (ultimos 10 min)"
    );
    assert_eq!(
        mail.text,
        "[prod] S1 alta: API moveongs-prod: 5xx acima de 5% (últimos 10 min)

Estado: Acionado, desde 2026-11-29 09:00:00 -03:00, há 12 min
Eventos: 3 eventos, o último em 2026-11-29 09:10:00 -03:00; voltou 1 vez
Responsável: Squad Infra
Backup: Squad Backend
De plantão: Ana Souza
Severidade: S1 alta, proposta por critical
Recurso: moveongs-prod-api
Rótulos: service=moveongs-api
Origem: cloudwatch
Problema: arn:aws:cloudwatch:us-east-1:123456789012:alarm:moveongs-prod-5xx

Motivo:
  Threshold Crossed: 2 out of the last 2 datapoints [7.1 (29/11/26 12:00:00), 9.4] > 5.0

Próximo comando:
  aws ecs describe-services --cluster moveongs-prod --services api

Runbook: https://github.com/moveongs/api/blob/main/docs/observability/runbooks/api-disponibilidade.md
Alerta: https://console.aws.amazon.com/cloudwatch/home?region=us-east-1#alarmsV2:alarm/moveongs-prod-5xx

INC-20261129-7Q2MZK4A
"
    );
    for part in [
        "<html lang=\"pt-BR\">",
        "border-left:8px solid #c2410c",
        "<h1 style=\"font-size:20px\"><bdi>[prod] S1 alta: API moveongs-prod",
        ">Responsável</th>",
        "<bdi>Squad Infra</bdi>",
        "9.4] &gt; 5.0</pre>",
        "<a href=\"https://console.aws.amazon.com/cloudwatch/home?region=us-east-1#alarmsV2:alarm/moveongs-prod-5xx\" rel=\"noreferrer\">",
    ] {
        assert!(mail.html.contains(part), "{part} in\n{}", mail.html);
    }
    let english = mail::message(&normal(), Language::English, now());
    assert!(
        english.subject.starts_with("[prod] S1 triggered INC-20261129-7Q2MZK4A: "),
        "{}",
        english.subject
    );
    assert!(english.text.contains("\nState: Triggered, since 2026-11-29 09:00:00 -03:00, for 12 min\n"));
}

#[test]
fn a_mail_that_calls_somebody_says_first_why() {
    let words = "🔔 Falta uma atualização.\n\nEstado: resolvido";
    let mail = mail::call(&normal(), Call::Reminder, words, Language::Portuguese, now());
    assert!(mail.subject.starts_with("[prod] S1 lembrete INC-20261129-7Q2MZK4A: API"), "{}", mail.subject);
    let beginning = "\n\nLembrete:\n  🔔 Falta uma atualização.\n\n  Estado: resolvido\n\nEstado: Acionado, ";
    assert!(mail.text.contains(beginning), "{}", mail.text);
    assert!(mail.html.contains("</h1>\n<h2 style=\"font-size:16px\">Lembrete</h2>\n<pre "), "{}", mail.html);
    let call = mail::call(&normal(), Call::SquadCalled, "", Language::Portuguese, now());
    assert!(call.subject.starts_with("[prod] S1 convocacao INC-"), "{}", call.subject);
    assert_eq!(call.text, mail::message(&normal(), Language::Portuguese, now()).text);
}

#[test]
fn what_people_have_said_is_in_every_message_that_has_room() {
    let data = SensitiveData {
        is_compromised: true,
        by: "Ana".to_owned(),
        reason: "anexos públicos".to_owned(),
        ..SensitiveData::default()
    };
    let incident = Incident {
        commander: "Caio Lima".to_owned(),
        commander_backup: "Bia Reis".to_owned(),
        called: ["Squad Dados", "Squad Infra"]
            .map(|squad| Called { squad: squad.to_owned(), ..Called::default() })
            .to_vec(),
        update_due: Some(at("2026-11-29T12:42:30Z")),
        sensitive_data: Some(data.clone()),
        is_false_alarm: true,
        merged_into: "INC-20261129-00000000".to_owned(),
        parts: vec![Part { incident: "INC-20261129-11111111".to_owned(), title: "Fila parada".to_owned() }],
        runbook_wrong: "o comando 2 não existe".to_owned(),
        ..normal()
    };
    let mail = mail::message(&incident, Language::Portuguese, now()).text;
    let body = message(&incident, Language::Portuguese, now(), &[], false);
    let shown: Vec<&str> = body["blocks"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|block| block["fields"].as_array().into_iter().flatten().chain([&block["text"]]))
        .filter_map(|text| text["text"].as_str())
        .collect();
    for (label, text) in [
        ("Incident commander", "Caio Lima"),
        ("Commander substituto", "Bia Reis"),
        ("Squads convocados", "Squad Dados, Squad Infra"),
        ("Próxima atualização", "até 2026-11-29 09:42:30 -03:00"),
    ] {
        assert!(mail.contains(&format!("\n{label}: {text}\n")), "{mail}");
        let label = format!("*{label}*");
        assert!(shown.windows(2).any(|pair| pair == [label.as_str(), text]), "{shown:?}");
    }
    for (mark, text) in [
        ("🔐", "Dados pessoais comprometidos, segundo Ana: anexos públicos"),
        ("🔗", "É parte de INC-20261129-00000000: lá estão os avisos e a conversa."),
        ("🔗", "Partes que não acabaram: INC-20261129-11111111 (Fila parada)"),
        ("🟢", "Alarme falso: não conta nas médias."),
        ("📕", "O runbook está errado: o comando 2 não existe"),
    ] {
        assert!(mail.contains(&format!("\n{text}\n")), "{mail}");
        assert!(shown.contains(&format!("{mark} {text}").as_str()), "{shown:?}");
    }
    let denied = SensitiveData { is_compromised: false, ..data };
    let denied = Incident { sensitive_data: Some(denied), ..normal() };
    assert!(!mail::message(&denied, Language::Portuguese, now()).text.contains("Dados pessoais"));
}

#[test]
fn a_drill_of_the_pager_asks_nothing_of_anybody() {
    let exercise = Incident { is_drill: true, ..normal() };
    let own = Incident { problem: format!("{}2026-11-29", crate::DRILL), ..exercise.clone() };
    let shown = |incident: Incident| message(&incident, Language::Portuguese, now(), &[], false).to_string();
    let (exercise, own) = (shown(exercise), shown(own));
    assert!(exercise.contains("responda como num incidente") && !exercise.contains("ninguém precisa"));
    assert!(own.contains("ninguém precisa fazer nada") && !own.contains("responda como num incidente"));
}

#[test]
fn a_resolved_drill_says_so_and_mentions_nobody() {
    let incident = Incident {
        state: State::Resolved,
        resolved_at: Some(at("2026-11-29T14:05:00Z")),
        is_drill: true,
        understood: false,
        attempts: Attempts { count: 2, unclear: 1 },
        muted: Some(Mute {
            by: "Ana".to_owned(),
            reason: "deploy".to_owned(),
            until: at("2026-11-29T16:00:00Z"),
        }),
        acknowledged_by: "Beto".to_owned(),
        acknowledged_at: Some(at("2026-11-29T12:03:00Z")),
        commander: "Caio".to_owned(),
        severity_confirmed_by: "Caio".to_owned(),
        ..normal()
    };
    let later = at("2026-11-29T15:00:00Z");
    let body = message(&incident, Language::English, later, &[on_call()], false);
    let shown = body["blocks"].to_string();
    for part in [
        "✅ [DRILL] [prod] S1 high, resolved: API",
        "*Resolved*, from 2026-11-29 09:00:00 -03:00 to 2026-11-29 11:05:00 -03:00, lasted 2 h 05 min",
        "🧪 This is a drill",
        "❓ The alert was not understood",
        "🔁 Sent again",
        "🔇 Muted until 2026-11-29 13:00:00 -03:00 by Ana: deploy",
        "S1 high, confirmed by Caio",
        "*Incident commander*",
        "*Text received*",
        "Beto, 2026-11-29 09:03:00 -03:00",
        "\"DRILL\"",
        "Ana Souza",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(!shown.contains("<@"), "{shown}");
    let after = message(&incident, Language::English, at("2026-11-29T16:00:00Z"), &[], false);
    assert!(!after.to_string().contains("🔇"), "a mute that ended");
    let mail = mail::message(&incident, Language::Portuguese, later);
    assert!(
        mail.subject.starts_with("[SIMULADO] [prod] S1 resolvido INC-20261129-7Q2MZK4A: "),
        "{}",
        mail.subject
    );
    assert!(
        mail.text.contains("\nSilenciado até 2026-11-29 13:00:00 -03:00 por Ana: deploy\n"),
        "{}",
        mail.text
    );
}

#[test]
fn a_missing_owner_and_an_address_that_is_no_link_are_shown() {
    let incident = Incident {
        owner: " ".to_owned(),
        on_call: String::new(),
        title: "\u{200b}".to_owned(),
        runbook: "docs/backups.md#regras".to_owned(),
        link: "http://grafana.example/a".to_owned(),
        first_at: Timestamp::UNIX_EPOCH,
        ..normal()
    };
    let body = message(&incident, Language::Portuguese, now(), &[on_call()], false);
    let shown = body["blocks"].to_string();
    for part in [
        "sem responsável",
        "(sem título)",
        "<@U024BE7LH>",
        "docs/backups.md#regras",
        "http://grafana.example/a",
        "início desconhecido",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(!shown.contains("\"actions\""), "{shown}");
    assert!(
        sms::message(&incident, Language::Portuguese).contains(": (sem titulo). Resp: sem responsavel. INC-")
    );
}

#[test]
fn a_command_is_shown_whole_or_not_at_all() {
    let shown = |command: &str| {
        let incident = Incident { command: command.to_owned(), ..normal() };
        let body = message(&incident, Language::Portuguese, now(), &[], false);
        let mail = mail::message(&incident, Language::Portuguese, now());
        (body["blocks"].to_string(), mail.text)
    };
    let (slack, mail) = shown("aws s3 ls\naws s3 rm x");
    assert!(
        slack.contains(r"```\naws s3 ls\naws s3 rm x\n```")
            && mail.contains(":\n  aws s3 ls\n  aws s3 rm x\n")
    );
    for command in ["aws ".repeat(600), "echo ```".to_owned()] {
        let (slack, mail) = shown(&command);
        assert!(slack.contains("não cabe aqui inteiro") && !slack.contains("Próximo comando"), "{slack}");
        assert!(mail.contains(command.trim()));
    }
}

#[test]
fn a_reply_names_the_action_and_mentions_only_whom_it_has_to_notify() {
    let entry = Entry {
        at: now(),
        by: "Ana <@U1>".to_owned(),
        action: Action::Acknowledged,
        text: "vou olhar *já* <!here>\nsegunda linha".to_owned(),
    };
    let body = reply("INC-20261129-7Q2MZK4A", &entry, Language::Portuguese, &[]);
    let plain = |text: &str| json!({"type": "plain_text", "text": text, "emoji": false});
    let words = "👀 Assumido por Ana &lt;@U1&gt;: vou olhar *já* &lt;!here&gt;\nsegunda linha";
    let expected = json!({
        "text": words,
        "parse": "none",
        "link_names": false,
        "blocks": [
            {"type": "section", "text": plain(words)},
            {"type": "context", "elements": [plain("2026-11-29 09:12:30 -03:00"), plain("INC-20261129-7Q2MZK4A")]},
        ],
        "metadata": {"event_type": "incident_entry", "event_payload": {
            "incident": "INC-20261129-7Q2MZK4A", "at": 1_795_954_350_000_i64, "action": "acknowledged",
        }},
    });
    assert_eq!(body, expected);
    let plain = |text: &str| json!({"text": text, "parse": "none", "link_names": false});
    assert_eq!(plain_reply(&entry, Language::Portuguese, &[]), plain(words));
    let called = format!("<@U024BE7LH> {words}");
    assert_eq!(plain_reply(&entry, Language::Portuguese, &[on_call()]), plain(&called));
    let body = reply("INC-1", &entry, Language::English, &[on_call()]);
    assert_eq!(body["blocks"][0]["text"]["text"], "<@U024BE7LH>");
    assert_eq!(body["blocks"].to_string().matches("<@").count(), 1);
}

#[test]
fn a_hand_over_says_who_is_on_call_until_when_and_who_is_next() {
    let shift = Shift { person: Some("Ana"), second: Some("Bia"), ..Shift::default() };
    let next = Shift { person: Some("Caio"), ..Shift::default() };
    let told = HandOver {
        environment: "prod",
        squad: "Squad Infra",
        shift,
        change: Some((at("2026-12-07T12:00:00Z"), next)),
        group_unchanged: None,
        is_repetition: false,
    };
    let body = hand_over(&told, Language::Portuguese, Some(&on_call()));
    limits::slack(&body, &["U024BE7LH"]).unwrap();
    assert_eq!(body["text"], "📟 [prod] Squad Infra: agora de plantão: Ana");
    let fields = |body: &Value| -> Vec<String> {
        let fields = body["blocks"][1]["fields"].as_array().unwrap().iter();
        fields.map(|field| field["text"].as_str().unwrap().to_owned()).collect()
    };
    let expected = [
        "*De plantão*",
        "<@U024BE7LH>",
        "*Segunda pessoa*",
        "Bia",
        "*Até*",
        "2026-12-07 09:00:00 -03:00",
        "*Depois*",
        "Caio",
    ];
    assert_eq!(
        (fields(&body), body["blocks"].as_array().unwrap().len()),
        (expected.map(str::to_owned).to_vec(), 2)
    );
    // Nobody follows, and what went wrong is said.
    let override_ = Shift { why: Why::Override { reason: "Natal" }, ..shift };
    let told = HandOver {
        shift: override_,
        change: None,
        group_unchanged: Some("missing_scope"),
        is_repetition: true,
        ..told
    };
    let body = hand_over(&told, Language::English, None);
    limits::slack(&body, &[]).unwrap();
    assert_eq!(fields(&body), ["*On call*", "Ana", "*Second*", "Bia", "*Override*", "Natal"]);
    let notices = [&body["blocks"][2]["text"]["text"], &body["blocks"][3]["text"]["text"]];
    assert_eq!(
        notices,
        ["⚠️ The Slack user group was not changed: missing_scope", "🔁 Sent again: it may be a duplicate"]
    );
    let told = HandOver { shift: Shift::default(), ..told };
    let text = hand_over(&told, Language::Portuguese, None)["text"].to_string();
    assert!(text.contains("ninguém; um page vai para os contatos do squad"), "{text}");
    for text in nasty() {
        let shift =
            Shift { person: Some(&text), second: Some(&text), why: Why::Override { reason: &text }, ..shift };
        let told = HandOver {
            environment: &text,
            squad: &text,
            shift,
            change: Some((now(), shift)),
            group_unchanged: Some(&text),
            is_repetition: true,
        };
        for language in LANGUAGES {
            limits::slack(&hand_over(&told, language, Some(&on_call())), &["U024BE7LH"]).unwrap();
        }
    }
}

#[test]
fn a_message_mentions_users_and_groups_but_not_a_crowd() {
    let squad = [on_call(), UserId::parse("S0614TZR7").unwrap()];
    let people =
        message(&normal(), Language::Portuguese, now(), &squad, false)["blocks"][2]["fields"].to_string();
    assert!(people.contains("<@U024BE7LH> <!subteam^S0614TZR7>"), "{people}");
    let crowd: Vec<UserId> = (10..99).map(|number| UserId::parse(&format!("U{number}")).unwrap()).collect();
    let body = message(&normal(), Language::Portuguese, now(), &crowd, false);
    assert_eq!(body["blocks"].to_string().matches("<@").count(), 20);
}

#[test]
fn a_message_without_blocks_has_the_headline_and_the_id() {
    let body = plain_message(&normal(), Language::Portuguese);
    assert_eq!(
        body["text"],
        "🟠 [prod] S1 alta: API moveongs-prod: 5xx acima de 5% (últimos 10 min)\nINC-20261129-7Q2MZK4A"
    );
    for (incident, language) in extremes() {
        let body = plain_message(&incident, language);
        let text = body["text"].as_str().unwrap();
        assert!(text.encode_utf16().count() < 4_000 && body["blocks"].is_null(), "{text}");
        let bare = text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
        assert!(!bare.contains(['<', '>', '&']), "{text}");
    }
}

#[test]
fn only_an_id_is_a_user() {
    for id in ["U024BE7LH", "W012A3CDE", "U12", "S0614TZR7"] {
        assert!(UserId::parse(id).is_some(), "{id}");
    }
    for id in
        ["", "U", "U1", "u024be7lh", "<@U024BE7LH>", "U024BE7LH>", "!channel", "C024BE7LH", "U024-", "Ué1"]
    {
        assert!(UserId::parse(id).is_none(), "{id}");
    }
}

#[test]
fn an_event_for_pagerduty() {
    let event = pagerduty::event(&normal(), Language::Portuguese);
    assert_eq!(
        event,
        json!({
            "event_action": "trigger",
            "dedup_key": "INC-20261129-7Q2MZK4A",
            "payload": {
                "summary": "[prod] S1 alta: API moveongs-prod: 5xx acima de 5% (últimos 10 min)",
                "source": "moveongs-prod-api",
                "severity": "critical",
                "timestamp": "2026-11-29T12:00:00Z",
                "component": "moveongs-prod-api",
                "group": "prod",
                "class": "cloudwatch",
                "custom_details": {
                    "incident": "INC-20261129-7Q2MZK4A",
                    "state": "acionado",
                    "level": "S1",
                    "reason": "Threshold Crossed: 2 out of the last 2 datapoints [7.1 (29/11/26 12:00:00), 9.4] > 5.0",
                    "command": "aws ecs describe-services --cluster moveongs-prod --services api",
                    "owner": "Squad Infra",
                    "backup": "Squad Backend",
                    "on_call": "Ana Souza",
                    "runbook": "https://github.com/moveongs/api/blob/main/docs/observability/runbooks/api-disponibilidade.md",
                    "problem": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:moveongs-prod-5xx",
                    "labels": "service=moveongs-api",
                    "events": 3,
                    "drill": false,
                    "understood": true,
                },
            },
            "links": [
                {"href": "https://github.com/moveongs/api/blob/main/docs/observability/runbooks/api-disponibilidade.md", "text": "Runbook"},
                {"href": "https://console.aws.amazon.com/cloudwatch/home?region=us-east-1#alarmsV2:alarm/moveongs-prod-5xx", "text": "Abrir o alerta"},
            ],
            "client": "incident-page",
        })
    );
    let actions = STATES.map(|state| {
        let event = pagerduty::event(&Incident { state, ..normal() }, Language::English);
        event["event_action"].as_str().unwrap().to_owned()
    });
    assert_eq!(actions, ["trigger", "acknowledge", "acknowledge", "resolve"]);
    let severities = SEVERITIES.map(|severity| {
        let event = pagerduty::event(&Incident { severity, ..normal() }, Language::English);
        event["payload"]["severity"].as_str().unwrap().to_owned()
    });
    assert_eq!(severities, ["critical", "critical", "error", "warning"]);
    let event = pagerduty::event(&Incident::default(), Language::English);
    assert_eq!(event["payload"]["source"], "incident");
    assert_eq!(event["payload"].get("component"), None);
}

#[test]
fn a_preview_shows_what_slack_would() {
    let mut incident = normal();
    incident.title = "a <b> & \"c\"".to_owned();
    incident.reason = "x < y *z*\n<script>".to_owned();
    let page = preview::html(&message(&incident, Language::Portuguese, now(), &[on_call()], false));
    for part in [
        "<h1><bdi>🟠 [prod] S1 alta: a &lt;b&gt; &amp; &quot;c&quot;</bdi></h1>",
        "<b>Acionado</b>, desde 2026-11-29 09:00:00 -03:00, há 12 min<br>3 eventos",
        "<tr><td><b>Responsável</b></td><td><bdi>Squad Infra</bdi></td></tr>",
        "<td><b>De plantão</b></td><td><span class=\"mention\">@U024BE7LH</span></td>",
        "<b>Motivo</b><pre>x &lt; y *z*\n&lt;script&gt;</pre>",
        "<a class=\"button\" href=\"https://github.com/moveongs/api/",
        "<p class=\"context\"><bdi>INC-20261129-7Q2MZK4A</bdi> · <bdi>prod</bdi>",
    ] {
        assert!(page.contains(part), "{part} in\n{page}");
    }
    let odd = json!({"text": "a <b>", "blocks": [{"type": "divider"}, {"type": "<x>"}, 7, {"type": "actions", "elements": [{"url": "javascript:a"}]}]});
    let page = preview::html(&odd);
    assert!(
        page.contains("<hr>\n<p>(&lt;x&gt;)</p>\n<p>()</p>\n<p><span class=\"button\"></span></p>"),
        "{page}"
    );
    assert!(preview::html(&json!({"text": "a &lt;b"})).contains("<body>\n<p>a &lt;b</p>\n</body>"));
    assert!(preview::html(&Value::Null).contains("<body>\n<p></p>"));
    let page = preview::several("two <b>", [("a <i>", &odd), ("c", &Value::Null)]);
    assert!(page.contains("<title>two &lt;b&gt;</title>"), "{page}");
    assert!(page.contains("<h2>a &lt;i&gt;</h2>\n<div class=\"message\">\n<hr>\n"), "{page}");
    assert!(page.contains("</div>\n<h2>c</h2>\n<div class=\"message\">\n<p></p>\n</div>\n</body>"), "{page}");
}

#[test]
fn foreign_text_loses_what_reorders_or_hides() {
    let cases = [
        ("", ""),
        (" \u{200b}\u{200d}\n\u{2800}", ""),
        ("  a \u{202e}b\u{2066}\tc\n\nd\0 ", "a b c d"),
        ("a\u{1b}[31mb\u{9b}", "a[31mb"),
        ("👨‍👩‍👧 ok", "👨‍👩‍👧 ok"),
        ("שלום \u{200f}x", "שלום x"),
    ];
    for (foreign, expected) in cases {
        assert_eq!(line(foreign), expected, "{foreign:?}");
    }
    assert_eq!(block("\n\n  a\r\n\r\n\r\n\r\n  b\r\tc\u{2028}\n"), "  a\n\n  b\n\tc");
    assert_eq!(block(" \n\0"), "");
}

#[test]
fn text_is_cut_between_visible_characters() {
    let chars = |text: &str, limit| cut(text, limit, "…", one);
    assert_eq!(chars("abcdef", 6), "abcdef");
    assert_eq!(chars("abcdef", 5), "abcd…");
    assert_eq!(chars("ab cdef", 4), "ab…");
    assert_eq!(chars("👨‍👩‍👧👨‍👩‍👧", 8), "👨‍👩‍👧…");
    assert_eq!(chars("ae\u{301}bcd", 3), "a…");
    assert_eq!(chars("👍🏽👍🏽👍🏽", 4), "👍🏽…");
    assert_eq!(cut("😀😀😀", 5, "…", char::len_utf16), "😀😀…");
    assert_eq!(chars(&format!("e{}", "\u{301}".repeat(100)), 50).chars().count(), 50);
    assert_eq!(chars("abc", 0), "…");
}

#[test]
fn only_a_complete_https_address_is_a_link() {
    for url in [
        "https://a.example",
        " https://a.example:8443/b?c=d&e='f'#g ",
        "https://a.example?x={a}^(b)",
        "https://10.0.0.1/x",
    ] {
        assert_eq!(https(url), Some(url.trim()));
    }
    let long = format!("https://a.example/{}", "a".repeat(2_000));
    for bad in [
        "",
        "http://a.example",
        "https://",
        "https:///a",
        "https://:443",
        "https://-a",
        "https://.a",
        "javascript:alert(1)",
        "HTTPS://a",
        "https://good.example@evil.example/",
        "https://a b",
        "https://a.example/\"x",
        "https://a.example/<x>",
        "https://a.example/|x",
        "https://a.example/é",
        "https://exämple",
        "https://a.example\\@b",
        "docs/x.md",
        &long,
    ] {
        assert_eq!(https(bad), None, "{bad}");
    }
}

#[test]
fn durations_and_counts_are_words() {
    let minutes = |minutes: i64| duration(minutes, Language::Portuguese);
    let cases = [
        (-5, "menos de 1 min"),
        (0, "menos de 1 min"),
        (1, "1 min"),
        (59, "59 min"),
        (60, "1 h"),
        (65, "1 h 05 min"),
        (1_439, "23 h 59 min"),
        (1_440, "1 d"),
        (1_500, "1 d 1 h"),
        (10_000, "6 d 22 h"),
    ];
    for (count, words) in cases {
        assert_eq!(minutes(count), words);
    }
    assert_eq!(duration(0, Language::English), "less than 1 min");
    let events = |count, flaps, language| {
        let incident = Incident { count, flaps, last_at: Timestamp::UNIX_EPOCH, ..normal() };
        super::events(&incident, language)
    };
    assert_eq!(events(0, 0, Language::Portuguese), None);
    assert_eq!(events(1, 0, Language::Portuguese), None);
    assert_eq!(events(1, 2, Language::Portuguese).as_deref(), Some("1 evento; voltou 2 vezes"));
    assert_eq!(events(2, 1, Language::English).as_deref(), Some("2 events; came back 1 time"));
    let incident = Incident { count: 2, flaps: 0, ..normal() };
    let words = super::events(&incident, Language::English);
    assert_eq!(words.as_deref(), Some("2 events, the last at 2026-11-29 09:10:00 -03:00"));
    assert_eq!(normal().lasted(now()), SignedDuration::from_secs(750));
}

#[test]
fn every_severity_and_state_has_its_mark_and_color() {
    let mut seen = Vec::new();
    for state in STATES {
        for severity in SEVERITIES {
            let incident = Incident { state, severity, ..normal() };
            seen.push((mark(&incident), color(&incident)));
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 4 + 4 + 1 + 1);
}

/// Any characters at all, mixed with what channels give a meaning to.
fn foreign() -> impl Strategy<Value = String> {
    let fragments = vec![
        "<!channel>",
        "<@U1>",
        "<http://a|b>",
        "```",
        "`",
        "*",
        "_",
        "~",
        "&",
        "&lt;",
        "\n",
        "\r\n",
        "\0",
        "\u{202e}",
        "\u{2066}",
        "\u{200d}",
        "\u{301}",
        "👨‍👩‍👧",
        "é",
        "\"",
        "'",
        "\\",
        "<",
        ">",
        "https://",
        "|",
        "a very long word ",
        "\u{feff}",
    ];
    let piece =
        prop_oneof![any::<char>().prop_map(|c| c.to_string()), select(fragments).prop_map(str::to_owned)];
    (vec(piece, 0..40), prop_oneof![Just(1_usize), Just(1), Just(1), Just(60)])
        .prop_map(|(pieces, times)| pieces.concat().repeat(times))
}

fn incident() -> impl Strategy<Value = Incident> {
    let times = (-377_705_023_201..253_402_207_200_i64).prop_map(|at| Timestamp::from_second(at).unwrap());
    let rest = (
        select(STATES.to_vec()),
        select(SEVERITIES.to_vec()),
        any::<u64>(),
        vec(times, 4),
        any::<[bool; 4]>(),
    );
    (vec(foreign(), 20), rest).prop_map(|(texts, (state, severity, count, times, flags))| {
        let mut texts = texts.into_iter();
        let mut text = || texts.next().unwrap_or_default();
        Incident {
            id: text(),
            version: count,
            environment: text(),
            state,
            severity,
            severity_proposed_by: text(),
            severity_confirmed_by: text(),
            title: text(),
            reason: text(),
            source: text(),
            problem: text(),
            resource: text(),
            first_at: times[0],
            last_at: times[1],
            count,
            flaps: u32::try_from(count % 7).unwrap(),
            owner: text(),
            backup: text(),
            on_call: text(),
            acknowledged_by: text(),
            commander: text(),
            resolved_at: flags[0].then_some(times[2]),
            runbook: text(),
            link: text(),
            command: text(),
            labels: BTreeMap::from([(text(), text())]),
            is_drill: flags[1],
            muted: flags[2].then(|| Mute { by: text(), reason: text(), until: times[3] }),
            understood: flags[3],
            attempts: Attempts { count: 2, unclear: u32::from(flags[0]) },
            ..Incident::default()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_incident_passes_every_limit(incident in incident(), english in any::<bool>()) {
        let language = LANGUAGES[usize::from(english)];
        prop_assert_eq!(check(&incident, language, now()), Ok(()));
        let stored = serde_json::to_string(&incident).unwrap();
        prop_assert_eq!(serde_json::from_str::<Incident>(&stored).unwrap(), incident);
    }

    #[test]
    fn any_text_is_cut_to_its_limit_and_keeps_its_beginning(text in foreign(), limit in 1_usize..300) {
        let short = cut(&text, limit, "…", char::len_utf16);
        prop_assert!(short.encode_utf16().count() <= limit);
        prop_assert!(short == text || text.starts_with(short.strip_suffix('…').unwrap()));
        let clean = block(&text);
        prop_assert_eq!(block(&clean), clean);
        prop_assert!(ascii(&text).bytes().all(|b| b == b' ' || b.is_ascii_graphic()));
    }

    #[test]
    fn any_entry_passes_slacks_limits(by in foreign(), text in foreign(), action in select(ACTIONS.to_vec())) {
        let entry = Entry { at: now(), by: by.clone(), action, text };
        prop_assert_eq!(limits::slack(&reply(&by, &entry, Language::Portuguese, &[]), &[]), Ok(()));
    }
}
