//! The metrics as a table for spreadsheets, and their definitions.

use std::collections::BTreeMap;

use shared::run::csv::table;
use shared::runtime::language::Language;

use super::document;
use crate::rules::metrics::{Metrics, Row, Stat};

/// What each number means, by its name in the table.
pub(crate) fn definitions(language: Language) -> BTreeMap<String, String> {
    let named = document::definitions(language).into_iter();
    let more = [
        (
            "month",
            language.pick(
                "incidentes cujo primeiro evento foi neste mês, pelo calendário de São Paulo",
                "incidents whose first event was in this month, by São Paulo's calendar",
            ),
        ),
        (
            "group",
            language.pick(
                "incident: incidentes; drill: simulados de pessoas; false_alarm: alarmes falsos. Partes de outro incidente e simulados do próprio pager não contam",
                "incident: incidents; drill: exercises of people; false_alarm: false alarms. Parts of another incident and the pager's own exercises are not counted",
            ),
        ),
        (
            "count",
            language.pick(
                "quantos incidentes têm esse tempo; quem ninguém assumiu está em unacknowledged, e em nenhum TTA",
                "how many incidents have this time; those that nobody acknowledged are in unacknowledged, and in no TTA",
            ),
        ),
        (
            "unacknowledged",
            language.pick(
                "incidentes que ninguém assumiu; um aberto, só depois de incidents.acknowledge_minutes desde o page",
                "incidents that nobody acknowledged; an open one only after incidents.acknowledge_minutes since its page",
            ),
        ),
        (
            "unclassified",
            language.pick(
                "incidentes cuja severidade ninguém confirmou, ou sem comandante (IC); um aberto, só depois de incidents.update_minutes",
                "incidents whose severity nobody confirmed, or without a commander (IC); an open one only after incidents.update_minutes",
            ),
        ),
        (
            "silent",
            language.pick(
                "incidentes com menos atualizações do que a política pede no tempo do impacto (incidents.update_minutes)",
                "incidents with fewer updates than the policy asks for in the time of the impact (incidents.update_minutes)",
            ),
        ),
        (
            "p90",
            language.pick(
                "o menor tempo que nove em cada dez não passam",
                "the smallest time that nine in ten do not exceed",
            ),
        ),
        (
            "repeated",
            language.pick(
                "incidentes cujo problema voltou depois de encerrado o post-mortem (after)",
                "incidents whose problem came back after its post-mortem (after) was closed",
            ),
        ),
    ];
    let all = named.chain(more).map(|(name, meaning)| (name.to_lowercase(), meaning.to_owned()));
    all.collect()
}

/// The table: one row for each group, severity and time.
pub(crate) fn csv(metrics: &Metrics) -> String {
    let columns = [
        "month",
        "group",
        "severity",
        "incidents",
        "time",
        "count",
        "median_seconds",
        "p90_seconds",
        "definition",
    ];
    let number = |value: Option<i64>| value.map(|value| value.to_string()).unwrap_or_default();
    let rows = metrics.rows.iter().flat_map(|row| {
        let Row { group, severity, incidents, tta, ttm, ttr, impact } = row;
        [("tta", tta), ("ttm", ttm), ("ttr", ttr), ("impact", impact)].map(|(time, stat)| {
            let Stat { count, median_seconds, p90_seconds } = stat;
            [
                metrics.month.clone(),
                group.name().to_owned(),
                severity.name().to_owned(),
                incidents.to_string(),
                time.to_owned(),
                count.to_string(),
                number(*median_seconds),
                number(*p90_seconds),
                metrics.definitions.get(time).cloned().unwrap_or_default(),
            ]
        })
    });
    table(columns, rows)
}
