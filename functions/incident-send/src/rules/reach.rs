//! Whom a row reaches, by the policy in force when it is sent.

use incident::Incident;
use incident::store::{Channel, Purpose};
use incident::text::slack::UserId;
use jiff::Timestamp;
use shared::policy::oncall::{Page, Role, Target, targets};
use shared::policy::{Policy, Responsible};

/// The people of a purpose, and how to reach them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Reach {
    /// Their names; those of contacts of a squad are not known.
    pub names: Vec<String>,
    /// Slack's users and groups.
    pub slack: Vec<UserId>,
    /// E-mail addresses.
    pub emails: Vec<String>,
    /// Phone numbers to which a test message arrived.
    pub phones: Vec<String>,
}

impl Reach {
    /// Whether a channel can address these people.
    pub(crate) fn has(&self, channel: Channel) -> bool {
        match channel {
            Channel::Slack | Channel::Webhook => !self.slack.is_empty(),
            Channel::Ses => !self.emails.is_empty(),
            Channel::Sms => !self.phones.is_empty(),
            Channel::Sns | Channel::PagerDuty => false,
        }
    }
}

/// The squads that answer for an incident: each of the owners, which a page names with commas between them, with its
/// backup.
pub(crate) fn responsible(incident: &Incident) -> Vec<Responsible> {
    let split = |text: &str| text.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>();
    let (owners, backups) = (split(&incident.owner), split(&incident.backup));
    let pairs = owners.into_iter().enumerate().map(|(place, primary)| {
        let backup = backups.get(place).or(backups.last()).cloned().unwrap_or_default();
        Responsible { primary, backup }
    });
    pairs.collect()
}

/// The part of a page that a purpose stands for.
fn role(purpose: Purpose) -> Role {
    match purpose {
        Purpose::Post | Purpose::OnCall => Role::OnCall,
        Purpose::Second => Role::Second,
        Purpose::Backup => Role::Backup,
    }
}

/// Whom a purpose reaches at `now`, whether or not its time has come.
pub(crate) fn reach(policy: &Policy, incident: &Incident, purpose: Purpose, now: Timestamp) -> Reach {
    let squads = responsible(incident);
    let mut found = Reach::default();
    for responsible in &squads {
        let page = Page { responsible, minutes: u32::MAX, wait_minutes: 1, is_acknowledged: false };
        for target in targets(policy, &page, now) {
            if target.role == role(purpose) {
                found.add(&target);
            }
        }
    }
    found
}

impl Reach {
    fn add(&mut self, target: &Target<'_>) {
        let contact = target.contact;
        let phone = contact.phone.as_ref().filter(|_| contact.phone_verified);
        push(&mut self.names, target.person.map(str::to_owned));
        push(&mut self.slack, contact.slack.as_deref().and_then(UserId::parse));
        push(&mut self.emails, contact.email.clone());
        push(&mut self.phones, phone.cloned());
    }
}

fn push<T: PartialEq>(all: &mut Vec<T>, new: Option<T>) {
    all.extend(new.filter(|new| !all.contains(new)));
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two squads with people, one with contacts only.
    pub(crate) fn policy() -> Policy {
        r#"{"incidents": {
            "people": {
                "Ana": {"slack": "U00000ANA", "email": "ana@moveongs.example", "phone": "+5511900000001", "phone_verified": true},
                "Bia": {"slack": "U00000BIA", "phone": "+5511900000002"},
                "Caio": {"email": "caio@moveongs.example"}
            },
            "squads": {
                "Squad Infra": {"rotation": {"every": "daily", "at": "09:00", "starts": "2026-11-01", "people": ["Ana"], "second": ["Bia"]}},
                "Squad Backend": {"rotation": {"every": "daily", "at": "09:00", "starts": "2026-11-01", "people": ["Caio"]}},
                "Squad Dados": {"contacts": [{"slack": "S00DADOS0"}, {"email": "dados@moveongs.example"}]}
            }
        }}"#
        .parse()
        .unwrap()
    }

    pub(crate) fn at(minutes: i64) -> Timestamp {
        let noon: Timestamp = "2026-11-29T15:00:00Z".parse().unwrap();
        noon + jiff::SignedDuration::from_mins(minutes)
    }

    pub(crate) fn incident(owner: &str, backup: &str) -> Incident {
        Incident {
            id: "INC-1".to_owned(),
            version: 1,
            owner: owner.to_owned(),
            backup: backup.to_owned(),
            paged_at: Some(at(0)),
            ..Incident::default()
        }
    }

    fn reached(
        owner: &str,
        backup: &str,
        purpose: Purpose,
    ) -> (Vec<String>, usize, Vec<String>, Vec<String>) {
        let found = reach(&policy(), &incident(owner, backup), purpose, at(0));
        (found.names, found.slack.len(), found.emails, found.phones)
    }

    #[test]
    fn each_purpose_reaches_its_people() {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let (ana, caio) = ("ana@moveongs.example", "caio@moveongs.example");
        let phone = "+5511900000001";
        for (owner, backup, purpose, names, slack, emails, phones) in [
            ("Squad Infra", "Squad Backend", Purpose::Post, &["Ana"][..], 1, &[ana][..], &[phone][..]),
            ("Squad Infra", "Squad Backend", Purpose::OnCall, &["Ana"], 1, &[ana], &[phone]),
            // An unverified number is none.
            ("Squad Infra", "Squad Backend", Purpose::Second, &["Bia"], 1, &[], &[]),
            ("Squad Infra", "Squad Backend", Purpose::Backup, &["Caio"], 0, &[caio], &[]),
            ("Squad Backend", "Squad Infra", Purpose::Second, &[], 0, &[], &[]),
            ("Squad Dados", "Squad Dados", Purpose::Post, &[], 1, &["dados@moveongs.example"], &[]),
            // Whoever was paged is not paged again as the backup.
            ("Squad Infra", "Squad Infra", Purpose::Backup, &[], 0, &[], &[]),
            // A page names several owners.
            (
                "Squad Infra, Squad Backend",
                "Squad Backend, Squad Dados",
                Purpose::Post,
                &["Ana", "Caio"],
                1,
                &[ana, caio],
                &[phone],
            ),
            ("Squad Infra, Squad Infra", "Squad Backend", Purpose::Post, &["Ana"], 1, &[ana], &[phone]),
            ("", "", Purpose::Post, &[], 0, &[], &[]),
            ("Squad X", "", Purpose::Post, &[], 0, &[], &[]),
        ] {
            let expected = (texts(names), slack, texts(emails), texts(phones));
            assert_eq!(reached(owner, backup, purpose), expected, "{owner} {backup} {purpose:?}");
        }
    }

    #[test]
    fn a_channel_addresses_only_whom_it_knows() {
        let second = reach(&policy(), &incident("Squad Infra", ""), Purpose::Second, at(0));
        let can: Vec<bool> = Channel::ALL.into_iter().map(|channel| second.has(channel)).collect();
        assert_eq!(can, [true, true, false, false, false, false]);
        let on_call = reach(&policy(), &incident("Squad Infra", ""), Purpose::OnCall, at(0));
        assert!(on_call.has(Channel::Ses) && on_call.has(Channel::Sms) && !on_call.has(Channel::PagerDuty));
        assert!(Channel::ALL.into_iter().all(|channel| !Reach::default().has(channel)));
    }
}
