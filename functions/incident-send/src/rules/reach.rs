//! Whom a row reaches, by the policy in force when it is sent.

use incident::store::{Channel, Purpose};
use incident::text::slack::UserId;
use incident::{Called, Incident};
use jiff::Timestamp;
use shared::policy::oncall::{Contact, Page, Role, Target, targets};
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

/// Whom a purpose reaches at `now`, whether or not its time has come.
pub(crate) fn reach(policy: &Policy, incident: &Incident, purpose: Purpose, now: Timestamp) -> Reach {
    let page = |role: Role| of_squads(policy, &responsible(incident), role, now);
    let person = |name: &str| Reach::person(policy, name);
    match purpose {
        Purpose::Post | Purpose::OnCall => page(Role::OnCall),
        Purpose::Second => page(Role::Second),
        Purpose::Backup => page(Role::Backup),
        Purpose::Called => of_squads(policy, &called(incident), Role::OnCall, now),
        // Without one, who has taken it; and somebody in any case.
        Purpose::Commander => {
            first([person(&incident.commander), person(&incident.acknowledged_by), page(Role::OnCall)])
        }
        // Somebody else than the one who was reminded first.
        Purpose::CommanderBackup => {
            let commander = reach(policy, incident, Purpose::Commander, now).names;
            let others = [person(&incident.commander_backup), page(Role::Second), page(Role::Backup)];
            first(others.map(|other| {
                let is_same = other.names.iter().any(|name| commander.contains(name));
                if is_same { Reach::default() } else { other }
            }))
        }
        Purpose::Customers => {
            Reach { emails: policy.incidents.customers.addresses.clone(), ..Reach::default() }
        }
    }
}

/// The first who can be reached.
fn first<const N: usize>(candidates: [Reach; N]) -> Reach {
    candidates.into_iter().find(Reach::is_reachable).unwrap_or_default()
}

/// The people of a role in squads.
fn of_squads(policy: &Policy, squads: &[Responsible], role: Role, now: Timestamp) -> Reach {
    let mut found = Reach::default();
    for responsible in squads {
        let page = Page { responsible, minutes: u32::MAX, wait_minutes: 1, is_acknowledged: false };
        for target in targets(policy, &page, now).iter().filter(|target| target.role == role) {
            found.add(target);
        }
    }
    found
}

/// The squads that were called in.
fn called(incident: &Incident) -> Vec<Responsible> {
    let squad = |called: &Called| Responsible { primary: called.squad.clone(), backup: String::new() };
    incident.called.iter().map(squad).collect()
}

impl Reach {
    fn is_reachable(&self) -> bool {
        !(self.slack.is_empty() && self.emails.is_empty() && self.phones.is_empty())
    }

    /// A person of the policy; nobody if it does not know the name.
    fn person(policy: &Policy, name: &str) -> Self {
        let mut found = Self::default();
        if let Some(contact) = policy.incidents.people.get(name) {
            found.contact(Some(name), contact);
        }
        found
    }

    fn add(&mut self, target: &Target<'_>) {
        self.contact(target.person, target.contact);
    }

    fn contact(&mut self, name: Option<&str>, contact: &Contact) {
        let phone = contact.phone.as_ref().filter(|_| contact.phone_verified);
        push(&mut self.names, name.map(str::to_owned));
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
    fn a_reminder_reaches_the_commander_or_whoever_stands_closest() {
        use Purpose::{Commander, CommanderBackup};
        let owned = |owner: &str, backup: &str| incident(owner, backup);
        let infra = || owned("Squad Infra", "Squad Backend");
        let by = |commander: &str, stand_in: &str| Incident {
            commander: commander.to_owned(),
            commander_backup: stand_in.to_owned(),
            ..infra()
        };
        let taken = Incident { acknowledged_by: "Caio".to_owned(), ..infra() };
        for (incident, purpose, expected) in [
            (by("Caio", ""), Commander, &["Caio"][..]),
            // A name that the policy does not know reaches nobody.
            (by("Davi", ""), Commander, &["Ana"]),
            (taken, Commander, &["Caio"]),
            (infra(), Commander, &["Ana"]),
            (owned("Squad X", ""), Commander, &[]),
            (by("Ana", "Caio"), CommanderBackup, &["Caio"]),
            (by("Ana", ""), CommanderBackup, &["Bia"]),
            (by("Bia", ""), CommanderBackup, &["Caio"]),
            (by("Caio", "Caio"), CommanderBackup, &["Bia"]),
            (owned("Squad Backend", "Squad Infra"), CommanderBackup, &["Ana"]),
            (owned("Squad X", ""), CommanderBackup, &[]),
        ] {
            let found = reach(&policy(), &incident, purpose, at(0)).names;
            assert_eq!(found, expected, "{} {} {purpose:?}", incident.commander, incident.owner);
        }
    }

    #[test]
    fn squads_that_are_called_in_are_reached_by_their_people_on_call_and_customers_by_the_policys_addresses()
    {
        let called = |squad: &str| Called { squad: squad.to_owned(), ..Called::default() };
        let both = vec![called("Squad Backend"), called("Squad Dados")];
        let incident = Incident { called: both, ..incident("Squad Infra", "") };
        let found = reach(&policy(), &incident, Purpose::Called, at(0));
        assert_eq!((found.names.as_slice(), found.slack.len()), (&["Caio".to_owned()][..], 1));
        assert_eq!(found.emails, ["caio@moveongs.example", "dados@moveongs.example"]);
        let policy = r#"{"incidents": {"customers": {"addresses": ["unidades@moveongs.example"]}}}"#;
        let found = reach(&policy.parse().unwrap(), &incident, Purpose::Customers, at(0));
        assert_eq!((found.emails, found.slack.len()), (vec!["unidades@moveongs.example".to_owned()], 0));
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
