//! One SMS: at most 160 characters of the GSM 7-bit alphabet, which is what reaches phones in Brazil unsplit.
//!
//! Sources: [GSM 03.38](https://www.unicode.org/Public/MAPPINGS/ETSI/GSM0338.TXT),
//! [SMS character limits](https://docs.aws.amazon.com/sms-voice/latest/userguide/sms-limitations-character.html).

use crate::incident::Incident;
use crate::text::{self, Call, Language, ascii, cut, one};

/// Most characters in one message.
const LIMIT: usize = 160;

/// Most characters of the environment, the owner and the id. With the longest words around them, at
/// least 30 remain for the title.
const ENVIRONMENT_LIMIT: usize = 15;
const OWNER_LIMIT: usize = 30;
const ID_LIMIT: usize = 30;

/// The text: `S1 prod acionado: API fora do ar. Resp: Squad Infra. INC-20261129-7Q2MZK4A`.
///
/// The title takes the room that is left; everything else always fits.
pub fn message(incident: &Incident, language: Language) -> String {
    let state = text::state(incident.state, language);
    about(incident, state, &text::title(incident, language), language)
}

/// The text that calls somebody beside the page: `S1 prod lembrete: falta uma atualizacao. Resp: …`.
pub fn call(incident: &Incident, call: Call, words: &str, language: Language) -> String {
    let words = text::line(words.trim().lines().next().unwrap_or_default());
    let words = if words.is_empty() { text::title(incident, language) } else { words };
    about(incident, call.word(language), &words, language)
}

fn about(incident: &Incident, word: &str, what: &str, language: Language) -> String {
    let drill = if incident.is_drill { format!("{} ", text::drill(language)) } else { String::new() };
    let again = if incident.attempts.may_repeat() { language.pick("REPETIDO? ", "AGAIN? ") } else { "" };
    let level = text::level(incident.severity);
    let word = plain(word, LIMIT);
    let environment = plain(&text::line(&incident.environment), ENVIRONMENT_LIMIT);
    let environment = if environment.is_empty() { environment } else { format!(" {environment}") };
    let who = language.pick("Resp", "Owner");
    let owner = plain(&text::owner(incident, language), OWNER_LIMIT);
    let id = plain(&text::id(incident, language), ID_LIMIT);

    let start = format!("{again}{drill}{level}{environment} {word}: ");
    let end = format!(". {who}: {owner}. {id}");
    let room = LIMIT.saturating_sub(start.len() + end.len());
    let what = plain(what.trim_end_matches('.'), room);
    format!("{start}{what}{end}")
}

/// Text in the characters that ASCII and the basic GSM alphabet share; the extended ones would count twice.
fn plain(text: &str, limit: usize) -> String {
    let letters = ascii(text);
    if letters.is_empty() && !text.is_empty() {
        return "?".to_owned();
    }
    let basic = letters.chars().map(|c| match c {
        '[' | '{' => '(',
        ']' | '}' => ')',
        '\\' | '|' => '/',
        '^' | '`' => '\'',
        '~' => '-',
        c => c,
    });
    cut(&basic.collect::<String>(), limit, "...", one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Severity;
    use crate::incident::State;
    use crate::text::tests::{extremes, limits, normal};

    #[test]
    fn a_normal_message_says_all_of_it() {
        let mut incident = normal();
        assert_eq!(
            message(&incident, Language::Portuguese),
            "S1 prod acionado: API moveongs-prod: 5xx acima de 5% (ultimos 10 min). Resp: Squad Infra. INC-20261129-7Q2MZK4A"
        );
        incident.state = State::Acknowledged;
        incident.is_drill = true;
        assert_eq!(
            message(&incident, Language::English),
            "DRILL S1 prod acknowledged: API moveongs-prod: 5xx acima de 5% (ultimos 10 min). Owner: Squad Infra. INC-20261129-7Q2MZK4A"
        );
    }

    #[test]
    fn a_message_that_may_be_a_repetition_says_so_first() {
        let mut incident = normal();
        incident.attempts.unclear = 1;
        assert!(message(&incident, Language::Portuguese).starts_with("REPETIDO? S1 prod acionado: API "));
        assert!(message(&incident, Language::English).starts_with("AGAIN? S1 prod triggered: API "));
    }

    #[test]
    fn a_call_says_why_in_place_of_state_and_title() {
        let mut incident = normal();
        incident.state = State::Acknowledged;
        let words = "🔔 Falta uma atualização: a última foi há 31 min.\nResponda na conversa.";
        assert_eq!(
            call(&incident, Call::Reminder, words, Language::Portuguese),
            "S1 prod lembrete: Falta uma atualizacao: a ultima foi ha 31 min. Resp: Squad Infra. INC-20261129-7Q2MZK4A"
        );
        assert_eq!(
            call(&incident, Call::SquadCalled, "Squad Dados", Language::English),
            "S1 prod call: Squad Dados. Owner: Squad Infra. INC-20261129-7Q2MZK4A"
        );
        assert!(
            call(&incident, Call::Reminder, " ", Language::English).contains("reminder: API moveongs-prod")
        );
    }

    #[test]
    fn a_long_title_is_cut_and_everything_else_fits() {
        let mut incident = normal();
        incident.title = "Conexões do banco de dados esgotadas em ".repeat(10);
        incident.state = State::Acknowledged;
        incident.severity = Severity::S0;
        incident.is_drill = true;
        let text = message(&incident, Language::English);
        assert_eq!(
            text,
            "DRILL S0 prod acknowledged: Conexoes do banco de dados esgotadas em Conexoes do banco de dados esgotadas em Conexo.... Owner: Squad Infra. INC-20261129-7Q2MZK4A"
        );
        assert_eq!(text.len(), 160);
    }

    #[test]
    fn letters_lose_their_accents_and_symbols_their_second_unit() {
        let cases = [
            ("ação às três, não é «só»: 5 µs ≥ 2°", "acao as tres, nao e \"so\": 5 us >= 2o"),
            ("nfd: a\u{303}c\u{327}a\u{303}o", "nfd: acao"),
            ("[a] {b} c\\d ^e ~f |g `h` €5", "(a) (b) c/d 'e -f /g 'h' EUR5"),
            ("fogo 🔥👨‍👩‍👧 no 日本語 и ок", "fogo no ? ? ?"),
            ("uma…\nduas\tlinhas\u{a0}— fim", "uma... duas linhas - fim"),
            ("🔥", "?"),
            ("", ""),
        ];
        for (foreign, expected) in cases {
            assert_eq!(plain(foreign, 160), expected, "{foreign}");
        }
        assert_eq!(plain("abcdefgh", 7), "abcd...");
    }

    #[test]
    fn every_extreme_fits_one_message_with_what_matters() {
        for (incident, language) in extremes() {
            let text = message(&incident, language);
            limits::sms(&text).unwrap();
            let words = text.split(' ').collect::<Vec<_>>();
            assert!(words.contains(&text::level(incident.severity)), "{text}");
            let word = format!(" {}: ", plain(text::state(incident.state, language), 99));
            assert!(text.contains(&word), "{text}");
            let owner = plain(&text::owner(&incident, language), OWNER_LIMIT);
            let id = plain(&text::id(&incident, language), ID_LIMIT);
            assert!(text.ends_with(&format!(": {owner}. {id}")), "{text}");
        }
    }
}
