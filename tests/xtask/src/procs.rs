//! The processes of this machine, from `/proc`; none on systems without it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One living process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    parent: i32,
    group: i32,
    session: i32,
    /// Start time in clock ticks since boot; together with the id it identifies a process uniquely.
    started: u64,
    pub(crate) args: Vec<String>,
    exe: Option<PathBuf>,
    cwd: Option<PathBuf>,
}

/// Every process that is not a zombie.
pub(crate) fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(read).collect()
}

fn read(pid: i32) -> Option<Process> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let (parent, group, session, started) = parse_stat(&fs::read_to_string(folder.join("stat")).ok()?)?;
    let args = fs::read(folder.join("cmdline")).ok()?;
    let args = String::from_utf8_lossy(&args);
    Some(Process {
        pid,
        parent,
        group,
        session,
        started,
        args: args.split_terminator('\0').map(str::to_owned).collect(),
        exe: fs::read_link(folder.join("exe")).ok(),
        cwd: fs::read_link(folder.join("cwd")).ok(),
    })
}

/// Parent, group, session and start time; `None` for a zombie.
fn parse_stat(stat: &str) -> Option<(i32, i32, i32, u64)> {
    // The name in parentheses may itself contain spaces and parentheses.
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    let number = |index: usize| fields.get(index)?.parse().ok();
    Some((number(1)?, number(2)?, number(3)?, fields.get(19)?.parse().ok()?))
}

/// The processes of a process group.
pub(crate) fn in_group(group: i32) -> Vec<Process> {
    all().into_iter().filter(|process| process.group == group).collect()
}

/// Those of `processes` that are still alive.
pub(crate) fn still_alive(processes: &[Process]) -> Vec<Process> {
    processes
        .iter()
        .filter(|process| read(process.pid).is_some_and(|now| now.started == process.started))
        .cloned()
        .collect()
}

/// The processes of a local cloud: programs of `local` that work in or on `state`, and their children. Shells and
/// pagers that a developer opened there are not included.
pub(crate) fn of_cloud(processes: &[Process], local: &Path, state: &Path) -> Vec<Process> {
    let mut found: BTreeSet<i32> = processes
        .iter()
        .filter(|process| process.is_program_of(local) && process.works_in(state))
        .map(|process| process.pid)
        .collect();
    loop {
        let before = found.len();
        for process in processes {
            if found.contains(&process.parent)
                || (found.contains(&process.session) && process.is_program_of(local))
            {
                found.insert(process.pid);
            }
        }
        if found.len() == before {
            break;
        }
    }
    processes.iter().filter(|process| found.contains(&process.pid)).cloned().collect()
}

/// All processes whose program is in `local`, to check for leftovers.
pub(crate) fn of_folder(processes: &[Process], local: &Path) -> Vec<Process> {
    processes.iter().filter(|process| process.is_program_of(local)).cloned().collect()
}

impl Process {
    fn is_program_of(&self, local: &Path) -> bool {
        let program = self.args.first().map(Path::new);
        [self.exe.as_deref(), program].into_iter().flatten().any(|path| path.starts_with(local))
    }

    fn works_in(&self, state: &Path) -> bool {
        let paths = [self.exe.as_deref(), self.cwd.as_deref()].into_iter().flatten();
        let mut paths = paths.chain(self.args.iter().map(Path::new));
        paths.any(|path| path.starts_with(state))
    }

    /// The process that serves the local cloud with this state folder.
    pub(crate) fn serves(&self, state: &Path) -> bool {
        self.args.iter().any(|argument| argument == "localcloud")
            && self.args.iter().any(|argument| Path::new(argument) == state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, args: &[&str], exe: &str, cwd: &str) -> Process {
        Process {
            pid,
            parent,
            group: pid,
            session: pid,
            started: 1,
            args: args.iter().map(|argument| (*argument).to_owned()).collect(),
            exe: Some(exe.into()),
            cwd: Some(cwd.into()),
        }
    }

    #[test]
    fn a_stat_line_is_read_behind_the_name() {
        let rest = "1 2 3 0 -1 0 0 0 0 0 5 6 0 0 20 0 1 0 4242 0 0";
        assert_eq!(parse_stat(&format!("7 (a ) b) S {rest}")), Some((1, 2, 3, 4242)));
        assert_eq!(parse_stat(&format!("7 (gone) Z {rest}")), None);
        assert_eq!(parse_stat("7 (short) S 1"), None);
    }

    #[test]
    fn this_process_is_found() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(all().iter().any(|process| process.pid == me));
    }

    #[test]
    fn a_cloud_is_its_programs_and_their_children_only() {
        let python = ["/r/.local/venv/bin/python", "-m", "localcloud", "--state", "/r/.local/cloud"];
        let other = ["/r/.local/venv/bin/python", "-m", "localcloud", "--state", "/r/.local/cloud-2"];
        let all = [
            process(10, 1, &python, "/usr/bin/python3", "/r/tests/cloud"),
            process(11, 10, &["sh", "-c", "true"], "/bin/sh", "/"),
            process(
                12,
                1,
                &["postgres: checkpointer"],
                "/r/.local/postgres/18/bin/postgres",
                "/r/.local/cloud/rds/db",
            ),
            process(13, 1, &["less", "/r/.local/cloud/cloud.json"], "/bin/less", "/r"),
            process(14, 1, &["bash"], "/bin/bash", "/r/.local/cloud"),
            process(15, 1, &other, "/usr/bin/python3", "/r/tests/cloud"),
        ];
        let found = of_cloud(&all, Path::new("/r/.local"), Path::new("/r/.local/cloud"));
        assert_eq!(found.iter().map(|process| process.pid).collect::<Vec<_>>(), [10, 11, 12]);
        assert!(all[0].serves(Path::new("/r/.local/cloud")));
        assert!(!all[5].serves(Path::new("/r/.local/cloud")));
        assert_eq!(of_folder(&all, Path::new("/r/.local")).len(), 3);
    }
}
