//! What glebe makes of programs that misuse their memory: c-tests/misuse, and the table there.
//!
//! `MISUSE=part` runs those whose name contains the part.

mod common;
#[path = "common/misuse.rs"]
mod misuse;

use misuse::{Ending, Mode, Program};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

/// So many kinds of misuse there are at least, and of each 60 so many must be stopped.
const PROGRAMS: usize = 60;
const STOPPED: usize = 55;

#[test]
fn the_table_is_wide_and_hardened_mode_promises_to_stop_55_of_60() {
    let programs = misuse::programs();
    assert!(programs.len() >= PROGRAMS, "{} programs", programs.len());
    let groups: BTreeSet<_> = programs
        .iter()
        .map(|it| (it.size.as_str(), it.threads.as_str()))
        .collect();
    let wanted = ["small", "medium", "large"].map(|size| [(size, "1"), (size, "2")]);
    assert_eq!(groups, wanted.into_iter().flatten().collect());
    let stopped = programs
        .iter()
        .filter(|it| it.is_stopped_by_hardened())
        .count();
    assert!(
        stopped * PROGRAMS >= STOPPED * programs.len(),
        "{stopped} of {} stopped",
        programs.len()
    );
}

#[test]
fn every_misuse_ends_as_the_table_says() {
    let programs = misuse::chosen_programs();
    let workshop = common::temporary_folder("misuse");
    common::in_parallel(programs.iter().collect(), |it| it.build(&workshop));

    let library = common::shipped_library();
    let endings = Mutex::new(BTreeMap::new());
    common::in_parallel(programs.iter().collect(), |program: &Program| {
        let came = Mode::ALL.map(|mode| {
            let command = program.command(&workshop, Some(&library), mode.environment());
            misuse::run(command)
        });
        let mut endings = endings.lock().expect("the map is whole");
        endings.insert(&program.name, came);
    });
    let endings = endings.into_inner().expect("the map is whole");

    println!("| program | default | sampled | hardened |\n|---|---|---|---|");
    let mut wrong = Vec::new();
    let mut stopped = 0;
    for program in &programs {
        let endings = &endings[&program.name];
        let [default, sampled, hardened] = endings.each_ref().map(Ending::in_table);
        println!("| {} | {default} | {sampled} | {hardened} |", program.name);
        for mode in Mode::ALL {
            let came = &endings[mode as usize];
            if !is_expected(program, mode, came) {
                let expected = program.expected(mode).join("|");
                let (name, mode) = (&program.name, mode.name());
                wrong.push(format!(
                    "{name} ({mode}): expected {expected}, came {came:?}"
                ));
            } else if mode == Mode::Hardened && matches!(came, Ending::Report(_)) {
                stopped += 1;
            }
        }
    }
    let count = programs.len();
    println!("hardened mode stopped {stopped} of {count}");
    assert!(
        wrong.is_empty(),
        "{} of {} runs ended otherwise:\n{}",
        wrong.len(),
        3 * count,
        wrong.join("\n")
    );
    assert!(count < PROGRAMS || stopped * PROGRAMS >= STOPPED * count);
}

fn is_expected(program: &Program, mode: Mode, came: &Ending) -> bool {
    program
        .expected(mode)
        .iter()
        .any(|it| it == came.in_table())
}
