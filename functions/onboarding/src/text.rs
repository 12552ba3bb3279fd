//! Texts that people read. Messages, tasks and pages name a person by the id; names and logins are in answers alone, for whoever
//! may invoke the function.

pub(crate) mod finding;
pub(crate) mod summary;
pub(crate) mod task;
#[cfg(test)]
mod tests;

use jiff::civil::Date;
use serde_json::{Value, json};
use shared::audit::findings::NAME;
use shared::command;
use shared::policy::{Onboarding, Shadowing};
use shared::run::command::Command;
use shared::run::notify::Message;
use shared::runtime::language::Language;
use shared::runtime::settings::Settings;

use crate::App;
use crate::rules::access::{Membership, Place};
use crate::rules::checklist::{Item, items};
use crate::rules::person::Person;

/// The operators' page.
pub(crate) const PAGE: &str = "docs/onboarding.md";

/// Shows a person: the name, the logins, what is open, and the commands.
pub(crate) fn show(settings: &Settings, id: &str) -> Command {
    Command::invoke(&settings.function, &json!({"show": {"person": id}}))
}

/// What to do instead of saying that an item is done.
pub(crate) fn instead(item: &Item) -> &'static str {
    match item {
        Item::Shadowing(_) => "it needs the record of a run: use shadow",
        _ => "it is looked up each day, and counts as soon as it is seen",
    }
}

/// A place in words.
pub(crate) fn place(place: Place, language: Language) -> &'static str {
    match place {
        Place::AwsGroup => language.pick("grupo do IAM", "IAM group"),
        Place::Grafana => "Grafana",
        Place::OnCall => language.pick("escala de plantão da política", "on-call rotation of the policy"),
        Place::People => language.pick("pessoas da política", "people of the policy"),
    }
}

/// The command, or the change, that ends the access of a person.
pub(crate) fn removal(app: &App, person: &Person, place: Place) -> String {
    let language = app.base.settings.language;
    match place {
        Place::AwsGroup => {
            let group = app.group.clone().unwrap_or_default();
            let user = person.iam_user.clone().unwrap_or_default();
            let command = command!(
                "aws iam remove-user-from-group --group-name {group} --user-name {user}",
                group,
                user
            );
            command.to_string()
        }
        Place::Grafana => language
            .pick("no Grafana, Administration, Users: tirar da organização", "in Grafana, Administration, Users: remove from the organization")
            .to_owned(),
        Place::OnCall => language
            .pick(
                "na política, tirar de rotation.people, second, overrides e contacts dos squads (docs/politica.md#quem-está-de-plantão)",
                "in the policy, remove from rotation.people, second, overrides and contacts of the squads (docs/politica.md#quem-está-de-plantão)",
            )
            .to_owned(),
        Place::People => language
            .pick(
                "na política, tirar dos contacts dos squads e, por último, de incidents.people (docs/politica.md#quem-está-de-plantão)",
                "in the policy, remove from the contacts of the squads and, last, from incidents.people (docs/politica.md#quem-está-de-plantão)",
            )
            .to_owned(),
    }
}

/// The commands that say a login which is not known, or that there is none.
pub(crate) fn unknown_login(settings: &Settings, id: &str, place: Place) -> String {
    let (field, login) = match place {
        Place::AwsGroup => ("iam_user", "USUARIO"),
        _ => ("grafana_login", "LOGIN"),
    };
    let change = |field: &str, value: Value| {
        Command::invoke(&settings.function, &json!({"change": {"person": id, field: value}}))
    };
    let known = change(field, json!(login));
    let none = change("no_login", json!([place.word()]));
    shared::tr!(
        settings.language,
        "dizer o login: {known}; se não há: {none}",
        "say the login: {known}; if there is none: {none}",
    )
}

/// What a person or the mentor does about an open item.
pub(crate) fn item_next(app: &App, id: &str, person: &Person, item: &Item) -> String {
    let settings = &app.base.settings;
    let language = settings.language;
    let say = |by: &str| {
        let event = json!({"acknowledge": {"person": id, "item": item.key(), "by": by}});
        Command::invoke(&settings.function, &event).to_string()
    };
    // The mentor's data may be deleted.
    let mentor = if person.mentor.is_empty() { NAME } else { person.mentor.as_str() };
    match item {
        Item::Document(document) => {
            let command = say(&person.name);
            shared::tr!(language, "ler {document}; depois: {command}", "read {document}; then: {command}")
        }
        Item::AwsAccess => match (&app.group, &person.iam_user) {
            (Some(_), None) => unknown_login(settings, id, Place::AwsGroup),
            (Some(group), Some(user)) => {
                let command = command!(
                    "aws iam add-user-to-group --group-name {group} --user-name {user}",
                    group,
                    user
                );
                command.to_string()
            }
            (None, _) => attested(language, &say(mentor)),
        },
        Item::GrafanaAccess => match (&app.grafana, &person.grafana_login) {
            (Some(_), None) => unknown_login(settings, id, Place::Grafana),
            (Some(_), Some(_)) => language
                .pick(
                    "no Grafana, Administration, Users: convidar para a organização",
                    "in Grafana, Administration, Users: invite to the organization",
                )
                .to_owned(),
            (None, _) => attested(language, &say(mentor)),
        },
        Item::LocalEnvironment => {
            let command = say(mentor);
            shared::tr!(
                language,
                "npm install, npm run check, npm run seed (com SEED_DEMO_DATA=true falha no PostgreSQL: sem ele basta, {PAGE}#ambiente-local); o mentor confere e diz: {command}",
                "npm install, npm run check, npm run seed (with SEED_DEMO_DATA=true it fails on PostgreSQL: without it is enough, {PAGE}#ambiente-local); the mentor looks and says: {command}",
            )
        }
        Item::Shadowing(shadowing) => {
            let procedure = match shadowing {
                Shadowing::Deploy => "snapshot-create",
                Shadowing::Restore => "restore-test",
                Shadowing::Rotation => "rotate-random",
            };
            let shadow = json!({"person": id, "procedure": procedure, "run": "RUN", "by": mentor});
            let command = Command::invoke(&settings.function, &json!({"shadow": shadow}));
            let what = shown(*shadowing, language);
            shared::tr!(
                language,
                "{what}; o mentor diz a execução: {command}",
                "{what}; the mentor names the run: {command}",
            )
        }
    }
}

fn attested(language: Language, command: &str) -> String {
    shared::tr!(
        language,
        "a stack não confere este acesso; o mentor confere e diz: {command}",
        "the stack does not check this access; the mentor looks and says: {command}",
    )
}

/// What a person accompanies.
fn shown(shadowing: Shadowing, language: Language) -> &'static str {
    match shadowing {
        Shadowing::Deploy => language.pick("acompanhar um deploy", "accompany a deploy"),
        Shadowing::Restore => {
            language.pick("simular a recuperação de um snapshot", "rehearse the restore of a snapshot")
        }
        Shadowing::Rotation => {
            language.pick("acompanhar a rotação de JWT_SECRET", "accompany the rotation of JWT_SECRET")
        }
    }
}

/// The message about a checklist that begins.
pub(crate) fn begun(settings: &Settings, id: &str, person: &Person, policy: &Onboarding) -> Message {
    let language = settings.language;
    let (due, count) = (person.due, items(policy).len());
    let title = shared::tr!(language, "Onboarding de {id} começou", "Onboarding of {id} begins");
    let line =
        shared::tr!(language, "{count} itens, até {due} ({PAGE}).", "{count} items, until {due} ({PAGE}).",);
    let command = show(settings, id).code();
    let next = shared::tr!(
        language,
        "quem é, o que falta e com que comando: {command}",
        "who it is, what is open and by which command: {command}",
    );
    let lines = vec![line, shared::run::notify::next_step(language, &next)];
    Message::new(settings, &title, lines, &format!("{id}/begun"))
}

/// The message about a complete checklist.
pub(crate) fn completed(settings: &Settings, id: &str) -> Message {
    let language = settings.language;
    let title = shared::tr!(language, "Onboarding de {id} completo", "Onboarding of {id} complete");
    let line = language.pick("Todos os itens estão feitos ou foram vistos.", "All items are done or seen.");
    Message::new(settings, &title, vec![line.to_owned()], &format!("{id}/completed"))
}

/// The message about a person who leaves on a later day.
pub(crate) fn leaves(settings: &Settings, id: &str, on: Date) -> Message {
    let language = settings.language;
    let title = shared::tr!(language, "{id} sai em {on}", "{id} leaves on {on}");
    let command = show(settings, id).code();
    let next = shared::tr!(
        language,
        "até esse dia, tirar todos os acessos; quais e com que comando: {command}",
        "by that day, end all access; which and by which command: {command}",
    );
    let lines = vec![shared::run::notify::next_step(language, &next)];
    Message::new(settings, &title, lines, &format!("{id}/left/{on}"))
}

/// The message about a person who has left, with the access that remains or is not known.
pub(crate) fn left(settings: &Settings, id: &str, on: Date, of: &[(Place, Membership)]) -> Message {
    let language = settings.language;
    let title = shared::tr!(language, "{id} saiu em {on}", "{id} left on {on}");
    let named = |is: fn(&Membership) -> bool| {
        let places = of.iter().filter(|(_, membership)| is(membership));
        places.map(|(one, _)| place(*one, language)).collect::<Vec<_>>().join(", ")
    };
    let remains = named(|one| *one == Membership::Member);
    let unknown = named(|one| matches!(one, Membership::Unknown(_)));
    let no_login = named(|one| *one == Membership::NoLogin);
    let said_none = named(|one| *one == Membership::SaidNone);
    let unchecked = named(|one| *one == Membership::NotCovered);
    let mut lines = Vec::new();
    for (portuguese, english, places) in [
        ("Ainda tem acesso", "Still has access", &remains),
        ("Não foi possível verificar", "Could not be checked", &unknown),
        ("Login não conhecido", "Login not known", &no_login),
        ("Sem login, segundo quem pediu", "No login, says a person", &said_none),
        ("Não é verificado aqui", "Not checked here", &unchecked),
    ] {
        if !places.is_empty() {
            lines.push(format!("*{}*: {places}.", language.pick(portuguese, english)));
        }
    }
    if !of.iter().any(|(_, membership)| membership.may_remain()) {
        let nothing = language.pick("Nada do que é verificado resta.", "Nothing that is checked remains.");
        lines.push(nothing.to_owned());
    } else {
        let command = show(settings, id).code();
        let next = shared::tr!(
            language,
            "tirar o que resta, e dizer o que não é conhecido; com que comandos: {command}",
            "end what remains, and say what is not known; by which commands: {command}",
        );
        lines.push(shared::run::notify::next_step(language, &next));
    }
    Message::new(settings, &title, lines, &format!("{id}/left/{on}"))
}
