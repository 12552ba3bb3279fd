//! An S0 from its alarm to the closed post-mortem. Every message, mail, schedule, support case and task must be exactly
//! that of [`TABLE`].
//!
//! As in `tests/month`, everything is as in AWS and only the clock is simulated: schedules fire because their time comes.
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
mod table;
mod world;

use world::World;

/// One line for each moment: what happens, and everything that is new since the line before.
///
/// * `when`: since the alarm: hours and minutes, and days before a space. It is the evening of Wednesday, 13 November 2030,
///   in São Paulo: a holiday on Friday, and another one the Wednesday after.
/// * `happens`: what a person does by a payload, a change of the alarm, or `-`: only time passes.
/// * `slack`: new messages and replies in the incident's thread, with whom they mention; changes of a message are not listed.
/// * `mail`: the subject's beginning, and the number of recipients. SMS, SNS, webhook and PagerDuty are not needed: any of
///   theirs would stand here too.
/// * `waits`: the one-time schedules that wait, and when they fire. One that is overtaken stays: it finds nothing to do.
/// * `holds`: support cases, pull requests, tasks and documents.
const TABLE: &str = "
when    | happens          | slack                           | mail                    | waits                                                      | holds
0:00    | alarm            | message 🔴 @ANA                  | -                       | customers 0:10; support 1:00; update 0:30                  | -
0:02    | acknowledge Ana  | Assumido; Aviso aos clientes    | Problema em andamento 2 | customers 0:10; support 1:00; update 0:30                  | -
0:03    | command Ana Bia  | Incident commander definido     | -                       | customers 0:10; support 1:00; update 0:30                  | -
0:05    | call Squad Infra | Squad convocado @CAIO           | -                       | customers 0:10; support 1:00; update 0:30                  | -
0:10    | update           | Atualização; Aviso aos clientes | Atualização 2           | support 1:00; update 0:30; update 0:40                     | -
0:30    | -                | -                               | -                       | support 1:00; update 0:40                                  | -
0:40    | -                | Lembrete @ANA                   | -                       | support 1:00; update 0:50                                  | -
0:50    | -                | Lembrete @BIA                   | -                       | support 1:00; update 1:20                                  | -
0:51    | update           | Atualização; Aviso aos clientes | Atualização 2           | support 1:00; update 1:20; update 1:21                     | -
1:00    | -                | AWS Support                     | -                       | update 1:20; update 1:21                                   | case
1:05    | sensitive        | Dados pessoais; Lembrete @ANA; Lembrete @BIA | -          | lgpd 11:00; update 1:20; update 1:21                       | case; register
1:10    | runbook          | Runbook errado                  | -                       | lgpd 11:00; update 1:20; update 1:21                       | case; register
1:15    | mitigate         | Aviso aos clientes; Mitigado    | Impacto encerrado 2     | lgpd 11:00; update 1 1:15; update 1:20; update 1:21        | case; register
1:30    | ok               | Resolvido                       | -                       | customers 1:40; lgpd 11:00; postmortem 1:40; update 1 1:15 | case; register
1:40    | -                | Aviso aos clientes; Post-mortem | Resolvido 2             | lgpd 11:00; update 1 1:15                                  | case; document; pull request; register
11:00   | -                | Lembrete @ANA; Lembrete @BIA    | -                       | lgpd 4 11:00; update 1 1:15                                | case; document; pull request; register
1 2:00  | register         | -                               | -                       | lgpd 4 11:00                                               | case; document; pull request; register
4 12:00 | review           | Post-mortem                     | -                       | -                                                          | case; document; pull request; register
5 12:00 | close            | Post-mortem                     | -                       | -                                                          | case; document; pull request merged; register; task; task
7 12:00 | done             | -                               | -                       | -                                                          | case; document; pull request merged; register; task; task done
";

#[tokio::test]
async fn an_incident_lives_as_the_table_says() {
    let lines = table::lines(TABLE);
    let mut world = World::begin().await;
    let mut wrong = Vec::new();
    for line in &lines {
        world.advance(line.minutes).await;
        world.act(&line.happens).await;
        let found = world.look(&line.expected).await;
        if found != line.expected {
            let (expected, found) = (line.expected.join(" | "), found.join(" | "));
            wrong.push(format!("{} {}\n  expected {expected}\n  found    {found}", line.when, line.happens));
        }
    }
    let timeline = world.timeline().await;
    assert!(wrong.is_empty(), "{} of {} lines:\n{}\n{timeline}", wrong.len(), lines.len(), wrong.join("\n"));
}
