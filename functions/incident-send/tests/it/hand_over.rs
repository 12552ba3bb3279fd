//! What the channel reads when other people are on call, and their user group.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use serde_json::{Value, json};
use shared::testing::table::Fault;

use crate::cloud::{Cloud, Reply, seconds};

const POST: &str = "/api/chat.postMessage";
const REGROUP: &str = "/api/usergroups.users.update";
const REPEATED: &str = "pode estar repetido";

/// 10:00 in São Paulo, in seconds after the beginning.
const TEN: i64 = 39 * 60;

/// One squad, which changes at 10:00 every day: Bia until then, now Ana.
fn policy(overrides: &str, group: &str) -> String {
    let patch = r#"{"incidents": {
        "people": {
            "Ana": {"slack": "U00000ANA"},
            "Bia": {"slack": "U00000BIA"},
            "Caio": {"email": "caio@moveongs.example"}
        },
        "squads": {
            "Squad Infra": {
                "rotation": {"every": "daily", "at": "10:00", "starts": "2026-11-01", "people": ["Ana", "Bia"], "second": ["Caio"]},
                "overrides": [OVERRIDES], "group": GROUP
            }
        }
    }}"#;
    patch.replace("OVERRIDES", overrides).replace("GROUP", group)
}

/// A cloud whose channel has heard of the people before.
async fn cloud(channels: &str, group: &str) -> Cloud {
    let mut cloud = Cloud::new(channels);
    cloud.apply(&policy("", group));
    cloud.sweep(0).await;
    cloud
}

fn paths(cloud: &Cloud) -> Vec<String> {
    cloud.asked().into_iter().map(|(path, _)| path).collect()
}

/// What the table has about the squad.
fn noted(cloud: &Cloud) -> Value {
    let items = cloud.fake.items();
    let item = &items[&("HANDOVER#Squad Infra".to_owned(), "HANDOVER".to_owned())];
    assert!(!item.contains_key("expires_at"), "it would be forgotten, and then told or not at random");
    serde_json::from_str(item["body"]["S"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn the_channel_is_told_once_who_is_on_call_now() {
    assert_eq!(seconds(TEN).to_string(), "2026-11-29T13:00:00Z");
    let cloud = cloud("sns,slack", "null").await;
    for after in [60, TEN - 1] {
        cloud.sweep(after).await;
    }
    assert_eq!(cloud.asked().len(), 0, "a new stack tells nobody, nor does a sweep without a change");
    for after in [TEN, TEN + 60, TEN + 120] {
        cloud.sweep(after).await;
    }
    let asked = cloud.asked();
    let [(path, message)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((path.as_str(), &message["channel"]), (POST, &json!("#incidentes")));
    assert_eq!(message["text"], json!("📟 [prod] Squad Infra: agora de plantão: Ana"));
    let fields = message["blocks"][1]["fields"].to_string();
    for part in ["<@U00000ANA>", "Caio", "2026-11-30 10:00:00 -03:00", "Bia"] {
        assert!(fields.contains(part), "{part}: {fields}");
    }
    assert!(!message.to_string().contains(REPEATED), "{message}");
    assert_eq!(cloud.mails().len(), 0, "no other channel has it");
    let told = noted(&cloud)["told"].clone();
    assert_eq!((&told["person"], &told["until"]), (&json!("Ana"), &json!("2026-11-30T13:00:00Z")));
    assert_eq!(cloud.fake.keys("HANDOVER#").len(), 5, "one item for each squad, however often it changes");
}

#[tokio::test]
async fn a_missed_hand_over_is_told_late_but_not_after_hours() {
    for (after, messages) in [(TEN + 6 * 3_600, 1), (TEN + 6 * 3_600 + 1, 0)] {
        let cloud = cloud("slack", "null").await;
        for later in [0, 60] {
            cloud.sweep(after + later).await;
        }
        assert_eq!(cloud.asked().len(), messages, "{after}");
        assert_eq!(noted(&cloud)["told"]["person"], json!("Ana"));
    }
}

#[tokio::test]
async fn an_override_that_begins_ends_or_is_taken_back_is_a_hand_over() {
    const OVERRIDE: &str =
        r#"{"from": "2026-11-29T11:00", "until": "2026-11-29T12:00", "person": "Bia", "reason": "médico"}"#;
    let (eleven, twelve) = (TEN + 3_600, TEN + 7_200);
    for (is_taken_back, at) in [(false, twelve), (true, eleven + 600)] {
        let mut cloud = cloud("slack", "null").await;
        cloud.apply(&policy(OVERRIDE, "null"));
        for after in [TEN, eleven, eleven + 60] {
            cloud.sweep(after).await;
        }
        if is_taken_back {
            cloud.apply(&policy("", "null"));
        }
        for after in [at, at + 60] {
            cloud.sweep(after).await;
        }
        let texts: Vec<_> = cloud.asked().iter().map(|(_, message)| message["text"].to_string()).collect();
        let people = ["Ana", "Bia", "Ana"].map(|name| format!("{name}\""));
        assert_eq!(texts.len(), 3, "{texts:?}");
        assert!(texts.iter().zip(&people).all(|(text, name)| text.ends_with(name)), "{texts:?}");
        assert!(cloud.asked()[1].1.to_string().contains("médico"), "{:?}", cloud.asked()[1]);
    }
}

#[tokio::test]
async fn the_group_has_the_people_on_call_from_the_first_look_on() {
    let cloud = cloud("slack", r#""S0000GROUP""#).await;
    for after in [60, TEN, TEN + 60] {
        cloud.sweep(after).await;
    }
    assert_eq!(paths(&cloud), [REGROUP, REGROUP, POST]);
    let asked = cloud.asked();
    assert_eq!(asked[0].1, json!({"usergroup": "S0000GROUP", "users": "U00000BIA"}));
    assert_eq!(asked[1].1, json!({"usergroup": "S0000GROUP", "users": "U00000ANA"}));
    assert!(!asked[2].1.to_string().contains("grupo"), "{}", asked[2].1);
}

#[tokio::test]
async fn a_group_that_the_bot_may_not_change_is_said_once_and_holds_up_nothing() {
    for code in ["missing_scope", "permission_denied", "not_allowed_token_type", "no_such_subteam"] {
        let cloud = cloud("slack", r#""S0000GROUP""#).await;
        cloud.answer(Reply::NoGroup(code));
        cloud.page(TEN).await;
        for after in [TEN, TEN + 60, TEN + 120] {
            cloud.sweep(after).await;
        }
        assert_eq!(
            paths(&cloud).iter().filter(|path| *path == REGROUP).count(),
            2,
            "the first look, and once"
        );
        let asked = cloud.asked();
        let told: Vec<_> =
            asked.iter().filter(|(_, body)| body.to_string().contains("agora de plantão")).collect();
        let [(_, message)] = told.as_slice() else { panic!("{told:?}") };
        let notice = format!("O grupo do Slack não foi mudado: {code}");
        assert!(message["blocks"][2].to_string().contains(&notice), "{message}");
        assert_eq!(cloud.messages(), 2, "the page, too");
        assert_eq!(noted(&cloud)["told"]["person"], json!("Ana"));
    }
}

#[tokio::test]
async fn a_busy_slack_is_asked_again_later_and_ever_more_rarely() {
    let cloud = cloud("slack", r#""S0000GROUP""#).await;
    cloud.answer(Reply::Status(429, Some(30)));
    for after in [0, 60, 120, 180, 240, 300, 360] {
        cloud.sweep(TEN + after).await;
    }
    let expected = [REGROUP, REGROUP, REGROUP, REGROUP, POST];
    assert_eq!(
        paths(&cloud),
        expected,
        "the first look; after 0, 1 and 3 minutes, and then without the group"
    );
    cloud.answer(Reply::Ok);
    for after in [420, 480, 900] {
        cloud.sweep(TEN + after).await;
    }
    assert_eq!(paths(&cloud)[5..], [REGROUP, POST]);
    let (_, message) = cloud.asked().pop().unwrap();
    assert!(!message.to_string().contains(REPEATED), "none of them arrived: {message}");
    assert_eq!(cloud.messages(), 1);
}

#[tokio::test]
async fn a_message_whose_answer_is_lost_says_when_it_is_sent_again() {
    let cloud = cloud("slack", "null").await;
    cloud.answer(Reply::Lost);
    cloud.sweep(TEN).await;
    cloud.answer(Reply::Ok);
    for after in [60, 120] {
        cloud.sweep(TEN + after).await;
    }
    let asked = cloud.asked();
    assert_eq!(paths(&cloud), [POST, POST]);
    assert!(!asked[0].1.to_string().contains(REPEATED) && asked[1].1.to_string().contains(REPEATED));
}

#[tokio::test]
async fn a_webhook_tells_it_too_and_cannot_change_a_group() {
    let cloud = cloud("webhook", r#""S0000GROUP""#).await;
    for after in [0, 60] {
        cloud.sweep(TEN + after).await;
    }
    assert_eq!(paths(&cloud), ["/services/T0/B0/x"]);
    let message = cloud.asked()[0].1.to_string();
    assert!(message.contains("não foi mudado: PageChannels has no slack"), "{message}");
    let mail = self::cloud("sns", "null").await;
    mail.sweep(TEN).await;
    assert_eq!(
        (mail.mails().len(), mail.fake.keys("HANDOVER#").len()),
        (0, 0),
        "there is no channel to tell"
    );
}

#[tokio::test]
async fn two_sweeps_at_once_tell_it_once() {
    let cloud = cloud("slack", "null").await;
    futures_util::future::join(cloud.sweep(TEN), cloud.sweep(TEN)).await;
    assert_eq!(paths(&cloud), [POST]);
}

/// A sweep at the hand-over whose process dies at a call, and then others. Returns whether it died, and the messages.
async fn dies(number: usize, fault: Fault) -> (bool, Vec<String>) {
    let cloud = cloud("slack", r#""S0000GROUP""#).await;
    let before = cloud.asked().len();
    cloud.fake.with(|state| {
        state.calls.clear();
        state.fault = Some(Box::new(move |call, _, _| (call == number).then_some(fault)));
    });
    let died = AssertUnwindSafe(cloud.try_sweep(TEN)).catch_unwind().await.is_err();
    cloud.fake.with(|state| state.fault = None);
    for after in [60, 120, 180] {
        cloud.sweep(TEN + after).await;
    }
    assert_eq!(noted(&cloud)["told"]["person"], json!("Ana"), "{number} {fault:?}");
    let posts = cloud.asked().split_off(before).into_iter().filter(|(path, _)| path == POST);
    (died, posts.map(|(_, message)| message.to_string()).collect())
}

#[tokio::test]
async fn a_death_between_any_two_calls_loses_nothing_and_what_is_told_twice_says_so() {
    for fault in [Fault::DiesBefore, Fault::DiesAfter] {
        let (mut deaths, mut doubled) = (0, 0);
        for number in 0.. {
            let (died, messages) = dies(number, fault).await;
            if !died {
                assert_eq!(messages.len(), 1);
                break;
            }
            deaths += 1;
            match messages.as_slice() {
                // A process that died before it posted may have posted, as far as the next one knows.
                [_] => {}
                [_, again] => {
                    assert!(again.contains(REPEATED), "{number} {fault:?}: {again}");
                    doubled += 1;
                }
                other => panic!("{number} {fault:?}: {other:?}"),
            }
        }
        // It dies after the post, and before the note: only then is it told twice.
        assert!(deaths >= 6 && doubled == usize::from(fault == Fault::DiesBefore), "{deaths} {doubled}");
    }
}
