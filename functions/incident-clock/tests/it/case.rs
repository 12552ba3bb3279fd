//! The case of AWS Support.

use incident::{Action, SensitiveData};
use incident_clock::ClockError;
use serde_json::json;
use shared::testing::table::Fault;

use crate::cloud::{Cloud, at, incident};

fn paid() -> Cloud {
    let cloud = Cloud::new(json!({"support": {"plan": "paid"}, "update_minutes": 0}));
    cloud.store(&incident());
    cloud
}

fn checklists(cloud: &Cloud) -> Vec<String> {
    let told = cloud.told(Action::Reminded).into_iter().map(|entry| entry.text);
    told.filter(|text| text.starts_with("☎️")).collect()
}

#[tokio::test]
async fn an_hour_of_impact_opens_one_case_without_anybodys_words() {
    let cloud = paid();
    cloud.sweep(at(59)).await.unwrap();
    assert!(cloud.cases().is_empty());
    for minutes in [60, 65, 120] {
        cloud.sweep(at(minutes)).await.unwrap();
    }
    let [case] = cloud.cases().try_into().unwrap();
    assert_eq!(
        (&case["severityCode"], &case["language"], &case["issueType"]),
        (&json!("urgent"), &json!("pt"), &json!("technical"))
    );
    assert!(case["subject"].as_str().unwrap().starts_with("INC-20261130-7Q2MZK4A: "), "{case}");
    assert!(!case.to_string().contains("maria"), "{case}");
    let [told] = cloud.told(Action::SupportCase).try_into().unwrap();
    assert!(told.text.contains("case-0"), "{}", told.text);
    assert!(
        checklists(&cloud).is_empty() && cloud.row("SEND#slack#commander").is_none(),
        "nobody has to act"
    );
}

#[tokio::test]
async fn without_a_plan_or_in_a_trial_or_an_exercise_no_case_is_opened() {
    let without = Cloud::new(json!({"update_minutes": 0}));
    without.store(&incident());
    without.sweep(at(60)).await.unwrap();
    assert_eq!(checklists(&without).len(), 1);
    assert_eq!(without.row("SEND#slack#commander").unwrap().wanted, 4, "somebody has to do it");
    let trial = Cloud::new(json!({"support": {"plan": "paid", "dry_run": true}, "update_minutes": 0}));
    trial.store(&incident());
    trial.sweep(at(60)).await.unwrap();
    assert!(
        trial.told(Action::SupportCase)[0].text.starts_with("Ensaio"),
        "{:?}",
        trial.told(Action::SupportCase)
    );
    let drill = paid();
    drill.change(|incident| incident.is_drill = true);
    drill.sweep(at(60)).await.unwrap();
    assert!(checklists(&drill)[0].contains("SIMULADO"));
    for cloud in [without, trial, drill] {
        cloud.sweep(at(90)).await.unwrap();
        assert!(cloud.cases().is_empty());
        assert_eq!(cloud.told(Action::SupportCase).len() + checklists(&cloud).len(), 1);
    }
}

#[tokio::test]
async fn what_aws_refuses_for_good_is_a_checklist_that_says_why() {
    for (code, words) in [
        ("SubscriptionRequiredException", "o plano de suporte desta conta"),
        ("AccessDeniedException", "a AWS recusou o caso: AccessDeniedException"),
        ("CaseCreationLimitExceeded", "CaseCreationLimitExceeded"),
    ] {
        let cloud = paid();
        cloud.services.lock().unwrap().refusal = Some(code);
        cloud.sweep(at(60)).await.unwrap();
        let [text] = checklists(&cloud).try_into().unwrap();
        assert!(text.contains(words), "{text}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_before_a_second_attempt() {
    let cloud = paid();
    cloud.fake.with(|state| {
        state.fault = Some(Box::new(|_, call, _| (call == "CreateCase").then_some(Fault::After)));
    });
    let failed = cloud.sweep(at(60)).await;
    assert!(matches!(failed, Err(ClockError::Support(_))), "{failed:?}");
    // The claim holds, so a wake-up in between opens no other.
    cloud.stream(at(61)).await.unwrap();
    assert_eq!(cloud.cases().len(), 1);
    cloud.sweep(at(65)).await.unwrap();
    assert_eq!(cloud.cases().len(), 1, "found");
    assert!(cloud.told(Action::SupportCase)[0].text.contains("case-0"));
}

#[tokio::test]
async fn three_attempts_without_a_clear_answer_end_with_a_person() {
    let cloud = paid();
    cloud.fake.with(|state| {
        state.fault = Some(Box::new(|_, call, _| (call == "CreateCase").then_some(Fault::Before)));
    });
    for minutes in [60, 65, 70] {
        assert!(cloud.sweep(at(minutes)).await.is_err());
    }
    cloud.sweep(at(75)).await.unwrap();
    let [text] = checklists(&cloud).try_into().unwrap();
    assert!(text.contains("veja antes se o caso não está aberto"), "{text}");
    assert!(cloud.cases().is_empty());
}

#[tokio::test]
async fn compromised_data_opens_a_case_at_once_and_says_nothing_of_the_data() {
    let cloud = paid();
    cloud.change(|incident| {
        incident.sensitive_data = Some(SensitiveData {
            is_compromised: true,
            by: "Ana".to_owned(),
            reason: "a planilha com CPF".to_owned(),
            at: at(3),
            ..SensitiveData::default()
        });
    });
    cloud.stream(at(3)).await.unwrap();
    let [case] = cloud.cases().try_into().unwrap();
    assert!(case.to_string().contains("dados pessoais") && !case.to_string().contains("CPF"), "{case}");
}
