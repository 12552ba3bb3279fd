//! The page and its other forms: everything is on them, other people's text is text, and nothing is asked of the network.

use incident::Severity;
use incident::metrics::{Group, Metrics, Named, Row as MonthRow, Stat};
use jiff::Timestamp;
use shared::runtime::language::Language;

use super::finding::{is_unseen, pages};
use super::{duration, feed, mail, page, requirement, table};
use crate::rules::control::{CONTROLS, UNMEASURED, gaps};
use crate::rules::view::{
    ChainRow, Change, Cost, CostLine, Environment, Event, Exception, Fault, Figure, Open, Proof, Restore,
    Row, Secret, State, Verdict, View, Why,
};

const EVIL: &str = "<script>alert(1)</script> \"'&";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A page with something in every section, much of it hostile.
pub(crate) fn sample() -> View {
    let proof = Proof {
        key: "evidence/restore-test/9999999998.json".to_owned(),
        version: Some("v&1".to_owned()),
        sha256: "a1f43565879c1f3f116b54f1af4ce5bb3dc89f175b0c37a8959514d66b866bf0".to_owned(),
        at: at("2026-11-01T08:00:00Z"),
        succeeded: true,
    };
    let states = [State::Failing, State::Overdue, State::Unknown, State::Due, State::Ok];
    let whys = [
        Why::Found(2),
        Why::LateSince(at("2026-11-02T08:00:00Z")),
        Why::Unread(EVIL.to_owned()),
        Why::DueSoon,
        Why::Proved,
    ];
    let figures = [
        Figure::Restore { rto_seconds: Some(900), rpo_seconds: None },
        Figure::Checks { good: 80, all: 81 },
        Figure::Findings(3),
        Figure::Secrets { good: 1, all: 2 },
        Figure::Records { verified: 9, all: 10 },
    ];
    let cycle = states.into_iter().zip(whys).zip(figures).cycle();
    let controls = CONTROLS.iter().zip(cycle).map(|(control, ((state, why), figure))| Row {
        id: control.id.to_owned(),
        guide: control.guide.to_owned(),
        procedure: control.procedure.to_owned(),
        state,
        why,
        since: at("2026-10-01T08:00:00Z"),
        stopped: None,
        evidence: Some(proof.clone()),
        last_good: (!state.is_good()).then(|| proof.clone()),
        figure: Some(figure),
        next_due: Some(at("2026-12-05T08:00:00Z")),
        owner: "Squad Infra".to_owned(),
        backup: EVIL.to_owned(),
    });
    let stat = |seconds| Stat { count: 1, median_seconds: Some(seconds), p90_seconds: Some(seconds) };
    let month = |month: &str, seconds| Metrics {
        month: month.to_owned(),
        rows: vec![MonthRow {
            group: Group::Incident,
            severity: Severity::S1,
            incidents: 2,
            tta: stat(seconds),
            ttm: stat(seconds),
            ttr: stat(seconds * 9),
            impact: stat(seconds),
        }],
        unacknowledged: vec![Named {
            incident: "INC-1".to_owned(),
            severity: Severity::S1,
            group: Group::Incident,
            first_at: at("2026-11-01T08:00:00Z"),
        }],
        ..Metrics::default()
    };
    let restore = |day: &str, rto| Restore {
        at: at(day),
        procedure: "restore-test".to_owned(),
        succeeded: true,
        rto_seconds: Some(rto),
        rpo_seconds: Some(3000),
        key: proof.key.clone(),
    };
    let fault = Fault {
        kind: "EvidenceAltered".to_owned(),
        key: format!("evidence/x/{EVIL}"),
        what: EVIL.to_owned(),
        next: "x".to_owned(),
    };
    View {
        schema: 1,
        made_at: at("2026-11-29T12:00:00Z"),
        project: "moveongs".to_owned(),
        environment: "dev".to_owned(),
        code_version: "0123456789ab".to_owned(),
        bucket: "moveongs-dev-evidence-123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        controls: controls.collect(),
        unmeasured: gaps(false, true),
        chains: vec![
            ChainRow { procedure: "a".to_owned(), verdict: Verdict::Verified, ..ChainRow::default() },
            ChainRow {
                procedure: "b".to_owned(),
                verdict: Verdict::Damaged(vec![fault]),
                ..ChainRow::default()
            },
            ChainRow { procedure: "c".to_owned(), unread: vec![EVIL.to_owned()], ..ChainRow::default() },
        ],
        secrets: vec![Secret {
            secret: format!("=HYPERLINK({EVIL})"),
            state: State::Overdue,
            rotated: Some(at("2026-08-01T08:00:00Z")),
            ..Secret::default()
        }],
        restores: vec![restore("2026-08-02T08:00:00Z", 900), restore("2026-11-01T08:00:00Z", 1200)],
        months: vec![month("2026-10", 120), month("2026-11", 300)],
        findings: vec![Open {
            procedure: "backup-audit".to_owned(),
            key: format!("fail rds.retention {EVIL}"),
            text: EVIL.to_owned(),
            since: at("2026-11-09T12:00:00Z"),
        }],
        exceptions: vec![Exception {
            rule: "s3.public".to_owned(),
            resource: EVIL.to_owned(),
            reason: "x".to_owned(),
            owner: "Ana".to_owned(),
            until: "2026-11-28".parse().unwrap(),
        }],
        changes: vec![Change {
            author: EVIL.to_owned(),
            changes: vec![EVIL.to_owned()],
            ..Change::default()
        }],
        cost: Cost {
            days: 30,
            lines: vec![CostLine { what: "alarms".to_owned(), usd: 12.0, ..CostLine::default() }],
            usd: 12.0,
            ..Cost::default()
        },
        environments: vec![Environment {
            bucket: "other".to_owned(),
            unread: Some(EVIL.to_owned()),
            ..Environment::default()
        }],
        events: vec![Event {
            at: at("2026-11-29T12:00:00Z"),
            control: "inventory".to_owned(),
            from: Some(State::Ok),
            to: State::Failing,
        }],
        ..View::default()
    }
}

#[test]
fn the_page_has_every_control_and_other_peoples_text_is_text() {
    for (language, words) in [
        (Language::Portuguese, ["lang=\"pt-BR\"", "não se sabe", "vencido", "Planilha de rotação", "20 d"]),
        (Language::English, ["lang=\"en\"", "unknown", "overdue", "Rotation sheet", "20 d"]),
    ] {
        let page = page::page(&sample(), language);
        for word in words {
            assert!(page.contains(word), "{word}");
        }
        for control in CONTROLS {
            assert!(page.contains(requirement(control.id, language)), "{}", control.id);
        }
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{language:?}");
        assert!(page.contains("versionId=v%261"), "{language:?}");
        let small = page.len();
        assert!(small < 200_000, "{small}");
    }
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let page = page::page(&sample(), Language::Portuguese);
    for absent in ["<script", "<link", "<img", "<iframe", "<object", "src=", "@import", "url(", "javascript:"]
    {
        assert!(!page.contains(absent), "{absent}");
    }
    // Only links that a person follows.
    for (place, _) in page.match_indices("https://") {
        let before = page.get(..place).unwrap();
        assert!(
            before.ends_with("href=\"") || before.contains("<footer") || !before.ends_with('"'),
            "{place}"
        );
    }
    let policy =
        page.split("Content-Security-Policy\" content=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    // An inline style would need another policy.
    assert!(!page.contains(" style="), "an attribute is not allowed by the policy");
}

#[test]
fn no_cell_of_a_table_is_a_formula_and_a_control_is_a_row() {
    let controls = table::controls(&sample(), Language::English);
    let rows: Vec<_> = csv::ReaderBuilder::new()
        .from_reader(controls.as_bytes())
        .records()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(rows.len(), CONTROLS.len() + UNMEASURED.len());
    let gap = rows.iter().find(|row| &row[0] == "customers-informed").unwrap();
    assert_eq!((&gap[1], &gap[4], &gap[10]), ("4.2", "not_measured", ""));
    let sheet = table::sheet(&sample().secrets);
    assert!(sheet.contains("'=HYPERLINK"), "{sheet}");
}

#[test]
fn the_feed_parses_and_an_entry_keeps_its_id() {
    let text = feed::feed(&sample(), Language::Portuguese);
    let feed: atom_syndication::Feed = text.parse().unwrap();
    let [entry] = feed.entries() else { panic!("{text}") };
    assert_eq!(entry.id(), "urn:governance:moveongs:dev:inventory:1795953600000");
    assert!(entry.title().as_str().starts_with("falhando: "), "{text}");
    let mut empty = sample();
    empty.events.clear();
    assert!(feed::feed(&empty, Language::English).parse::<atom_syndication::Feed>().is_ok());
}

#[test]
fn the_mail_says_what_is_proved_what_is_late_and_what_it_takes() {
    let sent = mail::mail(&sample(), "2026-11", Language::Portuguese);
    assert!(sent.subject.starts_with("[moveongs dev] Governança 2026-11: "), "{}", sent.subject);
    for part in [
        "Provado (",
        "Vencido: a prova devia ter chegado e não chegou (",
        "Falhando: ",
        "Não se sabe: não conta como em ordem (",
        "ATENÇÃO: 1 cadeia(s) de registros estão danificadas.",
        "(não pôde ser lido)",
        "O que se precisa:\n- Squad Infra: tempo para ",
    ] {
        assert!(sent.text.contains(part), "{part}\n{}", sent.text);
    }
    let good = View {
        controls: vec![Row { state: State::Ok, owner: "Squad Infra".to_owned(), ..Row::default() }],
        ..View::default()
    };
    let sent = mail::mail(&good, "2026-11", Language::Portuguese);
    assert!(
        sent.text.contains("nada: tudo o que é medido está em dia.") && !sent.text.contains("Vencido"),
        "{}",
        sent.text
    );
    assert!(!mail::mail(&sample(), "2026-11", Language::Portuguese).text.contains(EVIL), "a call's answer");
    let good_of = |view: &View| mail::mail(view, "2026-11", Language::Portuguese).text;
    assert!(good_of(&good).contains("nenhum falta"));
    // The anchors are a chain, too.
    let unread = View { anchors_unread: vec![EVIL.to_owned()], ..good.clone() };
    assert!(good_of(&unread).contains("1 cadeia(s) de registros não puderam"), "{}", good_of(&unread));
    let damaged = View { anchor_faults: vec![Fault::default()], ..good.clone() };
    assert!(good_of(&damaged).contains("ATENÇÃO: 1 cadeia(s)"), "{}", good_of(&damaged));
    let english = mail::mail(&good, "2026-11", Language::English);
    assert!(english.text.contains("1 are proven"), "{}", english.text);
}

#[test]
fn what_is_not_measured_is_named_with_its_reason_and_counted_apart() {
    let (sheet, customers) = ("SheetWebhookSecretName", "incidents.customers.addresses");
    for (has_drive, has_customers) in [(false, false), (true, false), (false, true), (true, true)] {
        let unmeasured = gaps(has_drive, has_customers);
        assert_eq!(unmeasured.len(), UNMEASURED.len());
        let view = View { unmeasured, ..sample() };
        let mail = mail::mail(&view, "2026-11", Language::Portuguese);
        let counted = format!("de {} controles provados", CONTROLS.len());
        assert!(mail.subject.ends_with(&counted), "{}", mail.subject);
        assert!(mail.text.contains(&format!("Não medido ({}): ", UNMEASURED.len())), "{}", mail.text);
        for text in [page::page(&view, Language::Portuguese), mail.text] {
            for gap in UNMEASURED {
                assert!(text.contains(gap.text.0), "{}", gap.id);
            }
            assert_eq!(text.contains(&format!("({sheet})")), !has_drive, "{text}");
            assert_eq!(text.contains(customers), !has_customers, "{text}");
        }
        let english = mail::mail(&view, "2026-11", Language::English).text;
        assert!(english.contains("Not measured (") && english.contains(UNMEASURED[0].text.1), "{english}");
    }
    // A stored page of a version that did not have them.
    let old = View { unmeasured: Vec::new(), ..sample() };
    assert!(!mail::mail(&old, "2026-11", Language::Portuguese).text.contains("Não medido"));
}

#[test]
fn what_could_not_be_read_again_is_not_resolved() {
    let mut view = sample();
    let of = |state| view.controls.iter().find(|row| row.state == state).unwrap().id.clone();
    let (unknown, failing) = (of(State::Unknown), of(State::Failing));
    view.has_anchors = true;
    let damage = |chain: &str| format!("EvidenceDamaged {chain}/EvidenceAltered/evidence/x.json");
    for (key, expected) in [
        (format!("ControlFailing {unknown}"), true),
        (format!("ControlOverdue {failing}"), false),
        ("ControlFailing gone".to_owned(), true),
        (damage("a"), false),
        (damage("c"), true),
        (damage("gone"), true),
        (damage("anchors"), false),
    ] {
        assert_eq!(is_unseen(&view, &key), expected, "{key}");
    }
    view.anchors_unread = vec!["denied".to_owned()];
    assert!(["anchors", "a"].into_iter().all(|chain| is_unseen(&view, &damage(chain))));
}

#[test]
fn a_procedure_that_does_not_run_is_one_page_whatever_it_found() {
    let settings = shared::testing::settings("governance-report", Language::Portuguese);
    let mut view = sample();
    // What is late while its procedure runs is no page.
    let kinds: Vec<String> = pages(&settings, &view).into_iter().map(|page| page.kind).collect();
    assert_eq!(kinds, ["EvidenceDamaged"]);
    view.chains.clear();
    for row in view.controls.iter_mut().filter(|row| row.procedure == "backup-audit") {
        (row.state, row.stopped) = (State::Failing, Some(at("2026-11-28T09:30:00Z")));
    }
    let pages = pages(&settings, &view);
    let [page] = pages.as_slice() else { panic!("{}", pages.len()) };
    assert_eq!(page.dedup_key, "governance-report/backup-audit/ControlOverdue");
    assert!(page.text.contains("não roda desde 2026-11-28 06:30"), "{}", page.text);
}

#[test]
fn a_stored_page_of_this_version_is_read_again() {
    let view = sample();
    let text = serde_json::to_string(&view).unwrap();
    assert_eq!(serde_json::from_str::<View>(&text).unwrap(), view);
    // A field that an older version lacks has a default.
    assert!(serde_json::from_str::<View>("{}").is_ok());
}

#[test]
fn a_reason_has_three_names_at_most() {
    let why = |count: usize| {
        let names = ["INC-1", "INC-2", "INC-3", "INC-4", "INC-5"].map(str::to_owned);
        super::why(&Why::Items(names.into_iter().take(count).collect()), Language::Portuguese)
    };
    assert_eq!(why(3), "INC-1, INC-2, INC-3");
    assert_eq!(why(5), "INC-1, INC-2, INC-3 e mais 2");
}

#[test]
fn a_duration_is_short() {
    for (seconds, text) in [
        (-1, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (7500, "2 h 05 min"),
        (183_600, "2 d 03 h"),
    ] {
        assert_eq!(duration(seconds), text);
    }
}
