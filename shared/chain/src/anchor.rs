//! Anchors: the heads of all chains, named in a second place, so that a bucket that was rewritten consistently shows.
//!
//! Anchors are a chain themselves. An anchor names only heads that a verification has reached, and keeps the head that
//! the anchor before it names for a chain that is not verified.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::fault::{Fault, Harm};
use crate::folder::Folder;
use crate::listing::Listing;
use crate::verify::{Content, State, Verdict, Walk};
use crate::{Head, Link, Pin, Stack, Witness, record, sha256};

/// An anchor, as stored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Anchor {
    schema: u32,
    /// The stack.
    #[serde(flatten)]
    pub stack: Stack,
    /// Its evidence bucket.
    pub bucket: String,
    /// Its place in the chain of anchors: the first one has 1.
    pub sequence: u64,
    /// The anchor before it; none in the first.
    pub previous: Option<Link>,
    /// When it was made.
    pub at: Timestamp,
    /// The heads of the chains, by procedure.
    pub heads: BTreeMap<String, Head>,
}

impl Anchor {
    /// Its key, in the place of the anchors.
    pub fn key(&self) -> String {
        Folder::anchors(&self.stack).key(self.sequence)
    }

    /// Its bytes, as they are stored.
    pub fn bytes(&self) -> Vec<u8> {
        // Text, numbers and maps with text as keys always serialize.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// Reads an anchor.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, Harm> {
        record::read(bytes)
    }

    /// The pin of a procedure's chain, with this witness.
    fn pin(&self, procedure: &str, witness: Witness) -> Option<Pin> {
        let Head { sequence, sha256, .. } = self.heads.get(procedure)?;
        Some(Pin { sequence: *sequence, sha256: Some(sha256.clone()), witness })
    }

    fn witness(&self) -> Witness {
        Witness::Anchor { key: self.key(), at: self.at }
    }
}

/// The newest anchor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Newest {
    /// The anchor.
    pub anchor: Anchor,
    /// Its bytes, as they are stored. Another version of this product would write others.
    pub bytes: Vec<u8>,
}

impl From<Anchor> for Newest {
    fn from(anchor: Anchor) -> Self {
        Self { bytes: anchor.bytes(), anchor }
    }
}

/// The anchor to write after `newest` for these verdicts of all chains, made at `now`; none if it would name the same
/// heads and checkpoints.
///
/// # Errors
///
/// [`Harm::OtherStack`] or [`Harm::OtherBucket`] if the newest anchor is another stack's: two stacks must not share a
/// place.
pub fn next<'a>(
    newest: Option<&Newest>,
    stack: &Stack,
    bucket: &str,
    verdicts: impl IntoIterator<Item = &'a Verdict>,
    now: Timestamp,
) -> Result<Option<Anchor>, Harm> {
    if let Some(Newest { anchor, .. }) = newest {
        own(anchor, stack, bucket)?;
    }
    let named = newest.map(|newest| &newest.anchor.heads);
    let mut heads = named.cloned().unwrap_or_default();
    for verdict in verdicts {
        let Some(head) = verdict.head.as_ref().filter(|_| verdict.state() == State::Verified) else {
            continue;
        };
        // A shorter chain is no news, even where a verification did not know the anchors.
        let is_news = |named: &Head| {
            let is_kept = head.checkpoint.is_none() || named.checkpoint == head.checkpoint;
            named.sequence < head.sequence || (named.sha256 == head.sha256 && !is_kept)
        };
        if heads.get(&verdict.chain).is_none_or(is_news) {
            heads.insert(verdict.chain.clone(), head.clone());
        }
    }
    if named.map_or(heads.is_empty(), |named| *named == heads) {
        return Ok(None);
    }
    Ok(Some(Anchor {
        schema: 1,
        stack: stack.clone(),
        bucket: bucket.to_owned(),
        sequence: newest.map_or(1, |newest| newest.anchor.sequence.saturating_add(1)),
        previous: newest.map(|newest| Link { key: newest.anchor.key(), sha256: sha256(&newest.bytes) }),
        at: now,
        heads,
    }))
}

/// Checks that an anchor is this stack's.
fn own(anchor: &Anchor, stack: &Stack, bucket: &str) -> Result<(), Harm> {
    if anchor.stack != *stack {
        return Err(Harm::OtherStack { says: anchor.stack.clone() });
    }
    if anchor.bucket != bucket {
        return Err(Harm::OtherBucket { says: anchor.bucket.clone() });
    }
    Ok(())
}

/// All anchors of a stack, verified as a chain, fed one at a time.
#[derive(Debug)]
pub struct Anchors {
    walk: Walk,
    stack: Stack,
    bucket: Option<String>,
    /// Pins by procedure: one for each head that the anchor before did not name.
    pins: BTreeMap<String, Vec<Pin>>,
    copies: Vec<(Anchor, Witness)>,
    newest: Option<Newest>,
}

impl Anchors {
    /// No anchor yet. Anchors must name this evidence bucket; without it, that of the first anchor.
    pub fn new(stack: Stack, bucket: Option<&str>) -> Self {
        let walk = Walk::new(Folder::anchors(&stack));
        Self {
            walk,
            stack,
            bucket: bucket.map(str::to_owned),
            pins: BTreeMap::new(),
            copies: Vec::new(),
            newest: None,
        }
    }

    /// Takes the list of versions into account.
    #[must_use]
    pub fn listed(mut self, listing: &Listing) -> Self {
        self.walk.listed(listing);
        self
    }

    /// Takes into account the anchor that an earlier verification found to be the newest.
    #[must_use]
    pub fn known(mut self, sequence: u64, sha256: &str) -> Self {
        self.walk.pins.push(Pin { sequence, sha256: Some(sha256.to_owned()), witness: Witness::Earlier });
        self
    }

    /// Begins at an anchor that is [known](Anchors::known), or before it, where a copy is older. Those before are not read
    /// again; the first one's link to them is not checked. After every [copy](Anchors::witnessed).
    #[must_use]
    pub fn starting(mut self, sequence: u64) -> Self {
        self.walk.starting(self.copies.iter().map(|(copy, _)| copy.sequence).fold(sequence, u64::min));
        self
    }

    /// Takes a copy of an anchor into account, such as the one committed to a repository. It must equal the anchor of its
    /// number, and says what that one says. `origin` names the copy in faults; it stands for a key.
    #[must_use]
    pub fn witnessed(mut self, origin: &str, bytes: &[u8]) -> Self {
        let bucket = self.bucket.clone();
        let copy = Anchor::read(bytes).and_then(|copy| {
            own(&copy, &self.stack, bucket.as_deref().unwrap_or(&copy.bucket))?;
            if copy.sequence > 0 { Ok(copy) } else { Err(Harm::Misplaced { says: 0 }) }
        });
        match copy {
            Ok(copy) => {
                let witness = Witness::Anchor { key: origin.to_owned(), at: copy.at };
                let sha256 = Some(sha256(bytes));
                self.walk.pins.push(Pin { sequence: copy.sequence, sha256, witness: witness.clone() });
                self.copies.push((copy, witness));
            }
            Err(harm) => self.walk.fault(None, origin, harm),
        }
        self
    }

    /// Sequence of the first anchor that is to be read.
    pub fn from(&self) -> u64 {
        self.walk.from()
    }

    /// Takes the next anchor, in ascending order of the sequence (descending order of the key).
    pub fn anchor(&mut self, key: &str, bytes: &[u8]) {
        let anchor = Anchor::read(bytes).and_then(|anchor| {
            let bucket = self.bucket.as_deref().unwrap_or(&anchor.bucket);
            own(&anchor, &self.stack, bucket).map(|()| anchor)
        });
        let found = anchor.as_ref().map_err(Clone::clone).map(|anchor| Content {
            sequence: anchor.sequence,
            previous: anchor.previous.clone(),
            at: anchor.at,
        });
        let in_place = self.walk.object(key, bytes, found);
        let (Some(sequence), Ok(anchor)) = (in_place, anchor) else { return };
        self.bucket.get_or_insert_with(|| anchor.bucket.clone());
        let named = |procedure: &String| anchor.heads.get(procedure).map_or(0, |head| head.sequence);
        let is_less = |(procedure, pins): (&String, &Vec<Pin>)| {
            pins.last().is_some_and(|last| named(procedure) < last.sequence)
        };
        // No run writes one that names an earlier head than the one before it, or none where that one names one.
        if self.pins.iter().any(is_less) {
            let reason = "it names less than the anchor before it".to_owned();
            self.walk.fault(Some(sequence), key, Harm::Invalid { reason });
        }
        for procedure in anchor.heads.keys() {
            let pins = self.pins.entry(procedure.clone()).or_default();
            add(pins, anchor.pin(procedure, anchor.witness()));
        }
        self.newest = Some(Newest { anchor, bytes: bytes.to_vec() });
    }

    /// Takes the next anchor, which is too large to be read.
    pub fn large(&mut self, key: &str, bytes: u64) {
        self.walk.object(key, &[], Err(Harm::TooLarge { bytes }));
    }

    /// Takes the next anchor, whose bytes could not be read.
    pub fn unread(&mut self, key: &str, reason: &str) {
        self.walk.unread(key, reason);
    }

    /// The pins of a procedure's chain, for [`Verifier::witnessed`](crate::Verifier::witnessed). Anchors
    /// that name the same record in the same way count once, by the oldest.
    pub fn pins(&self, procedure: &str) -> Vec<Pin> {
        let mut pins = self.pins.get(procedure).cloned().unwrap_or_default();
        for (copy, witness) in &self.copies {
            add(&mut pins, copy.pin(procedure, witness.clone()));
        }
        pins
    }

    /// The procedures that any anchor names.
    pub fn procedures(&self) -> impl Iterator<Item = &str> {
        let copied = self.copies.iter().flat_map(|(copy, _)| copy.heads.keys());
        self.pins.keys().chain(copied).map(String::as_str).collect::<BTreeSet<_>>().into_iter()
    }

    /// The checkpoint that the newest anchor names for a procedure's chain.
    pub fn checkpoint(&self, procedure: &str) -> Option<&str> {
        self.newest.as_ref()?.anchor.heads.get(procedure)?.checkpoint.as_deref()
    }

    /// The faults so far. With [copies](Anchors::witnessed) alone there are no others.
    pub fn faults(&self) -> &[Fault] {
        &self.walk.faults
    }

    /// When the latest of the anchors and [copies](Anchors::witnessed) was made, as it says.
    pub fn latest(&self) -> Option<Timestamp> {
        let newest = self.newest.as_ref().map(|newest| newest.anchor.at);
        self.copies.iter().map(|(copy, _)| copy.at).chain(newest).max()
    }

    /// The newest anchor that was read, in its place.
    pub fn newest(&self) -> Option<&Newest> {
        self.newest.as_ref()
    }

    /// Ends the verification of the anchors' own chain. [`Anchors::pins`] before.
    pub fn finish(self) -> Verdict {
        self.walk.finish()
    }
}

/// Adds what an anchor knows, unless the one before it knows the same.
fn add(pins: &mut Vec<Pin>, pin: Option<Pin>) {
    let last = pins.last().map(|last| (last.sequence, last.sha256.clone()));
    pins.extend(pin.filter(|pin| last != Some((pin.sequence, pin.sha256.clone()))));
}
