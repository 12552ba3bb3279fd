//! The process dies at each call of AWS, before or after the call has effect. Another one goes on, and nothing is lost;
//! what is sent twice says so.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use incident::Action;
use incident::store::Purpose;
use shared::testing::table::Fault;

use crate::call::{replies, taken, with_customers};
use crate::cloud::{Cloud, seconds};

/// Sends one page whose sender dies at a call, and then goes on. Returns whether it died, the messages in the channel, and
/// whether the second of them says that it may be a repetition.
async fn dies(channel: &str, number: usize, fault: Fault) -> (bool, usize, bool) {
    let cloud = Cloud::with("slack", &[("SLACK_CHANNEL", channel)]);
    let id = cloud.page(0).await;
    cloud.fake.with(|state| {
        state.fault = Some(Box::new(move |call, _, _| (call == number).then_some(fault)));
    });
    let died = AssertUnwindSafe(cloud.try_stream(0)).catch_unwind().await.is_err();
    cloud.fake.with(|state| state.fault = None);
    for after in [61, 122] {
        cloud.sweep(after).await;
    }
    let row = cloud.row(&id, crate::SLACK);
    assert_eq!((row.sent, row.due, row.lease_owner.as_str()), (1, None, ""), "{number} {fault:?}");
    assert!(row.accepted_at >= Some(seconds(0)));
    let posts = cloud.asked().into_iter().filter(|(path, _)| path == "/api/chat.postMessage");
    let posts: Vec<_> = posts.map(|(_, message)| message.to_string()).collect();
    let says_so = posts.last().is_some_and(|message| message.contains("pode estar repetido"));
    (died, cloud.messages(), says_so)
}

#[tokio::test]
async fn a_death_between_any_two_calls_loses_nothing_and_what_is_doubled_says_so() {
    for fault in [Fault::DiesBefore, Fault::DiesAfter] {
        let mut deaths = 0;
        for number in 0.. {
            let (died, messages, says_so) = dies("#incidentes", number, fault).await;
            if !died {
                break;
            }
            deaths += 1;
            assert!(messages == 1 || (messages == 2 && says_so), "{number} {fault:?}: {messages} {says_so}");
        }
        assert!(deaths >= 6, "{deaths}");
    }
}

#[tokio::test]
async fn with_the_channels_id_a_death_doubles_nothing_either() {
    for fault in [Fault::DiesBefore, Fault::DiesAfter] {
        for number in 0.. {
            let (died, messages, _) = dies("C0000000", number, fault).await;
            if !died {
                break;
            }
            assert_eq!(messages, 1, "{number} {fault:?}");
        }
    }
}

/// Orders something beside the page, whose sender dies at a call; another one goes on. Returns whether it died, and what was
/// delivered.
async fn dies_beside(purpose: Purpose, action: Action, number: usize, fault: Fault) -> (bool, Vec<String>) {
    let mut cloud = Cloud::new("slack");
    with_customers(&mut cloud, &["zona-sul@moveongs.example"]);
    let id = taken(&cloud).await;
    cloud.order(&id, purpose, action, "Squad Infra", 60).await;
    cloud.fake.with(|state| {
        state.fault = Some(Box::new(move |call, _, _| (call == number).then_some(fault)));
    });
    let died = AssertUnwindSafe(cloud.try_stream(60)).catch_unwind().await.is_err();
    cloud.fake.with(|state| state.fault = None);
    for after in [122, 183, 244] {
        cloud.sweep(after).await;
    }
    let channel = if purpose == Purpose::Customers { "ses" } else { "slack" };
    let row = cloud.row(&id, &format!("SEND#{channel}#{}", purpose.name()));
    assert_eq!((row.told.len(), row.due, row.lease_owner.as_str()), (1, None, ""), "{number} {fault:?}");
    let of_channel = |text: &String| text.contains("Squad Infra");
    let told = replies(&cloud).into_iter().map(|(_, text)| text).filter(of_channel);
    let delivered = if purpose == Purpose::Customers { cloud.mails() } else { told.collect() };
    (died, delivered)
}

#[tokio::test]
async fn a_death_loses_no_call_and_no_mail_to_customers_and_what_is_doubled_says_so() {
    for (purpose, action) in [
        (Purpose::Called, Action::SquadCalled),
        (Purpose::Commander, Action::Reminded),
        (Purpose::Customers, Action::CustomersTold),
    ] {
        for fault in [Fault::DiesBefore, Fault::DiesAfter] {
            let mut deaths = 0;
            for number in 0.. {
                let (died, delivered) = dies_beside(purpose, action, number, fault).await;
                if !died {
                    break;
                }
                deaths += 1;
                let says_so = delivered.last().is_some_and(|text| text.contains("pode estar repetido"));
                let count = delivered.len();
                assert!(
                    count == 1 || (count == 2 && says_so),
                    "{number} {fault:?} {purpose:?}: {delivered:?}"
                );
            }
            assert!(deaths >= 6, "{deaths}");
        }
    }
}
