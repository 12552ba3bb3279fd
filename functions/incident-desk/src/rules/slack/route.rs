//! What a request of Slack leads to. Only what has to be answered within three seconds is answered at once; everything
//! else becomes a [`Task`].

use std::collections::BTreeMap;

use incident::text::desk::{self, ACKNOWLEDGE, ACTION, Form, Restore};
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::policy::Policy;
use shared::runtime::language::Language;

use super::command::{self, Command};
use super::payload::{Button, Payload, Sender, View};
use super::submission::{self, Notes, Submitted, hash};
use super::task::{Task, What, Who};
use super::verify::Refusal;

/// Buttons that only lead to an address; Slack reports them too.
const LINKS: [&str; 2] = ["runbook", "link"];

/// The shortcuts' `callback_id`.
const SHORTCUT: &str = "declare";

/// Most characters of the name that Slack shows.
const LONGEST_NAME: usize = 60;

/// How a request goes on.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    /// Slack needs nothing more.
    Done,
    /// A text for the person, in the answer.
    Say(Vec<String>),
    /// The text by which Slack knows the address.
    Challenge(String),
    /// A modal.
    Open(Opening),
    /// What each field accepts, by its name.
    Wrong(BTreeMap<String, String>),
    /// Work for afterwards.
    Do(Task),
}

/// A modal to open.
#[derive(Debug, PartialEq)]
pub(crate) struct Opening {
    /// Its form.
    pub(crate) form: Form,
    /// What it keeps: the incident and the restore that it is about.
    pub(crate) notes: Notes,
    /// A text to begin with.
    pub(crate) words: String,
    /// Where it appears.
    pub(crate) place: Place,
    /// Who opens it.
    pub(crate) who: Who,
}

/// Where a modal appears.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    /// On its own, by a trigger of Slack.
    New(String),
    /// In place of the one that was submitted.
    Instead,
}

/// What the rules know besides the request.
pub(crate) struct Context<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) language: Language,
    pub(crate) now: Timestamp,
}

impl<'a> Context<'a> {
    /// The people of the policy, by their Slack id.
    fn people(&self) -> BTreeMap<&'a str, &'a str> {
        let people = self.policy.incidents.people.iter();
        people.filter_map(|(name, contact)| Some((contact.slack.as_deref()?, name.as_str()))).collect()
    }

    /// The sender as the policy knows them. A name that Slack shows may be anybody's, so the id stands with it.
    fn who(&self, sender: &Sender) -> Who {
        let known = self.people().get(sender.id.as_str()).map(|name| (*name).to_owned());
        let is_known = known.is_some();
        let name = known.unwrap_or_else(|| {
            let fit = |c: &char| c.is_alphanumeric() || " ._-".contains(*c);
            let shown: String = sender.name.chars().filter(fit).take(LONGEST_NAME).collect();
            let id = super::payload::shown(&sender.id);
            format!("{} (Slack {id})", shown.trim()).trim_start().to_owned()
        });
        Who { id: sender.id.clone(), name, is_known }
    }
}

/// Decides how a request goes on.
///
/// # Errors
///
/// [`Refusal`] for what the desk does not have.
pub(crate) fn route(payload: Payload, context: &Context<'_>) -> Result<Reply, Refusal> {
    match payload {
        Payload::Closed | Payload::SslCheck => Ok(Reply::Done),
        Payload::Challenge(text) => Ok(Reply::Challenge(text)),
        // Without it, all would be one: it is the cause of what is done.
        Payload::Command(sender, _) if sender.trigger.is_empty() => Err(Refusal::Field("trigger_id")),
        Payload::Command(sender, text) => Ok(commanded(&sender, &text, context)),
        Payload::Pressed(sender, button) => pressed(&sender, &button, context),
        Payload::Submitted(_, view) if view.id.is_empty() => Err(Refusal::Field("view.id")),
        Payload::Submitted(sender, view) => submitted(&sender, &view, context),
        Payload::Shortcut(sender, name, text) if name == SHORTCUT => {
            let words = text.map(|text| unescaped(&text)).unwrap_or_default();
            Ok(Reply::Open(opening(
                Form::Declare,
                Notes::new(None, sender.reply.as_deref()),
                words,
                &sender,
                context,
            )))
        }
        Payload::Shortcut(_, name, _) => Err(Refusal::Unused(super::payload::shown(&name))),
    }
}

/// Slack's three escapes, undone.
fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn opening(form: Form, notes: Notes, words: String, sender: &Sender, context: &Context<'_>) -> Opening {
    Opening { form, notes, words, place: Place::New(sender.trigger.clone()), who: context.who(sender) }
}

/// A task of a sender; its cause is Slack's id of the interaction, by which a repetition is known.
fn task(what: What, sender: &Sender, context: &Context<'_>) -> Reply {
    let cause = format!("slack|{}", sender.trigger);
    Reply::Do(Task { who: context.who(sender), cause, reply: sender.reply.clone(), what })
}

fn commanded(sender: &Sender, text: &str, context: &Context<'_>) -> Reply {
    let language = context.language;
    match command::read(&unescaped(text), &context.people()) {
        Command::Help => Reply::Say(desk::help(language)),
        Command::OnCall => Reply::Say(desk::on_call(context.policy, context.now, language)),
        Command::Unknown(word) => {
            let word = shown_word(&word);
            let unknown = shared::tr!(language, "Não conheço «{word}».", "I do not know «{word}».");
            Reply::Say([vec![unknown], desk::help(language)].concat())
        }
        Command::List => task(What::List, sender, context),
        Command::Show(id) => task(What::Show(id), sender, context),
        Command::Ask(verb, mut fields) => {
            fields.insert("by".to_owned(), json!(context.who(sender).name));
            let request = json!({verb: fields});
            match incident::person::Request::try_from(request.clone()) {
                Ok(_) => task(What::Ask(request), sender, context),
                Err(error) => Reply::Say(vec![wrong(&error.field, &error.reason, language)]),
            }
        }
        Command::Open(form, id, words) => {
            let notes = Notes::new(id.as_deref(), sender.reply.as_deref());
            let notes = if form == Form::TellCustomers { looked_at(notes, &words) } else { notes };
            Reply::Open(opening(form, notes, words, sender, context))
        }
    }
}

/// Words that were given beforehand are shown as the mail at once.
fn looked_at(notes: Notes, words: &str) -> Notes {
    let seen = (!words.is_empty()).then(|| hash(words));
    Notes { seen, ..notes }
}

fn shown_word(word: &str) -> String {
    word.chars().filter(|c| !c.is_control()).take(40).collect()
}

fn wrong(field: &str, reason: &str, language: Language) -> String {
    shared::tr!(
        language,
        "Não foi aceito: {field}: {reason}. Nada foi feito; veja /incidente ajuda.",
        "Not accepted: {field}: {reason}. Nothing was done; see /incidente help."
    )
}

fn pressed(sender: &Sender, button: &Button, context: &Context<'_>) -> Result<Reply, Refusal> {
    if LINKS.contains(&button.action_id.as_str()) {
        return Ok(Reply::Done);
    }
    let unused = || Refusal::Unused(super::payload::shown(&button.action_id));
    let name = button.action_id.strip_prefix(ACTION).ok_or_else(unused)?;
    if sender.trigger.is_empty() {
        return Err(Refusal::Field("trigger_id"));
    }
    let reply = sender.reply.as_deref();
    if name == ACKNOWLEDGE {
        let request = json!({"acknowledge": {"incident": about(button)?, "by": context.who(sender).name}});
        return Ok(task(What::Ask(request), sender, context));
    }
    let form = Form::from_name(name).ok_or_else(unused)?;
    let notes = match form {
        Form::Declare => Notes::new(None, reply),
        Form::ApproveRestore | Form::RejectRestore | Form::RollBackRestore => {
            if !context.who(sender).is_known {
                return Ok(task(What::Say(vec![desk::only_people(context.language)]), sender, context));
            }
            let restore: Restore =
                serde_json::from_str(&button.value).map_err(|_| Refusal::Field("value"))?;
            Notes { restore: Some(restore), ..Notes::new(None, reply) }
        }
        _ => Notes::new(Some(about(button)?), reply),
    };
    Ok(Reply::Open(opening(form, notes, String::new(), sender, context)))
}

/// The incident of a button.
fn about(button: &Button) -> Result<&str, Refusal> {
    Some(button.value.as_str()).filter(|id| submission::is_id(id)).ok_or(Refusal::Field("value"))
}

fn submitted(sender: &Sender, view: &View, context: &Context<'_>) -> Result<Reply, Refusal> {
    let who = context.who(sender);
    // One submission of each modal: a double click, or Slack's own repetition, has the same id.
    let task = |what: Value, notes: Notes, is_order: bool| {
        let what = if is_order { What::Order(what) } else { What::Ask(what) };
        Reply::Do(Task { who: who.clone(), cause: format!("slack|{}", view.id), reply: notes.reply, what })
    };
    let open = |form: Form, notes: Notes, words: String| {
        Reply::Open(Opening { form, notes, words, place: Place::Instead, who: who.clone() })
    };
    Ok(match submission::read(view, &who, &context.people(), context.language)? {
        Submitted::Open(form, notes) => open(form, notes, String::new()),
        Submitted::Look(notes, words) => open(Form::TellCustomers, notes, words),
        Submitted::Ask(request, notes) => task(request, notes, false),
        Submitted::Order(order, notes) if who.is_known => task(order, notes, true),
        Submitted::Order(_, notes) => {
            let what = What::Say(vec![desk::only_people(context.language)]);
            Reply::Do(Task {
                who: who.clone(),
                cause: format!("slack|{}", view.id),
                reply: notes.reply,
                what,
            })
        }
        Submitted::Wrong(fields) => Reply::Wrong(fields),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "INC-20261129-7Q2MZK4A";
    const REPLY: &str = "https://hooks.slack.com/actions/T1/2/x";

    fn policy() -> Policy {
        r#"{"incidents": {"people": {"Ana Souza": {"slack": "U024BE7LH"}, "Bia Lima": {"email": "bia@example.org"}}}}"#
            .parse()
            .unwrap()
    }

    fn routed(payload: Payload) -> Result<Reply, Refusal> {
        let policy = policy();
        let now = "2026-11-29T12:41:00Z".parse().unwrap();
        route(payload, &Context { policy: &policy, language: Language::Portuguese, now })
    }

    fn ana() -> Sender {
        let [id, name, trigger] = ["U024BE7LH", "ana.souza", "1.2.abc"].map(str::to_owned);
        Sender { id, name, trigger, reply: Some(REPLY.to_owned()) }
    }

    fn stranger(name: &str) -> Sender {
        Sender { id: "U0STRANGER".to_owned(), name: name.to_owned(), ..ana() }
    }

    fn press(sender: Sender, action: &str, value: &str) -> Result<Reply, Refusal> {
        routed(Payload::Pressed(sender, Button { action_id: action.to_owned(), value: value.to_owned() }))
    }

    #[test]
    fn who_it_is_comes_from_the_policy_and_never_from_a_name_that_slack_shows() {
        let who = |sender: Sender| match press(sender, "desk/acknowledge", ID) {
            Ok(Reply::Do(task)) => task.who,
            other => panic!("{other:?}"),
        };
        let known = who(ana());
        assert_eq!((known.name.as_str(), known.is_known), ("Ana Souza", true));
        for (name, expected) in [
            ("Ana Souza", "Ana Souza (Slack U0STRANGER)"),
            ("<!channel>\n`x`", "channelx (Slack U0STRANGER)"),
            ("", "(Slack U0STRANGER)"),
        ] {
            let unknown = who(stranger(name));
            assert_eq!((unknown.name.as_str(), unknown.is_known), (expected, false));
        }
        assert!(who(stranger(&"x".repeat(500))).name.chars().count() <= 100);
    }

    #[test]
    fn to_take_an_incident_needs_one_press() {
        let Ok(Reply::Do(task)) = press(ana(), "desk/acknowledge", ID) else { panic!() };
        assert_eq!(task.what, What::Ask(json!({"acknowledge": {"incident": ID, "by": "Ana Souza"}})));
        assert_eq!((task.cause.as_str(), task.reply.as_deref()), ("slack|1.2.abc", Some(REPLY)));
        // What is stored for the repetition is what was sent.
        let sent = serde_json::to_value(&task).unwrap();
        assert_eq!(serde_json::from_value::<Task>(sent).unwrap(), task);
    }

    #[test]
    fn the_other_buttons_open_their_form() {
        for form in Form::ALL.into_iter().filter(|form| form.is_about_an_incident()).chain([Form::More]) {
            let Ok(Reply::Open(opening)) = press(ana(), &format!("desk/{}", form.name()), ID) else {
                panic!()
            };
            assert_eq!((opening.form, opening.place), (form, Place::New("1.2.abc".to_owned())));
            assert_eq!(opening.notes, Notes::new(Some(ID), Some(REPLY)));
        }
        for link in LINKS {
            assert_eq!(press(ana(), link, ""), Ok(Reply::Done));
        }
        for (action, value, refusal) in [
            ("desk/dance", ID, Refusal::Unused("desk/dance".to_owned())),
            ("approve", ID, Refusal::Unused("approve".to_owned())),
            ("desk/acknowledge", "INC-1", Refusal::Field("value")),
            ("desk/update", "", Refusal::Field("value")),
            ("desk/approve_restore", "{", Refusal::Field("value")),
            // A button that does not say which instance it is about.
            (
                "desk/approve_restore",
                r#"{"run": "r20261130-1", "verdict": "", "is_good": true, "needs_two": false, "by": "", "proof": ""}"#,
                Refusal::Field("value"),
            ),
        ] {
            assert_eq!(press(ana(), action, value), Err(refusal), "{action}");
        }
        let no_trigger = Sender { trigger: String::new(), ..ana() };
        assert_eq!(press(no_trigger.clone(), "desk/acknowledge", ID), Err(Refusal::Field("trigger_id")));
        let command = routed(Payload::Command(no_trigger, "abertos".to_owned()));
        assert_eq!(command, Err(Refusal::Field("trigger_id")));
    }

    #[test]
    fn only_people_of_the_policy_decide_about_a_restore() {
        let restore = Restore {
            run: "r20261130-1".to_owned(),
            instance: "moveongs-prod-db-r20261130-1".to_owned(),
            is_good: true,
            ..Restore::default()
        };
        let Ok(Reply::Open(opening)) = press(ana(), "desk/approve_restore", &restore.value()) else {
            panic!()
        };
        assert_eq!(opening.notes.restore, Some(restore.clone()));
        let Ok(Reply::Do(task)) = press(stranger("x"), "desk/approve_restore", &restore.value()) else {
            panic!()
        };
        assert!(matches!(task.what, What::Say(_)));
        // Nor by a modal that was opened before they left the policy.
        let view = json!({"id": "V1", "callback_id": "approve_restore", "private_metadata": opening.notes.text(),
            "state": {"values": {}}});
        let view: View = serde_json::from_value(view).unwrap();
        let Ok(Reply::Do(task)) = routed(Payload::Submitted(stranger("x"), view.clone())) else { panic!() };
        assert!(matches!(task.what, What::Say(_)));
        let Ok(Reply::Do(task)) = routed(Payload::Submitted(ana(), view)) else { panic!() };
        let order = json!({"order": "approve", "run": "r20261130-1", "by": "Ana Souza",
            "instance": "moveongs-prod-db-r20261130-1"});
        assert_eq!((task.what, task.cause.as_str()), (What::Order(order), "slack|V1"));
    }

    #[test]
    fn a_slash_command_is_answered_opened_or_done() {
        let said = |text: &str| routed(Payload::Command(ana(), text.to_owned())).unwrap();
        for text in
            ["", "ajuda", "plantao", "dançar", "INC-20261129-7Q2MZK4A unir x", "INC-20261129-7Q2MZK4A dançar"]
        {
            assert!(matches!(said(text), Reply::Say(_)), "{text}");
        }
        let Reply::Do(task) = said("abertos") else { panic!() };
        assert_eq!(task.what, What::List);
        let Reply::Do(task) = said(ID) else { panic!() };
        assert_eq!(task.what, What::Show(ID.to_owned()));
        let Reply::Do(task) = said(&format!("{ID} ic &lt;@U024BE7LH|x&gt;")) else { panic!() };
        let request = json!({"command": {"incident": ID, "commander": "Ana Souza", "by": "Ana Souza"}});
        assert_eq!(task.what, What::Ask(request));
        let Reply::Open(opening) = said("declarar caiu tudo") else { panic!() };
        assert_eq!((opening.form, opening.words.as_str()), (Form::Declare, "caiu tudo"));
        let Reply::Open(opening) = said(&format!("{ID} clientes já volta")) else { panic!() };
        assert_eq!(opening.notes.seen, Some(hash("já volta")));
    }

    #[test]
    fn a_shortcut_declares_also_from_a_message() {
        let shortcut = |name: &str, text: Option<&str>| {
            routed(Payload::Shortcut(ana(), name.to_owned(), text.map(str::to_owned)))
        };
        let Ok(Reply::Open(opening)) = shortcut("declare", Some("a &lt; b")) else { panic!() };
        assert_eq!((opening.form, opening.words.as_str()), (Form::Declare, "a < b"));
        assert!(matches!(shortcut("declare", None), Ok(Reply::Open(_))));
        assert_eq!(shortcut("dance", None), Err(Refusal::Unused("dance".to_owned())));
    }

    #[test]
    fn a_modal_is_done_once_under_its_own_id() {
        let view = |form: &str, values: Value| {
            let notes = Notes::new(Some(ID), Some(REPLY)).text();
            let view = json!({"id": "V7", "callback_id": form, "private_metadata": notes, "state": {"values": values}});
            routed(Payload::Submitted(ana(), serde_json::from_value(view).unwrap()))
        };
        let Ok(Reply::Do(task)) = view("resolve", json!({"reason": {"value": {"value": "voltou"}}})) else {
            panic!()
        };
        assert_eq!((task.cause.as_str(), task.reply.as_deref()), ("slack|V7", Some(REPLY)));
        let Ok(Reply::Wrong(fields)) = view("resolve", json!({})) else { panic!() };
        assert!(fields.contains_key("reason"));
        let more = json!({"form": {"value": {"selected_option": {"value": "merge"}}}});
        let Ok(Reply::Open(opening)) = view("more", more) else { panic!() };
        assert_eq!((opening.form, opening.place), (Form::Merge, Place::Instead));
        let nameless = routed(Payload::Submitted(ana(), View::default()));
        assert_eq!(nameless, Err(Refusal::Field("view.id")));
        assert_eq!(routed(Payload::Closed), Ok(Reply::Done));
        assert_eq!(routed(Payload::SslCheck), Ok(Reply::Done));
        assert_eq!(routed(Payload::Challenge("x".to_owned())), Ok(Reply::Challenge("x".to_owned())));
    }
}
