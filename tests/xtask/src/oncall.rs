//! `cargo xtask oncall`: who is on call by a policy, and what would keep a page from reaching them.

use std::path::Path;

use anyhow::Result;
use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};
use policy::Policy;
use policy::oncall::{Contact, Shift, Squad, Why, findings, next, on_call};
use policy::time::SAO_PAULO;

use crate::apply;
use crate::table::table;

/// How far ahead findings are looked for.
const AHEAD: SignedDuration = SignedDuration::from_hours(30 * 24);

/// `cargo xtask oncall`: of the defaults, or with the merge patch of a file.
pub(crate) fn oncall(file: Option<&Path>, at: Option<Timestamp>) -> Result<()> {
    let policy = match file {
        Some(file) => Policy::of(&apply::checked(file)?)?,
        None => "".parse()?,
    };
    println!("{}", report(&policy, at.unwrap_or_else(apply::now)));
    Ok(())
}

/// Parses a time in São Paulo, or an instant with its offset.
///
/// # Errors
///
/// The expected forms.
pub(crate) fn instant(text: &str) -> Result<Timestamp, String> {
    let local = || Some(text.parse::<DateTime>().ok()?.to_zoned_datetime(SAO_PAULO).ok()?.timestamp());
    let instant = text.parse().ok().or_else(local);
    instant.ok_or_else(|| {
        "expected a time in São Paulo, e.g. 2026-12-24T18:00, or an instant, e.g. 2026-12-24T21:00:00Z"
            .to_owned()
    })
}

/// The squads with their shifts, then the findings.
fn report(policy: &Policy, at: Timestamp) -> String {
    let mut lines = vec![format!("on call at {}, in São Paulo's time", local(at))];
    for (name, squad) in &policy.incidents.squads {
        lines.push(format!("\n{name}"));
        lines.push(format!("  now   {}", line(&on_call(policy, name, at), squad)));
        lines.extend(next(policy, name, at).map(|shift| format!("  next  {}", line(&shift, squad))));
    }
    let end = at.checked_add(AHEAD).unwrap_or(Timestamp::MAX);
    let row = |cells: [&str; 5]| cells.map(str::to_owned).to_vec();
    let rows = findings(policy, at, end).into_iter().map(|one| {
        let (from, until) = (local(one.from), local(one.until));
        row([one.kind.name(), one.squad, one.person.unwrap_or_default(), &from, &until])
    });
    let rows: Vec<_> =
        [row(["finding", "squad", "person", "from", "until"])].into_iter().chain(rows).collect();
    if rows.len() == 1 {
        lines.push(format!("\nno findings until {}", local(end)));
    } else {
        lines.push(format!("\n{}\n\nwhat to do: docs/politica.md, Quem está de plantão", table(&rows)));
    }
    lines.join("\n")
}

/// Whom a page reaches, until when and why.
fn line(shift: &Shift<'_>, squad: &Squad) -> String {
    let mut parts = vec![shift.person.map_or_else(|| contacts(squad), str::to_owned)];
    parts.extend(shift.second.map(|second| format!("second {second}")));
    parts.extend(shift.until.map(|until| format!("until {}", local(until))));
    let reason = match shift.why {
        Why::Override { reason } => format!(" (override: {reason})"),
        Why::Rotation | Why::Contacts => String::new(),
    };
    format!("{}{reason}", parts.join(", "))
}

fn contacts(squad: &Squad) -> String {
    let address = |contact: &Contact| {
        let all = [&contact.slack, &contact.email, &contact.phone];
        let all: Vec<_> = all.into_iter().filter_map(Option::as_deref).collect();
        all.join(" ")
    };
    let all: Vec<_> = squad.contacts.iter().map(address).collect();
    if all.is_empty() { "nobody".to_owned() } else { format!("contacts: {}", all.join("; ")) }
}

fn local(at: Timestamp) -> String {
    at.to_zoned_datetime(SAO_PAULO).strftime("%Y-%m-%d %H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn squads(squads: Value) -> Policy {
        let people = json!({
            "Ana": {"slack": "U00000ANA"},
            "Bruno": {"phone": "+5511912345678"},
            "Carla": {"email": "carla@example.org"}
        });
        let unused = json!({"Squad Dados": null, "Squad Observability": null, "Squad Security": null});
        let areas = json!({"responsible": {"primary": "Squad Backend", "backup": "Squad Infra"}});
        let names = ["application", "database", "attachments", "observability", "secrets", "infrastructure"];
        let areas: serde_json::Map<_, _> =
            names.map(|name| (name.to_owned(), areas.clone())).into_iter().collect();
        let mut patch =
            json!({"inventory": {"areas": areas}, "incidents": {"people": people, "squads": unused}});
        patch["incidents"]["squads"].as_object_mut().unwrap().extend(squads.as_object().unwrap().clone());
        Policy::of(&patch).unwrap()
    }

    #[test]
    fn each_squad_has_its_shift_and_the_next_one() {
        let policy = squads(json!({
            "Squad Backend": {
                "rotation": {"every": "weekly", "weekday": "monday", "at": "09:00", "starts": "2026-11-30",
                    "people": ["Ana", "Carla"], "second": ["Carla"]},
                "overrides": [{"from": "2026-12-24T18:00", "until": "2026-12-26T09:00", "person": "Carla", "reason": "Natal"}]
            },
            "Squad Infra": {"contacts": [{"slack": "S0000INFRA", "email": "infra@example.org"}, {"slack": "U00000ANA"}]}
        }));
        let at = instant("2026-12-24T17:59").unwrap();
        assert_eq!(
            report(&policy, at),
            "on call at 2026-12-24 17:59, in São Paulo's time

Squad Backend
  now   Carla, until 2026-12-24 18:00
  next  Carla, until 2026-12-26 09:00 (override: Natal)

Squad Infra
  now   contacts: S0000INFRA infra@example.org; U00000ANA

no findings until 2027-01-23 17:59"
        );
        let later = report(&policy, instant("2026-12-28T12:00:00Z").unwrap());
        assert!(later.contains("  now   Ana, second Carla, until 2027-01-04 09:00\n"), "{later}");
        assert!(later.contains("  next  Carla, until 2027-01-11 09:00\n"), "{later}");
    }

    #[test]
    fn findings_are_a_table() {
        let policy = squads(json!({
            "Squad Backend": {
                "rotation": {"every": "daily", "at": "09:00", "starts": "2026-12-25", "people": ["Bruno"]}
            },
            "Squad Infra": {"contacts": []}
        }));
        let report = report(&policy, instant("2026-12-24T18:00").unwrap());
        let expected = "
Squad Backend
  now   nobody, until 2026-12-25 09:00
  next  Bruno, until 2026-12-26 09:00

Squad Infra
  now   nobody

finding            squad          person  from              until
─────────────────  ─────────────  ──────  ────────────────  ────────────────
RotationGap        Squad Backend          2026-12-24 18:00  2026-12-25 09:00
PersonUnreachable  Squad Backend  Bruno   2026-12-25 09:00  2026-12-26 09:00
PhoneUnverified    Squad Backend  Bruno   2026-12-25 09:00  2026-12-26 09:00
SquadUnreachable   Squad Infra            2026-12-24 18:00  2027-01-23 18:00

what to do: docs/politica.md, Quem está de plantão";
        assert!(report.ends_with(expected), "{report}");
    }

    #[test]
    fn a_time_is_one_of_sao_paulo_or_has_an_offset() {
        let expected = "2026-12-24T21:00:00Z".parse::<Timestamp>().unwrap();
        for text in [
            "2026-12-24T18:00",
            "2026-12-24T18:00:00",
            "2026-12-24 18:00",
            "2026-12-24T21:00Z",
            "2026-12-24T18:00-03:00",
            "2026-12-24T22:00:00+01:00",
        ] {
            assert_eq!(instant(text), Ok(expected), "{text}");
        }
        for text in ["", "18:00", "tomorrow", "2026-12-32T18:00"] {
            assert!(instant(text).unwrap_err().starts_with("expected a time in São Paulo"), "{text}");
        }
    }
}
