//! The table `attachments`, whose columns differ between versions of the application.

use std::collections::BTreeSet;

/// The columns that a run reads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Columns {
    /// `file_path`, or `key` in a later schema.
    pub place: &'static str,
    has_size: bool,
    has_checksum: bool,
    /// Whether the rows have a time.
    pub has_time: bool,
}

/// The order of a part of the sample. `$1` is the seed, `$2` the limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Order {
    Newest,
    Oldest,
    Largest,
    /// The same rows for the same seed, as long as no row is added or removed among them.
    Seeded,
}

impl Columns {
    /// The columns among those of the table; none if the table has no column that says where the content is.
    pub(crate) fn of(names: &BTreeSet<String>) -> Option<Self> {
        let place = ["file_path", "key"].into_iter().find(|name| names.contains(*name))?;
        let has = |name: &str| names.contains(name);
        Some(Self {
            place,
            has_size: has("size_bytes"),
            has_checksum: has("checksum"),
            has_time: has("created_at"),
        })
    }

    /// The selected values, all as text: id, place, size, checksum, time.
    fn values(&self) -> String {
        let or_null = |has: bool, value: &str| if has { value.to_owned() } else { "NULL::text".to_owned() };
        format!(
            "id::text, {}::text, {}, {}, {}",
            self.place,
            or_null(self.has_size, "size_bytes::text"),
            or_null(self.has_checksum, "pg_catalog.lower(checksum::text)"),
            // One row's infinite time must not fail the query.
            or_null(
                self.has_time,
                "CASE WHEN isfinite(created_at) THEN (extract(epoch FROM created_at)::bigint)::text END",
            ),
        )
    }

    /// The query for a part of the sample; none if the table lacks the column of the order.
    pub(crate) fn sample(&self, order: Order) -> Option<String> {
        // Every query has both parameters; a cast gives an unused one its type.
        let by = match order {
            Order::Newest if self.has_time => "created_at DESC NULLS LAST",
            Order::Oldest if self.has_time => "created_at ASC NULLS LAST",
            Order::Largest if self.has_size => {
                "CASE WHEN size_bytes::text ~ '^[0-9]{1,19}$' THEN size_bytes::text::numeric END DESC NULLS LAST"
            }
            Order::Seeded => "pg_catalog.md5($1::text || ':' || id::text)",
            Order::Newest | Order::Oldest | Order::Largest => return None,
        };
        Some(format!(
            "SELECT {} FROM attachments WHERE $1::text IS NOT NULL ORDER BY {by}, id::text LIMIT $2::bigint",
            self.values()
        ))
    }

    /// The query for the rows with the ids in `$1`.
    pub(crate) fn rows(&self) -> String {
        format!("SELECT {} FROM attachments WHERE id::text = ANY($1::text[])", self.values())
    }

    /// The query for the rows with the places in `$1`.
    pub(crate) fn at(&self) -> String {
        format!("SELECT {} FROM attachments WHERE {}::text = ANY($1::text[])", self.values(), self.place)
    }

    /// The query for id and place of every row, at most `$1`.
    pub(crate) fn places(&self) -> String {
        format!("SELECT id::text, {}::text FROM attachments LIMIT $1::bigint", self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> Option<Columns> {
        Columns::of(&names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn a_schema_is_read_as_it_is() {
        assert_eq!(columns(&["id", "filename"]), None);
        let observed = columns(&["id", "file_path", "size_bytes", "checksum", "created_at"]).unwrap();
        assert_eq!(observed.place, "file_path");
        assert!(observed.sample(Order::Largest).unwrap().contains("size_bytes::text"));
        let later = columns(&["id", "filename", "mimetype", "key"]).unwrap();
        assert_eq!(later.place, "key");
        for order in [Order::Newest, Order::Oldest, Order::Largest] {
            assert_eq!(later.sample(order), None);
            assert!(observed.sample(order).is_some());
        }
        let seeded = later.sample(Order::Seeded).unwrap();
        assert!(seeded.starts_with("SELECT id::text, key::text, NULL::text, NULL::text, NULL::text FROM"));
        assert!(seeded.contains("md5($1"));
    }
}
