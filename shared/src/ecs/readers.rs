//! The readers of a secret: the tasks that get its value, and the version that they get. No I/O, no clock.
//!
//! Source: [task definition parameters](https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html)
//! and [parameters that refer to secrets](https://docs.aws.amazon.com/systems-manager/latest/userguide/integration-ps-secretsmanager.html).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::rollout::Service;

/// A place in a task definition that names a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reference {
    /// The container or the volume.
    pub place: String,
    /// Its variable or setting.
    pub field: String,
    /// ECS's `valueFrom`: a name or an ARN, optionally with field, label and version.
    pub value_from: String,
}

/// How a reference names a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Named {
    /// By AWSCURRENT; with the field of the value's JSON, if it reads only one field.
    Current(Option<String>),
    /// By this version or label.
    Pinned(String),
}

/// A reader that does not get the new value by this function's deployments.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Unreached {
    /// The service; with container and variable if the reference is the cause.
    pub reader: String,
    /// Why.
    pub cause: Cause,
    /// ARN of the task definition with the pinned reference; empty for other causes.
    #[serde(default)]
    pub definition: String,
}

/// Why a deployment does not reach a reader.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its task definition names this version or label.
    Pinned(String),
    /// Only this controller deploys the service: CODE_DEPLOY or EXTERNAL.
    Controller(String),
    /// ECS refused the deployment, with this error.
    Refused(String),
    /// The service is being deleted, and its last tasks still run.
    Draining,
}

impl Cause {
    /// The detail, in ECS's words.
    pub fn detail(&self) -> &str {
        match self {
            Self::Pinned(detail) | Self::Controller(detail) | Self::Refused(detail) => detail,
            Self::Draining => "DRAINING",
        }
    }
}

/// Readers of one secret.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Readers {
    /// Names of the services that get the new value by a deployment of this function.
    pub services: Vec<String>,
    /// Readers that do not get it.
    pub unreached: Vec<Unreached>,
    /// Names of the services that others have deployed since the value became current.
    pub reached: Vec<String>,
    /// Fields of the value that are read; `None` stands for the whole value.
    pub fields: BTreeSet<Option<String>>,
}

/// The secret to find the readers of.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Its ARN.
    pub arn: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Names of the services that read it according to the policy.
    pub mapped: &'a [String],
    /// When its version was first followed: a service that others have deployed since then has the value.
    pub followed: Option<Timestamp>,
}

/// The readers of a secret among `services`. `known` has the references of each task definition, by its ARN.
pub fn of(secret: Subject<'_>, services: &[Service], known: &BTreeMap<String, Vec<Reference>>) -> Readers {
    let Subject { arn, name, mapped, followed } = secret;
    let mut readers = Readers::default();
    for service in services {
        let named_in = |definitions: &BTreeSet<String>| -> Vec<(String, &Reference, Named)> {
            let all = definitions.iter().flat_map(|definition| {
                known.get(definition).into_iter().flatten().map(move |reference| (definition, reference))
            });
            let named = |(definition, reference): (&String, _)| {
                let reference: &Reference = reference;
                Some((definition.clone(), reference, names(&reference.value_from, arn, name)?))
            };
            all.filter_map(named).collect()
        };
        let next = named_in(&service.next);
        let mut is_reader = mapped.contains(&service.name);
        for (definition, reference, named) in &next {
            match named {
                Named::Current(field) => {
                    is_reader = true;
                    readers.fields.insert(field.clone());
                }
                Named::Pinned(to) => readers.unreached.push(Unreached {
                    reader: format!("{}/{}/{}", service.name, reference.place, reference.field),
                    cause: Cause::Pinned(to.clone()),
                    definition: definition.clone(),
                }),
            }
        }
        // The deployment replaces the tasks of a former definition, so a pinned reference there does not matter.
        let former = named_in(&service.in_flight);
        is_reader |= former.iter().any(|(_, _, named)| matches!(named, Named::Current(_)));
        let cause = match service.controller.as_str() {
            _ if !is_reader => continue,
            _ if !service.is_active && service.running == 0 => continue,
            _ if !service.is_active => Cause::Draining,
            "ECS" => {
                readers.services.push(service.name.clone());
                continue;
            }
            _ if followed.is_some_and(|followed| service.others_since(followed)) => {
                readers.reached.push(service.name.clone());
                continue;
            }
            other => Cause::Controller(other.to_owned()),
        };
        readers.unreached.push(Unreached { reader: service.name.clone(), cause, definition: String::new() });
    }
    readers.unreached.sort_by(|one, other| one.reader.cmp(&other.reader));
    readers.unreached.dedup();
    readers
}

/// How `value_from` names a secret, if it does: by name; by ARN, with or without the suffix of six characters that the
/// service appends, and optionally with field, label and version; or by a parameter that refers to the secret.
pub fn names(value_from: &str, arn: &str, name: &str) -> Option<Named> {
    const REFERENCE: &str = "/aws/reference/secretsmanager/";
    if value_from == name {
        return Some(Named::Current(None));
    }
    if let Some((before, named)) = value_from.split_once(REFERENCE)
        && (before.is_empty() || before.starts_with("arn:") && before.ends_with(":parameter"))
    {
        return match named.strip_prefix(name)? {
            "" | ":AWSCURRENT" => Some(Named::Current(None)),
            pinned => Some(Named::Pinned(pinned.strip_prefix(':')?.to_owned())),
        };
    }
    let mut parts = value_from.splitn(8, ':');
    let resource = parts.by_ref().take(7).collect::<Vec<_>>();
    let named = resource.join(":");
    let is_named = resource.len() == 7
        && (named == arn
            || arn.strip_prefix(&named).is_some_and(|suffix| suffix.len() == 7 && suffix.starts_with('-')));
    if !is_named {
        return None;
    }
    let mut rest = parts.next().unwrap_or_default().split(':');
    let mut part = || rest.next().filter(|part| !part.is_empty());
    let (field, label, version) = (part(), part(), part());
    Some(match (label, version) {
        (_, Some(version)) => Named::Pinned(version.to_owned()),
        (None | Some("AWSCURRENT"), None) => Named::Current(field.map(str::to_owned)),
        (Some(label), None) => Named::Pinned(label.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:/moveongs/dev/jwt-a1B2c3";
    const NAME: &str = "/moveongs/dev/jwt";

    #[test]
    fn a_reference_names_the_current_value_or_another_one() {
        let short = ARN.strip_suffix("-a1B2c3").unwrap();
        let current = |field: Option<&str>| Some(Named::Current(field.map(str::to_owned)));
        let pinned = |to: &str| Some(Named::Pinned(to.to_owned()));
        let parameter = "arn:aws:ssm:us-east-1:123456789012:parameter/aws/reference/secretsmanager/";
        for (value_from, expected) in [
            (NAME.to_owned(), current(None)),
            (ARN.to_owned(), current(None)),
            (short.to_owned(), current(None)),
            (format!("{ARN}:::"), current(None)),
            (format!("{ARN}:key::"), current(Some("key"))),
            (format!("{ARN}:key:AWSCURRENT:"), current(Some("key"))),
            (format!("{short}::AWSCURRENT:"), current(None)),
            (format!("{ARN}::AWSPREVIOUS:"), pinned("AWSPREVIOUS")),
            (format!("{ARN}::AWSPENDING"), pinned("AWSPENDING")),
            (format!("{short}:key:blue:"), pinned("blue")),
            (format!("{ARN}:::4f1c2a7e"), pinned("4f1c2a7e")),
            (format!("{ARN}:key:AWSCURRENT:4f1c2a7e"), pinned("4f1c2a7e")),
            (format!("/aws/reference/secretsmanager{NAME}"), None),
            (format!("/aws/reference/secretsmanager/{NAME}"), current(None)),
            (format!("{parameter}{NAME}:AWSCURRENT"), current(None)),
            (format!("{parameter}{NAME}:AWSPREVIOUS"), pinned("AWSPREVIOUS")),
            (format!("{parameter}{NAME}-2"), None),
            (format!("{ARN}4"), None),
            (format!("{short}-2-a1B2c3"), None),
            ("arn:aws:ssm:us-east-1:123456789012:parameter/jwt".to_owned(), None),
        ] {
            assert_eq!(names(&value_from, ARN, NAME), expected, "{value_from}");
        }
    }

    fn readers_of(
        mapped: &[String],
        services: &[Service],
        known: &BTreeMap<String, Vec<Reference>>,
        followed: Option<Timestamp>,
    ) -> Readers {
        of(Subject { arn: ARN, name: NAME, mapped, followed }, services, known)
    }

    fn service(name: &str, controller: &str, definition: &str) -> Service {
        Service {
            name: name.to_owned(),
            is_active: true,
            controller: controller.to_owned(),
            next: BTreeSet::from([definition.to_owned()]),
            ..Service::default()
        }
    }

    fn known(references: &[(&str, &str, &str)]) -> BTreeMap<String, Vec<Reference>> {
        let mut known: BTreeMap<String, Vec<Reference>> = BTreeMap::new();
        for (definition, place, value_from) in references {
            known.entry((*definition).to_owned()).or_default().push(Reference {
                place: (*place).to_owned(),
                field: "JWT_SECRET".to_owned(),
                value_from: (*value_from).to_owned(),
            });
        }
        known
    }

    #[test]
    fn a_pinned_container_is_reported_and_is_not_a_reader() {
        let previous = format!("{ARN}::AWSPREVIOUS:");
        let known = known(&[
            ("one", "api", ARN),
            ("two", "api", &previous),
            ("two", "sidecar", ARN),
            ("three", "init", &previous),
        ]);
        let services = ["one", "two", "three", "four"].map(|name| service(name, "ECS", name));
        let found = readers_of(&[], &services, &known, None);
        assert_eq!(found.services, ["one", "two"]);
        let unreached: Vec<_> =
            found.unreached.iter().map(|it| (it.reader.as_str(), it.cause.detail())).collect();
        assert_eq!(
            unreached,
            [("three/init/JWT_SECRET", "AWSPREVIOUS"), ("two/api/JWT_SECRET", "AWSPREVIOUS")]
        );
        // A service that the policy names is a reader, and its pinned references still count.
        let found = readers_of(&["three".to_owned(), "four".to_owned()], &services, &known, None);
        assert_eq!((found.services.len(), found.unreached.len()), (4, 2));
    }

    #[test]
    fn a_service_deployed_by_others_is_reported_and_the_rest_continues() {
        let known = known(&[("one", "api", ARN)]);
        let services = [
            service("api", "ECS", "one"),
            service("blue", "CODE_DEPLOY", "one"),
            service("batch", "EXTERNAL", "one"),
            service("other", "EXTERNAL", "two"),
            Service { is_active: false, running: 1, ..service("leaving", "ECS", "one") },
            Service { is_active: false, ..service("left", "ECS", "one") },
        ];
        let found = readers_of(&[], &services, &known, None);
        assert_eq!(found.services, ["api"]);
        let unreached: Vec<_> =
            found.unreached.iter().map(|it| (it.reader.as_str(), it.cause.clone())).collect();
        let others = |controller: &str| Cause::Controller(controller.to_owned());
        assert_eq!(
            unreached,
            [("batch", others("EXTERNAL")), ("blue", others("CODE_DEPLOY")), ("leaving", Cause::Draining)]
        );
    }

    #[test]
    fn a_service_that_its_owner_has_deployed_since_has_the_value() {
        let known = known(&[("one", "api", ARN)]);
        let at = |second| Timestamp::from_second(second).unwrap();
        let batch = |sets: &[i64]| Service {
            sets: sets.iter().map(|second| at(*second)).collect(),
            ..service("batch", "EXTERNAL", "one")
        };
        for (sets, followed, reached) in [
            (&[10][..], Some(10), true),
            (&[9], Some(10), false),
            (&[9, 10], Some(10), false),
            (&[], Some(10), false),
            (&[10], None, false),
        ] {
            let found = readers_of(&[], &[batch(sets)], &known, followed.map(at));
            assert_eq!(
                (!found.reached.is_empty(), found.unreached.is_empty()),
                (reached, reached),
                "{sets:?}"
            );
        }
    }

    #[test]
    fn tasks_of_a_former_definition_are_replaced() {
        let previous = format!("{ARN}::AWSPREVIOUS:");
        let known = known(&[("former", "api", ARN), ("pinned", "api", &previous)]);
        let both = |former: &str| Service {
            in_flight: BTreeSet::from([former.to_owned(), "new".to_owned()]),
            ..service("api", "ECS", "new")
        };
        assert_eq!(readers_of(&[], &[both("former")], &known, None).services, ["api"]);
        // The deployment replaces the pinned tasks.
        assert_eq!(readers_of(&[], &[both("pinned")], &known, None), Readers::default());
    }
}
