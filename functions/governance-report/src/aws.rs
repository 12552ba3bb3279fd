//! The AWS calls of this function alone. No other file names SDK operations.

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    AlarmType, Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, StatusCode,
};
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
use jiff::Timestamp;
use shared::runtime::failure::{CallError, chain as causes};
use shared::runtime::metrics::NAMESPACE;
use shared::runtime::time;

use crate::rules::cost::Used;
use crate::rules::state::Drill;

type S3 = aws_sdk_s3::Client;

/// Most queries of one request: CloudWatch takes 500.
const QUERIES: usize = 500;

/// Most bytes of an object that is no record: a page of another environment.
pub(crate) const MOST_BYTES: i64 = 16 * 1024 * 1024;

/// An object.
pub(crate) struct Object {
    pub bytes: Vec<u8>,
    pub version: Option<String>,
    pub modified: Option<Timestamp>,
}

/// The keys below a prefix, each with the time of its last change.
pub(crate) async fn keys(
    client: &S3,
    bucket: &str,
    prefix: &str,
) -> Result<Vec<(String, Option<Timestamp>)>, CallError> {
    let (mut found, mut next) = (Vec::new(), None);
    loop {
        let page = client.list_objects_v2().bucket(bucket).prefix(prefix).set_continuation_token(next);
        let page = page.send().await.map_err(CallError::during("s3:ListBucket"))?;
        let keys = page.contents().iter();
        found.extend(keys.filter_map(|one| Some((one.key.clone()?, time::instant(one.last_modified)))));
        next = page.next_continuation_token;
        if next.is_none() {
            return Ok(found);
        }
    }
}

/// An object.
pub(crate) async fn object(client: &S3, bucket: &str, key: &str) -> Result<Object, CallError> {
    let object = client.get_object().bucket(bucket).key(key).send().await;
    let object = object.map_err(CallError::during("s3:GetObject"))?;
    if object.content_length().is_some_and(|length| length > MOST_BYTES) {
        return Err(CallError {
            operation: "s3:GetObject",
            code: "TooLarge".to_owned(),
            message: format!("{key} has more than {MOST_BYTES} bytes"),
        });
    }
    let (version, modified) = (object.version_id.clone(), time::instant(object.last_modified));
    let bytes = object.body.collect().await.map_err(|error| broken("s3:GetObject", &error))?;
    Ok(Object { bytes: bytes.to_vec(), version, modified })
}

fn broken(operation: &'static str, error: &dyn std::error::Error) -> CallError {
    CallError { operation, code: "Broken".to_owned(), message: causes(error) }
}

/// A function's memory in MB, and whether its processor is arm64.
pub(crate) async fn size(client: &aws_sdk_lambda::Client, function: &str) -> Result<(f64, bool), CallError> {
    let found = client.get_function_configuration().function_name(function).send().await;
    let found = found.map_err(CallError::during("lambda:GetFunctionConfiguration"))?;
    let memory = found.memory_size().ok_or_else(|| CallError::empty("lambda:GetFunctionConfiguration"))?;
    let is_arm = found.architectures().contains(&aws_sdk_lambda::types::Architecture::Arm64);
    Ok((f64::from(memory), is_arm))
}

/// What functions used between two instants. Their `memory_mb` and `is_arm` stay as they are.
pub(crate) async fn use_of(
    client: &aws_sdk_cloudwatch::Client,
    used: &mut [(String, Used)],
    from: Timestamp,
    to: Timestamp,
) -> Result<(), CallError> {
    const METRICS: [(&str, &str, &str); 3] = [
        ("AWS/Lambda", "Invocations", "FunctionName"),
        ("AWS/Lambda", "Duration", "FunctionName"),
        ("AWS/Logs", "IncomingBytes", "LogGroupName"),
    ];
    let query = |number: usize, function: &str, which: usize| {
        let (namespace, name, dimension) = METRICS.get(which)?;
        let value = match *dimension {
            "LogGroupName" => format!("/aws/lambda/{function}"),
            _ => function.to_owned(),
        };
        let dimension = Dimension::builder().name(*dimension).value(value).build();
        let metric = Metric::builder().namespace(*namespace).metric_name(*name).dimensions(dimension).build();
        let stat = MetricStat::builder().metric(metric).period(86_400).stat("Sum").build();
        Some(MetricDataQuery::builder().id(format!("f{number}_{which}")).metric_stat(stat).build())
    };
    let queries: Vec<_> = used
        .iter()
        .enumerate()
        .flat_map(|(number, (function, _))| {
            (0..METRICS.len()).filter_map(move |which| query(number, function, which))
        })
        .collect();
    for result in metric_data(client, &queries, from, to).await? {
        let sum: f64 = result.values().iter().sum();
        let place = result.id().and_then(|id| id.strip_prefix('f')?.split_once('_'));
        let Some((number, which)) = place else { continue };
        let one = number.parse::<usize>().ok().and_then(|number| used.get_mut(number));
        let Some((_, one)) = one else { continue };
        match which {
            "0" => one.invocations += sum,
            "1" => one.duration_ms += sum,
            _ => one.log_bytes += sum,
        }
    }
    Ok(())
}

/// All data of metrics between two instants: one result for each query and page.
async fn metric_data(
    client: &aws_sdk_cloudwatch::Client,
    queries: &[MetricDataQuery],
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<MetricDataResult>, CallError> {
    let at = |at: Timestamp| DateTime::from_secs(at.as_second());
    let mut found = Vec::new();
    for some in queries.chunks(QUERIES) {
        let mut next = None;
        loop {
            let data = client.get_metric_data().start_time(at(from)).end_time(at(to));
            let data = data.set_metric_data_queries(Some(some.to_vec())).set_next_token(next).send().await;
            let data = data.map_err(CallError::during("cloudwatch:GetMetricData"))?;
            for result in data.metric_data_results() {
                // The answer as a whole is good even if one metric could not be read.
                if let Some(code @ (StatusCode::InternalError | StatusCode::Forbidden)) = result.status_code()
                {
                    let message = format!("{} was not read", result.id().unwrap_or_default());
                    let code = code.as_str().to_owned();
                    return Err(CallError { operation: "cloudwatch:GetMetricData", code, message });
                }
                found.push(result.clone());
            }
            next = data.next_token;
            if next.is_none() {
                break;
            }
        }
    }
    Ok(found)
}

/// When the pager's daily drill came back last, and when it was late last: to the hour, since `from`. `sender` is the function
/// that notes both.
pub(crate) async fn drill(
    client: &aws_sdk_cloudwatch::Client,
    sender: &str,
    from: Timestamp,
    to: Timestamp,
) -> Result<Drill, CallError> {
    const METRICS: [(&str, &str, &str); 2] =
        [("returned", "SyntheticRoundTrip", "SampleCount"), ("late", "SyntheticEventsLate", "Sum")];
    let queries = METRICS.map(|(id, name, stat)| {
        let dimension = Dimension::builder().name("service").value(sender).build();
        let metric = Metric::builder().namespace(NAMESPACE).metric_name(name).dimensions(dimension).build();
        let stat = MetricStat::builder().metric(metric).period(3_600).stat(stat).build();
        MetricDataQuery::builder().id(id).metric_stat(stat).build()
    });
    let mut found = Drill::default();
    for result in metric_data(client, &queries, from, to).await? {
        let points = result.timestamps().iter().zip(result.values());
        let times = points.filter(|(_, value)| **value > 0.0).map(|(at, _)| time::instant(Some(*at)));
        let newest = times.flatten().max();
        match result.id() {
            Some("returned") => found.returned = found.returned.max(newest),
            _ => found.late = found.late.max(newest),
        }
    }
    Ok(found)
}

/// How many metric alarms have a name with this prefix.
pub(crate) async fn alarms(client: &aws_sdk_cloudwatch::Client, prefix: &str) -> Result<usize, CallError> {
    let (mut count, mut next) = (0, None);
    loop {
        let page = client.describe_alarms().alarm_name_prefix(prefix).alarm_types(AlarmType::MetricAlarm);
        let page = page.max_records(100).set_next_token(next).send().await;
        let page = page.map_err(CallError::during("cloudwatch:DescribeAlarms"))?;
        count += page.metric_alarms().len();
        next = page.next_token;
        if next.is_none() {
            return Ok(count);
        }
    }
}

/// Sends a mail in plain text.
pub(crate) async fn by_mail(
    client: &aws_sdk_sesv2::Client,
    from: &str,
    to: &str,
    subject: &str,
    text: &str,
) -> Result<(), CallError> {
    let part = |text: &str| {
        let part = Content::builder().data(text).charset("UTF-8").build();
        part.map_err(CallError::before("ses:SendEmail"))
    };
    let body = Body::builder().text(part(text)?).build();
    let message = Message::builder().subject(part(subject)?).body(body).build();
    let content = EmailContent::builder().simple(message).build();
    let destination = Destination::builder().to_addresses(to).build();
    let send = client.send_email().from_email_address(from).destination(destination).content(content);
    send.send().await.map_err(CallError::during("ses:SendEmail"))?;
    Ok(())
}
