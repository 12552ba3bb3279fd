//! Thirty days of one environment with forty secrets, with schedules, rotations, events and people's actions. At the
//! end, ledger, tasks and pages must be exactly those of [`TABLE`].
//!
//! Everything is as in AWS: binaries, template, state machine, roles. Only the clock is simulated: a library preloaded
//! into the local cloud and its child processes (`tests/cloud/clock.c`) adds seconds to the real time. Rejected: the
//! functions' crates inside this process, with a clock injected by a cargo feature. That needs a second state machine
//! and bypasses IAM and the schedules, to save sixty lines of C.
//!
//! The cloud's clock begins on 13 March 2030, when the stack is deployed. Until June, secrets are made on their days.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[expect(dead_code, reason = "the end-to-end tests need more of it")]
#[path = "../e2e/cloud.rs"]
mod cloud;
mod people;
mod table;
mod world;

use table::Line;
use world::World;

/// One line per secret. Days are days of June 2030 in São Paulo; other dates are month-day.
///
/// * `made`: the day of the first version, at noon; in June at three in the afternoon.
/// * `age`: the policy's greatest age in days; `-`: the policy does not name the secret.
/// * `rotation`: days between the service's rotations, or its cron(); `stack`: the template's; `off`: cancelled before
///   June.
/// * `happens`: people's actions, at three in the afternoon. `put` stores a value, `rotate` asks for a rotation, `back`
///   moves AWSCURRENT back, `cancel` switches rotation off. `break` sets a tag that rotate-random refuses, `repair`
///   removes it: the service retries a failed rotation every evening. `refuse`: the next three tasks fail to start.
///   `missed`: the event is not delivered; `twice`: it is delivered a second time; `late`: on the next day.
///   `unreported`: CloudTrail sends no event.
/// * `ledger`: day of the follow-up, versions from and to, reason, outcome, kind of failure, next due day.
/// * `tasks`: the version to be replaced, the day its issue was opened, the day it was closed.
/// * `pages`: their kind, and the days; `3x2` would be two on the third.
///
/// A window opens at nine in the evening, which is midnight in UTC: a secret that may be 30 days old is rotated on the
/// evening of its thirtieth day. The audit runs 21 hours after noon. So a secret that people rotate has its task from
/// 13 days before it is due, and is overdue from the day after. The same holds for a version made at three.
const TABLE: &str = "
secret                              | made  | age | rotation             | happens                 | ledger | tasks | pages
/moveongs/dev/jwt                   | 03-13 | 90  | stack                | 10 refuse; 14 rotate    | 10 v1>v2 scheduled rolled back RolloutFailed due -; 14 v1>v3 manual proved due 09-12 | v1 1-15 | RolloutFailed 10; Overdue 13-14
/moveongs/dev/db                    | 03-13 | 90  | stack                | 3 rotate                | 3 v1>v2 manual proved due 09-01 | v1 1-4 | -
moveongs-dev-notifications-webhook  | 03-13 | 180 | stack                | 20 put twice            | 20 v1>v2 manual unproved due 12-17 | - | -
legacy                              | 03-20 | 60  | -                    | 5 put                   | 5 v1>v2 manual unproved due 08-04 | v1 1-6 | Overdue 1-5
forgotten                           | 03-25 | 45  | -                    | -                       | - | v1 1- | Overdue 1-30
mail                                | 04-20 | 60  | -                    | 10 put                  | 10 v1>v2 manual unproved due 08-09 | v1 6-11 | -
sms                                 | 04-20 | 60  | -                    | 18 put missed           | 19 v1>v2 manual unproved due 08-17 | v1 6-19 | -
ftp                                 | 04-20 | 60  | -                    | 21 put                  | 21 v1>v2 manual unproved due 08-20 | v1 6-22 | Overdue 20-21
api-key                             | 04-10 | 60  | -                    | 12 put twice            | 12 v1>v2 manual unproved due 08-11 | v1 1-13 | Overdue 10-12
partner                             | 04-10 | 60  | -                    | 12 put missed late      | 13 v1>v2 manual unproved due 08-11 | v1 1-13 | Overdue 10-12
tax                                 | 05-01 | 30  | -                    | 1 put                   | 1 v1>v2 manual unproved due 07-01 | v1 1-2; v2 18- | Overdue 1
bank                                | 05-01 | 30  | -                    | 2 put missed unreported | 3 v1>v2 unknown unproved due 07-02 | v1 1-3; v2 19- | Overdue 1-2
maps                                | 05-25 | 20  | -                    | 9 put                   | 9 v1>v2 manual unproved due 06-29 | v1 5-10; v2 20- | Overdue 30
fresh                               | 05-30 | 90  | -                    | -                       | - | - | -
yearly                              | 05-10 | 365 | -                    | -                       | - | - | -
half                                | 03-15 | 180 | -                    | -                       | - | - | -
june                                | 05-31 | 30  | -                    | -                       | - | v1 17- | -
first-due                           | 05-14 | 60  | -                    | -                       | - | v1 30- | -
not-yet-due                         | 05-15 | 60  | -                    | -                       | - | - | -
without-policy                      | 04-01 | -   | -                    | -                       | - | - | -
unruled                             | 04-01 | -   | -                    | 15 put                  | 15 v1>v2 manual unproved due - | - | -
again                               | 05-20 | 90  | -                    | 11 put; 13 put          | 11 v1>v2 manual unproved due 09-09; 13 v2>v3 manual unproved due 09-11 | - | -
back                                | 05-05 | 90  | -                    | 7 put; 9 back           | 7 v1>v2 manual unproved due 09-05; 9 v2>v1 manual unproved due 08-03 | - | -
gone                                | 05-18 | 30  | -                    | 14 delete               | - | v1 4- | -
newborn                             | 06-10 | 20  | -                    | -                       | - | v1 21- | -
/moveongs/dev/test/parked           | 05-20 | 30  | 30 off               | -                       | - | v1 6- | Overdue 20-30
/moveongs/dev/test/stopped          | 05-12 | 30  | 30                   | 6 cancel; 16 rotate     | 16 v1>v2 manual unproved due 07-16 | v1 1-17 | Overdue 12-16
/moveongs/dev/test/early            | 05-10 | 30  | 30                   | 2 rotate                | 2 v1>v2 manual unproved due 07-02 | v1 1-3; v2 19- | -
/moveongs/dev/test/by-hand          | 05-08 | 30  | 30                   | 3 put                   | 3 v1>v2 manual unproved due 07-03 | v1 1-4; v2 20- | -
/moveongs/dev/test/broken           | 05-14 | 30  | 30                   | 8 break; 15 repair      | 15 v1>v2 scheduled unproved due 07-15 | v1 1-16 | InvalidTag 12-14; Overdue 14-15; StuckPending 14-15; RotationLate 15
/moveongs/dev/test/monthly          | 05-15 | 45  | cron(0 6 15 * ? *)   | -                       | 15 v1>v2 scheduled unproved due 07-30 | - | -
/moveongs/dev/test/8                | 05-28 | 8   | 8                    | -                       | 5 v1>v2 scheduled unproved due 06-12; 12 v2>v3 scheduled unproved due 06-20; 21 v3>v4 scheduled unproved due 06-28; 28 v4>v5 scheduled unproved due 07-06 | v1 2-5; v2 9-13; v3 17-21; v4 25-29 | -
/moveongs/dev/test/14               | 05-29 | 14  | 14                   | -                       | 11 v1>v2 scheduled unproved due 06-25; 25 v2>v3 scheduled unproved due 07-09 | v1 6-12; v2 19-26 | -
/moveongs/dev/test/30-a             | 05-06 | 30  | 30                   | -                       | 5 v1>v2 scheduled unproved due 07-04 | v1 1-5; v2 21- | -
/moveongs/dev/test/30-b             | 05-10 | 30  | 30                   | -                       | 8 v1>v2 scheduled unproved due 07-08 | v1 1-9; v2 25- | -
/moveongs/dev/test/30-c             | 05-10 | 30  | 30                   | -                       | 8 v1>v2 scheduled unproved due 07-08 | v1 1-9; v2 25- | -
/moveongs/dev/test/30-d             | 05-22 | 30  | 30                   | -                       | 21 v1>v2 scheduled unproved due 07-20 | v1 8-21 | -
/moveongs/dev/test/60-a             | 04-15 | 60  | 60                   | -                       | 13 v1>v2 scheduled unproved due 08-12 | v1 1-14 | -
/moveongs/dev/test/60-b             | 04-28 | 60  | 60                   | -                       | 26 v1>v2 scheduled unproved due 08-25 | v1 14-27 | -
/moveongs/dev/test/90               | 03-31 | 90  | 90                   | -                       | 28 v1>v2 scheduled unproved due 09-26 | v1 16-29 | -
";

/// The evenings on which no rotation's event is delivered. The next morning's sweep finds those rotations.
const LOST_EVENINGS: [i8; 2] = [4, 20];

/// The days on which the audit is started twice, as the schedule may: the second run pages, opens and closes nothing.
const AUDITED_TWICE: [i8; 2] = [12, 14];

#[tokio::test]
async fn a_month_ends_as_the_table_says() {
    let lines = table::lines(TABLE);
    assert_eq!(lines.len(), 40);
    let mut world = World::begin(&lines).await;
    for day in 1..=30 {
        world.live(day, &lines).await;
    }
    let found = world.end(&lines).await;
    let mut wrong = Vec::new();
    for (line, found) in lines.iter().zip(&found) {
        let Line { name, expected, .. } = line;
        if expected != found {
            wrong.push(format!(
                "{name}\n  expected {}\n  found    {}",
                expected.join(" | "),
                found.join(" | ")
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} secrets:\n{}", wrong.len(), lines.len(), wrong.join("\n"));
}
