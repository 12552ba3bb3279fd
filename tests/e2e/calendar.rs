//! Business days, against the library `holidays`: every day of 2024 to 2040, for each state and each switch.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use shared::policy::calendar::{Calendar, add_business_days, is_business_day};

const STATES: [&str; 28] = [
    "", "AC", "AL", "AM", "AP", "BA", "CE", "DF", "ES", "GO", "MA", "MG", "MS", "MT", "PA", "PB", "PE", "PI",
    "PR", "RJ", "RN", "RO", "RR", "RS", "SC", "SE", "SP", "TO",
];

/// The post-mortem's time limit.
const COUNT: u16 = 5;

/// Each switch alone, none and all for the whole country; all for each state.
fn calendars() -> Vec<Value> {
    let calendar = |state: &str, [carnival, ash_wednesday, corpus_christi]: [bool; 3]| {
        json!({"state": state, "carnival": carnival, "ash_wednesday": ash_wednesday,
            "corpus_christi": corpus_christi})
    };
    let alone = [[false; 3], [true, false, false], [false, true, false], [false, false, true]];
    let alone = alone.map(|switches| calendar("", switches));
    alone.into_iter().chain(STATES.map(|state| calendar(state, [true; 3]))).collect()
}

#[test]
fn business_days_are_those_of_an_independent_library() {
    let calendars = calendars();
    let mut asked = String::new();
    for calendar in &calendars {
        let mut line = calendar.clone();
        line["years"] = json!([2024, 2040]);
        line["count"] = json!(COUNT);
        asked.push_str(&format!("{line}\n"));
    }
    let questions = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&questions, asked).unwrap();
    let other = Command::new("python")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("readers/business_days.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(questions.reopen().unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(other.status.success(), "see above; run this through `cargo xtask test`");
    let answers: Vec<_> = std::str::from_utf8(&other.stdout).unwrap().lines().collect();
    assert_eq!(answers.len(), calendars.len());
    for (calendar, answer) in calendars.iter().zip(answers) {
        let settings: Calendar = serde_json::from_value(calendar.clone()).unwrap();
        let days: Vec<(String, bool, String)> = serde_json::from_str(answer).unwrap();
        // 17 years with leap days in 2024, 2028, 2032, 2036 and 2040.
        assert_eq!(days.len(), 17 * 365 + 5);
        for (text, is_working, due) in days {
            let date = text.parse().unwrap();
            assert_eq!(is_business_day(date, &settings), is_working, "{text}: {calendar}");
            let ours = add_business_days(date, COUNT, &settings).to_string();
            assert_eq!(ours, due, "{COUNT} business days after {text}: {calendar}");
        }
    }
}
