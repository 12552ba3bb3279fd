//! Who is reached by mail and SMS, and what the texts say.

use incident::{Action, Change, Entry, State};

use crate::cloud::{Cloud, Reply, seconds};

pub(crate) fn decoded(body: &str) -> String {
    percent_encoding::percent_decode_str(&body.replace('+', " ")).decode_utf8().unwrap().into_owned()
}

#[tokio::test]
async fn a_mail_goes_to_the_person_on_call() {
    let cloud = Cloud::new("ses");
    let id = cloud.page(0).await;
    assert_eq!(cloud.stream(0).await.accepted, 1);
    let mail: serde_json::Value = serde_json::from_str(&cloud.mails()[0]).unwrap();
    assert_eq!(mail["FromEmailAddress"], "pager@moveongs.example");
    assert_eq!(mail["Destination"], serde_json::json!({"ToAddresses": ["ana@moveongs.example"]}));
    let simple = &mail["Content"]["Simple"];
    assert_eq!(simple["Subject"]["Data"], format!("[prod] S1 acionado {id}: API fora do ar"));
    assert!(simple["Body"]["Text"]["Data"].as_str().unwrap().contains("Motivo"));
    assert!(simple["Body"]["Html"]["Data"].as_str().unwrap().starts_with("<!doctype html>"));
}

#[tokio::test]
async fn an_sms_goes_to_verified_numbers_in_one_part() {
    let cloud = Cloud::new("sms");
    let id = cloud.page(0).await;
    assert_eq!(cloud.stream(0).await.accepted, 1);
    let sms = decoded(&cloud.mails()[0]);
    assert!(
        sms.contains("PhoneNumber=+5511900000001") || sms.contains("PhoneNumber= 5511900000001"),
        "{sms}"
    );
    assert!(sms.contains(&format!("S1 prod acionado: API fora do ar. Resp: Squad Infra. {id}")), "{sms}");
    assert!(sms.contains("AWS.SNS.SMS.SMSType") && sms.contains("Transactional"), "{sms}");
    let row = cloud.row(&id, "SEND#sms#oncall");
    assert_eq!(row.answer, "1 of 1 numbers");
    let text = serde_json::Value::Array(cloud.timeline(&id)).to_string();
    assert!(!text.contains("5511900000001"), "a number is nobody's business: {text}");
}

#[tokio::test]
async fn of_an_sms_to_several_contacts_one_that_is_accepted_is_enough() {
    let mut cloud = Cloud::new("sms");
    let phones = ["+5511900000007", "+5511900000008", "+5511900000009"];
    let contacts = phones.map(|phone| serde_json::json!({"phone": phone, "phone_verified": true}));
    let policy = serde_json::json!({"incidents": {"squads": {"Squad Infra": {"contacts": contacts}}}});
    cloud.apply(&policy.to_string());
    let id = cloud.page(0).await;
    cloud.refuse("5511900000008", 400, "InvalidParameter");
    assert_eq!(cloud.stream(0).await.accepted, 1);
    let asked = cloud.mails();
    let numbers = phones.map(|phone| asked.iter().filter(|body| body.contains(&phone[1..])).count());
    assert_eq!(numbers, [1, 1, 1], "{asked:?}");
    assert_eq!(cloud.row(&id, "SEND#sms#oncall").answer, "2 of 3 numbers");
}

#[tokio::test]
async fn an_sms_that_sns_may_have_sent_says_so_when_it_is_sent_again() {
    let cloud = Cloud::new("sms");
    let id = cloud.page(0).await;
    cloud.refuse("Publish", 500, "SomethingNew");
    assert_eq!(cloud.stream(0).await.failed, 1);
    let row = cloud.row(&id, "SEND#sms#oncall");
    assert_eq!((row.unclear, row.answer.as_str()), (1, "sns:Publish: SomethingNew"));
    cloud.refuse_nothing();
    assert_eq!(cloud.sweep(10).await.accepted, 1);
    let all: Vec<_> = cloud.mails().iter().map(|body| decoded(body)).collect();
    assert_eq!(all.len(), 2, "the SDK itself repeats nothing");
    assert!(!all[0].contains("REPETIDO?") && all[1].contains("REPETIDO?"), "{all:?}");
}

#[tokio::test]
async fn a_mail_to_the_topic_needs_no_address() {
    let cloud = Cloud::new("sns");
    let id = cloud.page(0).await;
    assert_eq!(cloud.stream(0).await.accepted, 1);
    let mail = decoded(&cloud.mails()[0]);
    assert!(mail.contains("TopicArn=arn:aws:sns:us-east-1:123456789012:moveongs-prod-pager"), "{mail}");
    assert!(mail.contains(&format!("Subject=[prod] S1 acionado {id}: API fora do ar")), "{mail}");
}

#[tokio::test]
async fn a_channel_that_knows_nobody_leaves_it_to_the_next_at_once() {
    let cloud = Cloud::new("sms,sns");
    let id = cloud.page(0).await;
    cloud.change(&id, |incident| incident.owner = "Squad X".to_owned());
    let answer = cloud.stream(0).await;
    assert_eq!((answer.accepted, answer.failed), (1, 1));
    let row = cloud.row(&id, "SEND#sms#oncall");
    assert_eq!((row.due, row.sent), (None, 0));
    assert!(row.answer.contains("no verified phone number"), "{}", row.answer);
    // Without another channel, it is tried again: the policy may have somebody then.
    let alone = Cloud::new("sms");
    let id = alone.page(0).await;
    alone.change(&id, |incident| incident.owner = "Squad X".to_owned());
    alone.stream(0).await;
    assert_eq!(alone.due(&id, "SEND#sms#oncall"), Some(900));
}

#[tokio::test]
async fn a_channel_without_its_setting_leaves_it_to_the_next_at_once() {
    let cloud = Cloud::with("ses,pagerduty,sns", &[("SES_FROM_ADDRESS", ""), ("PAGERDUTY_SECRET_NAME", "")]);
    let id = cloud.page(0).await;
    let answer = cloud.stream(0).await;
    assert_eq!((answer.accepted, answer.failed), (1, 2));
    assert_eq!(cloud.row(&id, "SEND#ses#oncall").answer, "SesFromAddress is not set");
    assert_eq!(cloud.row(&id, "SEND#pagerduty#post").answer, "PagerDutySecretName is not set");
}

#[tokio::test]
async fn nobody_takes_it_so_the_second_and_the_backup_are_paged_once_each() {
    let cloud = Cloud::new("slack,ses,sms");
    let id = cloud.page(0).await;
    cloud.stream(0).await;
    assert_eq!(cloud.sweep(299).await.escalated, 0);
    assert_eq!(cloud.sweep(300).await.escalated, 1);
    assert_eq!(cloud.sweep(301).await.escalated, 0, "once");
    cloud.stream(302).await;
    let asked = cloud.asked();
    let (_, reply) = asked.last().unwrap();
    assert_eq!((asked.len(), reply["thread_ts"].as_str()), (2, Some("1795955000.000001")));
    assert_eq!(reply["blocks"][0]["text"]["text"], "<@U00000BIA>");
    assert!(reply["text"].as_str().unwrap().contains("avisada a segunda pessoa: Bia"), "{reply}");
    // Caio has no Slack, so the backup squad is paged by mail.
    assert_eq!(cloud.sweep(600).await.escalated, 1);
    cloud.stream(601).await;
    let mail: serde_json::Value = serde_json::from_str(&cloud.mails()[0]).unwrap();
    assert_eq!(mail["Destination"]["ToAddresses"][0], "caio@moveongs.example");
    assert!(mail["Content"]["Simple"]["Body"]["Text"]["Data"].as_str().unwrap().contains("De plantão: Caio"));
    // A minute later the SMS is not needed.
    cloud.sweep(661).await;
    assert_eq!(cloud.mails().len(), 1);
    assert_eq!(cloud.row(&id, "SEND#sms#backup").answer, "another channel has told it");
}

#[tokio::test]
async fn a_return_before_a_storm_of_events_still_notifies() {
    let cloud = Cloud::new("slack");
    let id = cloud.page(0).await;
    cloud.stream(0).await;
    cloud.signal("over", 10, Change::Resolved).await;
    cloud.signal("back", 20, Change::Triggered).await;
    // More than two requests for the timeline bring.
    for number in 0..1_100 {
        let (at, by) = (seconds(30 + number), "cloudwatch".to_owned());
        let entry = Entry { at, by, action: Action::Event, text: String::new() };
        cloud.put(&entry.write(&id, &format!("event-{number}")));
    }
    cloud.stream(1_200).await;
    let asked = cloud.asked();
    let (_, back) = asked.last().unwrap();
    assert!(back["text"].as_str().unwrap().starts_with("🔄 Reaberto"), "{back}");
    assert_eq!(back["blocks"][0]["text"]["text"], "<@U00000ANA>");
    assert_eq!(cloud.row(&id, crate::SLACK).told.len(), 2);
}

#[tokio::test]
async fn an_escalation_leaves_a_channel_that_is_down_and_still_calls_its_people_afterwards() {
    // Of Bia, this stack's channels know Slack only.
    let cloud = Cloud::new("slack,sns");
    let id = cloud.page(0).await;
    cloud.stream(0).await;
    cloud.sweep(61).await;
    cloud.answer(Reply::Status(503, None));
    assert_eq!(cloud.sweep(300).await.escalated, 1);
    cloud.sweep(301).await;
    assert_eq!(cloud.mails().len(), 0, "Slack has its time first");
    cloud.sweep(361).await;
    assert_eq!((cloud.mails().len(), cloud.row(&id, "SEND#sns#second").sent), (1, 1));
    cloud.answer(Reply::Ok);
    cloud.sweep(420).await;
    assert_eq!(cloud.row(&id, "SEND#slack#second").sent, 1);
    assert_eq!(cloud.asked().last().unwrap().1["blocks"][0]["text"]["text"], "<@U00000BIA>");
}

#[tokio::test]
async fn an_acknowledgement_stops_an_escalation_that_is_on_its_way() {
    let cloud = Cloud::new("slack,ses");
    let id = cloud.page(0).await;
    cloud.stream(0).await;
    cloud.sweep(61).await;
    assert_eq!(cloud.sweep(300).await.escalated, 1);
    cloud.change(&id, |incident| incident.state = State::Acknowledged);
    let before = cloud.asked().len();
    cloud.stream(301).await;
    assert_eq!(cloud.asked().len(), before);
    assert_eq!(cloud.row(&id, "SEND#slack#second").answer, "somebody has taken it, or it is over");
    assert_eq!(cloud.sweep(900).await.escalated, 0);
}

#[tokio::test]
async fn a_problem_that_comes_back_notifies_again_and_escalates_further() {
    let cloud = Cloud::new("slack");
    let id = cloud.page(0).await;
    cloud.stream(0).await;
    cloud.sweep(300).await;
    cloud.stream(301).await;
    cloud.signal("over", 310, Change::Resolved).await;
    cloud.stream(310).await;
    cloud.signal("back", 400, Change::Triggered).await;
    cloud.stream(400).await;
    let asked = cloud.asked();
    let (_, back) = asked.last().unwrap();
    assert!(back["text"].as_str().unwrap().starts_with("🔄 Reaberto"), "{back}");
    assert_eq!(back["blocks"][0]["text"]["text"], "<@U00000ANA>");
    // Nobody has taken it since it first paged.
    assert_eq!(cloud.sweep(599).await.escalated, 0);
    assert_eq!(cloud.sweep(600).await.escalated, 1);
    cloud.stream(601).await;
    let (_, backup) = cloud.asked().pop().unwrap();
    assert!(backup["text"].as_str().unwrap().contains("avisado o squad de backup: Caio"), "{backup}");
    assert_eq!(cloud.messages(), 1, "one message, one thread");
    assert_eq!(cloud.incident(&id).flaps, 1);
}
