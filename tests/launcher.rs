//! The `glebe` command as a user meets it: what passes through it, what it says about programs that
//! a preload does not reach, and what it installs.
#![cfg(feature = "launcher")]

mod common;

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Outcome, compile_c, package, run, shipped_library, skip, temporary_folder};

const GLEBE: &str = env!("CARGO_BIN_EXE_glebe");

/// `glebe` with the environment of a user who has set nothing.
fn glebe() -> Command {
    let mut command = Command::new(GLEBE);
    clear_environment(&mut command);
    command
}

fn clear_environment(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("GLEBE_") || name_text.starts_with("LD_") {
            command.env_remove(&name);
        }
    }
}

/// `glebe run OPTIONS -- PROGRAM` with the shipped library.
fn glebe_run<const N: usize, const M: usize>(options: [&str; N], program: [&str; M]) -> Command {
    let mut command = glebe();
    command.arg("run").arg("--library").arg(shipped_library());
    command.args(options).arg("--").args(program);
    command
}

fn has(tool: &str) -> bool {
    let found = Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok();
    if !found {
        skip(&format!("no {tool} on this machine"));
    }
    found
}

/// Compiles `source` with gcc in `folder`; None where there is no gcc.
fn compile(folder: &Path, source: &str, flags: &[&str]) -> Option<PathBuf> {
    if !has("gcc") {
        return None;
    }
    let file = folder.join("program.c");
    fs::write(&file, source).expect("a source file");
    let program = folder.join("program");
    compile_c(&file, flags, &program);
    Some(program)
}

/// Makes an executable file. Another process writes it: a descriptor of this one would be open for
/// writing in every child that another test is just starting, and the file busy.
fn executable(path: &Path, content: impl AsRef<[u8]>) {
    let mut command = Command::new("sh");
    command
        .args(["-c", "cat >\"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped());
    let mut child = command.spawn().expect("sh starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(content.as_ref()).expect("sh reads");
    drop(stdin);
    assert!(
        child.wait().expect("sh ends").success(),
        "{}",
        path.display()
    );
}

/// Copies the launcher to `path`.
fn copy_launcher(path: &Path) {
    executable(path, fs::read(GLEBE).expect("the launcher"));
}

fn can_link_statically() -> bool {
    let libc = Command::new("gcc")
        .arg("-print-file-name=libc.a")
        .output()
        .expect("gcc answers");
    let found = libc.stdout.starts_with(b"/");
    if !found {
        skip("no libc.a on this machine");
    }
    found
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The program ended with `status`, and the launcher said one line about it, with `words` in it.
fn assert_says(outcome: &Outcome, status: i32, words: &str) {
    assert_eq!(outcome.status.code(), Some(status), "{outcome:?}");
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    assert!(
        matches!(lines[..], [line] if line.starts_with("glebe: ") && line.contains(words)),
        "wanted one line with {words:?}: {outcome:?}"
    );
}

#[test]
fn the_exit_status_and_the_output_pass_through_and_nothing_is_added() {
    let outcome = run(glebe_run(
        [],
        ["sh", "-c", "echo out; echo err >&2; exit 42"],
    ));
    assert_eq!(outcome.status.code(), Some(42));
    assert_eq!((&*outcome.stdout, &*outcome.stderr), ("out\n", "err\n"));
}

#[test]
fn death_by_a_signal_passes_through() {
    let outcome = run(glebe_run([], ["sh", "-c", "kill -TERM $$"]));
    assert_eq!(outcome.status.signal(), Some(libc::SIGTERM), "{outcome:?}");
}

#[test]
fn the_program_takes_the_place_of_the_launcher() {
    let mut command = glebe_run([], ["sh", "-c", "echo $$"]);
    let child = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("glebe starts");
    let launcher = child.id();
    let output = child
        .wait_with_output()
        .expect("the output of a child can be read");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        launcher.to_string()
    );
}

#[test]
fn ignored_and_blocked_signals_are_inherited_as_they_were() {
    const SHOW: [&str; 4] = ["grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"];
    let mut direct = Command::new(SHOW[0]);
    direct.args(&SHOW[1..]);
    let through = glebe_run([], SHOW);
    let masks = [direct, through].map(|mut command| {
        let prepare = || {
            // SAFETY: the calls change only what signals do in this child; `set` is initialised.
            unsafe {
                libc::signal(libc::SIGPIPE, libc::SIG_IGN);
                let mut set = std::mem::zeroed();
                libc::sigemptyset(&mut set);
                libc::sigaddset(&mut set, libc::SIGUSR1);
                libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
            }
            Ok(())
        };
        // SAFETY: `prepare` makes async-signal-safe calls only.
        unsafe { command.pre_exec(prepare) };
        run(command).stdout
    });
    assert_eq!(masks[0], masks[1]);
    assert!(
        masks[0].starts_with("SigBlk:\t0000000000000200\n"),
        "{masks:?}"
    );
}

#[test]
fn the_library_is_loaded_into_the_program_and_into_its_children() {
    let outcome = run(glebe_run(
        [],
        [
            "sh",
            "-c",
            "grep -c libglebe.so /proc/$$/maps /proc/self/maps",
        ],
    ));
    let counts: Vec<&str> = outcome.stdout.lines().collect();
    assert!(
        counts.len() == 2 && counts.iter().all(|count| !count.ends_with(":0")),
        "{outcome:?}"
    );
}

#[test]
fn what_stands_in_ld_preload_is_kept_behind_the_library_and_nothing_stands_twice() {
    let library = shipped_library();
    let mut command = glebe_run([], ["sh", "-c", "echo $LD_PRELOAD"]);
    let twice = library
        .parent()
        .expect("a folder")
        .join(".")
        .join("libglebe.so");
    command.env(
        "LD_PRELOAD",
        format!("libm.so.6 {}:libdl.so.2", twice.display()),
    );
    let outcome = run(command);
    assert_eq!(
        outcome.stdout,
        format!("{}:libm.so.6:libdl.so.2\n", library.display())
    );
    assert_eq!(outcome.stderr, "");
}

#[test]
fn the_library_beside_the_launcher_goes_before_the_one_that_glebe_library_names() {
    let folder = temporary_folder("beside");
    for place in ["bin", "lib", "elsewhere"] {
        fs::create_dir(folder.join(place)).expect("a folder");
    }
    let launcher = folder.join("bin/glebe");
    copy_launcher(&launcher);
    let elsewhere = folder.join("elsewhere/libglebe.so");
    fs::copy(shipped_library(), &elsewhere).expect("a copy of the library");
    let preloaded = || {
        let mut command = Command::new(&launcher);
        clear_environment(&mut command);
        command.env("GLEBE_LIBRARY", &elsewhere);
        command.args(["run", "sh", "-c", "echo $LD_PRELOAD"]);
        run(command)
    };
    assert_eq!(preloaded().stdout, format!("{}\n", elsewhere.display()));
    let beside = folder.join("lib/libglebe.so");
    fs::copy(shipped_library(), &beside).expect("a copy of the library");
    let beside = beside.canonicalize().expect("the library is there");
    assert_eq!(preloaded().stdout, format!("{}\n", beside.display()));
}

#[test]
fn a_library_that_is_missing_or_none_or_cannot_stand_in_ld_preload_is_refused_with_125() {
    let folder = temporary_folder("no library");
    let spaced = folder.join("libglebe.so");
    fs::copy(shipped_library(), &spaced).expect("a copy of the library");
    for (library, words) in [
        ("/nonexistent/libglebe.so", "No such file"),
        ("/etc/passwd", "not a shared library for x86-64"),
        (text(&spaced), "a space or a colon"),
    ] {
        let mut command = glebe();
        command.args(["run", "--library", library, "--", "true"]);
        assert_says(&run(command), 125, words);
    }
}

#[test]
fn the_page_size_reaches_the_program_and_a_size_that_is_none_is_wrong_use() {
    let print = ["sh", "-c", "echo $GLEBE_PAGE_SIZE"];
    let outcome = run(glebe_run(["--page-size", "4K"], print));
    assert_eq!(
        (outcome.status.code(), outcome.stdout.trim()),
        (Some(0), "4K")
    );
    let outcome = run(glebe_run(["--page-size", "5K"], print));
    assert_eq!(outcome.status.code(), Some(2));
    assert!(outcome.stderr.contains("--page-size"), "{outcome:?}");
}

#[test]
fn a_missing_program_gives_127_and_one_that_cannot_be_executed_126() {
    assert_says(
        &run(glebe_run([], ["glebe-no-such-program"])),
        127,
        "not found",
    );
    assert_says(
        &run(glebe_run([], ["/nonexistent/program"])),
        127,
        "not found",
    );
    assert_says(&run(glebe_run([], ["/etc/passwd"])), 126, "not executable");
    assert_says(&run(glebe_run([], ["/"])), 126, "not executable");
}

#[test]
fn a_program_whose_interpreter_is_missing_gives_127_and_a_line_that_says_so() {
    let folder = temporary_folder("interpreter");
    let script = folder.join("script");
    executable(&script, "#!/nonexistent/interpreter\n");
    assert_says(
        &run(glebe_run([], [text(&script)])),
        127,
        "its interpreter or loader",
    );
}

#[test]
fn the_loader_called_by_name_is_not_taken_for_a_static_program() {
    let outcome = run(glebe_run([], ["/lib64/ld-linux-x86-64.so.2", "/bin/true"]));
    assert_eq!((outcome.status.code(), &*outcome.stderr), (Some(0), ""));
}

#[test]
fn a_script_without_an_interpreter_line_is_given_to_the_shell_as_execvp_does() {
    let folder = temporary_folder("script");
    let script = folder.join("script");
    executable(&script, "exit $1\n");
    let mut command = glebe_run([], ["script", "7"]);
    let path = env::var("PATH").expect("PATH");
    command.env("PATH", format!("{}:{path}", folder.display()));
    let outcome = run(command);
    assert_eq!((outcome.status.code(), &*outcome.stderr), (Some(7), ""));
}

#[test]
fn a_static_program_runs_and_the_launcher_says_that_the_preload_has_no_effect() {
    let folder = temporary_folder("static");
    let source = "int main(int count, char **arguments) { (void)arguments; return 40 + count; }";
    if !has("gcc") || !can_link_statically() {
        return;
    }
    for flag in ["-static", "-static-pie"] {
        let Some(program) = compile(&folder, source, &[flag]) else {
            return;
        };
        assert_says(
            &run(glebe_run([], [text(&program), "one"])),
            42,
            "statically linked",
        );
    }
    // As the interpreter of a script, looked through env, it gets two or more arguments.
    let script = folder.join("script");
    for line in [
        "#!PROGRAM",
        "#! PROGRAM -x",
        "#!/usr/bin/env -S A=b PROGRAM",
    ] {
        executable(
            &script,
            line.replace("PROGRAM", text(&folder.join("program"))),
        );
        let outcome = run(glebe_run([], [text(&script)]));
        let status = if line.ends_with("-x") { 43 } else { 42 };
        assert_says(&outcome, status, "program, which is statically linked");
    }
}

#[test]
fn a_program_for_another_machine_is_named_and_gets_no_preload() {
    let folder = temporary_folder("machine");
    let program = folder.join("program");
    let header = |class: u8, machine: u8| {
        let mut header = [0_u8; 64];
        header[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1, 1]);
        header[16] = 2;
        header[18] = machine;
        header[20] = 1;
        header
    };
    for (class, machine, words) in [
        (2, 183, "is a program for aarch64"),
        (2, 243, "is a program for riscv64"),
        (1, 3, "is a program for a 32-bit machine"),
        (1, 62, "is a program for a 32-bit machine"),
    ] {
        executable(&program, header(class, machine));
        let outcome = run(glebe_run([], [text(&program)]));
        assert!(
            outcome
                .stderr
                .lines()
                .next()
                .is_some_and(|it| it.contains(words)),
            "{outcome:?}"
        );
        assert_eq!(outcome.status.code(), Some(126), "{outcome:?}");
    }
}

#[test]
fn a_program_linked_against_musl_runs_without_the_preload() {
    let folder = temporary_folder("musl");
    let loader = folder.join("ld-musl-x86_64.so.1");
    symlink("/lib64/ld-linux-x86-64.so.2", &loader).expect("a link");
    let source = "#include <stdlib.h>\nint main(void) { return getenv(\"LD_PRELOAD\") != NULL; }";
    let flag = format!("-Wl,--dynamic-linker={}", loader.display());
    let Some(program) = compile(&folder, source, &[&flag]) else {
        return;
    };
    assert_says(
        &run(glebe_run([], [text(&program)])),
        0,
        "linked against musl",
    );
}

#[test]
fn a_program_with_an_allocator_of_its_own_runs_and_the_launcher_says_what_stays_there() {
    let folder = temporary_folder("own");
    let own_malloc = "
        #include <stddef.h>
        static char heap[1 << 20];
        static size_t used;
        void *malloc(size_t size) { used += size + 15 & ~15ul; return heap + used - (size + 15 & ~15ul); }
        void free(void *block) { (void)block; }
        int main(void) { return (char *)malloc(1) < heap || (char *)malloc(1) >= heap + sizeof heap; }";
    let jemalloc = "
        #include <stdlib.h>
        __attribute__((used)) static void *_rjem_malloc(size_t size) { return malloc(size); }
        int main(void) { return _rjem_malloc(1) == NULL; }";
    let go = "
        __attribute__((section(\".go.buildinfo\"), used)) static char build[] = \"Go\";
        int main(void) { return 0; }";
    for (source, words) in [
        (own_malloc, "defines malloc itself"),
        (jemalloc, "has jemalloc linked in"),
        (go, "is a Go program"),
    ] {
        let flags = ["-Wno-parentheses", "-rdynamic"];
        let Some(program) = compile(&folder, source, &flags) else {
            return;
        };
        assert_says(&run(glebe_run([], [text(&program)])), 0, words);
    }
}

/// What the launcher says of a program that gains rights is compared with what the loader thinks of
/// it (AT_SECURE).
#[test]
fn the_launcher_speaks_of_an_ignored_preload_exactly_where_the_loader_ignores_it() {
    // SAFETY: reads no memory.
    if unsafe { libc::getuid() } != 0 {
        return skip("only root can make programs that gain rights");
    }
    let folder = temporary_folder("rights");
    let source = "
        #include <sys/auxv.h>
        int main(void) { return getauxval(AT_SECURE) ? 10 : 20; }";
    let Some(program) = compile(&folder, source, &[]) else {
        return;
    };
    let launcher = folder.join("glebe");
    copy_launcher(&launcher);
    fs::copy(shipped_library(), folder.join("libglebe.so")).expect("a copy of the library");
    const NOBODY: u32 = 65534;
    let outcome_for = |user| {
        let mut command = Command::new(&launcher);
        clear_environment(&mut command);
        command.arg("run").arg(&program).uid(user).gid(user);
        run(command)
    };
    let check = |what: &str, gains: Option<u32>| {
        for user in [0, NOBODY] {
            let outcome = outcome_for(user);
            let secure = outcome.status.code() == Some(10);
            let said = outcome.stderr.contains("the loader ignores the preload");
            assert_eq!(said, secure, "{what} as {user}: {outcome:?}");
            if gains == Some(user) && !secure {
                skip(&format!(
                    "{what} gives no rights here (nosuid, no_new_privs?)"
                ));
            }
        }
    };
    let set_mode = |mode| {
        fs::set_permissions(&program, Permissions::from_mode(mode)).expect("a mode");
    };
    check("nothing", None);
    set_mode(0o4755);
    check("setuid", Some(NOBODY));
    set_mode(0o2755);
    check("setgid", Some(NOBODY));
    set_mode(0o2745);
    check("setgid without execution by the group", None);
    chown(&program, Some(NOBODY), Some(NOBODY)).expect("root may give files away");
    set_mode(0o6755);
    check("setuid and setgid of another user", Some(0));
    chown(&program, Some(0), Some(0)).expect("root may take files back");
    let setcap = Command::new("setcap")
        .arg("cap_net_raw+ep")
        .arg(&program)
        .status();
    if setcap.is_ok_and(|status| status.success()) {
        check("file capabilities", Some(NOBODY));
    } else {
        skip("setcap does not work here");
    }
}

/// The fields of `glebe_statistics` in the header, without the first, which the caller sets.
fn statistics_fields() -> BTreeSet<String> {
    let header = fs::read_to_string(package().join("include/glebe.h")).expect("the header");
    let (_, fields) = header
        .split_once("typedef struct glebe_statistics {")
        .expect("the struct");
    let (fields, _) = fields.split_once('}').expect("the end of the struct");
    fields
        .lines()
        .filter_map(|line| {
            Some(
                line.trim()
                    .strip_prefix("size_t ")?
                    .split_once(';')?
                    .0
                    .to_string(),
            )
        })
        .filter(|field| field != "struct_size")
        .collect()
}

#[test]
fn statistics_in_json_are_one_line_with_the_fields_of_the_header() {
    let outcome = run(glebe_run(["--stats=json"], ["true"]));
    let mut json: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&outcome.stderr)
            .unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    assert_eq!(outcome.stderr.lines().count(), 1);
    assert_eq!(json.remove("program").expect("program"), "true");
    assert_eq!(
        json.remove("version").expect("version"),
        env!("CARGO_PKG_VERSION")
    );
    assert!(json.remove("pid").expect("pid").is_u64());
    // Where the kernel tells it; a scan of the page tables, which no field of the header costs.
    json.remove("huge_page_bytes");
    assert!(json.values().all(serde_json::Value::is_u64), "{json:?}");
    assert_eq!(
        json.into_iter()
            .map(|(key, _)| key)
            .collect::<BTreeSet<_>>(),
        statistics_fields()
    );
}

#[test]
fn the_statistics_file_is_found_after_a_chdir_and_every_process_appends_to_it() {
    let folder = temporary_folder("statistics");
    let mut command = glebe_run(
        ["--stats=json", "--stats-file", "heap.jsonl"],
        ["sh", "-c", "cd / && env true && env true; true"],
    );
    command.current_dir(&folder);
    let outcome = run(command);
    assert_eq!((outcome.status.code(), &*outcome.stderr), (Some(0), ""));
    let lines = fs::read_to_string(folder.join("heap.jsonl")).expect("the statistics file");
    let programs: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line of JSON"))
        .map(|json| json["program"].as_str().expect("a name").to_string())
        .collect();
    // Whether the shell is among them depends on how it exits: dash does so by _exit.
    let count = programs.iter().filter(|program| *program == "true").count();
    assert_eq!(count, 2, "{programs:?}");
}

#[test]
fn statistics_for_people_are_printed_with_stats_and_with_a_statistics_file_alone() {
    let outcome = run(glebe_run(["--stats"], ["true"]));
    assert!(outcome.stderr.lines().count() > 1, "{outcome:?}");
    assert!(outcome.stderr.contains("true"), "{outcome:?}");
    let folder = temporary_folder("summary");
    let file = folder.join("summary");
    let outcome = run(glebe_run(["--stats-file", text(&file)], ["true"]));
    assert_eq!(outcome.stderr, "");
    assert!(
        fs::read_to_string(&file)
            .expect("the summary")
            .lines()
            .count()
            > 1
    );
}

#[test]
fn the_listed_options_values_and_defaults_are_those_of_the_library_and_of_the_manual() {
    let manual = fs::read_to_string(package().join("src/bin/glebe/glebe.1")).expect("the manual");
    let mut command = glebe();
    command.arg("options");
    let table = run(command).stdout;
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("GLEBE_") && !line.contains(':') || line.contains('|'))
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert!(rows.len() >= 7, "{table}");
    for row in rows {
        let (name, values, default) = (row[0], row[1], row[2]);
        assert!(
            manual.contains(&format!(".It Ev {name} ")),
            "{name} is not in the manual"
        );
        if values == "PATH" {
            continue;
        }
        let with = |value| {
            let mut command = glebe_run([], ["true"]);
            command.env(name, value);
            run(command).stderr
        };
        assert_eq!(with(default), "", "{name}={default}");
        let warning = with("no-such-value");
        assert_eq!(warning.lines().count(), 1, "{warning}");
        assert!(warning.contains(name), "{warning}");
        for value in values.split(['|']).flat_map(|it| it.split("..")) {
            assert!(warning.contains(value), "{name} takes {value}: {warning}");
        }
    }
}

/// Whether the machine lets a heap have a budget; says so loudly where it does not.
fn budgets_are_kept() -> bool {
    let outcome = run(glebe_run(["--budget", "64M"], ["true"]));
    let refused = outcome.stderr.contains("no budget: ");
    if refused {
        skip(outcome.stderr.trim_end());
    }
    !refused
}

/// The budgets in statistics of one line for each process, 0 where one has none.
fn budgets(statistics: &str) -> Vec<u64> {
    statistics
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line of JSON"))
        .map(|json| json["budget_bytes"].as_u64().unwrap_or(0))
        .collect()
}

#[test]
fn a_budget_and_its_store_are_given_by_the_environment_and_paths_are_made_absolute() {
    let folder = temporary_folder("store");
    let mut command = glebe_run(
        ["--budget", "60%", "--store", "both", "--store-file", "file"],
        [
            "sh",
            "-c",
            "echo $GLEBE_BUDGET $GLEBE_STORE $GLEBE_STORE_FILE ${GLEBE_BUDGET_PID-all} \
             ${GLEBE_BUDGET_REQUIRED-optional}",
        ],
    );
    command.current_dir(&folder).env("GLEBE_BUDGET_PID", "1");
    let outcome = run(command);
    let folder = folder.canonicalize().expect("the folder is there");
    assert_eq!(
        outcome.stdout,
        format!("60% both {}/file all optional\n", folder.display())
    );
}

#[test]
fn an_amount_that_is_none_and_a_store_without_a_budget_are_refused_with_2() {
    for (options, words) in [
        (["--budget", "lots"], "as in 512M"),
        (["--budget", "101%"], "as in 60%"),
        (["--store", "tape"], "tape"),
        (["--store", "both"], "--budget"),
        (["--store-file", "/var/tmp"], "--budget"),
        (["--budget-for-children", "no"], "--budget"),
    ] {
        let outcome = run(glebe_run(options, ["true"]));
        assert_eq!(outcome.status.code(), Some(2), "{options:?}: {outcome:?}");
        assert!(outcome.stderr.contains(words), "{options:?}: {outcome:?}");
    }
}

#[test]
fn a_budget_is_for_what_the_program_executes_too_unless_it_is_for_the_program_alone() {
    if !budgets_are_kept() {
        return;
    }
    let budgets_of = |children: &str, program| {
        let for_children = format!("--budget-for-children={children}");
        let options = ["--stats=json", "--budget", "64M", &for_children];
        budgets(&run(glebe_run(options, program)).stderr)
    };
    let itself = ["env", "true", "", ""];
    // The shell waits for its child, and itself ends without statistics or with them.
    let child = ["sh", "-c", "env true; :", ""];
    let all = 64 << 20;
    assert_eq!(budgets_of("yes", itself).last(), Some(&all));
    assert_eq!(budgets_of("no", itself).last(), Some(&all));
    assert_eq!(budgets_of("yes", child).first(), Some(&all));
    assert_eq!(budgets_of("no", child).first(), Some(&0));
}

#[test]
fn a_program_that_runs_glebe_itself_gives_its_child_a_budget_of_its_own() {
    if !budgets_are_kept() {
        return;
    }
    let line = format!(
        "{GLEBE} run --stats=json --library {} --budget $0 -- true; :",
        shipped_library().display()
    );
    for (amount, bytes) in [("32M", 32 << 20), ("0", 0)] {
        let options = ["--budget", "64M", "--budget-for-children", "no"];
        let outcome = run(glebe_run(options, ["sh", "-c", &line, amount]));
        assert_eq!(
            budgets(&outcome.stderr).first(),
            Some(&bytes),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_required_budget_is_kept_or_the_program_does_not_run() {
    let options = ["--budget", "64M", "--budget-required"];
    let outcome = run(glebe_run(options, ["sh", "-c", "echo ran"]));
    if outcome.stderr.is_empty() {
        assert_eq!(
            (outcome.status.code(), &*outcome.stdout),
            (Some(0), "ran\n")
        );
    } else {
        skip(outcome.stderr.trim_end());
        assert_says(&outcome, 125, "no budget: ");
        assert_eq!(outcome.stdout, "");
    }
    let folder = temporary_folder("required");
    if !has("gcc") || !can_link_statically() {
        return;
    }
    let source = "int main(void) { return 0; }";
    let Some(program) = compile(&folder, source, &["-static"]) else {
        return;
    };
    assert_says(
        &run(glebe_run(options, [text(&program)])),
        125,
        "no budget: ",
    );
}

#[test]
fn without_privilege_one_line_says_why_there_is_no_budget_and_the_program_runs() {
    // SAFETY: reads no memory.
    if unsafe { libc::getuid() } != 0 {
        return skip("only root can run a program as another user");
    }
    if fs::read("/proc/sys/vm/unprivileged_userfaultfd").is_ok_and(|it| it.starts_with(b"1")) {
        return skip("userfaultfd is everybody's here");
    }
    let folder = temporary_folder("unprivileged");
    let launcher = folder.join("glebe");
    copy_launcher(&launcher);
    fs::copy(shipped_library(), folder.join("libglebe.so")).expect("a copy of the library");
    let mut command = Command::new(&launcher);
    clear_environment(&mut command);
    command
        .args(["run", "--budget", "64M", "true"])
        .uid(65534)
        .gid(65534);
    assert_says(&run(command), 0, "warning: no budget: ");
}

/// The files and links under `folder`, by their path in it.
fn files_under(folder: &Path) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let path = path.strip_prefix(folder).expect("a path in the folder");
                files.insert(text(path).to_string());
            }
        }
    }
    files
}

fn install(options: &[&str]) -> Outcome {
    let mut command = glebe();
    command
        .arg("install")
        .arg("--from")
        .arg(shipped_library().parent().expect("a folder"));
    command.args(options);
    run(command)
}

#[test]
fn install_puts_the_listed_files_where_it_says_and_uninstall_removes_exactly_these() {
    let folder = temporary_folder("install");
    let options = ["--prefix", "/opt/glebe", "--destdir", text(&folder)];
    let root = folder.join("opt/glebe");
    fs::create_dir_all(root.join("lib")).expect("a folder");
    fs::write(root.join("lib/other"), "").expect("a file");
    let expected: BTreeSet<String> = [
        "bin/glebe",
        "include/glebe.h",
        "lib/libglebe.a",
        "lib/libglebe.so",
        "lib/libglebe.so.0",
        "lib/pkgconfig/glebe.pc",
        "share/man/man1/glebe.1",
    ]
    .map(String::from)
    .into();
    for _first_and_again in 0..2 {
        let outcome = install(&options);
        assert!(outcome.status.success(), "{outcome:?}");
        let said: BTreeSet<String> = outcome
            .stdout
            .lines()
            .map(|line| line.strip_prefix("installed ").expect("what it did"))
            .map(|path| text(Path::new(path).strip_prefix(&root).expect("below the root")).into())
            .collect();
        assert_eq!(said, expected);
        let mut there = files_under(&root);
        assert!(there.remove("lib/other"));
        assert_eq!(there, expected);
    }
    let link = fs::read_link(root.join("lib/libglebe.so")).expect("a link");
    assert_eq!(link, Path::new("libglebe.so.0"));
    for (path, mode) in [
        ("bin/glebe", 0o755),
        ("lib/libglebe.so.0", 0o755),
        ("include/glebe.h", 0o644),
    ] {
        let metadata = fs::metadata(root.join(path)).expect("an installed file");
        assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{path}");
    }
    let installed = root.join("bin/glebe");
    let mut command = Command::new(&installed);
    clear_environment(&mut command);
    command.args([
        "run",
        "grep",
        "-c",
        "opt/glebe/lib/libglebe.so",
        "/proc/self/maps",
    ]);
    assert!(
        run(command).status.success(),
        "the installed launcher finds the installed library"
    );
    for removed in [7, 0] {
        let mut command = glebe();
        command.arg("uninstall").args(options);
        let outcome = run(command);
        assert!(outcome.status.success(), "{outcome:?}");
        let count = outcome
            .stdout
            .lines()
            .filter(|line| line.starts_with("removed "))
            .count();
        assert_eq!(count, removed, "{outcome:?}");
        assert_eq!(
            files_under(&folder),
            BTreeSet::from(["opt/glebe/lib/other".to_string()])
        );
    }
}

#[test]
fn an_installation_that_fails_says_where_in_one_line_and_leaves_no_temporary_file() {
    let folder = temporary_folder("failing");
    fs::create_dir_all(folder.join("lib/libglebe.so.0/occupied")).expect("a folder in the way");
    assert_says(
        &install(&["--prefix", text(&folder)]),
        1,
        "lib/libglebe.so.0: ",
    );
    assert_eq!(files_under(&folder), BTreeSet::new());
    let mut command = glebe();
    command.args([
        "install",
        "--from",
        "/nonexistent",
        "--prefix",
        text(&folder),
    ]);
    assert_says(&run(command), 1, "/nonexistent/libglebe.so: ");
}

#[test]
fn c_programs_link_the_installed_libraries_with_the_documented_commands() {
    if !has("gcc") || !has("pkg-config") {
        return;
    }
    let folder = temporary_folder("pkg-config");
    let outcome = install(&["--prefix", text(&folder)]);
    assert!(outcome.status.success(), "{outcome:?}");
    let source = "
        #include <glebe.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/wait.h>
        #include <unistd.h>
        int main(void) {
            char *block = malloc(100), *copy = strdup(\"by libc\"), *line = NULL;
            void *aligned = NULL;
            size_t size = 0;
            if (posix_memalign(&aligned, 4096, 1) != 0 || getline(&line, &size, stdin) < 0) return 9;
            int status = 9;
            if (fork() == 0) _exit(malloc(10) == NULL);
            wait(&status);
            printf(\"%d%d%d%d %s\\n\", glebe_owns(block), glebe_owns(copy), glebe_owns(aligned),
                   glebe_owns(line), glebe_version());
            free(block); free(copy); free(aligned); free(line);
            return status != 0;
        }";
    fs::write(folder.join("a.c"), source).expect("a source file");
    let static_too = can_link_statically();
    let version = env!("CARGO_PKG_VERSION");
    for (flags, owned) in [
        ("$(pkg-config --cflags --libs glebe)", "1111"),
        (
            "$(pkg-config --cflags glebe) $(pkg-config --variable=takeover glebe)",
            "1111",
        ),
        (
            "-static $(pkg-config --cflags glebe) $(pkg-config --variable=takeover glebe)",
            "1111",
        ),
        (
            "$(pkg-config --cflags glebe) $(pkg-config --variable=archive glebe)",
            "0000",
        ),
    ] {
        if flags.starts_with("-static") && !static_too {
            continue;
        }
        let mut command = Command::new("sh");
        clear_environment(&mut command);
        command.env("PKG_CONFIG_PATH", folder.join("lib/pkgconfig"));
        command
            .env("LD_LIBRARY_PATH", folder.join("lib"))
            .current_dir(&folder);
        let line = format!("set -e; gcc -fno-builtin a.c {flags} -o a; echo line | ./a");
        let outcome = run({
            command.args(["-c", &line]);
            command
        });
        assert_eq!(
            outcome.stdout,
            format!("{owned} {version}\n"),
            "{flags}: {outcome:?}"
        );
        assert!(outcome.status.success(), "{flags}: {outcome:?}");
    }
}

/// `glebe symbolize` with `report` on its stdin.
fn symbolize(folder: &Path, report: &str) -> Outcome {
    let file = folder.join("report");
    fs::write(&file, report).expect("a report");
    let mut command = glebe();
    command.arg("symbolize").arg(&file);
    let by_name = run(command);
    let mut command = glebe();
    command
        .arg("symbolize")
        .stdin(fs::File::open(&file).expect("the report"));
    let from_stdin = run(command);
    assert_eq!(by_name.stdout, from_stdin.stdout);
    by_name
}

/// The address of `symbol` in its file's own address space.
fn address_of(program: &Path, symbol: &str) -> u64 {
    let mut nm = Command::new("nm");
    nm.arg("-D").arg("--defined-only").arg(program);
    let symbols = run(nm).stdout;
    let line = symbols
        .lines()
        .find(|line| line.ends_with(&format!(" T {symbol}")));
    let line = line.unwrap_or_else(|| panic!("no {symbol} in {symbols}"));
    u64::from_str_radix(&line[..16], 16).expect("a hexadecimal address")
}

const CALLED: &str = "
__attribute__((noinline)) int called(volatile int *count) {
    return ++*count;
}
static inline __attribute__((always_inline)) int inlined(volatile int *count) {
    return --*count;
}
__attribute__((noinline)) int around(volatile int *count) {
    return inlined(count);
}
__attribute__((noinline)) int mangled(volatile int *count) __asm__(\"_ZN5field6hectarEPi\");
int mangled(volatile int *count) {
    return *count;
}
int main(void) {
    volatile int count = 0;
    return called(&count) + around(&count) + mangled(&count);
}";

#[test]
fn symbolize_adds_functions_and_lines_and_leaves_the_rest() {
    let folder = temporary_folder("symbolize");
    let Some(program) = compile(&folder, CALLED, &["-g", "-O1", "-rdynamic"]) else {
        return;
    };
    let source = folder.join("program.c");
    let (program, source) = (text(&program), text(&source));
    let called = address_of(program.as_ref(), "called");
    let around = address_of(program.as_ref(), "around");
    let report = format!(
        "glebe: [7] fatal: read after free: ptr=0x10\n  access:\n    #0 {program}+{called:#x}\n    \
         #1 /nowhere/at all+0x10\n    #2 {program}+{around:#x}\n    #3 /nowhere/at all+0x20"
    );
    let outcome = symbolize(&folder, &report);
    let lines: Vec<_> = outcome.stdout.lines().zip(report.lines()).collect();
    assert_eq!(lines[0].0, lines[0].1);
    assert_eq!(lines[1].0, lines[1].1);
    let called = format!("{} in called at {source}:", lines[2].1);
    let line = lines[2].0.strip_prefix(&called);
    assert!(matches!(line, Some("2" | "3")), "{outcome:?}");
    assert_eq!(lines[3].0, lines[3].1);
    assert!(
        outcome.stdout.ends_with(
            lines[3]
                .1
                .replace("#1", "#3")
                .replace("0x10", "0x20")
                .as_str()
        )
    );
    let whole = &outcome.stdout;
    assert!(
        whole.contains(&format!(
            " in inlined at {source}:6\n       inlined into around at {source}:9\n"
        )),
        "{whole}"
    );
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    assert!(
        outcome.stderr.starts_with("glebe: /nowhere/at all: "),
        "{outcome:?}"
    );
    assert!(outcome.status.success());
}

#[test]
fn symbolize_knows_the_dynamic_symbols_of_a_stripped_program_and_demangles() {
    let folder = temporary_folder("symbolize-stripped");
    let Some(program) = compile(&folder, CALLED, &["-s", "-O1", "-rdynamic"]) else {
        return;
    };
    let mangled = address_of(&program, "_ZN5field6hectarEPi");
    let line = format!("#0 {}+{:#x}", program.display(), mangled + 1);
    let outcome = symbolize(&folder, &line);
    assert_eq!(
        outcome.stdout,
        format!("{line} in field::hectar(int*)"),
        "{outcome:?}"
    );
}

#[test]
fn symbolize_fails_without_its_report() {
    let mut command = glebe();
    command.args(["symbolize", "/nowhere"]);
    assert_says(&run(command), 1, "/nowhere");
}
