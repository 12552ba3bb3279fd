//! The template's parameters: their limits, and the rules that tie them together.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use regex_lite::Regex;
use serde_yaml_ng::Value;

/// The parameter that each deployment gives on the command line.
pub(crate) const CODE_VERSION: &str = "CodeVersion";

/// The template's parameters and rules.
pub(crate) struct Template {
    /// In the template's order.
    parameters: Vec<(String, Parameter)>,
    rules: Value,
}

struct Parameter {
    default: Option<String>,
    description: String,
    pattern: Option<Regex>,
    allowed: Vec<String>,
    is_list: bool,
    is_number: bool,
    range: (Option<f64>, Option<f64>),
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let template: Value = serde_yaml_ng::from_str(text).context("template.yaml is not YAML")?;
        let all = template
            .get("Parameters")
            .and_then(Value::as_mapping)
            .context("the template has no Parameters")?;
        let mut parameters = Vec::new();
        for (name, value) in all {
            let name = name.as_str().context("a parameter's name is not text")?;
            parameters.push((
                name.to_owned(),
                Parameter::parse(value).with_context(|| format!("parameter {name}"))?,
            ));
        }
        Ok(Self { parameters, rules: template.get("Rules").cloned().unwrap_or_default() })
    }

    /// The names in the template's order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(|(name, _)| name.as_str())
    }

    fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|(one, _)| one == name).map(|(_, parameter)| parameter)
    }

    /// The parameters that a deployment's file must have.
    pub(crate) fn required(&self) -> BTreeSet<String> {
        let required =
            self.parameters.iter().filter(|(name, one)| one.default.is_none() && name != CODE_VERSION);
        required.map(|(name, _)| name.clone()).collect()
    }

    /// The parameter's default; none if it has none.
    pub(crate) fn default(&self, name: &str) -> Option<&str> {
        self.parameter(name)?.default.as_deref()
    }

    /// The parameter's description, in English.
    pub(crate) fn description(&self, name: &str) -> &str {
        self.parameter(name).map(|one| one.description.as_str()).unwrap_or_default()
    }

    /// Whether CloudFormation accepts the value. The error is the expected form.
    pub(crate) fn check(&self, name: &str, value: &str) -> Result<(), String> {
        let parameter = self.parameter(name).ok_or("the template has no such parameter")?;
        // The limits hold for each member of a list.
        let members: Vec<&str> =
            if parameter.is_list { value.split(',').map(str::trim).collect() } else { vec![value] };
        for member in members {
            if !parameter.allowed.is_empty() && !parameter.allowed.iter().any(|one| one == member) {
                return Err(format!("expected one of {}", parameter.allowed.join(", ")));
            }
            if let Some(pattern) = parameter.pattern.as_ref().filter(|pattern| !pattern.is_match(member)) {
                return Err(format!("expected the pattern {}", pattern.as_str()));
            }
            if parameter.is_number {
                let number = member.parse::<f64>().ok().filter(|number| number.is_finite());
                let number = number.ok_or("expected a number")?;
                let (least, most) = parameter.range;
                if least.is_some_and(|least| number < least) || most.is_some_and(|most| number > most) {
                    let side = |side: Option<f64>| side.map(|side| side.to_string()).unwrap_or_default();
                    return Err(format!("expected a number within {}..{}", side(least), side(most)));
                }
            }
        }
        Ok(())
    }

    /// The assertions of the template's rules that these values break, in the template's words.
    pub(crate) fn broken(&self, values: &BTreeMap<String, String>) -> Result<Vec<String>> {
        let mut broken = Vec::new();
        for (name, rule) in self.rules.as_mapping().into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            let holds = |condition: &Value| {
                let evaluated = self.evaluate(condition, values).and_then(Term::flag);
                evaluated.with_context(|| format!("rule {name}"))
            };
            let applies = rule.get("RuleCondition").map(holds).transpose()?.unwrap_or(true);
            let assertions = rule.get("Assertions").and_then(Value::as_sequence).into_iter().flatten();
            for assertion in assertions.filter(|_| applies) {
                if !holds(assertion.get("Assert").context("an assertion without Assert")?)? {
                    let text = assertion.get("AssertDescription").and_then(Value::as_str);
                    broken.push(text.unwrap_or(name).to_owned());
                }
            }
        }
        Ok(broken)
    }

    /// The part of CloudFormation's functions that the rules use.
    fn evaluate(&self, value: &Value, values: &BTreeMap<String, String>) -> Result<Term> {
        let (function, operands) = match value {
            Value::String(text) => return Ok(Term::Text(text.clone())),
            Value::Tagged(tagged) => (tagged.tag.to_string(), &tagged.value),
            Value::Mapping(mapping) => match mapping.iter().next() {
                Some((Value::String(name), operands)) => (name.clone(), operands),
                _ => bail!("expected a function"),
            },
            other => bail!("expected a function, found {other:?}"),
        };
        let function = function.trim_start_matches('!').trim_start_matches("Fn::").to_owned();
        if function == "Ref" {
            let name = operands.as_str().context("Ref without a name")?;
            let parameter = self.parameter(name).with_context(|| format!("no parameter {name}"))?;
            let value = values.get(name).or(parameter.default.as_ref()).cloned().unwrap_or_default();
            return Ok(if parameter.is_list {
                Term::List(value.split(',').map(|member| member.trim().to_owned()).collect())
            } else {
                Term::Text(value)
            });
        }
        let operands = operands.as_sequence().map(Vec::as_slice).unwrap_or_default();
        let terms =
            operands.iter().map(|operand| self.evaluate(operand, values)).collect::<Result<Vec<_>>>()?;
        let flag = match (function.as_str(), terms.as_slice()) {
            ("Not", [term]) => !term.clone().flag()?,
            ("And", terms) => {
                terms.iter().cloned().map(Term::flag).collect::<Result<Vec<_>>>()?.contains(&false).eq(&false)
            }
            ("Or", terms) => {
                terms.iter().cloned().map(Term::flag).collect::<Result<Vec<_>>>()?.contains(&true)
            }
            ("Equals", [one, other]) => one == other,
            ("Contains", [Term::List(list), Term::Text(text)]) => list.contains(text),
            ("EachMemberEquals", [Term::List(list), Term::Text(text)]) => list.iter().all(|one| one == text),
            _ => bail!("{function} is not known here"),
        };
        Ok(Term::Flag(flag))
    }
}

impl Parameter {
    fn parse(value: &Value) -> Result<Self> {
        let scalar = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        };
        let part = |name: &str| value.get(name).and_then(scalar);
        let kind = part("Type").context("no Type")?;
        let pattern =
            part("AllowedPattern").map(|pattern| Regex::new(&format!("^(?:{pattern})$"))).transpose()?;
        let number = |name: &str| value.get(name).and_then(Value::as_f64);
        Ok(Self {
            default: part("Default"),
            description: part("Description").unwrap_or_default(),
            pattern,
            allowed: value
                .get("AllowedValues")
                .and_then(Value::as_sequence)
                .into_iter()
                .flatten()
                .filter_map(scalar)
                .collect(),
            is_list: kind == "CommaDelimitedList",
            is_number: kind == "Number",
            range: (number("MinValue"), number("MaxValue")),
        })
    }
}

/// A value of a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Term {
    Text(String),
    List(Vec<String>),
    Flag(bool),
}

impl Term {
    fn flag(self) -> Result<bool> {
        match self {
            Self::Flag(flag) => Ok(flag),
            other => bail!("expected a condition, found {other:?}"),
        }
    }
}

#[cfg(test)]
pub(crate) fn ours() -> Template {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Template::parse(&std::fs::read_to_string(root.join("template.yaml")).unwrap()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_held_against_the_templates_limits() {
        let template = ours();
        for (name, value, is_good) in [
            ("JwtSecretName", "/moveongs/dev/jwt", true),
            ("JwtSecretName", "", false),
            ("JwtSecretName", "a b", false),
            ("Environment", "qa", false),
            ("JwtRotationDays", "90", true),
            ("JwtRotationDays", "0", false),
            ("JwtRotationDays", "often", false),
            ("JwtRotationDays", "NaN", false),
            ("JwtRotationDays", "inf", false),
            ("LogRetentionDays", "31", false),
            ("PageChannels", "slack,ses", true),
            ("PageChannels", "slack,pigeon", false),
            ("DeployerArns", "arn:aws:iam::111122223333:role/a, arn:aws:iam::111122223333:user/b", true),
            ("DeployerArns", "arn:aws:sts::111122223333:assumed-role/a/b", false),
            ("DeployerArns", "", false),
            ("VpcSubnetIds", "", true),
            ("NoSuchParameter", "", false),
        ] {
            assert_eq!(template.check(name, value).is_ok(), is_good, "{name}: {value:?}");
        }
    }

    #[test]
    fn the_templates_rules_hold_here_as_at_cloudformation() {
        let template = ours();
        let values = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let none: &[(&str, &str)] = &[];
        for (given, expected) in [
            (none, None),
            (&[("SesSecretName", "s"), ("SesUserName", "u"), ("SesFromAddress", "a@b")], None),
            (&[("SesSecretName", "s"), ("SesUserName", "u")], Some("SesSecretName requires SesFromAddress")),
            (&[("PageChannels", "slack,pagerduty")], Some("PagerDutySecretName")),
            (&[("VpcSubnetIds", "subnet-a,subnet-b")], Some("VpcSubnetIds and VpcSecurityGroupIds")),
            (&[("VpcSubnetIds", "subnet-a"), ("VpcSecurityGroupIds", "sg-a")], None),
            (&[("GitHubSecretName", "g")], Some("GitHubRepository and GitHubSecretName")),
        ] {
            let broken = template.broken(&values(given)).unwrap();
            match expected {
                None => assert!(broken.is_empty(), "{given:?}: {broken:?}"),
                Some(text) => assert!(
                    broken.iter().any(|one| one.starts_with(text) || one.contains(text)),
                    "{given:?}: {broken:?}"
                ),
            }
        }
    }

    #[test]
    fn what_must_be_set_is_what_has_no_default() {
        let required = ours().required();
        for name in [
            "Environment",
            "JwtSecretName",
            "DatabaseInstanceId",
            "EcsClusterName",
            "PagingEmail",
            "DeployerArns",
        ] {
            assert!(required.contains(name), "{required:?}");
        }
        assert!(!required.contains(CODE_VERSION) && !required.contains("Project"), "{required:?}");
    }
}
