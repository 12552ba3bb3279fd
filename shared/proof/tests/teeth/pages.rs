//! Damages below SQL: bytes of files, changed while the server is stopped.

use std::path::PathBuf;

use proof::Check::{self, Content, ForeignKey, Heap, Index, Keys, Rows};

use crate::server::{Checksum, Server, damage};
use crate::{PREPARED, compare, conclude, copy, failures, prepared};

/// One damage to a file.
struct Damage {
    name: &'static str,
    /// The table or index; after `toast of`, a table whose values are stored out of line.
    relation: &'static str,
    /// SQL for the bytes to look for, as `bytea`.
    mark: &'static str,
    checksum: Checksum,
    change: fn(&mut [u8], usize),
    expected: &'static [(Check, &'static str)],
}

/// Flips a bit of the marked value.
fn flip(page: &mut [u8], at: usize) {
    page[at] ^= 0x01;
}

/// Removes a page's content, as a torn write to a new page leaves it.
fn zero(page: &mut [u8], _: usize) {
    page.fill(0);
}

const DAMAGES: &[Damage] = &[
    Damage {
        name: "a flipped bit in a live row",
        relation: "evolutions",
        mark: "convert_to('Conversa sobre o plano 31', 'UTF8')",
        checksum: Checksum::Kept,
        change: flip,
        expected: &[
            (Content, "public.evolutions"),
            (Heap, "public.evolutions"),
            (Index, "public.evolutions_pkey"),
            (ForeignKey, "public.evolutions"),
        ],
    },
    Damage {
        name: "a flipped bit in a live row, under a right checksum",
        relation: "evolutions",
        mark: "convert_to('Conversa sobre o plano 31', 'UTF8')",
        checksum: Checksum::Renewed,
        change: flip,
        expected: &[(Content, "public.evolutions")],
    },
    Damage {
        name: "a row's header, under a right checksum",
        relation: "posts",
        mark: "uuid_send(md5('post 7')::uuid)",
        checksum: Checksum::Renewed,
        // Number of columns, in the two bytes before the flags, the header's length and the bitmap's place.
        change: |page, at| page[at - 6] ^= 0x40,
        expected: &[(Heap, "public.posts")],
    },
    Damage {
        name: "a flipped bit in an index",
        relation: "idx_attendance_date",
        // 2026-06-01, in days since 2000.
        mark: "decode('b0250000', 'hex')",
        checksum: Checksum::Kept,
        change: flip,
        expected: &[(Index, "public.idx_attendance_date")],
    },
    Damage {
        name: "a flipped bit in an index, under a right checksum",
        relation: "messages_pkey",
        // The number 25.
        mark: "decode('1900000000000000', 'hex')",
        checksum: Checksum::Renewed,
        change: flip,
        expected: &[(Index, "public.messages_pkey")],
    },
    Damage {
        name: "a value stored out of line",
        relation: "toast of extras.odd",
        mark: "decode(repeat(md5('9'), 4), 'hex')",
        checksum: Checksum::Kept,
        change: flip,
        expected: &[(Content, "extras.odd"), (Heap, "extras.odd"), (Index, "extras.odd (TOAST)")],
    },
    Damage {
        name: "an empty page in place of rows",
        relation: "comments",
        mark: "uuid_send(md5('comment 3')::uuid)",
        checksum: Checksum::Kept,
        change: zero,
        expected: &[(Content, "public.comments"), (Rows, "public.comments"), (Keys, "public.comments")],
    },
];

/// The file of a relation, in a database of its own, and what to look for in it.
async fn find(server: &Server, database: &str, damage: &Damage) -> (PathBuf, Vec<u8>) {
    let admin = server.admin(database).await;
    let relation = match damage.relation.strip_prefix("toast of ") {
        Some(table) => {
            format!("(SELECT reltoastrelid::regclass FROM pg_class WHERE oid = '{table}'::regclass)")
        }
        None => format!("'{}'::regclass", damage.relation),
    };
    let query = format!("SELECT pg_relation_filepath({relation}), {}", damage.mark);
    let row = admin.query_one(&query, &[]).await.unwrap();
    (server.data().join(row.get::<_, String>(0)), row.get(1))
}

async fn damaged_pages_are_caught_and_named(major: u32) {
    let (mut server, source) = prepared(major).await;
    let mut places = Vec::new();
    for (number, of_case) in DAMAGES.iter().enumerate() {
        let database = format!("damaged_{number}");
        server.copy(PREPARED, &database).await;
        places.push((database.clone(), find(&server, &database, of_case).await));
    }
    server.stop();
    for (of_case, (_, (file, mark))) in DAMAGES.iter().zip(&places) {
        damage(file, mark, of_case.checksum, of_case.change);
    }
    server.run().await;
    let mut cases = Vec::new();
    for (of_case, (database, _)) in DAMAGES.iter().zip(&places) {
        let found = failures(&source, &copy(&server, database).await);
        let result = compare(of_case.name, of_case.expected, &found);
        cases.push((of_case.name, found, result));
    }
    conclude("damages by bytes", major, cases);
}

#[tokio::test]
async fn damaged_pages_are_caught_and_named_on_15() {
    damaged_pages_are_caught_and_named(15).await;
}

#[tokio::test]
async fn damaged_pages_are_caught_and_named_on_18() {
    damaged_pages_are_caught_and_named(18).await;
}
