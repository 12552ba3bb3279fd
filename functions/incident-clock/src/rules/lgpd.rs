//! The deadline of the LGPD for an incident with personal data, its reminders and its checklist.
//!
//! Source: Lei 13.709/2018, article 48; Resolução CD/ANPD nº 15 of 24 April 2024 (Regulamento de Comunicação de Incidente de
//! Segurança): article 5 (risk or relevant damage), article 6 (notice to the authority in three business days from the
//! controller's knowledge, completed within twenty), article 9 (notice to the people concerned, the same term; a
//! declaration of it three business days after the term), article 10 (register, five years at least). Small processing
//! agents have twice the time (Resolução CD/ANPD nº 2/2022, article 14).

use incident::Incident;
use incident::text::Language;
use jiff::Timestamp;
use jiff::civil::Date;
use shared::policy::calendar::{Calendar, add_business_days};
use shared::policy::incidents::Lgpd;
use shared::policy::time::SAO_PAULO;

use super::timer::known_at;

/// Business days after the notice in which it may be completed.
const COMPLETION: u16 = 20;

/// Business days after the deadline until the declaration that people were told is due.
const DECLARATION: u16 = 3;

/// Hours in São Paulo of the reminders: each business day's, and one more of the last day.
const MORNING: i8 = 9;
const AFTERNOON: i8 = 15;

/// Reminders at the end: the last day's afternoon, and the morning after the deadline.
const AT_THE_END: u16 = 2;

/// The business days until a deadline.
fn days(days: u16, policy: &Lgpd) -> u16 {
    if policy.small_agent { days.saturating_mul(2) } else { days }
}

/// A date after some business days. Only national holidays count as days off, whatever the policy's calendar says: the
/// authority's terms do not know the company's own, and the earlier deadline is the safe one.
fn later(date: Date, days: u16) -> Date {
    add_business_days(date, days, &Calendar::default())
}

fn date(at: Timestamp) -> Date {
    at.to_zoned_datetime(SAO_PAULO).date()
}

fn hour(date: Date, hour: i8) -> Option<Timestamp> {
    SAO_PAULO.to_timestamp(date.at(hour, 0, 0, 0)).ok()
}

/// The last day for both notices.
pub(crate) fn deadline(known_at: Timestamp, policy: &Lgpd) -> Date {
    later(date(known_at), days(policy.business_days, policy))
}

/// When each step is due: the checklist at once; a reminder on the morning of each business day of the term, one more on
/// the afternoon of the last, and one on the first business morning after it.
pub(crate) fn moments(known_at: Timestamp, policy: &Lgpd) -> Vec<Timestamp> {
    let (known, term) = (date(known_at), days(policy.business_days, policy));
    let last = later(known, term);
    let mornings = (1..=term).map(|day| hour(later(known, day), MORNING));
    let end = [hour(last, AFTERNOON), hour(later(last, 1), MORNING)];
    std::iter::once(Some(known_at)).chain(mornings).chain(end).flatten().collect()
}

/// Whether a step comes after the deadline.
pub(crate) fn is_late(step: u16, policy: &Lgpd) -> bool {
    step >= days(policy.business_days, policy) + AT_THE_END
}

fn day(date: Date, language: Language) -> String {
    date.strftime(language.pick("%d/%m/%Y", "%Y-%m-%d")).to_string()
}

/// What the thread and the mail say at a step. None unless a person said that personal data is compromised.
pub(crate) fn text(incident: &Incident, step: u16, policy: &Lgpd, language: Language) -> Option<String> {
    let data = incident.sensitive_data.as_ref().filter(|data| data.is_compromised)?;
    let known_at = known_at(data);
    let last = deadline(known_at, policy);
    Some(match step {
        0 => checklist(incident, known_at, last, policy, language),
        step => reminder(incident, last, is_late(step, policy), language),
    })
}

/// What is said while the register could not be begun.
pub(crate) fn unregistered(language: Language) -> &'static str {
    language.pick(
        "⚠️ O registro ainda não foi aberto (ver o log de incident-clock); é tentado a cada 5 minutos.",
        "⚠️ The register is not begun yet (see the log of incident-clock); it is tried every 5 minutes.",
    )
}

fn reminder(incident: &Incident, last: Date, is_late: bool, language: Language) -> String {
    let (id, last) = (&incident.id, day(last, language));
    if is_late {
        return shared::tr!(
            language,
            "⚖️ O prazo da LGPD acabou em {last}, e o registro de {id} não tem as duas comunicações (ANPD e titulares) nem o motivo de não haver. Comunique já, com o motivo da demora (arts. 6º e 9º da Resolução CD/ANPD nº 15/2024), ou registre o que foi feito: docs/incidentes.md#dados-pessoais",
            "⚖️ The LGPD's term ended on {last}, and the register of {id} has neither both notices (ANPD and people concerned) nor the reason for none. Give notice now, with the reason of the delay (articles 6 and 9 of Resolução CD/ANPD nº 15/2024), or register what was done: docs/incidentes.md#dados-pessoais"
        );
    }
    shared::tr!(
        language,
        "⚖️ Prazo da LGPD: comunicar a ANPD e os titulares até {last}, ou registrar o motivo de não comunicar. O registro de {id} ainda não tem isso: docs/incidentes.md#dados-pessoais",
        "⚖️ The LGPD's term: give notice to the ANPD and to the people concerned until {last}, or register the reason for none. The register of {id} does not have it yet: docs/incidentes.md#dados-pessoais"
    )
}

fn checklist(
    incident: &Incident,
    known_at: Timestamp,
    last: Date,
    policy: &Lgpd,
    language: Language,
) -> String {
    let term = days(policy.business_days, policy);
    let known = known_at.to_zoned_datetime(SAO_PAULO);
    let known = known.strftime(language.pick("%d/%m/%Y às %H:%M", "%Y-%m-%d at %H:%M")).to_string();
    let complete = day(later(last, days(COMPLETION, policy)), language);
    let declare = day(later(last, DECLARATION), language);
    let (id, last) = (&incident.id, day(last, language));
    let drill = if incident.is_drill {
        language
            .pick("SIMULADO: não comunique ninguém de fora. ", "DRILL: give no notice to anybody outside. ")
    } else {
        ""
    };
    shared::tr!(
        language,
        "⚖️ {drill}Dados pessoais comprometidos, dito em {known}. Comunicar a ANPD e os titulares até {last} ({term} dias úteis; Resolução CD/ANPD nº 15/2024, arts. 6º e 9º).
1. Chame o encarregado e o jurídico. Guarde logs e provas; não apague nada.
2. Há risco ou dano relevante (art. 5º)? Afeta de modo significativo os titulares e envolve dados sensíveis, de crianças, adolescentes ou idosos, financeiros, de autenticação, sob sigilo profissional ou legal, ou em larga escala. Se não há, registre o motivo. Na dúvida, comunique.
3. À ANPD, pelo formulário eletrônico dela: natureza e categoria dos dados; número de titulares (crianças, adolescentes e idosos à parte); medidas de segurança antes e depois; riscos e impactos; medidas tomadas e previstas; datas da ocorrência e do conhecimento; controlador, encarregado e operador; descrição e causa; total de titulares do tratamento; o motivo, se demorou. O que faltar: até 20 dias úteis depois da comunicação ({complete}, se ela for no último dia).
4. Aos titulares, um a um se possível e em linguagem simples: natureza e categoria dos dados; medidas de segurança; riscos e impactos; medidas tomadas e o que eles podem fazer; data do conhecimento; contato do encarregado; o motivo, se demorou.
5. Até {declare}: juntar ao processo da ANPD a declaração de que os titulares foram avisados, e por que meios.
6. Registre cada passo ({id}, docs/incidentes.md#dados-pessoais). O registro é guardado por 5 anos no mínimo (art. 10).",
        "⚖️ {drill}Personal data compromised, as said on {known}. Give notice to the ANPD and to the people concerned until {last} ({term} business days; Resolução CD/ANPD nº 15/2024, articles 6 and 9).
1. Call the data protection officer and the lawyers. Keep logs and proofs; delete nothing.
2. Is there risk or relevant damage (article 5)? It affects people significantly and involves sensitive data, data of children, adolescents or the elderly, financial data, credentials, data under professional or legal secrecy, or data on a large scale. If not, register the reason. In doubt, give notice.
3. To the ANPD, by its electronic form: nature and category of the data; number of people (children, adolescents and the elderly apart); security measures before and after; risks and impacts; measures taken and planned; dates of occurrence and knowledge; controller, officer and operator; description and cause; all people of the processing; the reason, if late. What is missing: within 20 business days after the notice ({complete}, if it is given on the last day).
4. To the people, one by one if possible and in plain words: nature and category of the data; security measures; risks and impacts; measures taken and what they can do; date of knowledge; the officer's contact; the reason, if late.
5. Until {declare}: add to the ANPD's case the declaration that people were told, and by which means.
6. Register each step ({id}, docs/incidentes.md#dados-pessoais). The register is kept for 5 years at least (article 10)."
    )
}

#[cfg(test)]
mod tests {
    use incident::SensitiveData;
    use jiff::civil::date;

    use super::*;

    fn policy(business_days: u16, small_agent: bool) -> Lgpd {
        Lgpd { business_days, small_agent }
    }

    fn at(text: &str) -> Timestamp {
        format!("{text}-03:00").parse().unwrap()
    }

    #[test]
    fn three_business_days_are_counted_from_the_day_after_the_knowledge() {
        for (known, small, expected) in [
            // Over Christmas and New Year: 25 December and 1 January do not count.
            ("2026-12-30T23:30:00", false, date(2027, 1, 5)),
            ("2026-12-23T10:00:00", false, date(2026, 12, 29)),
            // Carnival is no national holiday: the earlier deadline counts.
            ("2026-02-13T18:00:00", false, date(2026, 2, 18)),
            // Two holidays in a week: none in 2026; 2 November is a Monday, 15 and 20 November 2024 two Fridays.
            ("2024-11-14T09:00:00", false, date(2024, 11, 21)),
            ("2024-11-18T09:00:00", false, date(2024, 11, 22)),
            // Good Friday and Tiradentes within six days (2025).
            ("2025-04-17T12:00:00", false, date(2025, 4, 24)),
            // A leap day counts, and a Saturday's knowledge begins on Monday.
            ("2028-02-26T12:00:00", false, date(2028, 3, 1)),
            ("2028-02-28T12:00:00", false, date(2028, 3, 2)),
            ("2026-11-30T08:00:00", true, date(2026, 12, 8)),
            // In São Paulo it still is the 30th.
            ("2026-11-30T23:59:59", false, date(2026, 12, 3)),
        ] {
            assert_eq!(deadline(at(known), &policy(3, small)), expected, "{known}");
        }
    }

    #[test]
    fn each_business_morning_reminds_and_the_last_day_twice() {
        // Wednesday; Friday is a holiday.
        let moments = moments(at("2026-11-18T14:00:00"), &policy(3, false));
        let expected = [
            "2026-11-18T14:00:00",
            "2026-11-19T09:00:00",
            "2026-11-23T09:00:00",
            "2026-11-24T09:00:00",
            "2026-11-24T15:00:00",
            "2026-11-25T09:00:00",
        ];
        assert_eq!(moments, expected.map(at));
        let late = (0..6).filter(|step| is_late(*step, &policy(3, false))).collect::<Vec<_>>();
        assert_eq!(late, [5]);
    }

    #[test]
    fn the_texts_say_the_term_the_contents_and_where_to_register() {
        let data = SensitiveData {
            is_compromised: true,
            by: "Ana".to_owned(),
            at: at("2026-11-30T14:05:00"),
            ..SensitiveData::default()
        };
        let incident = Incident { id: "INC-1".to_owned(), sensitive_data: Some(data), ..Incident::default() };
        let policy = policy(3, false);
        let said = |step, language| text(&incident, step, &policy, language).unwrap();
        for (language, step, words) in [
            (
                Language::Portuguese,
                0,
                &[
                    "30/11/2026 às 14:05",
                    "até 03/12/2026 (3 dias úteis",
                    "arts. 6º e 9º",
                    "(04/01/2027, se",
                    "Até 08/12/2026",
                    "5 anos",
                    "INC-1",
                ][..],
            ),
            (Language::English, 0, &["2026-11-30 at 14:05", "until 2026-12-03 (3 business days", "5 years"]),
            (Language::Portuguese, 1, &["até 03/12/2026", "INC-1"]),
            (Language::Portuguese, 5, &["acabou em 03/12/2026", "motivo da demora"]),
            (Language::English, 5, &["ended on 2026-12-03"]),
        ] {
            let said = said(step, language);
            assert!(said.starts_with("⚖️") && said.chars().count() < 2_800, "{}", said.chars().count());
            for word in words {
                assert!(said.contains(word), "{word}: {said}");
            }
        }
        let drill = Incident { is_drill: true, ..incident.clone() };
        assert!(text(&drill, 0, &policy, Language::Portuguese).unwrap().contains("SIMULADO"));
        let no = Incident { sensitive_data: None, ..incident };
        assert_eq!(text(&no, 0, &policy, Language::Portuguese), None);
    }
}
