//! The application's list of attachments, read with the application's own login in a read-only transaction.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use shared::database::secret::Secret;
use shared::database::{Database, DatabaseError, Quotes, STATEMENT_LIMIT, Session};
use tokio_postgres::types::{ToSql, Type};

use crate::TestError;
use crate::rules::columns::{Columns, Order};
use crate::rules::row::{Place, Row, Stratum};

const COLUMNS: &str = "SELECT attname::text FROM pg_catalog.pg_attribute \
    WHERE attrelid = pg_catalog.to_regclass('attachments') AND attnum > 0 AND NOT attisdropped";

const COUNT: &str = "SELECT pg_catalog.count(*)::text FROM attachments";

/// The table of attachments, in one transaction.
pub(crate) struct Source<'a> {
    session: Session,
    columns: Columns,
    /// The bucket of a schema that names none.
    bucket: &'a str,
}

/// The rows of the sample's parts, and the parts that the table does not allow.
#[derive(Default)]
pub(crate) struct Parts {
    pub rows: Vec<(Stratum, Vec<Row>)>,
    pub unsampled: BTreeSet<Stratum>,
}

impl<'a> Source<'a> {
    /// Logs in with a value of `DATABASE_URL` and begins the transaction.
    pub(crate) async fn open(
        database: &Database,
        value: &SecretString,
        bucket: &'a str,
    ) -> Result<Self, TestError> {
        let secret = Secret::parse(value).map_err(TestError::WrongForm)?;
        let session = database.login(secret.login()).await?;
        let begin = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";
        session.run("begin to read", begin, Quotes::Nothing).await?;
        let names = ask(&session, "read the columns of attachments", COLUMNS, &[]).await?;
        let names: BTreeSet<String> = names.into_iter().filter_map(|row| text(&row, 0)).collect();
        let Some(columns) = Columns::of(&names) else { return Err(TestError::NoTable) };
        Ok(Self { session, columns, bucket })
    }

    /// Number of rows.
    pub(crate) async fn count(&self) -> Result<u64, DatabaseError> {
        let rows = ask(&self.session, "count the attachments", COUNT, &[]).await?;
        Ok(rows.first().and_then(|row| number(row, 0)).unwrap_or_default())
    }

    /// The rows of each part of the sample: `most` of each.
    pub(crate) async fn sample(&self, seed: &str, most: &[(Stratum, u16)]) -> Result<Parts, DatabaseError> {
        let mut parts = Parts::default();
        for (stratum, most) in most {
            let order = match stratum {
                Stratum::Recent => Order::Newest,
                Stratum::Old => Order::Oldest,
                Stratum::Large => Order::Largest,
                Stratum::Random => Order::Seeded,
                Stratum::Listed => continue,
            };
            let Some(sql) = self.columns.sample(order) else {
                parts.unsampled.insert(*stratum);
                continue;
            };
            let most = i64::from(*most);
            let values: [(&(dyn ToSql + Sync), Type); 2] = [(&seed, Type::TEXT), (&most, Type::INT8)];
            let rows = ask(&self.session, "choose attachments", &sql, &values).await?;
            parts.rows.push((*stratum, rows.iter().filter_map(|row| self.row(row)).collect()));
        }
        Ok(parts)
    }

    /// The rows with these ids, by id.
    pub(crate) async fn rows(&self, ids: &[String]) -> Result<BTreeMap<String, Row>, DatabaseError> {
        let values: [(&(dyn ToSql + Sync), Type); 1] = [(&ids, Type::TEXT_ARRAY)];
        let rows = ask(&self.session, "read attachments again", &self.columns.rows(), &values).await?;
        Ok(rows.iter().filter_map(|row| self.row(row)).map(|row| (row.id.clone(), row)).collect())
    }

    /// The rows of objects of the bucket with these keys.
    pub(crate) async fn at(&self, keys: &[String]) -> Result<Vec<Row>, DatabaseError> {
        let place = |key: &String| {
            if self.columns.place == "key" { key.clone() } else { format!("s3://{}/{key}", self.bucket) }
        };
        let places: Vec<String> = keys.iter().map(place).collect();
        let values: [(&(dyn ToSql + Sync), Type); 1] = [(&places, Type::TEXT_ARRAY)];
        let rows =
            ask(&self.session, "read the rows of deleted objects", &self.columns.at(), &values).await?;
        Ok(rows.iter().filter_map(|row| self.row(row)).collect())
    }

    /// The place of each row, by id, at most `most`.
    pub(crate) async fn places(&self, most: u64) -> Result<BTreeMap<String, Place>, DatabaseError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let values: [(&(dyn ToSql + Sync), Type); 1] = [(&most, Type::INT8)];
        let rows =
            ask(&self.session, "read the attachments' places", &self.columns.places(), &values).await?;
        Ok(rows.iter().filter_map(|row| Some((text(row, 0)?, self.place(row)))).collect())
    }

    /// Ends the transaction and the session.
    pub(crate) async fn close(self) {
        self.session.close().await;
    }

    fn place(&self, row: &tokio_postgres::Row) -> Place {
        let Some(place) = text(row, 1) else { return Place::Unknown };
        if self.columns.place == "key" { Place::of_key(&place, self.bucket) } else { Place::of_path(&place) }
    }

    fn row(&self, row: &tokio_postgres::Row) -> Option<Row> {
        let checksum = text(row, 3).filter(|checksum| !checksum.is_empty());
        Some(Row {
            id: text(row, 0)?,
            place: self.place(row),
            size: number(row, 2),
            has_odd_checksum: checksum.as_ref().is_some_and(|text| !is_sha256(text)),
            checksum: checksum.filter(|text| is_sha256(text)),
            created: text(row, 4).and_then(|seconds| seconds.parse().ok()),
            strata: BTreeSet::new(),
        })
    }
}

async fn ask(
    session: &Session,
    during: &'static str,
    sql: &str,
    values: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Vec<tokio_postgres::Row>, DatabaseError> {
    let sent = tokio::time::timeout(STATEMENT_LIMIT, session.client.query_typed(sql, values)).await;
    session.answered(during, sent, Quotes::Rows)
}

/// Whether a checksum is a SHA-256 in lower-case hexadecimal.
fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn text(row: &tokio_postgres::Row, column: usize) -> Option<String> {
    row.try_get::<_, Option<String>>(column).ok().flatten()
}

fn number(row: &tokio_postgres::Row, column: usize) -> Option<u64> {
    text(row, column)?.parse().ok()
}
