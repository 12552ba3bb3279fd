//! Every row of a table: counts, key ranges and hashes, made in the server.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio_postgres::{Client, SimpleQueryRow};

use crate::reading::Failure;
use crate::session::{flag, json, optional, row, rows, value};
use crate::structure::{USERS, own};

/// Number of buckets that a table's rows are divided into, by the hash of their key.
pub const BUCKETS: usize = 256;

/// Bytes of one bucket: two sums of 64 bits.
const BUCKET_BYTES: usize = 16;

/// All rows of a table.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Content {
    /// Their number.
    pub rows: u64,
    /// Their hashes.
    pub buckets: Buckets,
    /// Whether all rows were read in one snapshot. Else another session may have moved rows between ranges, and
    /// the figures only are near.
    pub one_snapshot: bool,
}

/// Two sums of 64 bits per bucket, modulo 2^64; both of a hash of the whole row's text. Order of rows does not matter.
///
/// Base64 in JSON; empty if all are zero.
#[derive(Clone, Debug, Default)]
pub struct Buckets(Vec<[u64; 2]>);

impl PartialEq for Buckets {
    fn eq(&self, other: &Self) -> bool {
        self.differing(other).next().is_none()
    }
}

impl Eq for Buckets {}

impl Buckets {
    /// Adds to a bucket; what lies beyond the last is ignored.
    pub fn add(&mut self, bucket: usize, sums: [u64; 2]) {
        if self.0.is_empty() {
            self.0 = vec![[0; 2]; BUCKETS];
        }
        if let Some([first, second]) = self.0.get_mut(bucket) {
            *first = first.wrapping_add(sums[0]);
            *second = second.wrapping_add(sums[1]);
        }
    }

    /// The sums of a bucket.
    pub fn get(&self, bucket: usize) -> [u64; 2] {
        self.0.get(bucket).copied().unwrap_or_default()
    }

    /// Numbers of the buckets that differ.
    pub fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        (0..BUCKETS).filter(|bucket| self.get(*bucket) != other.get(*bucket))
    }
}

impl Serialize for Buckets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flatten().flat_map(|sum| sum.to_le_bytes()).collect();
        if bytes.iter().all(|byte| *byte == 0) {
            return serializer.serialize_str("");
        }
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Buckets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        if !bytes.is_empty() && bytes.len() != BUCKETS * BUCKET_BYTES {
            return Err(D::Error::custom("not the size of all buckets"));
        }
        let sum = |bytes: &[u8]| bytes.iter().rev().fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
        let bucket = |bytes: &[u8]| {
            let (first, second) = bytes.split_at(BUCKET_BYTES / 2);
            [sum(first), sum(second)]
        };
        Ok(Self(bytes.chunks_exact(BUCKET_BYTES).map(bucket).collect()))
    }
}

/// Least and greatest primary key in the server's order, as text. UUIDs, times and numbers that a sequence gives appear
/// as they are. Others can be personal data, e.g. a CPF: of them 16 bits of the hash, which many values share.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeyRange {
    /// The least.
    pub least: String,
    /// The greatest.
    pub greatest: String,
}

/// Hash of the first rows in order of the primary key.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sample {
    /// Their number.
    pub rows: u64,
    /// Both sums.
    pub sums: [u64; 2],
}

/// A table of which some ranges are read.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Progress {
    /// Ranges that are left.
    pub left: Vec<Span>,
    /// What was read.
    pub content: Content,
}

/// Blocks of a table, without the one at `to`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Span {
    /// The first block.
    pub from: u32,
    /// The block after the last; `None` for the end of the table.
    pub to: Option<u32>,
    /// Whether a larger range took too long: it is not divided again.
    pub narrow: bool,
}

/// Bytes that one statement reads, TOAST included, except where a server cannot read ranges.
const STEP: u64 = 64 << 20;

/// Least number of parts that a range is divided into after it took too long.
const PARTS: u32 = 8;

/// Most blocks of such a part: 64 MiB.
const PART_BLOCKS: u32 = 8192;

/// Stands for NULL in a row's hash. A value that equals it would hide such a change; none is likely to.
const NULL_TEXT: &str = r"E'\001\002'";

/// A column, as the server quotes it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(crate) struct Column {
    /// Quoted name.
    pub(crate) name: String,
    /// Name of the built-in type; empty for others.
    pub(crate) kind: String,
    /// Whether a sequence or another default gives its values.
    pub(crate) given: bool,
}

/// A table that holds rows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Source {
    /// Object identifier on this server.
    pub(crate) oid: u32,
    /// Qualified name.
    pub(crate) name: String,
    /// Whether it is unlogged.
    pub(crate) unlogged: bool,
    /// Whether its rows are on another server.
    pub(crate) foreign: bool,
    /// Columns in order of their names.
    pub(crate) columns: Vec<Column>,
    /// Columns of the primary key.
    pub(crate) key: Vec<Column>,
}

/// Tables, partitions and populated materialized views; and the list of large objects if there are any.
pub(crate) async fn tables(client: &Client) -> Result<Vec<Source>, Failure> {
    let kind = "CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname::text ELSE '' END";
    let column = format!(
        "json_build_object('name', quote_ident(a.attname), 'kind', {kind},
        'given', a.atthasdef OR a.attidentity <> '')"
    );
    let class = own("pg_class", "c.oid");
    let sql = format!(
        "SELECT c.oid, c.oid::regclass, c.relpersistence = 'u', c.relkind = 'f',
            coalesce((SELECT json_agg({column} ORDER BY a.attname::text COLLATE \"C\")
                FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]'),
            coalesce((SELECT json_agg({column} ORDER BY k.position)
                FROM pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY k(number, position)
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number JOIN pg_type t ON t.oid = a.atttypid
                WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid AND k.position <= i.indnkeyatts), '[]')
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE (c.relkind IN ('r', 'f') OR c.relkind = 'm' AND c.relispopulated) AND {USERS} AND {class}
            OR c.oid = 'pg_largeobject_metadata'::regclass AND EXISTS (SELECT FROM pg_largeobject_metadata)"
    );
    let table = |row| {
        Ok(Source {
            oid: value(row, 0)?,
            name: value(row, 1)?,
            unlogged: flag(row, 2),
            foreign: flag(row, 3),
            columns: json(row, 4)?,
            key: json(row, 5)?,
        })
    };
    rows(client, &sql).await?.iter().map(table).collect()
}

/// Size in bytes with TOAST, and in blocks without. Waits for whoever holds the table's exclusive lock.
pub(crate) async fn size(client: &Client, oid: u32) -> Result<(u64, u32), Failure> {
    let sql =
        format!("SELECT pg_table_size({oid}), pg_relation_size({oid}) / current_setting('block_size')::int8");
    let sizes = row(client, &sql).await?;
    Ok((value(&sizes, 0)?, value(&sizes, 1)?))
}

impl Source {
    /// SQL for the hash of a row: each column's value hashed with the hash of the columns before it as its seed, so
    /// that a value cannot move to another column or row unseen. Types whose text is slow and whose hash of its own has
    /// 64 bits take that; all others their text. Of both, 13 to 18 compute the same. The text of users' types is that of
    /// `format`: their owner may have made a cast to text, which would run with the reader's rights and can hide a change.
    fn hash(columns: &[Column]) -> String {
        columns.iter().fold("0::int8".to_owned(), |seed, Column { name, kind, .. }| match kind.as_str() {
            "int2" | "int4" | "int8" => {
                format!("hashint8extended(coalesce({name}::int8, -8446744073709551557), {seed})")
            }
            "uuid" => {
                format!(
                    "uuid_hash_extended(coalesce({name}, '018f3ac1-9b1e-7d55-b7a1-6ab0c6f2d901'::uuid), {seed})"
                )
            }
            "timestamp" | "timestamptz" => {
                format!("timestamp_hash_extended(coalesce({name}::timestamp, '4001-02-03 BC'), {seed})")
            }
            "" => format!("hashtextextended(format('%L', {name}) COLLATE \"C\", {seed})"),
            _ => format!("hashtextextended(coalesce({name}::text, {NULL_TEXT}) COLLATE \"C\", {seed})"),
        })
    }

    /// SQL for count and sums of a range, by bucket.
    fn content(&self, span: Span) -> String {
        let bucket = if self.key.is_empty() { "h".to_owned() } else { Self::hash(&self.key) };
        // Without OFFSET the server would compute each hash twice.
        let rows = format!(
            "SELECT {} AS h{} FROM ONLY {}{} OFFSET 0",
            Self::hash(&self.columns),
            if self.key.is_empty() { String::new() } else { format!(", {bucket} AS b") },
            self.name,
            span.condition()
        );
        let bucket = if self.key.is_empty() { "h" } else { "b" };
        format!(
            "SELECT {bucket} & {}, count(*), sum(h), sum(hashint8extended(h, 1)) FROM ({rows}) r GROUP BY 1",
            BUCKETS - 1
        )
    }

    /// Reads and hashes a range.
    pub(crate) async fn read(&self, client: &Client, span: Span) -> Result<Content, Failure> {
        let mut content = Content { one_snapshot: true, ..Content::default() };
        for row in rows(client, &self.content(span)).await? {
            content.rows = content.rows.saturating_add(value(&row, 1)?);
            content.buckets.add(value(&row, 0)?, [sum(&row, 2)?, sum(&row, 3)?]);
        }
        Ok(content)
    }

    /// Reads least and greatest key.
    pub(crate) async fn keys(&self, client: &Client) -> Result<Option<KeyRange>, Failure> {
        if self.key.is_empty() {
            return Ok(None);
        }
        let plain = |column: &Column| match column.kind.as_str() {
            "int2" | "int4" | "int8" => column.given,
            kind => matches!(kind, "uuid" | "timestamptz" | "date"),
        };
        let text = if self.key.iter().all(plain) {
            format!("concat_ws(' ', {})", names("", &self.key, ""))
        } else {
            format!("to_hex({} & 65535)", Self::hash(&self.key))
        };
        let table = &self.name;
        let sql = format!(
            "SELECT (SELECT {text} FROM ONLY {table} t ORDER BY {} LIMIT 1), (SELECT {text} FROM ONLY {table} t ORDER BY {} LIMIT 1)",
            names("t.", &self.key, ""),
            names("t.", &self.key, " DESC")
        );
        let row = row(client, &sql).await?;
        let (least, greatest) = (optional(&row, 0)?, optional(&row, 1)?);
        Ok(least.zip(greatest).map(|(least, greatest)| KeyRange { least, greatest }))
    }

    /// Reads and hashes the first rows.
    pub(crate) async fn sample(&self, client: &Client, limit: u32) -> Result<Option<Sample>, Failure> {
        if self.key.is_empty() {
            return Ok(None);
        }
        let sql = format!(
            "SELECT count(*), coalesce(sum(h), 0), coalesce(sum(hashint8extended(h, 1)), 0)
            FROM (SELECT {} AS h FROM ONLY {} t ORDER BY {} LIMIT {limit}) r",
            Self::hash(&self.columns),
            self.name,
            names("t.", &self.key, "")
        );
        let row = row(client, &sql).await?;
        Ok(Some(Sample { rows: value(&row, 0)?, sums: [sum(&row, 1)?, sum(&row, 2)?] }))
    }
}

fn names(prefix: &str, columns: &[Column], suffix: &str) -> String {
    let names: Vec<String> =
        columns.iter().map(|column| format!("{prefix}{}{suffix}", column.name)).collect();
    names.join(", ")
}

/// The server's exact sum, modulo 2^64.
fn sum(row: &SimpleQueryRow, column: usize) -> Result<u64, Failure> {
    let sum: i128 = value(row, column)?;
    // Two's complement makes the remainder of negative sums right.
    u64::try_from(sum.rem_euclid(1 << 64)).map_err(|_| Failure::answer())
}

impl Content {
    /// Adds what was read of another range.
    pub(crate) fn add(&mut self, other: &Self) {
        self.rows = self.rows.saturating_add(other.rows);
        for bucket in 0..BUCKETS {
            let sums = other.buckets.get(bucket);
            if sums != [0; 2] {
                self.buckets.add(bucket, sums);
            }
        }
    }
}

impl Progress {
    /// Nothing read yet.
    pub(crate) fn new() -> Self {
        Self { left: vec![Span::ALL], content: Content { one_snapshot: true, ..Content::default() } }
    }
}

impl Span {
    /// The whole table.
    pub(crate) const ALL: Self = Self { from: 0, to: None, narrow: false };

    /// SQL that selects its rows; empty for the whole table.
    pub(crate) fn condition(self) -> String {
        if self.from == 0 && self.to.is_none() {
            return String::new();
        }
        let to = self.to.map(|to| format!(" AND ctid < '({to},0)'")).unwrap_or_default();
        format!(" WHERE ctid >= '({},0)'{to}", self.from)
    }

    /// Divides ranges so that each has about [`STEP`] bytes of a table of that many bytes and blocks.
    pub(crate) fn steps(left: &[Self], bytes: u64, blocks: u32) -> Vec<Self> {
        let parts = u32::try_from(bytes.div_ceil(STEP)).unwrap_or(u32::MAX);
        left.iter().flat_map(|span| span.divide(blocks, blocks.div_ceil(parts.max(1)))).collect()
    }

    /// The same range in parts of that many blocks, the last of which ends where it ends.
    fn divide(self, blocks: u32, step: u32) -> Vec<Self> {
        let end = self.to.unwrap_or(blocks);
        if self.narrow || step == 0 || end <= self.from.saturating_add(step) {
            return vec![self];
        }
        let starts = (self.from..end).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        let part = |from: u32| {
            let to = from.saturating_add(step);
            Self { from, to: if to < end { Some(to) } else { self.to }, narrow: false }
        };
        starts.map(part).collect()
    }

    /// Smaller ranges after it took too long; `None` if it cannot be divided again.
    pub(crate) fn narrowed(self, blocks: u32) -> Option<Vec<Self>> {
        let length = self.to.unwrap_or(blocks).saturating_sub(self.from);
        if self.narrow || length < 2 {
            return None;
        }
        let parts = self.divide(blocks, length.div_ceil(PARTS).min(PART_BLOCKS));
        Some(parts.into_iter().map(|part| Self { narrow: true, ..part }).collect())
    }

    /// Blocks that are in none of the ranges, of a table of any size.
    pub(crate) fn outside(left: &[Self]) -> u64 {
        let length = |span: &Self| u64::from(span.to.unwrap_or(u32::MAX).saturating_sub(span.from));
        u64::from(u32::MAX).saturating_sub(left.iter().map(length).sum())
    }

    /// Takes a range out of those that are left.
    pub(crate) fn remove(left: &mut Vec<Self>, done: Self) {
        let rest = |span: &Self| {
            let inside = span.from <= done.from
                && match (span.to, done.to) {
                    (None, _) => true,
                    (Some(_), None) => false,
                    (Some(end), Some(to)) => to <= end,
                };
            if !inside {
                return vec![*span];
            }
            let before = (span.from < done.from).then_some(Self { to: Some(done.from), ..*span });
            let after = done.to.filter(|to| span.to != Some(*to)).map(|to| Self { from: to, ..*span });
            before.into_iter().chain(after).collect()
        };
        *left = left.iter().flat_map(rest).collect();
    }

    /// Puts smaller ranges in the place of one that took too long.
    pub(crate) fn replace(left: &mut Vec<Self>, large: Self, small: Option<Vec<Self>>) {
        Self::remove(left, large);
        left.extend(small.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: u32, to: Option<u32>) -> Span {
        Span { from, to, narrow: false }
    }

    #[test]
    fn buckets_keep_their_sums_in_json() {
        let mut buckets = Buckets::default();
        assert_eq!(serde_json::to_string(&buckets).unwrap(), r#""""#);
        buckets.add(0, [1, u64::MAX]);
        buckets.add(255, [2, 3]);
        buckets.add(255, [u64::MAX, 3]);
        buckets.add(256, [7, 7]);
        assert_eq!((buckets.get(0), buckets.get(255), buckets.get(256)), ([1, u64::MAX], [1, 6], [0, 0]));
        let json = serde_json::to_string(&buckets).unwrap();
        assert!(json.len() < 6000, "{}", json.len());
        assert_eq!(serde_json::from_str::<Buckets>(&json).unwrap(), buckets);
        assert_eq!(buckets.differing(&Buckets::default()).collect::<Vec<_>>(), [0, 255]);
        assert!(serde_json::from_str::<Buckets>(r#""AAAA""#).is_err());
    }

    #[test]
    fn all_zero_sums_equal_none() {
        let mut zero = Buckets::default();
        zero.add(9, [0, 0]);
        assert_eq!(zero, Buckets::default());
    }

    #[test]
    fn a_large_table_is_read_in_steps_whose_last_has_no_end() {
        for (bytes, blocks, expected) in [
            (0, 0, vec![span(0, None)]),
            (STEP, 8192, vec![span(0, None)]),
            (STEP + 1, 8192, vec![span(0, Some(4096)), span(4096, None)]),
            // A table whose rows lie in TOAST.
            (3 * STEP, 5, vec![span(0, Some(2)), span(2, Some(4)), span(4, None)]),
            (9 * STEP, 1, vec![span(0, None)]),
        ] {
            assert_eq!(Span::steps(&[Span::ALL], bytes, blocks), expected, "{bytes} bytes, {blocks} blocks");
        }
    }

    #[test]
    fn what_is_left_loses_exactly_what_was_read() {
        let steps = Span::steps(&[Span::ALL], 5 * STEP, 50);
        assert_eq!(steps.len(), 5);
        for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]] {
            let mut left = vec![Span::ALL];
            for (done, place) in order.into_iter().enumerate() {
                assert_eq!(Span::steps(&left, 5 * STEP, 50).len(), 5 - done, "{left:?}");
                Span::remove(&mut left, steps[place]);
            }
            assert_eq!(left, []);
        }
    }

    #[test]
    fn a_range_that_took_too_long_is_divided_once() {
        let narrowed = span(16, Some(32)).narrowed(100).unwrap();
        assert_eq!(narrowed.len(), 8);
        assert_eq!((narrowed[0].from, narrowed[7].to), (16, Some(32)));
        assert!(narrowed.iter().all(|part| part.narrowed(100).is_none()));
        assert_eq!(span(99, None).narrowed(100), None, "a single block");
        assert_eq!(Span::ALL.narrowed(100).unwrap().last().unwrap().to, None);

        let mut left = vec![Span::ALL];
        Span::replace(&mut left, span(16, Some(32)), Some(narrowed.clone()));
        assert_eq!(left.len(), 2 + 8);
        for part in narrowed {
            Span::remove(&mut left, part);
        }
        assert_eq!(left, [span(0, Some(16)), span(32, None)]);
    }

    #[test]
    fn conditions_name_blocks() {
        assert_eq!(Span::ALL.condition(), "");
        assert_eq!(span(3, None).condition(), " WHERE ctid >= '(3,0)'");
        assert_eq!(span(0, Some(5)).condition(), " WHERE ctid >= '(0,0)' AND ctid < '(5,0)'");
    }
}
