//! The application's alarms and the subscription on its log, as the template has them, against what the pager reads.

use std::collections::{BTreeMap, BTreeSet};

use incident::store::{Channel, Context, Event, Key, Latest, Outcome, Stored, Write, decide};
use incident::{Change, Severity, Signal, Transport, signal};
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use serde_yaml_ng::Value;

use crate::template::{APPLICATION, get, resources, template, text};

/// Alarms by name: the severity and the runbook of the application's alert list, and the squad that the inventory names.
/// Source: the application's facts, section 9.
const ALARMS: [(&str, Severity, &str, &str); 4] = [
    ("ApiAvailabilityBudgetBurn", Severity::S1, "api-disponibilidade.md", "Squad Backend"),
    ("ApiLatencyP95Sessions", Severity::S2, "api-latencia.md", "Squad Backend"),
    ("CriticalQueueFailures", Severity::S2, "jobs-falhando.md", "Squad Backend"),
    ("DatabasePoolExhaustion", Severity::S1, "database-pool.md", "Squad Dados"),
];

const RUNBOOKS: &str = "https://github.com/brunonatanaelsr/moveongs/blob/main/docs/observability/runbooks/";

/// The parameters of an environment whose resources have the names of the application's Terraform code.
const GIVEN: [(&str, &str); 7] = [
    ("Project", "moveongs"),
    ("Environment", "prod"),
    ("EcsClusterName", "moveongs-prod-cluster"),
    ("DatabaseInstanceId", "moveongs-prod-db"),
    ("ApplicationLogGroupName", "/aws/ecs/moveongs-prod-api"),
    ("ApplicationLoadBalancerName", "app/moveongs-prod-alb/50dc6c495c0c9188"),
    ("ApplicationTargetGroupName", "targetgroup/moveongs-prod-tg/943f017f100becff"),
];

/// The values of the parameters, the default of each that is not given.
fn parameters(template: &Value) -> BTreeMap<String, String> {
    let all = get(template, &["Parameters"]).as_mapping().unwrap();
    let defaults = all.iter().filter_map(|(name, parameter)| {
        let value = match parameter.get("Default")? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            other => panic!("{name:?}: {other:?}"),
        };
        Some((text(name).to_owned(), value))
    });
    let given = GIVEN.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    defaults.chain(given).collect()
}

/// A property with the values of parameters. Other references stay as they are.
fn resolved(value: &Value, parameters: &BTreeMap<String, String>) -> Json {
    match value {
        Value::Tagged(tagged) if tagged.tag == "Ref" => {
            let name = text(&tagged.value);
            json!(parameters.get(name).map_or(name, String::as_str))
        }
        Value::Tagged(tagged) if tagged.tag == "Sub" => {
            let mut filled = text(&tagged.value).to_owned();
            for (name, value) in parameters {
                filled = filled.replace(&format!("${{{name}}}"), value);
            }
            assert!(!filled.contains("${"), "{filled}");
            json!(filled)
        }
        Value::Tagged(tagged) => resolved(&tagged.value, parameters),
        Value::Mapping(mapping) => {
            let pairs =
                mapping.iter().map(|(key, value)| (text(key).to_owned(), resolved(value, parameters)));
            Json::Object(pairs.collect())
        }
        Value::Sequence(list) => list.iter().map(|value| resolved(value, parameters)).collect(),
        other => serde_json::to_value(other).unwrap(),
    }
}

/// The properties of the application's alarms, by their names without project and environment.
fn alarms() -> BTreeMap<String, Json> {
    let template = template();
    let parameters = parameters(&template);
    let all = resources(&template, "AWS::CloudWatch::Alarm");
    let own = all.into_iter().filter(|(id, _)| id.starts_with(APPLICATION)).map(|(_, alarm)| {
        let properties = resolved(get(alarm, &["Properties"]), &parameters);
        let name = properties["AlarmName"].as_str().unwrap();
        (name.strip_prefix("moveongs-prod-").unwrap_or(name).to_owned(), properties)
    });
    own.collect()
}

fn arn(alarm: &Json) -> String {
    format!("arn:aws:cloudwatch:us-east-1:123456789012:alarm:{}", alarm["AlarmName"].as_str().unwrap())
}

/// A metric with its dimensions in the form of a notification, or in that of an event.
fn metric(of: &Json, is_event: bool) -> Json {
    let dimensions: Vec<(&Json, &Json)> = of["Dimensions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|dimension| (&dimension["Name"], &dimension["Value"]))
        .collect();
    if is_event {
        let map: BTreeMap<&str, &Json> =
            dimensions.into_iter().map(|(name, value)| (name.as_str().unwrap(), value)).collect();
        return json!({"namespace": of["Namespace"], "name": of["MetricName"], "dimensions": map});
    }
    let list: Vec<Json> =
        dimensions.into_iter().map(|(name, value)| json!({"value": value, "name": name})).collect();
    json!({"Namespace": of["Namespace"], "MetricName": of["MetricName"], "Dimensions": list})
}

/// A notification of SNS. Source of its form: CloudWatch's messages in `shared/incident/tests/events`.
fn notification(alarm: &Json, state: &str, at: &str) -> Json {
    let mut trigger = json!({
        "EvaluationPeriods": alarm["EvaluationPeriods"],
        "DatapointsToAlarm": alarm["DatapointsToAlarm"],
        "ComparisonOperator": alarm["ComparisonOperator"],
        "Threshold": alarm["Threshold"],
        "TreatMissingData": alarm["TreatMissingData"],
        "EvaluateLowSampleCountPercentile": "",
    });
    if let Some(metrics) = alarm["Metrics"].as_array() {
        let queries = metrics.iter().map(|query| match query.get("MetricStat") {
            Some(stat) => json!({
                "Id": query["Id"],
                "MetricStat": {"Metric": metric(&stat["Metric"], false), "Period": stat["Period"], "Stat": stat["Stat"]},
                "ReturnData": query["ReturnData"],
            }),
            None => query.clone(),
        });
        trigger["Metrics"] = queries.collect();
        trigger["Period"] = json!(300);
    } else {
        let Json::Object(of) = metric(alarm, false) else { panic!("no metric") };
        trigger.as_object_mut().unwrap().extend(of);
        trigger["Period"] = alarm["Period"].clone();
        trigger["StatisticType"] = json!("Statistic");
        trigger["Statistic"] = json!(alarm["Statistic"].as_str().unwrap().to_uppercase());
        trigger["Unit"] = Json::Null;
    }
    let topic = "arn:aws:sns:us-east-1:123456789012:moveongs-prod-paging";
    let message = json!({
        "AlarmName": alarm["AlarmName"],
        "AlarmDescription": alarm["AlarmDescription"],
        "AWSAccountId": "123456789012",
        "NewStateValue": state,
        "NewStateReason": "Threshold Crossed",
        "StateChangeTime": at,
        "Region": "US East (N. Virginia)",
        "AlarmArn": arn(alarm),
        "OldStateValue": if state == "OK" { "ALARM" } else { "OK" },
        "AlarmActions": [topic],
        "OKActions": [],
        "Trigger": trigger,
    });
    json!({
        "Type": "Notification",
        "MessageId": "6f1c2a30-0000-5c1d-9a7e-000000000009",
        "TopicArn": topic,
        "Message": message.to_string(),
        "Timestamp": "2026-11-29T12:40:25.311Z",
    })
}

/// An event of EventBridge. Source of its form: the same.
fn event(alarm: &Json, state: &str, at: &str) -> Json {
    let metrics: Json = match alarm["Metrics"].as_array() {
        Some(metrics) => metrics
            .iter()
            .map(|query| match query.get("MetricStat") {
                Some(stat) => json!({
                    "id": query["Id"],
                    "metricStat": {"metric": metric(&stat["Metric"], true), "period": stat["Period"], "stat": stat["Stat"]},
                    "returnData": query["ReturnData"],
                }),
                None => json!({
                    "id": query["Id"],
                    "expression": query["Expression"],
                    "label": query["Label"],
                    "returnData": query["ReturnData"],
                }),
            })
            .collect(),
        None => json!([{
            "id": "c4c1c1c9-6542-e61b-6ef0-8c4d36933a92",
            "metricStat": {"metric": metric(alarm, true), "period": alarm["Period"], "stat": alarm["Statistic"]},
            "returnData": true,
        }]),
    };
    let before = if state == "OK" { "ALARM" } else { "OK" };
    json!({
        "version": "0",
        "id": "c4c1c1c9-6542-e61b-6ef0-8c4d36933a01",
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": "123456789012",
        "time": "2026-11-29T12:40:24Z",
        "region": "us-east-1",
        "resources": [arn(alarm)],
        "detail": {
            "alarmName": alarm["AlarmName"],
            "state": {"value": state, "reason": "Threshold Crossed", "timestamp": at},
            "previousState": {"value": before, "reason": "", "timestamp": "2026-11-29T12:00:00.000+0000"},
            "configuration": {"description": alarm["AlarmDescription"], "metrics": metrics},
        },
    })
}

fn read(transport: Transport, event: &Json) -> Signal {
    let mut signals = signal::read(transport, "request-1", event.to_string().as_bytes());
    assert_eq!(signals.len(), 1, "{signals:?}");
    signals.remove(0)
}

#[test]
fn the_applications_alarms_are_those_of_its_alert_list() {
    let alarms = alarms();
    let names: BTreeSet<&str> = alarms.keys().map(String::as_str).collect();
    assert_eq!(names, ALARMS.iter().map(|(name, ..)| *name).collect::<BTreeSet<_>>());
    for (name, alarm) in &alarms {
        // The rule for alarms chooses by this prefix, and tells that an alarm is over.
        assert!(alarm["AlarmName"].as_str().unwrap().starts_with("moveongs-prod-"), "{name}");
        let description = alarm["AlarmDescription"].as_str().unwrap();
        // Ids and addresses may be longer than in this environment.
        assert!(description.len() < 900, "{name}: {} of 1,024 characters", description.len());
        assert_eq!(description.matches('=').count(), 2, "{name}: only what the pager reads");
        assert_eq!(alarm["AlarmActions"], json!(["PagingTopic"]), "{name}");
        let shown =
            alarm["Metrics"].as_array().into_iter().flatten().filter(|query| query["ReturnData"] == true);
        assert!(alarm["Metrics"].is_null() || shown.count() == 1, "{name}");
    }
}

#[test]
fn everything_that_watches_the_application_can_be_switched_off() {
    let template = template();
    let all = get(&template, &["Resources"]).as_mapping().unwrap();
    let conditions = all.iter().filter(|(id, _)| text(id).starts_with(APPLICATION)).map(|(id, resource)| {
        let condition = text(get(resource, &["Condition"]));
        assert!(!condition.is_empty(), "{id:?}");
        (condition, text(get(resource, &["Type"])))
    });
    let expected = [
        ("PagesLogErrors", "AWS::Logs::SubscriptionFilter"),
        ("WatchesAvailability", "AWS::CloudWatch::Alarm"),
        ("WatchesLatency", "AWS::CloudWatch::Alarm"),
        ("WatchesPools", "AWS::CloudWatch::Alarm"),
        ("WatchesQueues", "AWS::CloudWatch::Alarm"),
        ("WatchesQueues", "AWS::Logs::MetricFilter"),
    ];
    assert_eq!(conditions.collect::<BTreeSet<_>>(), BTreeSet::from(expected));
    // CloudWatch Logs checks the permission when the subscription is made.
    let subscription = get(&template, &["Resources", "ApplicationErrors"]);
    assert_eq!(text(get(subscription, &["DependsOn"])), "IncidentPageLogSubscription");
    assert_eq!(text(get(subscription, &["Properties", "DestinationArn"])), "IncidentPageFunction.Arn");
}

#[test]
fn the_alarm_on_failed_notifications_watches_what_their_filter_counts() {
    let template = template();
    let parameters = parameters(&template);
    let filter = get(&template, &["Resources", "ApplicationQueueFailures", "Properties"]);
    let filter = resolved(filter, &parameters);
    let counted = &filter["MetricTransformations"][0];
    let alarms = alarms();
    let alarm = &alarms["CriticalQueueFailures"];
    assert_eq!(
        (&counted["MetricNamespace"], &counted["MetricName"]),
        (&alarm["Namespace"], &alarm["MetricName"])
    );
    // The backup audit suggests metrics of this namespace.
    assert_eq!(counted["MetricNamespace"], "moveongs/prod");
}

#[test]
fn each_alarm_becomes_one_incident_of_its_squad_with_severity_and_runbook() {
    let alarms = alarms();
    let policy: shared::policy::Policy = "".parse().unwrap();
    let now: Timestamp = "2026-11-29T12:41:00Z".parse().unwrap();
    let channels = [Channel::Slack];
    let (project, environment) = ("moveongs", "prod");
    let context = Context { policy: &policy, project, environment, channels: &channels, now, attempt: 0 };
    for (name, severity, runbook, squad) in ALARMS {
        let alarm = &alarms[name];
        let at = "2026-11-29T12:40:24.006+0000";
        let by_sns = read(Transport::Sns, &notification(alarm, "ALARM", at));
        let by_rule = read(Transport::EventBridge, &event(alarm, "ALARM", at));
        assert_eq!((&by_sns.event, &by_sns.problem), (&by_rule.event, &by_rule.problem), "{name}");
        let plans = [&by_sns, &by_rule].map(|signal| decide(signal, &Stored::default(), &context));
        for plan in &plans {
            assert_eq!(plan.outcome, Outcome::Opened, "{name}");
        }
        let items: BTreeMap<Key, _> = plans[0]
            .writes
            .iter()
            .filter_map(|write| match write {
                Write::Put { item, .. } => Some((write.key()?, item.clone())),
                Write::Update { .. } => None,
            })
            .collect();
        let opened = incident::store::incident(&items[&Key::incident(&plans[0].incident)]).unwrap();
        assert_eq!((opened.severity, opened.title.as_str()), (severity, &*format!("moveongs-prod-{name}")));
        assert_eq!(opened.runbook, format!("{RUNBOOKS}{runbook}"), "{name}");
        assert_eq!((opened.owner.as_str(), opened.backup.as_str()), (squad, "Squad Infra"), "{name}");
        // By whichever way it comes first.
        let other = plans[1].writes.iter().find_map(|write| match write {
            Write::Put { item, .. } if write.key() == Some(Key::incident(&plans[1].incident)) => {
                incident::store::incident(item)
            }
            _ => None,
        });
        let other = other.unwrap();
        assert_eq!(
            (other.severity, &other.runbook, &other.owner),
            (severity, &opened.runbook, &opened.owner)
        );

        let stored = Stored {
            event: Some(Event::read(&items[&Key::event(&by_sns.event)])),
            latest: Some(Latest::read(&items[&Key::latest(&by_sns.problem)])),
            incident: Some(opened.clone()),
            mute: None,
            ..Stored::default()
        };
        assert_eq!(decide(&by_rule, &stored, &context).outcome, Outcome::Repeated, "{name}");
        // Only EventBridge tells that it is over: the alarms have no OK action.
        assert!(alarm["OKActions"].is_null(), "{name}");
        let over = read(Transport::EventBridge, &event(alarm, "OK", "2026-11-29T12:40:50.000+0000"));
        assert_eq!((over.change, &over.problem), (Change::Resolved, &opened.problem), "{name}");
        let plan = decide(&over, &Stored { event: None, ..stored }, &context);
        assert_eq!((plan.outcome, plan.incident), (Outcome::Resolved, opened.id), "{name}");
    }
}
