//! Verifies one chain, object by object.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::fault::{Fault, Harm, Unknown};
use crate::folder::Folder;
use crate::listing::{Listing, gaps};
use crate::note::Notes;
use crate::record::Record;
use crate::{Head, Link, Pin, Stack, Witness, sha256};

/// A record that S3 stored later after its run's end than this is told, but no fault: a report may be repeated days
/// later, and so is a bucket that was replaced.
const LATE: SignedDuration = SignedDuration::from_hours(24);

/// The result of a chain's verification.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// The chain: its procedure, or `anchors`.
    pub chain: String,
    /// The newest object in its place.
    pub head: Option<Head>,
    /// Number of objects in their place that were read.
    pub read: u64,
    /// Sequence of the first object that was to be read: 1, unless the verification began after a head.
    pub from: u64,
    /// Faults, by place.
    pub faults: Vec<Fault>,
    /// Objects that could not be read.
    pub unknown: Vec<Unknown>,
    /// The newest anchor that names an object that was read, and agrees.
    pub anchored: Option<Pin>,
    /// Records that S3 stored late.
    pub late: Option<Late>,
}

/// Records that S3 stored long after the end of their runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Late {
    /// How many.
    pub records: u64,
    /// The longest time between.
    pub longest: SignedDuration,
}

/// The state of a chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Every object was read, and nothing is wrong.
    Verified,
    /// Something is wrong.
    Damaged,
    /// Nothing is known to be wrong, and something could not be read.
    Unknown,
    /// It has no object, and no witness knows any.
    Empty,
}

impl Verdict {
    /// The state of the chain.
    pub fn state(&self) -> State {
        if !self.faults.is_empty() {
            State::Damaged
        } else if !self.unknown.is_empty() {
            State::Unknown
        } else if self.head.is_none() {
            State::Empty
        } else {
            State::Verified
        }
    }
}

/// Verifies a procedure's records, fed one at a time.
#[derive(Debug)]
pub struct Verifier {
    walk: Walk,
    stack: Option<Stack>,
    notes: Option<Notes>,
    /// Whether a record was read whose run had noted its place. Chains may be older than the notes.
    is_noted: bool,
    unnoted: u64,
    late: Option<Late>,
}

impl Verifier {
    /// A verification from the first record on.
    pub fn new(procedure: &str) -> Self {
        let walk = Walk::new(Folder::records(procedure));
        Self { walk, stack: None, notes: None, is_noted: false, unnoted: 0, late: None }
    }

    /// Records must belong to this stack; without it, to that of the first record.
    #[must_use]
    pub fn of(mut self, stack: Stack) -> Self {
        self.stack = Some(stack);
        self
    }

    /// Takes the list of versions into account.
    #[must_use]
    pub fn listed(mut self, listing: &Listing) -> Self {
        self.walk.listed(listing);
        self
    }

    /// Begins after a record that an earlier verification found to be the head.
    #[must_use]
    pub fn after(mut self, head: Head) -> Self {
        self.walk.after(head);
        self
    }

    /// Begins at a record whose link to the one before it cannot be checked.
    #[must_use]
    pub fn starting(mut self, sequence: u64) -> Self {
        self.walk.starting(sequence);
        self
    }

    /// Takes witnesses into account: those of [`Anchors::pins`](crate::anchor::Anchors::pins), and the head that an earlier
    /// verification found, as [`Head::pin`]. Those about records before the first one that is read are not checked.
    #[must_use]
    pub fn witnessed(mut self, pins: impl IntoIterator<Item = Pin>) -> Self {
        self.walk.pins.extend(pins);
        self
    }

    /// Takes all the procedure's notes into account, which shows records that no run noted.
    #[must_use]
    pub fn noted(mut self, notes: Notes) -> Self {
        self.walk.pins.extend(notes.pins());
        self.walk.unknown.extend(notes.unknown().iter().cloned());
        self.notes = Some(notes);
        self
    }

    /// Takes the next object, in ascending order of the sequence (descending order of the key), and the time when S3
    /// stored it, if known. Returns the record, unless it is none, or one in a wrong place.
    pub fn record<'a>(
        &mut self,
        key: &str,
        bytes: &'a [u8],
        stored: Option<Timestamp>,
    ) -> Option<Record<'a>> {
        let record = Record::read(bytes, self.walk.folder.chain(), self.stack.as_ref());
        let (found, record) = match record {
            Ok(record) => {
                let content = Content {
                    sequence: record.sequence,
                    previous: record.previous.clone(),
                    at: record.ended,
                };
                (Ok(content), Some(record))
            }
            Err(harm) => (Err(harm), None),
        };
        let sequence = self.walk.object(key, bytes, found)?;
        let record = record?;
        self.stack.get_or_insert_with(|| record.stack());
        if let Some(stored) = stored {
            self.stored(stored.duration_since(record.ended));
        }
        if let Some(notes) = &self.notes {
            let noted = notes.place(&record.run_id);
            if noted == Some(sequence) {
                self.is_noted = true;
            } else if self.is_noted || noted.is_some() {
                self.walk.fault(Some(sequence), key, Harm::Unnoted { noted });
            } else {
                self.unnoted += 1;
            }
        }
        Some(record)
    }

    fn stored(&mut self, after: SignedDuration) {
        if after > LATE {
            let Late { records, longest } = self.late.unwrap_or(Late { records: 0, longest: after });
            self.late = Some(Late { records: records + 1, longest: longest.max(after) });
        }
    }

    /// Takes the next object, which is too large to be read: more than [`MOST_BYTES`](crate::MOST_BYTES).
    pub fn large(&mut self, key: &str, bytes: u64) {
        self.walk.object(key, &[], Err(Harm::TooLarge { bytes }));
    }

    /// Takes the next object, whose bytes could not be read.
    pub fn unread(&mut self, key: &str, reason: &str) {
        self.walk.unread(key, reason);
    }

    /// Number of records read so far without a note of their run and before the first one with a note: the chain is older
    /// than the notes, or they were deleted. 0 where [notes](Verifier::noted) are not taken into account.
    pub fn unnoted(&self) -> u64 {
        self.unnoted
    }

    /// Ends the verification: every object that exists was taken.
    pub fn finish(self) -> Verdict {
        Verdict { late: self.late, ..self.walk.finish() }
    }
}

/// An object's statement of its place.
pub(crate) struct Content {
    pub(crate) sequence: u64,
    pub(crate) previous: Option<Link>,
    pub(crate) at: Timestamp,
}

/// The course through a chain's objects, whatever they hold.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) folder: Folder,
    pub(crate) pins: Vec<Pin>,
    pub(crate) unknown: Vec<Unknown>,
    pub(crate) faults: Vec<Fault>,
    hidden: BTreeSet<u64>,
    from: u64,
    /// The head that the verification begins after.
    begun: Option<Head>,
    /// Sequence of the object that should come next.
    next: u64,
    /// SHA-256 of the object before `next`; none if it is missing, or is no object of this place.
    before: Option<String>,
    /// `pins` by sequence, once the first object is taken.
    sorted: Option<BTreeMap<u64, Vec<Pin>>>,
    head: Option<Head>,
    read: u64,
    anchored: Option<Pin>,
}

impl Walk {
    pub(crate) fn new(folder: Folder) -> Self {
        Self {
            folder,
            pins: Vec::new(),
            unknown: Vec::new(),
            faults: Vec::new(),
            hidden: BTreeSet::new(),
            from: 1,
            begun: None,
            next: 1,
            before: None,
            sorted: None,
            head: None,
            read: 0,
            anchored: None,
        }
    }

    pub(crate) fn listed(&mut self, listing: &Listing) {
        self.faults.extend(listing.faults.iter().cloned());
        self.hidden.clone_from(&listing.hidden);
    }

    pub(crate) fn after(&mut self, head: Head) {
        self.starting(head.sequence.saturating_add(1));
        self.before = Some(head.sha256.clone());
        self.begun = Some(head.clone());
        self.head = Some(head);
    }

    pub(crate) fn from(&self) -> u64 {
        self.from
    }

    pub(crate) fn starting(&mut self, sequence: u64) {
        (self.from, self.next) = (sequence, sequence);
    }

    pub(crate) fn fault(&mut self, sequence: Option<u64>, key: &str, harm: Harm) {
        let chain = self.folder.chain().to_owned();
        self.faults.push(Fault { chain, sequence, key: key.to_owned(), harm });
    }

    /// Takes an object, and what it says or why it says nothing. Returns its sequence if it is one of its place.
    pub(crate) fn object(&mut self, key: &str, bytes: &[u8], found: Result<Content, Harm>) -> Option<u64> {
        let sequence = self.arrive(key)?;
        let before = self.before.take();
        match found {
            Err(harm) => self.fault(Some(sequence), key, harm),
            Ok(Content { sequence: says, .. }) if says != sequence => {
                self.fault(Some(sequence), key, Harm::Misplaced { says });
            }
            Ok(Content { previous, at, .. }) => {
                self.link(sequence, key, before.as_deref(), previous.as_ref());
                let sha256 = sha256(bytes);
                self.compare(sequence, key, &sha256);
                self.read += 1;
                self.head = Some(Head { sequence, sha256: sha256.clone(), ended: at, checkpoint: None });
                self.before = Some(sha256);
                return Some(sequence);
            }
        }
        None
    }

    pub(crate) fn unread(&mut self, key: &str, reason: &str) {
        let sequence = self.arrive(key);
        self.before = None;
        let (chain, key, reason) = (self.folder.chain().to_owned(), key.to_owned(), reason.to_owned());
        self.unknown.push(Unknown { chain, sequence, key, reason });
    }

    /// The sequence of the next object; none if it has none, or comes too late. Names those missing before it.
    fn arrive(&mut self, key: &str) -> Option<u64> {
        let Some(sequence) = self.folder.sequence(key) else {
            self.fault(None, key, Harm::Foreign);
            return None;
        };
        if sequence < self.next {
            let (chain, key) = (self.folder.chain().to_owned(), key.to_owned());
            let reason = "it was not given in the chain's order".to_owned();
            self.unknown.push(Unknown { chain, sequence: Some(sequence), key, reason });
            return None;
        }
        if sequence > self.next {
            self.faults.extend(gaps(&self.folder, self.next, sequence, &self.hidden));
            self.before = None;
        }
        self.next = sequence.saturating_add(1);
        Some(sequence)
    }

    /// Compares an object's link with the object before it.
    fn link(&mut self, sequence: u64, key: &str, before: Option<&str>, previous: Option<&Link>) {
        let earlier = sequence.checked_sub(1).filter(|earlier| *earlier > 0);
        let place = earlier.map(|earlier| self.folder.key(earlier));
        if place.as_ref() != previous.map(|link| &link.key) {
            self.fault(Some(sequence), key, Harm::Mislinked);
            return;
        }
        let (Some(place), Some(link), Some(before)) = (place, previous, before) else { return };
        if link.sha256 != before {
            self.fault(earlier, &place, Harm::Altered { by: sequence });
        }
    }

    /// Compares an object with what witnesses know about it.
    fn compare(&mut self, sequence: u64, key: &str, sha256: &str) {
        for pin in self.sorted().remove(&sequence).unwrap_or_default() {
            match &pin.sha256 {
                Some(expected) if expected != sha256 => {
                    self.fault(Some(sequence), key, Harm::Contradicted { witness: pin.witness });
                }
                _ if !matches!(pin.witness, Witness::Anchor { .. }) => {}
                _ if self.anchored.as_ref().is_none_or(|newest| newest.sequence <= sequence) => {
                    self.anchored = Some(pin);
                }
                _ => {}
            }
        }
    }

    fn sorted(&mut self) -> &mut BTreeMap<u64, Vec<Pin>> {
        let pins = &mut self.pins;
        self.sorted.get_or_insert_with(|| {
            let mut sorted = BTreeMap::<u64, Vec<Pin>>::new();
            for pin in pins.drain(..) {
                sorted.entry(pin.sequence).or_default().push(pin);
            }
            sorted
        })
    }

    pub(crate) fn finish(mut self) -> Verdict {
        if let Some(head) = self.begun.take() {
            self.compare(head.sequence, &self.folder.key(head.sequence), &head.sha256);
        }
        let (next, hidden) = (self.next, std::mem::take(&mut self.hidden));
        let beyond = self.sorted().split_off(&next);
        // One witness suffices: the one that knows the longest chain, an anchor before others.
        let longest = beyond.into_iter().rfind(|(sequence, _)| !hidden.contains(sequence));
        if let Some((sequence, pins)) = longest {
            let key = self.folder.key(sequence);
            let is_gone = self.head.is_none() && hidden.is_empty();
            if let Some(witness) = pins.into_iter().map(|pin| pin.witness).max() {
                let harm =
                    if is_gone { Harm::Gone { witness } } else { Harm::Truncated { witness, end: next - 1 } };
                self.fault(Some(sequence), &key, harm);
            }
        }
        self.faults.sort_by(|one, other| (one.sequence, one).cmp(&(other.sequence, other)));
        self.faults.dedup();
        Verdict {
            chain: self.folder.chain().to_owned(),
            head: self.head,
            read: self.read,
            from: self.from,
            faults: self.faults,
            unknown: self.unknown,
            anchored: self.anchored,
            late: None,
        }
    }
}
