//! An incident that is a part of another one, the whole, which calls people for both.

use jiff::Timestamp;

use super::decide::untaken;
use super::rows::{flap, page, shown};
use super::{Context, Write};
use crate::incident::{Action, Entry, Incident, Part, State};

/// Whether people know of an incident: somebody has taken it, or they were called. Not while a mute holds its page back.
pub(super) fn has_called(incident: &Incident, now: Timestamp) -> bool {
    incident.state != State::Triggered || incident.paged_at.is_some_and(|at| at <= now)
}

/// Whether the whole answers for a part as the part now is: people were called for the whole, it is not over, and nothing
/// about the part is worse than what they know.
pub(super) fn is_carried(part: &Incident, whole: Option<&Incident>, now: Timestamp) -> bool {
    whole.is_some_and(|whole| {
        whole.is_open()
            && !whole.is_merged()
            && has_called(whole, now)
            && whole.severity <= part.severity
            && (part.is_drill || !whole.is_drill)
    })
}

/// The whole with its parts as they are after a change of one of them; none if they are as before.
pub(super) fn changed(whole: &Incident, part: &Incident) -> Option<Incident> {
    let is_listed = whole.parts.iter().any(|known| known.incident == part.id);
    let is_open = part.is_open() && part.merged_into == whole.id;
    let mut parts = whole.parts.clone();
    match (is_listed, is_open) {
        (false, true) => parts.push(Part { incident: part.id.clone(), title: part.title.clone() }),
        (true, false) => parts.retain(|known| known.incident != part.id),
        (true, true) | (false, false) => return None,
    }
    Some(Incident { version: whole.version + 1, parts, ..whole.clone() })
}

/// The writes of [`changed`].
pub(super) fn writes(whole: Option<&Incident>, part: &Incident, context: &Context<'_>) -> Vec<Write> {
    let Some(changed) = whole.and_then(|whole| changed(whole, part)) else { return vec![] };
    std::iter::once(changed.write()).chain(shown(&changed, context)).collect()
}

/// The writes with which a part calls people for itself, because what answered for it has been over for `flap_minutes`; empty
/// until then, in which the whole may be back and the part may end. `by` does it. Without them, what stays in alarm sends no
/// event, and nobody would speak of it again.
pub fn separate(part: &Incident, whole: Option<&Incident>, by: &str, context: &Context<'_>) -> Vec<Write> {
    let now = context.now;
    let is_over = whole.is_none_or(|whole| {
        let over_at = whole.resolved_at.unwrap_or(whole.last_at);
        !whole.is_open() && now.duration_since(over_at) >= flap(context)
    });
    if !part.is_open() || !part.is_merged() || !is_over {
        return vec![];
    }
    let text = format!("no part of {} any more, which is over", part.merged_into);
    let entry = Entry { at: now, by: by.to_owned(), action: Action::Reopened, text };
    let mute = part.muted.clone().filter(|mute| mute.until > now);
    let version = part.version + 1;
    let mut alone = untaken(Incident { version, merged_into: String::new(), ..part.clone() });
    let rows = page(&mut alone, mute.as_ref(), context);
    let cause = format!("separate|{}", part.merged_into);
    let own = [entry.write(&part.id, &cause), alone.write()];
    own.into_iter().chain(rows).chain(writes(whole, &alone, context)).collect()
}
