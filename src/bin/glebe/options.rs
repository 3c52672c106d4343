//! `glebe options`: the environment variables that libglebe.so reads.

use std::fmt::Write;

struct Variable {
    name: &'static str,
    values: &'static str,
    default: &'static str,
    meaning: &'static [&'static str],
}

const VARIABLES: [Variable; 19] = [
    Variable {
        name: "GLEBE_SOURCE",
        values: "auto|break|mmap",
        default: "auto",
        meaning: &[
            "where heap memory comes from: the program break,",
            "mmap, or the break as long as it can grow (auto)",
        ],
    },
    Variable {
        name: "GLEBE_ON_ERROR",
        values: "abort|continue",
        default: "abort",
        meaning: &["what follows the report of a double free or the like"],
    },
    Variable {
        name: "GLEBE_DEEPBIND",
        values: "drop|keep",
        default: "drop",
        meaning: &[
            "the flag RTLD_DEEPBIND of dlopen, which would give a",
            "module another malloc than the program's",
        ],
    },
    Variable {
        name: "GLEBE_STATS",
        values: "off|text|json",
        default: "off",
        meaning: &["statistics at exit, on stderr; json: one line"],
    },
    Variable {
        name: "GLEBE_STATS_FILE",
        values: "PATH",
        default: "-",
        meaning: &["append the statistics to this file instead"],
    },
    Variable {
        name: "GLEBE_PURGE",
        values: "call|thread",
        default: "call",
        meaning: &[
            "who gives freed memory back to the kernel: those who",
            "call malloc or free, or a helper thread",
        ],
    },
    Variable {
        name: "GLEBE_PURGE_DELAY_MS",
        values: "0..3600000",
        default: "1000",
        meaning: &["milliseconds: half of what lay idle for a quarter goes back"],
    },
    Variable {
        name: "GLEBE_DIRTY_MIB",
        values: "0..65536",
        default: "24",
        meaning: &["MiB of it kept, beside 1/8 of the heap in use"],
    },
    Variable {
        name: "GLEBE_HUGE_PAGES",
        values: "auto|off",
        default: "auto",
        meaning: &[
            "huge pages for a heap above 16 MiB and for large",
            "objects that will be filled",
        ],
    },
    Variable {
        name: "GLEBE_PAGE_SIZE",
        values: "auto|4K|64K|2M|1G",
        default: "auto",
        meaning: &[
            "the pages of the heap, where the kernel has them (1G:",
            "of large objects); auto: huge ones where they pay",
        ],
    },
    Variable {
        name: "GLEBE_SAMPLE",
        values: "0..1000000",
        default: "200",
        meaning: &[
            "blocks in a second of processor time that get a page",
            "between guard pages; 0 for none, 100000 for all that fit",
        ],
    },
    Variable {
        name: "GLEBE_HARDENED",
        values: "0|1",
        default: "0",
        meaning: &["every block sealed and checked, see docs/hardened.md"],
    },
    Variable {
        name: "GLEBE_GUARD_LARGE",
        values: "0|1",
        default: "0",
        meaning: &["guard pages around large objects, hardened or not"],
    },
    Variable {
        name: "GLEBE_GUARD",
        values: "auto|mprotect",
        default: "auto",
        meaning: &["how guard pages are made: by madvise where it can be"],
    },
    Variable {
        name: "GLEBE_BUDGET",
        values: "512M|60%",
        default: "0",
        meaning: &[
            "memory that the heap keeps to, in bytes (K, M, G, T) or",
            "as a share of what there is; 0 for all, see docs/paging.md",
        ],
    },
    Variable {
        name: "GLEBE_BUDGET_REQUIRED",
        values: "0|1",
        default: "0",
        meaning: &["without its budget the program does not start"],
    },
    Variable {
        name: "GLEBE_BUDGET_PID",
        values: "0..4194304",
        default: "0",
        meaning: &["the only process that has the budget; 0 for all"],
    },
    Variable {
        name: "GLEBE_STORE",
        values: "memory|file|both",
        default: "memory",
        meaning: &[
            "where pages beyond the budget go: compressed in memory,",
            "to a file, or to both, memory first",
        ],
    },
    Variable {
        name: "GLEBE_STORE_FILE",
        values: "PATH",
        default: "/var/tmp",
        meaning: &["the folder of that file, which has no name, or its path"],
    },
];

/// The table for people, a heading first.
pub(crate) fn table() -> String {
    let mut table = format!(
        "{:21} {:16} {:8} MEANING\n",
        "VARIABLE", "VALUES", "DEFAULT"
    );
    for variable in VARIABLES {
        let Variable {
            name,
            values,
            default,
            meaning,
        } = variable;
        let [first, rest @ ..] = meaning else {
            continue;
        };
        let _ = writeln!(table, "{name:21} {values:16} {default:8} {first}");
        for line in rest {
            let _ = writeln!(table, "{:47} {line}", "");
        }
    }
    table
        + "
They are read once, when a program starts. An unknown name or a bad value gives one warning on
stderr, and the default. Setuid and setgid programs ignore them all. `glebe run` reads one more,
GLEBE_LIBRARY: the libglebe.so to preload where none is found beside the command.
"
}
