//! The function against the wire protocols of its channels and of AWS: real SDK, real signing, real HTTP, a table in
//! memory.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod call;
mod cloud;
mod death;
mod hand_over;
mod people;
mod sweep;

use cloud::{Cloud, NOW, Reply, seconds};
use incident::store::{Channel, Key, Purpose};
use incident::{Action, Change, State};
use incident_send::Answer;
use serde_json::{Value, json};

const SLACK: &str = "SEND#slack#post";

#[tokio::test]
async fn a_page_is_posted_once_however_often_its_event_comes() {
    let cloud = Cloud::new("slack,sns");
    let id = cloud.page(0).await;
    let answer = cloud.stream(0).await;
    assert_eq!((answer.accepted, answer.failed), (1, 0));
    let asked = cloud.asked();
    let [(method, message)] = asked.as_slice() else { panic!("{asked:?}") };
    assert_eq!((method.as_str(), &message["channel"]), ("/api/chat.postMessage", &json!("#incidentes")));
    assert_eq!(message["unfurl_links"], json!(false));
    assert!(message["blocks"].to_string().contains("<@U00000ANA>"), "{message}");
    assert_eq!(cloud.token(), "Bearer xoxb-1-2-aB3");
    let row = cloud.row(&id, SLACK);
    assert_eq!((row.sent, row.attempts, row.due), (1, 0, None));
    assert_eq!(row.slack.as_ref().map(|post| post.channel.as_str()), Some("C0000000"));
    assert_eq!(row.accepted_at.map(|at| at.as_millisecond() / 60_000), Some(NOW.as_millisecond() / 60_000));
    assert_eq!(cloud.actions(&id), [Action::Triggered, Action::Sent]);
    for _ in 0..2 {
        assert_eq!(cloud.stream(1).await.accepted, 0);
    }
    assert_eq!(cloud.asked().len(), 1);
    // Its turn comes after a minute, and it is not needed any more.
    assert_eq!(cloud.stream(61).await, Answer { passed: 1, ..Answer::default() });
    let next = cloud.row(&id, "SEND#sns#post");
    assert_eq!((next.sent, next.due, next.answer.as_str()), (0, None, "another channel has told it"));
}

#[tokio::test]
async fn a_change_is_shown_in_place_and_what_people_have_to_know_is_in_the_thread() {
    let cloud = Cloud::new("slack");
    let id = cloud.page(0).await;
    cloud.stream(0).await;
    cloud.signal("again", 60, Change::Triggered).await;
    cloud.stream(60).await;
    cloud.signal("over", 120, Change::Resolved).await;
    cloud.stream(120).await;
    let asked = cloud.asked();
    let methods: Vec<_> = asked.iter().map(|(method, _)| method.trim_start_matches("/api/")).collect();
    assert_eq!(methods, ["chat.postMessage", "chat.update", "chat.update", "chat.postMessage"]);
    let ts = &json!("1795955000.000001");
    assert_eq!((&asked[1].1["ts"], &asked[2].1["ts"], &asked[3].1["thread_ts"]), (ts, ts, ts));
    assert_eq!(asked[1].1["channel"], json!("C0000000"));
    assert_eq!(asked[2].1["metadata"]["event_payload"]["version"], json!(3));
    assert!(asked[3].1["text"].as_str().unwrap().starts_with("✅ Resolvido"), "{}", asked[3].1);
    let row = cloud.row(&id, SLACK);
    assert_eq!((row.sent, row.told.len(), row.due), (3, 1, None));
}

#[tokio::test]
async fn a_newer_event_while_the_message_is_on_its_way_is_sent_after_it() {
    let cloud = Cloud::new("slack");
    let id = cloud.page(0).await;
    let (row, state) = (Key::row(&id, Channel::Slack, Purpose::Post), Key::incident(&id));
    // When the first message is recorded, more is wanted.
    cloud.fake.with(|fake| {
        fake.meanwhile = Some(Box::new(move |items| {
            items.get_mut(&(row.pk, row.sk)).unwrap().insert("wanted".to_owned(), json!({"N": "2"}));
            let incident = items.get_mut(&(state.pk, state.sk)).unwrap();
            incident.insert("version".to_owned(), json!({"N": "2"}));
        }));
    });
    assert_eq!(cloud.stream(0).await.accepted, 2);
    let methods: Vec<_> = cloud.asked().into_iter().map(|(method, _)| method).collect();
    assert_eq!(methods, ["/api/chat.postMessage", "/api/chat.update"]);
    let row = cloud.row(&id, SLACK);
    assert_eq!((row.sent, row.wanted, row.due, row.lease_owner.as_str()), (2, 2, None, ""));
    assert_eq!(cloud.actions(&id), [Action::Triggered, Action::Sent, Action::Sent]);
}

#[tokio::test]
async fn a_busy_channel_is_left_alone_for_as_long_as_it_asks_and_the_next_one_takes_over() {
    let cloud = Cloud::new("slack,sns");
    let first = cloud.page(0).await;
    cloud.signal_of("other", "first", 0, Change::Triggered).await;
    cloud.answer(Reply::Status(429, Some(120)));
    cloud.stream(0).await;
    assert_eq!(cloud.asked().len(), 1, "the second row does not ask");
    let waits = cloud.rows("slack").into_iter().map(|row| (row.attempts, row.unclear, row.due.unwrap()));
    let waits: Vec<_> = waits.collect();
    assert!(
        waits.iter().any(|(attempts, unclear, due)| (*attempts, *unclear) == (1, 0) && *due >= seconds(120)),
        "{waits:?}"
    );
    // After a minute without acceptance, the next channel; Slack is asked again when it said.
    cloud.sweep(60).await;
    assert_eq!(cloud.mails().len(), 2);
    cloud.answer(Reply::Ok);
    cloud.sweep(151).await;
    let posts = cloud.asked();
    assert_eq!(posts.len(), 3, "{posts:?}");
    assert!(posts.iter().all(|(_, message)| !message.to_string().contains("pode estar repetido")));
    assert_eq!(cloud.row(&first, SLACK).sent, 1);
    let actions = cloud.actions(&first);
    assert!(actions.contains(&Action::Sent), "{actions:?}");
}

#[tokio::test]
async fn many_rows_of_a_busy_channel_do_not_hide_those_of_another() {
    let cloud = Cloud::new("slack,sns");
    // More than one look finds of a channel, and all of them due before the first mail.
    for number in 0..130 {
        cloud.signal_of(&format!("alarm-{number}"), "first", 0, Change::Triggered).await;
    }
    cloud.answer(Reply::Status(429, Some(600)));
    cloud.sweep(60).await;
    assert_eq!(cloud.asked().len(), 1, "Slack asked to wait");
    assert!(!cloud.mails().is_empty());
}

#[tokio::test]
async fn a_message_whose_answer_is_lost_says_when_it_is_sent_again() {
    let cloud = Cloud::new("slack");
    let id = cloud.page(0).await;
    cloud.answer(Reply::Nothing);
    assert_eq!(cloud.stream(0).await.failed, 1);
    let row = cloud.row(&id, SLACK);
    assert_eq!((row.attempts, row.unclear, row.sent), (1, 1, 0));
    assert_eq!(cloud.actions(&id), [Action::Triggered, Action::SendFailed]);
    cloud.answer(Reply::Ok);
    cloud.sweep(10).await;
    let asked = cloud.asked();
    assert!(!asked[0].1.to_string().contains("pode estar repetido"));
    assert!(asked[1].1.to_string().contains("pode estar repetido"), "{}", asked[1].1);
    // What follows is no repetition.
    cloud.signal("again", 60, Change::Triggered).await;
    cloud.stream(60).await;
    assert!(!cloud.asked()[2].1.to_string().contains("pode estar repetido"));
    assert_eq!(cloud.row(&id, SLACK).unclear, 0);
}

#[tokio::test]
async fn with_the_channels_id_a_lost_message_is_found_and_not_repeated() {
    let cloud = Cloud::with("slack", &[("SLACK_CHANNEL", "C0000000")]);
    let id = cloud.page(0).await;
    cloud.answer(Reply::Lost);
    assert_eq!(cloud.stream(0).await.failed, 1);
    cloud.answer(Reply::Ok);
    cloud.sweep(10).await;
    let methods: Vec<_> = cloud.asked().into_iter().map(|(method, _)| method).collect();
    assert_eq!(methods, ["/api/chat.postMessage", "/api/conversations.history", "/api/chat.update"]);
    let row = cloud.row(&id, SLACK);
    assert_eq!((row.sent, row.unclear, row.slack.unwrap().ts.as_str()), (1, 0, "1795955000.000001"));
    assert_eq!(cloud.messages(), 1);
}

#[tokio::test]
async fn a_refused_token_wakes_the_next_channel_at_once() {
    let cloud = Cloud::new("slack,sns,pagerduty");
    let id = cloud.page(0).await;
    cloud.answer(Reply::Error("invalid_auth"));
    let answer = cloud.stream(0).await;
    assert_eq!((answer.accepted, answer.failed), (1, 1), "the mail did not wait for its turn");
    assert_eq!(cloud.mails().len(), 1);
    let row = cloud.row(&id, SLACK);
    assert_eq!((cloud.due(&id, SLACK), row.answer.as_str()), (Some(900), "invalid_auth"));
    // A person mended it.
    cloud.answer(Reply::Ok);
    cloud.sweep(930).await;
    assert_eq!(cloud.row(&id, SLACK).sent, 1);
    assert_eq!(cloud.mails().len(), 1);
}

#[tokio::test]
async fn a_secret_that_is_no_token_or_cannot_be_read_is_no_message() {
    for (secret, answer, is_final) in [
        (Some("{\"token\": \"xoxb-1\"}"), "the secret must contain only a bot token, xoxb-…", true),
        (None, "secretsmanager:GetSecretValue: ResourceNotFoundException", true),
    ] {
        let cloud = Cloud::new("slack,sns");
        let id = cloud.page(0).await;
        cloud.fake.with(|state| {
            state.secrets.remove("slack");
            state.secrets.extend(secret.map(|secret| ("slack".to_owned(), secret.to_owned())));
        });
        cloud.stream(0).await;
        assert_eq!((cloud.row(&id, SLACK).answer.as_str(), cloud.asked().len()), (answer, 0));
        assert_eq!(cloud.mails().len(), usize::from(is_final));
    }
}

#[tokio::test]
async fn a_message_that_slack_finds_fault_with_goes_without_blocks() {
    let cloud = Cloud::new("slack");
    let id = cloud.page(0).await;
    cloud.answer(Reply::NoBlocks);
    assert_eq!(cloud.stream(0).await.accepted, 1);
    let asked = cloud.asked();
    assert!(!asked[0].1["blocks"].is_null() && asked[1].1["blocks"].is_null(), "{asked:?}");
    assert!(asked[1].1["text"].as_str().unwrap().contains(&id));
    cloud.answer(Reply::Error("msg_too_long"));
    cloud.signal("again", 60, Change::Triggered).await;
    cloud.stream(60).await;
    let row = cloud.row(&id, SLACK);
    assert_eq!((row.sent, cloud.due(&id, SLACK), row.answer.as_str()), (1, Some(960), "msg_too_long"));
}

#[tokio::test]
async fn a_message_that_is_gone_is_posted_anew() {
    let cloud = Cloud::new("slack");
    let id = cloud.page(0).await;
    cloud.stream(0).await;
    cloud.answer(Reply::Gone);
    cloud.signal("again", 60, Change::Triggered).await;
    assert_eq!(cloud.stream(60).await.accepted, 1);
    let methods: Vec<_> = cloud.asked().into_iter().map(|(method, _)| method).collect();
    assert_eq!(methods, ["/api/chat.postMessage", "/api/chat.update", "/api/chat.postMessage"]);
    assert_eq!(cloud.row(&id, SLACK).slack.unwrap().ts, "1795955000.000002");
}

/// A page that Slack has, that was over, and that came back after two minutes.
async fn back(cloud: &Cloud) -> String {
    let id = cloud.page(0).await;
    cloud.stream(0).await;
    cloud.signal("over", 30, Change::Resolved).await;
    cloud.stream(30).await;
    cloud.stream(61).await;
    assert_eq!((cloud.row(&id, SLACK).sent, cloud.mails().len()), (2, 0));
    assert_eq!(cloud.signal("again", 120, Change::Triggered).await, id);
    id
}

#[tokio::test]
async fn a_problem_that_is_back_is_told_once_the_reply_that_mentions_people_is_there() {
    for (code, at_once) in [("invalid_auth", 1), ("invalid_blocks", 1), ("ratelimited", 0)] {
        let cloud = Cloud::new("slack,sns");
        let id = back(&cloud).await;
        cloud.answer(Reply::NoReplies(code));
        cloud.stream(120).await;
        let asked = cloud.asked();
        assert!(asked.iter().any(|(method, message)| {
            method == "/api/chat.update" && message["metadata"]["event_payload"]["version"] == json!(3)
        }));
        let row = cloud.row(&id, SLACK);
        assert_eq!((row.sent, row.attempts, row.answer.as_str()), (2, 1, code));
        assert_eq!(cloud.mails().len(), at_once, "{code}");
        // When it is the next channel's turn.
        cloud.stream(181).await;
        assert_eq!(cloud.mails().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn a_reply_that_arrived_tells_that_a_problem_is_back() {
    for (reply, is_plain) in [(Reply::Ok, false), (Reply::NoBlocks, true)] {
        let cloud = Cloud::new("slack,sns");
        let id = back(&cloud).await;
        cloud.answer(reply);
        assert_eq!(cloud.stream(120).await.accepted, 1);
        let asked = cloud.asked();
        let (_, last) = asked.last().unwrap();
        let text = if is_plain { &last["text"] } else { &last["blocks"][0]["text"]["text"] };
        assert!(text.as_str().unwrap().starts_with("<@U00000ANA>"), "{last}");
        assert_eq!((last["thread_ts"].is_null(), last["blocks"].is_null()), (false, is_plain));
        assert_eq!(cloud.row(&id, SLACK).sent, 3);
        cloud.stream(181).await;
        assert_eq!((cloud.mails().len(), cloud.asked().len()), (0, asked.len()), "{reply:?}");
    }
}

#[tokio::test]
async fn a_reply_that_failed_is_posted_later_once() {
    let cloud = Cloud::new("slack");
    let id = back(&cloud).await;
    cloud.answer(Reply::NoReplies("ratelimited"));
    cloud.stream(120).await;
    cloud.answer(Reply::Ok);
    cloud.sweep(150).await;
    cloud.sweep(210).await;
    let asked = cloud.asked();
    let posts = asked.iter().filter(|(_, message)| message["blocks"][0]["text"]["text"] == "<@U00000ANA>");
    assert_eq!(posts.count(), 2, "refused and accepted: {asked:?}");
    let row = cloud.row(&id, SLACK);
    assert_eq!((row.sent, row.attempts, row.due), (3, 0, None));
    assert!(!asked.last().unwrap().1.to_string().contains("pode estar repetido"));
}

#[tokio::test]
async fn a_muted_page_waits_and_one_that_is_over_by_then_is_not_sent() {
    let cloud = Cloud::new("slack");
    cloud.mute(600);
    let id = cloud.page(0).await;
    assert_eq!(cloud.sweep(0).await.accepted, 0);
    assert_eq!(cloud.row(&id, SLACK).due, Some(seconds(600)));
    cloud.signal("over", 60, Change::Resolved).await;
    cloud.sweep(600).await;
    assert_eq!(cloud.asked().len(), 0);
    let row = cloud.row(&id, SLACK);
    assert_eq!((row.due, row.answer.as_str()), (None, "it pages nobody"));
}

#[tokio::test]
async fn a_webhook_gets_what_it_knows_and_its_address_is_in_no_text() {
    let webhook = "SEND#webhook#post";
    let cloud = Cloud::new("webhook");
    let id = cloud.page(0).await;
    // So that nothing escalates.
    cloud.change(&id, |incident| incident.state = State::Acknowledged);
    cloud.answer(Reply::Error("no_service"));
    cloud.stream(0).await;
    let row = cloud.row(&id, webhook);
    assert_eq!((row.answer.as_str(), cloud.due(&id, webhook)), ("HTTP 404 no_service", Some(900)));
    cloud.answer(Reply::Nothing);
    cloud.sweep(930).await;
    let row = cloud.row(&id, webhook);
    assert!(row.unclear == 1 && !row.answer.contains("services"), "{}", row.answer);
    cloud.answer(Reply::Ok);
    cloud.sweep(990).await;
    let asked = cloud.asked();
    let (path, message) = asked.last().unwrap();
    assert_eq!((asked.len(), path.as_str()), (3, "/services/T0/B0/x"));
    let fields = message.as_object().unwrap();
    assert!(fields.len() == 2 && fields.contains_key("blocks") && fields.contains_key("text"), "{message}");
    assert!(message.to_string().contains("pode estar repetido"));
    assert_eq!(cloud.row(&id, webhook).sent, 2);
}

#[tokio::test]
async fn pagerduty_gets_one_dedup_key_however_often_it_is_sent() {
    let cloud = Cloud::new("pagerduty");
    let id = cloud.page(0).await;
    cloud.answer(Reply::Nothing);
    cloud.stream(0).await;
    assert_eq!(cloud.row(&id, "SEND#pagerduty#post").unclear, 0, "it does not matter");
    cloud.answer(Reply::Ok);
    cloud.sweep(10).await;
    cloud.signal("over", 60, Change::Resolved).await;
    cloud.stream(60).await;
    let asked = cloud.asked();
    let sent: Vec<_> =
        asked.iter().map(|(path, event)| (path.as_str(), event["event_action"].as_str().unwrap())).collect();
    assert_eq!(sent, [("/v2/enqueue", "trigger"), ("/v2/enqueue", "trigger"), ("/v2/enqueue", "resolve")]);
    assert!(asked.iter().all(|(_, event)| event["dedup_key"] == json!(id)));
    assert!(asked.iter().all(|(_, event)| event["routing_key"] == json!("0123456789abcdef0123456789abcdef")));
    let text = Value::Array(cloud.timeline(&id)).to_string();
    assert!(!text.contains("0123456789abcdef"), "{text}");
}

#[tokio::test]
async fn what_is_over_before_pagerduty_was_told_triggers_and_resolves() {
    let cloud = Cloud::new("pagerduty");
    cloud.page(0).await;
    cloud.signal("over", 1, Change::Resolved).await;
    cloud.stream(1).await;
    let actions: Vec<_> = cloud.asked().iter().map(|(_, event)| event["event_action"].clone()).collect();
    assert_eq!(actions, [json!("trigger"), json!("resolve")]);
}

#[tokio::test]
async fn an_unreadable_table_fails_the_invocation_and_loses_nothing() {
    let cloud = Cloud::new("slack");
    let id = cloud.page(0).await;
    cloud.fake.with(|state| {
        state.fault =
            Some(Box::new(|_, call, _| (call == "Query").then_some(shared::testing::table::Fault::Refused)));
    });
    let error = cloud.try_stream(0).await.unwrap_err();
    assert_eq!(shared::runtime::failure::Failure::kind(&error), "TableCall");
    assert_eq!(cloud.asked().len(), 0);
    cloud.fake.with(|state| state.fault = None);
    cloud.sweep(61).await;
    assert_eq!((cloud.row(&id, SLACK).sent, cloud.messages()), (1, 1));
    assert_eq!(cloud.incident(&id).state, State::Triggered);
}

#[tokio::test]
async fn a_storm_of_the_intake_keeps_nothing_from_being_recorded() {
    let cloud = Cloud::new("slack");
    let id = cloud.page(0).await;
    cloud.fake.with(|state| {
        let conflicts = std::sync::atomic::AtomicU32::new(0);
        state.fault = Some(Box::new(move |_, call, _| {
            let is_early = call == "TransactWriteItems"
                && conflicts.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 3;
            is_early.then_some(shared::testing::table::Fault::Conflict)
        }));
    });
    assert_eq!(cloud.stream(0).await.accepted, 1);
    let row = cloud.row(&id, SLACK);
    assert_eq!((row.sent, row.due, row.lease_owner.as_str()), (1, None, ""));
    assert_eq!(cloud.asked().len(), 1);
    assert_eq!(cloud.actions(&id), [Action::Triggered, Action::Sent]);
}
