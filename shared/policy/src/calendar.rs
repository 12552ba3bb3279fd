//! Brazilian business days, by which due dates are counted.
//!
//! National holidays: Lei 662/1949 (with Lei 10.607/2002), Lei 6.802/1980 and Lei 14.759/2023; Good Friday by the
//! custom that Lei 9.093/1995 lets each city declare. Optional days off and a state's holidays are switches, and a city's
//! holidays are extra dates. Holidays keep their official Portuguese names in every language.

use jiff::civil::{Date, Weekday};
use serde::Deserialize;

use crate::PolicyError;

/// Which days are no business days, beside Saturdays, Sundays and national holidays.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Calendar {
    /// Whether Carnival's Monday and Tuesday are off.
    pub carnival: bool,
    /// Whether Ash Wednesday is off, all day.
    pub ash_wednesday: bool,
    /// Whether Corpus Christi is off.
    pub corpus_christi: bool,
    /// The state whose holidays count, e.g. `SP`; empty if none does.
    pub state: String,
    /// Other days off, e.g. of the city.
    pub extra: Vec<Date>,
}

/// When a holiday is, in a year.
#[derive(Clone, Copy)]
enum When {
    /// Month and day.
    Fixed(i8, i8),
    /// Days after Easter Sunday.
    Easter(i32),
    /// Month and day; from Tuesday to Thursday it moves to the Friday after (Acre's Lei 2.126/2009).
    Friday(i8, i8),
}

use When::{Easter, Fixed, Friday};

const NATIONAL: [(When, &str); 9] = [
    (Fixed(1, 1), "Confraternização Universal"),
    (Easter(-2), "Sexta-feira Santa"),
    (Fixed(4, 21), "Tiradentes"),
    (Fixed(5, 1), "Dia do Trabalho"),
    (Fixed(9, 7), "Independência do Brasil"),
    (Fixed(10, 12), "Nossa Senhora Aparecida"),
    (Fixed(11, 2), "Finados"),
    (Fixed(11, 15), "Proclamação da República"),
    (Fixed(12, 25), "Natal"),
];

/// National since [`BLACK_AWARENESS_SINCE`].
const BLACK_AWARENESS: (When, &str) = (Fixed(11, 20), "Dia Nacional de Zumbi e da Consciência Negra");

/// Lei 14.759/2023.
const BLACK_AWARENESS_SINCE: i16 = 2024;

const CARNIVAL: [(When, &str); 2] = [(Easter(-48), "Carnaval"), (Easter(-47), "Carnaval")];

const ASH_WEDNESDAY: (When, &str) = (Easter(-46), "Quarta-feira de Cinzas");

const CORPUS_CHRISTI: (When, &str) = (Easter(60), "Corpus Christi");

/// The name of a day in [`Calendar::extra`].
const EXTRA: &str = "Feriado local";

/// Each state's own holidays, as far as they can fall on a weekday that is no national holiday: Santa Catarina moves
/// its holidays to Sundays.
const STATES: [(&str, &[(When, &str)]); 27] = [
    (
        "AC",
        &[
            (Friday(1, 23), "Dia do Evangélico"),
            (Friday(3, 8), "Dia Internacional da Mulher"),
            (Fixed(6, 15), "Aniversário do Acre"),
            (Friday(9, 5), "Dia da Amazônia"),
            (Friday(11, 17), "Assinatura do Tratado de Petrópolis"),
        ],
    ),
    (
        "AL",
        &[
            (Fixed(6, 24), "São João"),
            (Fixed(6, 29), "São Pedro"),
            (Fixed(9, 16), "Emancipação Política de Alagoas"),
            (Fixed(11, 30), "Dia do Evangélico"),
        ],
    ),
    ("AM", &[(Fixed(9, 5), "Elevação do Amazonas à categoria de província")]),
    (
        "AP",
        &[
            (Fixed(3, 19), "São José"),
            (Fixed(7, 25), "São Tiago"),
            (Fixed(9, 13), "Criação do Território Federal"),
        ],
    ),
    ("BA", &[(Fixed(7, 2), "Independência da Bahia")]),
    (
        "CE",
        &[
            (Fixed(3, 19), "São José"),
            (Fixed(3, 25), "Data Magna do Ceará"),
            (Fixed(8, 15), "Nossa Senhora da Assunção"),
        ],
    ),
    ("DF", &[(Fixed(11, 30), "Dia do Evangélico")]),
    ("ES", &[(Easter(8), "Nossa Senhora da Penha")]),
    ("GO", &[(Fixed(7, 26), "Fundação da cidade de Goiás"), (Fixed(10, 24), "Pedra fundamental de Goiânia")]),
    ("MA", &[(Fixed(7, 28), "Adesão do Maranhão à Independência do Brasil")]),
    ("MG", &[]),
    ("MS", &[(Fixed(10, 11), "Criação do Estado")]),
    ("MT", &[]),
    ("PA", &[(Fixed(8, 15), "Adesão do Grão-Pará à Independência do Brasil")]),
    ("PB", &[(Fixed(8, 5), "Fundação do Estado")]),
    ("PE", &[(Fixed(3, 6), "Revolução Pernambucana de 1817")]),
    ("PI", &[(Fixed(10, 19), "Dia do Piauí")]),
    ("PR", &[]),
    ("RJ", &[(Easter(-47), "Carnaval"), (Fixed(4, 23), "São Jorge")]),
    ("RN", &[(Fixed(8, 7), "Dia do Rio Grande do Norte"), (Fixed(10, 3), "Mártires de Cunhaú e Uruaçu")]),
    ("RO", &[(Fixed(1, 4), "Criação do Estado"), (Fixed(6, 18), "Dia do Evangélico")]),
    ("RR", &[(Fixed(10, 5), "Criação do Estado")]),
    ("RS", &[(Fixed(9, 20), "Dia do Gaúcho")]),
    ("SC", &[]),
    ("SE", &[(Fixed(7, 8), "Emancipação Política de Sergipe")]),
    ("SP", &[(Fixed(7, 9), "Revolução Constitucionalista")]),
    (
        "TO",
        &[
            (Fixed(3, 18), "Dia da Autonomia"),
            (Fixed(9, 8), "Nossa Senhora da Natividade"),
            (Fixed(10, 5), "Criação do Estado"),
        ],
    ),
];

impl When {
    /// Whether the holiday is on this date.
    fn is_on(self, date: Date) -> bool {
        match self {
            Fixed(month, day) => (date.month(), date.day()) == (month, day),
            Easter(days) => days_from_easter(date) == Some(days),
            Friday(month, day) => {
                let Ok(own) = Date::new(date.year(), month, day) else { return false };
                let moved = match own.weekday() {
                    Weekday::Tuesday => 3,
                    Weekday::Wednesday => 2,
                    Weekday::Thursday => 1,
                    _ => 0,
                };
                own.checked_add(jiff::Span::new().days(moved)).is_ok_and(|own| own == date)
            }
        }
    }
}

impl Calendar {
    pub(super) fn check(&self, path: &str) -> Result<(), PolicyError> {
        if self.state.is_empty() || STATES.iter().any(|(name, _)| *name == self.state) {
            return Ok(());
        }
        Err(PolicyError::at(format!("{path}.state"), "expected a state's two letters, e.g. SP"))
    }

    /// The name of the holiday on a date; none on any other day, also on a weekend.
    pub fn holiday(&self, date: Date) -> Option<&'static str> {
        let state = STATES.iter().find(|(name, _)| *name == self.state).map_or(&[][..], |(_, days)| days);
        let is_since = date.year() >= BLACK_AWARENESS_SINCE;
        NATIONAL
            .iter()
            .chain(is_since.then_some(&BLACK_AWARENESS))
            .chain(state)
            .chain(CARNIVAL.iter().filter(|_| self.carnival))
            .chain(self.ash_wednesday.then_some(&ASH_WEDNESDAY))
            .chain(self.corpus_christi.then_some(&CORPUS_CHRISTI))
            .find(|(when, _)| when.is_on(date))
            .map(|(_, name)| *name)
            .or_else(|| self.extra.contains(&date).then_some(EXTRA))
    }
}

/// Whether a date is neither on a weekend nor a holiday.
pub fn is_business_day(date: Date, calendar: &Calendar) -> bool {
    let is_weekend = matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
    !is_weekend && calendar.holiday(date).is_none()
}

/// The last of the `count` business days after a date, which itself does not count; the date itself for none.
pub fn add_business_days(date: Date, count: u16, calendar: &Calendar) -> Date {
    let (mut date, mut left) = (date, count);
    while left > 0 {
        let Ok(next) = date.tomorrow() else { return date };
        date = next;
        left -= u16::from(is_business_day(date, calendar));
    }
    date
}

/// Days from the Easter Sunday of a date's year to the date.
fn days_from_easter(date: Date) -> Option<i32> {
    let easter = easter(date.year())?;
    Some(i32::from(date.day_of_year()) - i32::from(easter.day_of_year()))
}

/// Easter Sunday of a Gregorian year, by the rule of the Roman church: the Sunday after the first ecclesiastical full moon
/// on or after 21 March.
fn easter(year: i16) -> Option<Date> {
    let year = i32::from(year);
    let century = year.div_euclid(100);
    // The epact: the moon's age at the year's beginning, with the corrections of leap centuries and of the moon's cycle.
    let golden = year.rem_euclid(19);
    let moon_correction = (8 * century + 13).div_euclid(25);
    let full_moon = (19 * golden + century - century.div_euclid(4) - moon_correction + 15).rem_euclid(30);
    // The two months that the cycle shortens to 29 days.
    let shortened = full_moon == 29 || (full_moon == 28 && golden > 10);
    let full_moon = full_moon - i32::from(shortened);
    let march_21 = Date::new(i16::try_from(year).ok()?, 3, 21).ok()?;
    let full_moon = march_21.checked_add(jiff::Span::new().days(full_moon)).ok()?;
    full_moon.nth_weekday(1, Weekday::Sunday).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Calendar, Date, add_business_days, easter, is_business_day};
    use crate::Policy;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    /// Dates of the almanac: the earliest and latest possible, both months that the moon's cycle shortens, a new century.
    #[test]
    fn easter_is_as_in_the_almanac() {
        for easter_day in [
            "1818-03-22",
            "1943-04-25",
            "1954-04-18",
            "1981-04-19",
            "2000-04-23",
            "2024-03-31",
            "2025-04-20",
            "2026-04-05",
            "2038-04-25",
            "2076-04-19",
            "2100-03-28",
            "2285-03-22",
        ] {
            let expected = date(easter_day);
            assert_eq!(easter(expected.year()), Some(expected));
        }
    }

    #[test]
    fn five_business_days_end_where_the_office_counts_them() {
        let none = Calendar::default();
        let carnival = Calendar { carnival: true, ash_wednesday: true, ..none.clone() };
        let sao_paulo = Calendar { state: "SP".to_owned(), ..none.clone() };
        let acre = Calendar { state: "AC".to_owned(), ..none.clone() };
        let extra = Calendar { extra: vec![date("2026-12-24")], ..none.clone() };
        for (from, due, calendar) in [
            ("2026-04-16", "2026-04-24", &none),
            ("2026-11-13", "2026-11-23", &none),
            ("2026-02-12", "2026-02-19", &none),
            ("2026-02-12", "2026-02-24", &carnival),
            // Over New Year, and from a Sunday.
            ("2026-12-28", "2027-01-05", &none),
            ("2026-11-29", "2026-12-04", &none),
            ("2026-12-21", "2026-12-29", &none),
            ("2026-12-21", "2026-12-30", &extra),
            ("2026-07-06", "2026-07-14", &sao_paulo),
            // A leap day counts.
            ("2028-02-25", "2028-03-03", &none),
            // Tuesday, 17 November 2026, moves to Friday, which is national.
            ("2026-11-16", "2026-11-24", &acre),
            // Friday after Thursday, 23 January 2025.
            ("2025-01-20", "2025-01-28", &acre),
        ] {
            assert_eq!(add_business_days(date(from), 5, calendar), date(due), "after {from}");
        }
        assert_eq!(add_business_days(date("2026-11-29"), 0, &none), date("2026-11-29"));
    }

    #[test]
    fn the_black_awareness_day_is_national_since_2024_only() {
        let none = Calendar::default();
        assert!(is_business_day(date("2023-11-20"), &none));
        assert_eq!(none.holiday(date("2024-11-20")), Some("Dia Nacional de Zumbi e da Consciência Negra"));
    }

    #[test]
    fn a_state_that_does_not_exist_is_refused() {
        let refused = Policy::of(&json!({"incidents": {"calendar": {"state": "XX"}}})).unwrap_err();
        assert_eq!(refused.path, "incidents.calendar.state");
        Policy::of(&json!({"incidents": {"calendar": {"state": "SP"}}})).unwrap();
    }
}
