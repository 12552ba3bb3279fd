//! The page: one file that needs no script and asks nothing of the network. Its template escapes all text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use incident::Severity;
use incident::metrics::{Group, Metrics, Stat};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};
use shared::runtime::language::Language;
use shared::runtime::time;

use super::chart::{Line, chart};
use crate::rules::view::{ChainRow, Environment, Fault, Proof, Row, State, Verdict, View};
use crate::text::{console, day, duration, figure, minute, requirement, state, unmeasured, why};

const STYLE: &str = include_str!("page.css");

/// Most findings on the page; `controls.json` has all.
const MOST_FINDINGS: usize = 1_000;

/// A page for a view.
struct Page<'a> {
    view: &'a View,
    language: Language,
}

/// `index.html`.
pub(crate) fn page(view: &View, language: Language) -> String {
    Page { view, language }.whole().into_string()
}

/// Only this style sheet is applied, nothing is loaded, and nothing runs.
fn security() -> String {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'")
}

impl Page<'_> {
    fn say<'a>(&self, portuguese: &'a str, english: &'a str) -> &'a str {
        self.language.pick(portuguese, english)
    }

    fn whole(&self) -> Markup {
        let View { project, environment, .. } = self.view;
        let title = format!("{}: {project} {environment}", self.say("Governança", "Governance"));
        html! {
            (DOCTYPE)
            html lang=(self.say("pt-BR", "en")) {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(security());
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="referrer" content="no-referrer";
                    title { (title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header {
                        h1 { (title) }
                        (self.head())
                        (self.contents())
                    }
                    main {
                        (self.damage())
                        (self.controls())
                        (self.unmeasured())
                        (self.environments())
                        (self.sheet())
                        (self.restores())
                        (self.incidents())
                        (self.findings())
                        (self.exceptions())
                        (self.changes())
                        (self.chains())
                        (self.cost())
                    }
                    footer { (self.footer()) }
                }
            }
        }
    }

    fn head(&self) -> Markup {
        let view = self.view;
        html! {
            p {
                (self.say("Feita em ", "Made on ")) (time::local(view.made_at))
                (self.say(" (São Paulo), versão ", " (São Paulo), version ")) code { (view.code_version) }
                ". " (self.say("O que não foi lido e conferido é ", "What was not read and verified is "))
                (self.state(State::Unknown)) (self.say(", e nunca conta como em ordem.", ", and never counts as good."))
            }
            ul.sums {
                @for each in State::ALL {
                    li class=(each.name()) { strong { (view.count(each)) } (state(each, self.language)) }
                }
                li { strong { (view.unmeasured.len()) } a href="#unmeasured" { (self.say("não medidas", "not measured")) } }
            }
        }
    }

    fn sections(&self) -> [(&'static str, &'static str); 11] {
        let language = self.language;
        [
            ("controls", language.pick("Controles", "Controls")),
            ("unmeasured", language.pick("Não medido", "Not measured")),
            ("environments", language.pick("Ambientes lado a lado", "Environments side by side")),
            ("sheet", language.pick("Planilha de rotação", "Rotation sheet")),
            ("restores", language.pick("Restaurações: RTO e RPO", "Restores: RTO and RPO")),
            ("incidents", language.pick("Incidentes: MTTA e MTTR", "Incidents: MTTA and MTTR")),
            ("findings", language.pick("Achados abertos", "Open findings")),
            ("exceptions", language.pick("Exceções", "Exceptions")),
            ("changes", language.pick("Mudanças da política", "Changes of the policy")),
            ("chains", language.pick("Conferência da evidência", "Verification of the evidence")),
            ("cost", language.pick("Custo", "Cost")),
        ]
    }

    fn contents(&self) -> Markup {
        html! {
            nav aria-label=(self.say("Seções", "Sections")) {
                ul {
                    @for (id, name) in self.sections() { li { a href=(format!("#{id}")) { (name) } } }
                }
            }
        }
    }

    fn title(&self, wanted: &str) -> Markup {
        let name = self.sections().into_iter().find(|(id, _)| *id == wanted).map_or("", |(_, name)| name);
        html! { h2 id=(wanted) { (name) } }
    }

    fn state(&self, wanted: State) -> Markup {
        html! { span class=(wanted.name()) { (state(wanted, self.language)) } }
    }

    fn none(&self, text: &str) -> Markup {
        html! { p.soft { (text) } }
    }

    /// What could not be read, in place of a section's content.
    fn unread(&self, why: &str) -> Markup {
        html! { p { (self.state(State::Unknown)) ": " (self.say("não pôde ser lido: ", "could not be read: ")) (why) } }
    }

    fn columns(&self, names: &[&str]) -> Markup {
        html! { thead { tr { @for name in names { th scope="col" { (name) } } } } }
    }

    fn proof(&self, proof: &Proof) -> Markup {
        html! {
            a href=(console(self.view, proof)) rel="noreferrer" { (minute(proof.at)) }
            br; code { (key(&proof.key)) }
            br; small { "SHA-256 " code { (proof.sha256) } }
        }
    }

    fn damage(&self) -> Markup {
        let view = self.view;
        let damaged = view.chains.iter().filter_map(|chain| match &chain.verdict {
            Verdict::Damaged(faults) => Some((chain.procedure.as_str(), faults)),
            _ => None,
        });
        let all: Vec<(&str, &Vec<Fault>)> = damaged
            .chain(
                (!view.anchor_faults.is_empty())
                    .then_some((self.say("âncoras", "anchors"), &view.anchor_faults)),
            )
            .collect();
        html! {
            @for (procedure, faults) in all {
                div.fault role="group" aria-label=(procedure) {
                    p { strong { (self.say("Evidência danificada: ", "Damaged evidence: ")) (procedure) } }
                    ul {
                        @for fault in faults.iter().take(20) {
                            li { strong { (fault.kind) } " " code { (fault.key) } ": " (fault.what) ". " (self.language.next_step()) ": " (fault.next) }
                        }
                        @if faults.len() > 20 { li { "+" (faults.len() - 20) } }
                    }
                }
            }
        }
    }

    fn controls(&self) -> Markup {
        let names = [
            self.say("Guia", "Guide"),
            self.say("Exigência", "Requirement"),
            self.say("Estado", "State"),
            self.say("Última evidência", "Last evidence"),
            self.say("Medida", "Figure"),
            self.say("Próximo prazo", "Next due"),
            self.say("Responsável", "Owner"),
        ];
        let [guide, _, state_, evidence, measured, due, owner] = names;
        html! {
            (self.title("controls"))
            table.wide.controls {
                caption { (self.say("Cada exigência do guia, com a prova. Os links levam ao console da AWS.", "Each requirement of the guide, with its proof. The links lead to the AWS console.")) }
                (self.columns(&names))
                tbody {
                    @for row in &self.view.controls {
                        tr {
                            td.short data-label=(guide) { (row.guide) }
                            th scope="row" { (requirement(&row.id, self.language)) br; small { code { (row.procedure) } } }
                            td data-label=(state_) { (self.state(row.state)) br; small { (why(&row.why, self.language)) } br; small { (self.say("desde ", "since ")) (day(row.since)) } }
                            td data-label=(evidence) { (self.evidence(row)) }
                            td data-label=(measured) { @if let Some(known) = &row.figure { (figure(known, self.language)) } }
                            td.short[row.next_due.is_some()] data-label=(due) { (self.due(row)) }
                            td data-label=(owner) { (row.owner) br; small { (row.backup) } }
                        }
                    }
                }
            }
        }
    }

    fn evidence(&self, row: &Row) -> Markup {
        html! {
            @match &row.evidence {
                Some(proof) => (self.proof(proof)),
                None => (self.say("nenhuma", "none")),
            }
            @if let Some(good) = &row.last_good {
                br; small { (self.say("a última boa: ", "the last good one: ")) a href=(console(self.view, good)) rel="noreferrer" { (minute(good.at)) } }
            }
        }
    }

    fn due(&self, row: &Row) -> Markup {
        html! {
            @match row.next_due {
                Some(due) => (day(due)),
                None => (self.say("se houver caso", "if a case arises")),
            }
        }
    }

    fn unmeasured(&self) -> Markup {
        let names = [
            self.say("Guia", "Guide"),
            self.say("Exigência", "Requirement"),
            self.say("Por que não é medida", "Why it is not measured"),
        ];
        let [guide, _, reason] = names;
        html! {
            (self.title("unmeasured"))
            @if self.view.unmeasured.is_empty() {
                (self.none(self.say("Esta página não tem a lista do que não é medido.", "This page does not have the list of what is not measured.")))
            } @else {
                table.wide {
                    caption { (self.say("O que o guia também pede e nenhum registro mostra. Não conta como em ordem nem como falha.", "What the guide requires, too, and no record shows. Counted neither as good nor as failing.")) }
                    (self.columns(&names))
                    tbody {
                        @for gap in &self.view.unmeasured {
                            @let (what, why) = unmeasured(gap, self.language);
                            tr {
                                td.short data-label=(guide) { (gap.guide) }
                                th scope="row" { (what) }
                                td data-label=(reason) { (why) }
                            }
                        }
                    }
                }
            }
        }
    }

    fn environments(&self) -> Markup {
        let view = self.view;
        html! {
            (self.title("environments"))
            @if view.environments.is_empty() {
                (self.none(self.say("Nenhum outro ambiente está configurado (OtherEvidenceBuckets).", "No other environment is configured (OtherEvidenceBuckets).")))
            } @else {
                @for other in &view.environments {
                    @if let Some(why) = &other.unread {
                        p { code { (other.bucket) } ": " (self.state(State::Unknown)) ": " (why) }
                    }
                }
                table.wide {
                    caption { (self.say("O estado de cada controle, como a página de cada ambiente o mostra.", "Each control's state, as each environment's page shows it.")) }
                    thead { tr {
                        th scope="col" { (self.say("Exigência", "Requirement")) }
                        th scope="col" { (view.environment) }
                        @for other in &view.environments { th scope="col" { (name(other)) @if let Some(at) = other.made_at { br; small { (minute(at)) } } } }
                    } }
                    tbody {
                        @for row in &view.controls {
                            tr {
                                th scope="row" { (requirement(&row.id, self.language)) }
                                td data-label=(view.environment) { (self.state(row.state)) }
                                @for other in &view.environments {
                                    td data-label=(name(other)) { (self.state(other.states.get(&row.id).copied().unwrap_or_default())) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn sheet(&self) -> Markup {
        let names = [
            self.say("Segredo", "Secret"),
            self.say("Estado", "State"),
            self.say("Última rotação", "Last rotation"),
            self.say("Resultado", "Outcome"),
            self.say("Próximo prazo", "Next due"),
            self.say("Responsável", "Owner"),
        ];
        let [_, state_, last, outcome, due, owner] = names;
        let view = self.view;
        html! {
            (self.title("sheet"))
            @if let Some(why) = &view.ledger_unread { (self.unread(why)) }
            @if view.secrets.is_empty() {
                (self.none(self.say("Nenhuma rotação foi registrada.", "No rotation has been recorded.")))
            } @else {
                table.wide {
                    caption { (self.say("A última rotação de cada segredo. Nenhum valor aparece aqui.", "The last rotation of each secret. No value appears here.")) }
                    (self.columns(&names))
                    tbody {
                        @for secret in &view.secrets {
                            tr {
                                th scope="row" { (secret.secret) @if !secret.key.is_empty() && secret.key != secret.secret { br; small { (secret.key) } } }
                                td data-label=(state_) { (self.state(secret.state)) }
                                td data-label=(last) { @if let Some(at) = secret.rotated { (day(at)) br; small { (secret.reason) " " (secret.by) } } }
                                td data-label=(outcome) { (secret.outcome) }
                                td.short data-label=(due) { @if let Some(at) = secret.next_due { (day(at)) } }
                                td data-label=(owner) { (secret.owner) br; small { (secret.backup) } }
                            }
                        }
                    }
                }
            }
        }
    }

    /// A chart with its legend; its numbers are in the table that follows.
    fn figure(&self, lines: &[Line], caption: &str) -> Markup {
        let Some(svg) = chart(lines, "min") else { return html! {} };
        html! {
            figure {
                (PreEscaped(svg))
                figcaption {
                    (caption)
                    ul.legend {
                        @for (line, number) in lines.iter().zip(1..) {
                            li { (swatch(number)) " " (line.name) }
                        }
                    }
                }
            }
        }
    }

    fn restores(&self) -> Markup {
        let view = self.view;
        let points = |value: fn(&crate::rules::view::Restore) -> Option<i64>| -> Vec<(Timestamp, f64)> {
            view.restores.iter().filter_map(|one| Some((one.at, minutes(value(one)?)))).collect()
        };
        let lines = [
            Line { name: "RTO".to_owned(), points: points(|one| one.rto_seconds) },
            Line { name: "RPO".to_owned(), points: points(|one| one.rpo_seconds) },
        ];
        let names = [
            self.say("Quando", "When"),
            self.say("Procedimento", "Procedure"),
            self.say("Resultado", "Result"),
            "RTO",
            "RPO",
            self.say("Registro", "Record"),
        ];
        let [_, procedure, result, rto, rpo, record] = names;
        let shown = |value: Option<i64>| {
            value.map_or_else(|| self.say("não medido", "not measured").to_owned(), duration)
        };
        html! {
            (self.title("restores"))
            p { (self.say("RTO: do pedido da instância até que todas as tabelas puderam ser lidas. RPO: a idade dos dados restaurados no início do teste.", "RTO: from the request for the instance until all tables could be read. RPO: the age of the restored data when the test began.")) }
            @if view.restores.is_empty() {
                (self.none(self.say("Nenhuma restauração foi medida.", "No restore has been measured.")))
            } @else {
                (self.figure(&lines, self.say("RTO e RPO, em minutos", "RTO and RPO, in minutes")))
                table.wide {
                    caption { (self.say("As restaurações medidas, a mais nova primeiro", "The measured restores, the newest first")) }
                    (self.columns(&names))
                    tbody {
                        @for one in view.restores.iter().rev() {
                            tr {
                                th.short scope="row" { (minute(one.at)) }
                                td data-label=(procedure) { (one.procedure) }
                                td data-label=(result) { (self.state(if one.succeeded { State::Ok } else { State::Failing })) }
                                td.short data-label=(rto) { (shown(one.rto_seconds)) }
                                td.short data-label=(rpo) { (shown(one.rpo_seconds)) }
                                td data-label=(record) { code { (one.key) } }
                            }
                        }
                    }
                }
            }
        }
    }

    fn incidents(&self) -> Markup {
        let view = self.view;
        let lines = |stat: fn(&incident::metrics::Row) -> &Stat| -> Vec<Line> {
            let of = |severity: Severity| Line {
                name: severity.name().to_owned(),
                points: view
                    .months
                    .iter()
                    .filter_map(|month| {
                        let rows = month.rows.iter();
                        let row = rows
                            .clone()
                            .find(|row| row.group == Group::Incident && row.severity == severity)?;
                        Some((first(month)?, minutes(stat(row).median_seconds?)))
                    })
                    .collect(),
            };
            Severity::ALL.map(of).into_iter().collect()
        };
        let names = [
            self.say("Mês", "Month"),
            self.say("Severidade", "Severity"),
            self.say("Incidentes", "Incidents"),
            self.say("MTTA, mediana", "MTTA, median"),
            "MTTA, p90",
            self.say("MTTR, mediana", "MTTR, median"),
            "MTTR, p90",
            self.say("Sem ninguém", "Taken by nobody"),
        ];
        let [_, severity, incidents, tta, tta90, ttr, ttr90, nobody] = names;
        let shown = |value: Option<i64>| value.map_or_else(|| "–".to_owned(), duration);
        html! {
            (self.title("incidents"))
            p { (self.say("Medianas, porque uma média esconde a noite ruim. Simulados e alarmes falsos não contam.", "Medians, since a mean hides the bad night. Drills and false alarms are not counted.")) }
            @if let Some(why) = &view.months_unread { (self.unread(why)) }
            @if view.months.is_empty() {
                (self.none(self.say("Nenhum mês foi medido.", "No month has been measured.")))
            } @else {
                (self.figure(&lines(|row| &row.tta), self.say("Tempo até alguém assumir (MTTA), em minutos", "Time to acknowledge (MTTA), in minutes")))
                (self.figure(&lines(|row| &row.ttr), self.say("Tempo até resolver (MTTR), em minutos", "Time to resolve (MTTR), in minutes")))
                table.wide {
                    caption { (self.say("Incidentes por mês e severidade, o mês mais novo primeiro", "Incidents by month and severity, the newest month first")) }
                    (self.columns(&names))
                    tbody {
                        @for month in view.months.iter().rev() {
                            @let rows: Vec<_> = month.rows.iter().filter(|row| row.group == Group::Incident).collect();
                            @if rows.is_empty() {
                                tr {
                                    th.short scope="row" { (month.month) }
                                    td data-label=(severity) { "–" }
                                    td data-label=(incidents) { "0" }
                                    td {} td {} td {} td {} td {}
                                }
                            }
                            @for row in rows {
                                @let alone = month.unacknowledged.iter().filter(|one| one.group == Group::Incident && one.severity == row.severity).count();
                                tr {
                                    th.short scope="row" { (month.month) }
                                    td data-label=(severity) { (row.severity.name()) }
                                    td data-label=(incidents) { (row.incidents) }
                                    td.short data-label=(tta) { (shown(row.tta.median_seconds)) }
                                    td.short data-label=(tta90) { (shown(row.tta.p90_seconds)) }
                                    td.short data-label=(ttr) { (shown(row.ttr.median_seconds)) }
                                    td.short data-label=(ttr90) { (shown(row.ttr.p90_seconds)) }
                                    td data-label=(nobody) { (alone) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn findings(&self) -> Markup {
        let names = [
            self.say("Aberto há", "Open for"),
            self.say("Procedimento", "Procedure"),
            self.say("Achado", "Finding"),
            self.say("Detalhe", "Detail"),
        ];
        let [age, procedure, _, detail] = names;
        let view = self.view;
        let days = |since: Timestamp| view.made_at.duration_since(since).as_hours().max(0) / 24;
        html! {
            (self.title("findings"))
            @if view.findings.is_empty() {
                (self.none(self.say("Nenhum achado aberto nos registros que puderam ser lidos.", "No open finding in the records that could be read.")))
            } @else {
                table.wide {
                    caption { (self.say("Do último registro de cada procedimento, o mais antigo primeiro. O texto é o do registro.", "From each procedure's last record, the oldest first. The text is the record's.")) }
                    (self.columns(&names))
                    tbody {
                        @for one in view.findings.iter().take(MOST_FINDINGS) {
                            tr {
                                td.short data-label=(age) { (days(one.since)) " d" br; small { (day(one.since)) } }
                                td data-label=(procedure) { (one.procedure) }
                                th scope="row" { (one.key) }
                                td data-label=(detail) { (cut(&one.text)) }
                            }
                        }
                    }
                }
                @if view.findings.len() > MOST_FINDINGS {
                    p { "+" (view.findings.len() - MOST_FINDINGS) " " (self.say("em", "in")) " " code { "controls.json" } }
                }
            }
        }
    }

    fn exceptions(&self) -> Markup {
        let names = [
            self.say("Vale até", "Valid until"),
            self.say("Regra", "Rule"),
            self.say("Recurso", "Resource"),
            self.say("Motivo", "Reason"),
            self.say("Quem responde", "Who answers for it"),
        ];
        let [until, _, resource, reason, owner] = names;
        let today = self.view.made_at.to_zoned_datetime(time::SAO_PAULO).date();
        html! {
            (self.title("exceptions"))
            @if self.view.exceptions.is_empty() {
                (self.none(self.say("A política não aceita nenhuma exceção.", "The policy accepts no exception.")))
            } @else {
                table.wide {
                    caption { (self.say("O que a política aceita, por enquanto", "What the policy accepts for a time")) }
                    (self.columns(&names))
                    tbody {
                        @for one in &self.view.exceptions {
                            tr {
                                td.short data-label=(until) { (one.until.to_string()) @if one.until < today { br; (self.state(State::Overdue)) } }
                                th scope="row" { (one.rule) }
                                td data-label=(resource) { (one.resource) }
                                td data-label=(reason) { (one.reason) }
                                td data-label=(owner) { (one.owner) }
                            }
                        }
                    }
                }
            }
        }
    }

    fn changes(&self) -> Markup {
        let names = [
            self.say("Quando", "When"),
            self.say("Quem", "Who"),
            self.say("Commit", "Commit"),
            self.say("Em main, com este conteúdo?", "On main, with this content?"),
            self.say("O que mudou", "What changed"),
        ];
        let [_, who, commit, merged, what] = names;
        html! {
            (self.title("changes"))
            p { (self.say("Autor e commit são o que o documento diz de si; se o commit está em main foi conferido no GitHub.", "Author and commit are the document's own words; whether the commit is on main was checked on GitHub.")) }
            @if self.view.changes.is_empty() {
                (self.none(self.say("Nenhuma mudança da política ou de exceções foi registrada.", "No change of the policy or of exceptions has been recorded.")))
            } @else {
                table.wide {
                    caption { (self.say("Mudanças da política e das exceções, a mais nova primeiro", "Changes of the policy and its exceptions, the newest first")) }
                    (self.columns(&names))
                    tbody {
                        @for one in &self.view.changes {
                            tr {
                                th.short scope="row" { (minute(one.at)) }
                                td data-label=(who) { (one.author) @if !one.reason.is_empty() { br; small { (one.reason) } } }
                                td data-label=(commit) { code { (one.commit.chars().take(12).collect::<String>()) } }
                                td data-label=(merged) { (one.merged) }
                                td data-label=(what) { @for (number, line) in one.changes.iter().enumerate() { @if number > 0 { br; } code { (cut(line)) } } }
                            }
                        }
                    }
                }
            }
        }
    }

    fn chains(&self) -> Markup {
        let names = [
            self.say("Cadeia", "Chain"),
            self.say("Conferência", "Verification"),
            self.say("Registros", "Records"),
            self.say("SHA-256 do último", "SHA-256 of the last"),
            self.say("Tudo lido em", "All read on"),
            self.say("Âncora", "Anchor"),
        ];
        let [_, verdict, records, last, full, anchor] = names;
        html! {
            (self.title("chains"))
            p { (self.say("Cada registro tem o SHA-256 do anterior. Uma vez por semana todos são lidos de novo; nos outros dias, só os novos, e a lista do S3 mostra que os antigos ainda são as mesmas versões, que ninguém pode alterar.", "Each record has the SHA-256 of the one before. Once a week all are read again; on other days only the new ones, and S3's list shows that the old ones are still the same versions, which nobody can change.")) }
            @if !self.view.has_anchors {
                p { (self.state(State::Unknown)) ": " (self.say("as pontas das cadeias não estão guardadas em um segundo lugar (AnchorBucketName); um bucket inteiro reescrito não apareceria.", "the chains' heads are not kept in a second place (AnchorBucketName); a bucket that is rewritten as a whole would not show.")) }
            }
            @for why in &self.view.anchors_unread {
                p { (self.state(State::Unknown)) ": " (self.say("âncoras: ", "anchors: ")) (cut(why)) }
            }
            table.wide {
                caption { (self.say("A cadeia de registros de cada procedimento", "The chain of records of each procedure")) }
                (self.columns(&names))
                tbody {
                    @for chain in &self.view.chains {
                        tr {
                            th scope="row" { (chain.procedure) }
                            td data-label=(verdict) { (self.verdict(chain)) }
                            td.short data-label=(records) { (chain.records) " / " (chain.listed) }
                            td data-label=(last) { code { (chain.sha256) } }
                            td.short data-label=(full) { @if let Some(at) = chain.full_at { (minute(at)) } }
                            td data-label=(anchor) { @if chain.anchored { (self.say("sim", "yes")) } @else { (self.say("não", "no")) } }
                        }
                    }
                }
            }
        }
    }

    fn verdict(&self, chain: &ChainRow) -> Markup {
        let (state, word) = match &chain.verdict {
            Verdict::Verified => (State::Ok, self.say("íntegra", "intact")),
            Verdict::Damaged(_) => (State::Failing, self.say("danificada", "damaged")),
            Verdict::Unknown => (State::Unknown, self.say("não conferida", "not verified")),
            Verdict::Empty => (State::Unknown, self.say("sem registro", "no record")),
        };
        html! {
            span class=(state.name()) { (word) }
            @for why in chain.unread.iter().take(3) { br; small { (cut(why)) } }
        }
    }

    fn cost(&self) -> Markup {
        let cost = &self.view.cost;
        let names = [
            self.say("O quê", "What"),
            self.say("Por mês", "A month"),
            self.say("Preço da unidade", "Price of a unit"),
            self.say("US$ por mês", "US$ a month"),
        ];
        let [_, amount, price, usd] = names;
        let what = |name: &str| match name {
            "compute-arm64" => {
                self.say("Lambda, processamento (arm64)", "Lambda, compute (arm64)").to_owned()
            }
            "compute-x86_64" => {
                self.say("Lambda, processamento (x86_64)", "Lambda, compute (x86_64)").to_owned()
            }
            "requests" => self.say("Lambda, chamadas", "Lambda, requests").to_owned(),
            "logs" => self.say("CloudWatch Logs, entrada", "CloudWatch Logs, ingestion").to_owned(),
            "alarms" => self.say("CloudWatch, alarmes", "CloudWatch, alarms").to_owned(),
            other => other.to_owned(),
        };
        html! {
            (self.title("cost"))
            @match &cost.unread {
                Some(why) => (self.unread(why)),
                None => {
                    p { (self.say("Estimativa, das métricas dos últimos ", "Estimate, from the metrics of the last ")) (cost.days) (self.say(" dias e dos preços de ", " days and the prices of ")) (cost.prices_as_of) ". " (self.say("Fonte: ", "Source: ")) (cost.source) ". " (self.say("Não entram: S3, DynamoDB, Step Functions, métricas, as instâncias dos testes de restauração e o nível gratuito.", "Not included: S3, DynamoDB, Step Functions, metrics, the restore tests' instances, and the free tier.")) }
                    table.wide {
                        caption { (self.say("Custo mensal estimado da stack", "Estimated monthly cost of the stack")) }
                        (self.columns(&names))
                        tbody {
                            @for line in &cost.lines {
                                tr {
                                    th scope="row" { (what(&line.what)) }
                                    td.number data-label=(amount) { (format!("{:.2} × {}", line.amount, line.unit)) }
                                    td.number data-label=(price) { (line.price) }
                                    td.number data-label=(usd) { (format!("{:.2}", line.usd)) }
                                }
                            }
                            tr {
                                th scope="row" { (self.say("Soma", "Sum")) }
                                td {} td {}
                                td.number data-label=(usd) { (format!("{:.2}", cost.usd)) }
                            }
                        }
                    }
                }
            }
        }
    }

    fn footer(&self) -> Markup {
        html! {
            p.soft {
                (self.say("Dados: ", "Data: ")) code { "s3://" (self.view.bucket) "/report/controls.json" } ", " code { "controls.csv" } ", " code { "feed.atom" } ". "
                (self.say("Esta página pode ser substituída; a prova são os registros.", "This page may be replaced; the proof is in the records."))
            }
        }
    }
}

/// A key, which breaks after its parts.
fn key(key: &str) -> Markup {
    html! { @for part in key.split_inclusive('/') { (part) wbr; } }
}

fn name(other: &Environment) -> &str {
    if other.environment.is_empty() { &other.bucket } else { &other.environment }
}

/// A colour of a chart.
fn swatch(number: usize) -> Markup {
    let colour = format!("#{}", format!("{number:02}").repeat(3));
    html! { svg viewBox="0 0 24 12" aria-hidden="true" focusable="false" { rect width="24" height="12" fill=(colour); } }
}

/// The first instant of a month, for the chart.
fn first(month: &Metrics) -> Option<Timestamp> {
    let date: jiff::civil::Date = format!("{}-01", month.month).parse().ok()?;
    Some(date.at(0, 0, 0, 0).to_zoned_datetime(time::SAO_PAULO).ok()?.timestamp())
}

fn minutes(seconds: i64) -> f64 {
    // A duration of an incident or a restore has far fewer than 2^32 seconds.
    f64::from(u32::try_from(seconds).unwrap_or_default()) / 60.0
}

/// A record's text, cut to a few lines.
fn cut(text: &str) -> String {
    const MOST: usize = 600;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST).chain(['…']).collect()
}
