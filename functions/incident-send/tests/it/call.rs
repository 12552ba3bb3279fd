//! What is sent beside the page: to squads that were called in, to who has to be reminded, and to customers.

use incident::store::Purpose;
use incident::{Action, Incident, State};
use serde_json::Value;

use crate::cloud::{Cloud, Reply, seconds};
use crate::people::decoded;

const LATE: &str = "🔔 Falta uma atualização: a última foi há 31 min.";

/// An incident that Ana has taken, with its message in Slack.
pub(crate) async fn taken(cloud: &Cloud) -> String {
    let id = cloud.page(0).await;
    cloud.stream(0).await;
    cloud.change(&id, |incident| {
        incident.state = State::Acknowledged;
        incident.acknowledged_by = "Ana".to_owned();
    });
    id
}

/// The replies in the thread: whom each mentions and what it says.
pub(crate) fn replies(cloud: &Cloud) -> Vec<(String, String)> {
    let all = cloud.asked().into_iter().map(|(_, message)| message);
    let replies = all.filter(|message| message["thread_ts"] == "1795955000.000001").map(|message| {
        let first = message["blocks"][0]["text"]["text"].as_str().unwrap().to_owned();
        let mention = if first.starts_with('<') { first } else { String::new() };
        (mention, message["text"].as_str().unwrap().to_owned())
    });
    replies.collect()
}

fn reply(cloud: &Cloud) -> (String, String) {
    replies(cloud).pop().unwrap()
}

fn mail(cloud: &Cloud, place: usize) -> Value {
    serde_json::from_str(&cloud.mails()[place]).unwrap()
}

fn body(mail: &Value) -> &str {
    mail["Content"]["Simple"]["Body"]["Text"]["Data"].as_str().unwrap()
}

#[tokio::test]
async fn a_reminder_mentions_the_commander_once_and_each_one_anew() {
    let cloud = Cloud::new("slack,sns,pagerduty");
    let id = taken(&cloud).await;
    cloud.order(&id, Purpose::Commander, Action::Reminded, LATE, 1_800).await;
    assert_eq!(cloud.stream(1_800).await.accepted, 2, "the reply, and the message's new version");
    assert_eq!(replies(&cloud).len(), 1);
    let (mention, text) = reply(&cloud);
    assert_eq!(mention, "<@U00000ANA>");
    assert!(text.contains(LATE), "{text}");
    let before = cloud.asked().len();
    assert_eq!(cloud.stream(1_801).await.accepted, 0);
    // The mail is not needed, and PagerDuty calls on its own.
    cloud.stream(1_861).await;
    assert_eq!((cloud.asked().len(), cloud.mails().len()), (before, 0));
    assert_eq!(cloud.row(&id, "SEND#sns#commander").answer, "another channel has told it");
    assert!(cloud.rows("pagerduty").iter().all(|row| row.purpose == Purpose::Post));
    cloud.change(&id, |incident| incident.commander = "Bia".to_owned());
    cloud.order(&id, Purpose::Commander, Action::Reminded, "🔔 Ainda falta.", 3_600).await;
    cloud.stream(3_600).await;
    let (mention, text) = reply(&cloud);
    assert!(mention == "<@U00000BIA>" && text.contains("Ainda falta"), "{mention} {text}");
    assert_eq!(replies(&cloud).len(), 2);
}

#[tokio::test]
async fn a_reminder_that_an_update_overtook_is_not_sent() {
    let cloud = Cloud::new("slack,sns");
    let id = taken(&cloud).await;
    cloud.order(&id, Purpose::Commander, Action::Reminded, LATE, 1_800).await;
    cloud.change(&id, |incident| incident.updated_at = Some(seconds(1_801)));
    cloud.stream(1_802).await;
    cloud.stream(1_863).await;
    assert_eq!((replies(&cloud).len(), cloud.mails().len()), (0, 0));
    for row in ["SEND#slack#commander", "SEND#sns#commander"] {
        assert_eq!(
            (cloud.row(&id, row).due, cloud.row(&id, row).answer.as_str()),
            (None, "nothing is left to tell")
        );
    }
}

#[tokio::test]
async fn a_reminder_goes_by_mail_and_sms_while_slack_is_down_and_says_so_in_the_thread_later() {
    let cloud = Cloud::new("slack,ses,sms");
    let id = taken(&cloud).await;
    cloud.answer(Reply::Status(503, None));
    cloud.order(&id, Purpose::Commander, Action::Reminded, LATE, 1_800).await;
    cloud.sweep(1_800).await;
    assert_eq!(cloud.mails().len(), 0, "Slack has its time first");
    cloud.sweep(1_861).await;
    let sent = mail(&cloud, 0);
    assert_eq!(sent["Destination"], serde_json::json!({"ToAddresses": ["ana@moveongs.example"]}));
    assert_eq!(
        sent["Content"]["Simple"]["Subject"]["Data"],
        format!("[prod] S1 lembrete {id}: API fora do ar")
    );
    assert!(body(&sent).contains(&format!("\n\nLembrete:\n  {LATE}\n\nEstado: Assumido")), "{}", body(&sent));
    cloud.sweep(1_921).await;
    assert_eq!(cloud.row(&id, "SEND#sms#commander").answer, "another channel has told it");
    cloud.answer(Reply::Ok);
    cloud.sweep(1_990).await;
    assert!(reply(&cloud).1.contains(LATE));

    let alone = Cloud::new("sms");
    let id = taken(&alone).await;
    alone.order(&id, Purpose::Commander, Action::Reminded, LATE, 1_800).await;
    assert_eq!(alone.stream(1_800).await.accepted, 1);
    let text = decoded(alone.mails().last().unwrap());
    assert!(text.contains("S1 prod lembrete: Falta uma atualizacao: a ultima foi ha 31 min. Resp"), "{text}");
}

#[tokio::test]
async fn a_squad_that_is_called_in_is_reached_at_once_by_a_channel_that_knows_its_people() {
    let cloud = Cloud::new("slack,ses");
    let id = taken(&cloud).await;
    // Caio has no Slack.
    cloud.order(&id, Purpose::Called, Action::SquadCalled, "Squad Backend: fila parada", 60).await;
    assert_eq!(cloud.stream(60).await.accepted, 3, "the message, its thread, and the mail");
    let (mention, text) = reply(&cloud);
    assert_eq!(mention, "");
    assert!(text.contains("Squad convocado por Ana: Squad Backend: fila parada"), "{text}");
    let sent = mail(&cloud, 0);
    assert_eq!(sent["Destination"]["ToAddresses"], serde_json::json!(["caio@moveongs.example"]));
    assert!(body(&sent).contains("\n\nConvocação:\n  Squad Backend: fila parada\n\n"), "{}", body(&sent));
    // Another squad: who was told is not told again.
    cloud.order(&id, Purpose::Called, Action::SquadCalled, "Squad Infra", 120).await;
    cloud.stream(120).await;
    assert_eq!(replies(&cloud).len(), 2);
    let (mention, text) = reply(&cloud);
    assert!(mention == "<@U00000ANA>" && text.ends_with("Squad Infra"), "{mention} {text}");
    cloud.stream(181).await;
    assert_eq!(cloud.mails().len(), 1);
}

pub(crate) fn with_customers(cloud: &mut Cloud, addresses: &[&str]) {
    let mut policy: Value = serde_json::from_str(crate::cloud::POLICY).unwrap();
    policy["incidents"]["customers"]["addresses"] = serde_json::json!(addresses);
    cloud.apply(&policy.to_string());
}

#[tokio::test]
async fn customers_get_a_mail_for_each_order_and_do_not_see_each_other() {
    let mut cloud = Cloud::new("slack");
    with_customers(&mut cloud, &["zona-leste@moveongs.example", "zona-sul@moveongs.example"]);
    let id = taken(&cloud).await;
    cloud.order(&id, Purpose::Customers, Action::CustomersTold, "O login falha.\nUsem papel.", 60).await;
    assert_eq!(cloud.stream(60).await.accepted, 2, "the mail, and the thread");
    let first = mail(&cloud, 0);
    let hidden = ["zona-leste@moveongs.example", "zona-sul@moveongs.example"];
    assert_eq!(first["Destination"], serde_json::json!({"BccAddresses": hidden}));
    let subject = |mail: &Value| mail["Content"]["Simple"]["Subject"]["Data"].as_str().unwrap().to_owned();
    assert_eq!(subject(&first), format!("[prod] Problema em andamento {id}: API fora do ar"));
    assert!(body(&first).contains("\n  O login falha.\n  Usem papel.\n"), "{}", body(&first));
    assert!(body(&first).contains("Próxima atualização: até "), "{}", body(&first));
    assert!(!body(&first).contains("5xx"), "{}", body(&first));
    let (_, text) = reply(&cloud);
    assert!(text.contains("Aviso aos clientes por Ana: O login falha.\nUsem papel."), "{text}");
    assert_eq!(cloud.stream(61).await.accepted, 0);
    // Two orders of one minute are one mail; the words of a person stay.
    cloud.order(&id, Purpose::Customers, Action::CustomersTold, "Voltou para a zona sul.", 120).await;
    cloud.order(&id, Purpose::Customers, Action::CustomersTold, "", 121).await;
    cloud.stream(122).await;
    assert_eq!(cloud.mails().len(), 2);
    let second = mail(&cloud, 1);
    assert_eq!(subject(&second), format!("[prod] Atualização {id}: API fora do ar"));
    assert!(body(&second).contains("\n  Voltou para a zona sul.\n"), "{}", body(&second));
    assert!(!body(&second).contains("O login falha"), "{}", body(&second));
    cloud.change(&id, |incident| {
        incident.state = State::Resolved;
        incident.resolved_at = Some(seconds(180));
    });
    cloud.order(&id, Purpose::Customers, Action::CustomersTold, "", 181).await;
    cloud.stream(181).await;
    let last = mail(&cloud, 2);
    assert_eq!(subject(&last), format!("[prod] Resolvido {id}: API fora do ar"));
    assert!(!body(&last).contains("Próxima atualização"), "{}", body(&last));
}

#[tokio::test]
async fn people_learn_that_customers_have_no_mail_and_an_exercise_writes_to_nobody() {
    let cloud = Cloud::with("slack", &[("SES_FROM_ADDRESS", "")]);
    let id = taken(&cloud).await;
    cloud.order(&id, Purpose::Customers, Action::CustomersTold, "O login falha.", 60).await;
    cloud.stream(60).await;
    cloud.stream(61).await;
    let (_, text) = reply(&cloud);
    assert_eq!(replies(&cloud).len(), 2);
    let beginning =
        "⚠️ O aviso aos clientes não saiu por incident-send: the policy has no address of customers. Nova";
    assert!(text.starts_with(beginning), "{text}");
    // Told once, and tried again.
    let before = cloud.asked().len();
    cloud.sweep(1_000).await;
    assert_eq!(cloud.asked().len(), before);
    assert!(cloud.row(&id, "SEND#ses#customers").due.is_some());

    let mut cloud = Cloud::new("slack");
    with_customers(&mut cloud, &["zona-sul@moveongs.example"]);
    for change in [
        |incident: &mut Incident| incident.is_drill = true,
        |incident: &mut Incident| {
            incident.merged_into = "INC-20261129-00000000".to_owned();
        },
    ] {
        let id = taken(&cloud).await;
        cloud.change(&id, change);
        cloud.order(&id, Purpose::Customers, Action::CustomersTold, "", 60).await;
        cloud.stream(60).await;
        assert_eq!((cloud.mails().len(), cloud.row(&id, "SEND#ses#customers").due), (0, None));
    }
}

#[tokio::test]
async fn a_mail_to_customers_whose_answer_is_lost_says_when_it_is_sent_again() {
    let mut cloud = Cloud::new("slack");
    with_customers(&mut cloud, &["zona-sul@moveongs.example"]);
    let id = taken(&cloud).await;
    cloud.refuse("BccAddresses", 500, "SomethingNew");
    cloud.order(&id, Purpose::Customers, Action::CustomersTold, "O login falha.", 60).await;
    cloud.stream(60).await;
    let row = cloud.row(&id, "SEND#ses#customers");
    assert_eq!((row.sent, row.unclear, row.told.len()), (0, 1, 0));
    cloud.refuse_nothing();
    cloud.sweep(80).await;
    assert!(!body(&mail(&cloud, 0)).contains("pode estar repetido"));
    let again = mail(&cloud, 1);
    assert!(body(&again).contains("pode estar repetido") && body(&again).contains("O login falha."));
    assert_eq!(cloud.row(&id, "SEND#ses#customers").told.len(), 1);
}
