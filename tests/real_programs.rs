//! Real programs run on glebe: each test preloads the shipped library into one of them, gives it
//! work, compares what comes out with what must, and proves that the library served it.

mod common;
#[path = "real_programs/stage.rs"]
mod stage;

use stage::{Stage, fetch, free_port, installed, material, shown};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Modules of Python's own test suite that work the heap and together need half a minute.
const PYTHON_TESTS: [&str; 18] = [
    "test_bytes",
    "test_ctypes",
    "test_dict",
    "test_fork1",
    "test_gc",
    "test_itertools",
    "test_json",
    "test_list",
    "test_mmap",
    "test_ordered_dict",
    "test_pickle",
    "test_re",
    "test_set",
    "test_struct",
    "test_thread",
    "test_threading",
    "test_weakref",
    "test_zlib",
];

#[test]
fn python_passes_its_own_test_suite() {
    // The first that has the suite; what the PATH leads to may be a script, or a Python with
    // packages of the user's that its suite does not expect.
    let python = [Some("/usr/bin/python3".into()), installed("python3")]
        .into_iter()
        .flatten()
        .find_map(|python| {
            let ask = "import sys, test.test_json; print(sys.executable)";
            let answer = Command::new(python).args(["-c", ask]).output().ok()?;
            let path = String::from_utf8(answer.stdout).ok()?;
            answer.status.success().then(|| path.trim().to_owned())
        });
    let Some(python) = python else {
        return common::skip("python3: none with the modules of its test suite here");
    };
    let Some(stage) = Stage::with(&[&python]) else {
        return;
    };
    let mut command = stage.preloaded(&python);
    command
        .env("PYTHONMALLOC", "malloc")
        .args(["-m", "test", "--quiet", "--verbose3"])
        // These fail wherever SIGINT is ignored, as in a shell's background job.
        .args(["--ignore", "*test_interrupt_main*"])
        .args(PYTHON_TESTS);
    let outcome = stage.outcome(&mut command);
    let verdict = &outcome.stdout;
    let passed = outcome.status.success() && verdict.contains("Tests result: SUCCESS");
    let failures = outcome.stderr.find("\n======").unwrap_or_default();
    assert!(passed, "{verdict}{}", &outcome.stderr[failures..]);
    stage.prove(&["python3"]);
}

#[test]
fn gcc_writes_the_same_code_and_its_program_runs() {
    let Some(stage) = Stage::with(&["gcc"]) else {
        return;
    };
    let mut many = String::from("#include <string.h>\n");
    for n in 0..700 {
        write!(
            many,
            "static int f{n}(int *v, int k) {{ int s = {n}; for (int i = 0; i < k; i++) {{ \
             switch (v[i] % 7) {{ case 0: s += v[i] * {n}; break; case 3: s ^= v[i] << (i & 7); break; \
             default: s -= i; }} }} return s; }}\nint g{n}(void) {{ int v[{k}]; memset(v, {n}, sizeof v); \
             return f{n}(v, {k}) + f{n}(v, {n} % 13); }}\n",
            k = n % 40 + 1,
        )
        .expect("a string takes text");
    }
    stage.write("many.c", many);
    fs::copy(material("interpreter.c"), stage.path("interpreter.c")).expect("a copy");
    for source in ["many", "interpreter"] {
        let [plain, preloaded] = [stage.plain("gcc"), stage.preloaded("gcc")].map(|mut gcc| {
            let assembly = stage.path("out.s");
            gcc.args(["-O2", "-S", "-o", "out.s", &format!("{source}.c")]);
            stage.output(&mut gcc);
            fs::read(assembly).expect("gcc wrote it")
        });
        assert!(
            plain == preloaded,
            "{source}.c: gcc makes other code on glebe"
        );
    }
    stage.output(stage.preloaded("gcc").args([
        "-O2",
        "-flto",
        "interpreter.c",
        "-o",
        "interpreter",
    ]));
    stage.prove(&["gcc", "cc1", "ld"]);
    let values = stage.output(&mut on_stage(&stage, "interpreter"));
    for right in [
        "10946\n",
        "281 283 293)",
        "790806\n",
        "338001\n",
        "collected often\n",
    ] {
        assert!(values.contains(right), "{right} is not in {values}");
    }
    stage.prove(&["interpreter"]);
}

/// A program that a test made in its folder, preloaded.
fn on_stage(stage: &Stage, program: &str) -> Command {
    stage.preloaded(shown(&stage.path(program)))
}

#[test]
fn gxx_compiles_templates_and_the_threads_run() {
    let Some(stage) = Stage::with(&["g++"]) else {
        return;
    };
    let source = material("templates.cc");
    let [plain, preloaded] = [stage.plain("g++"), stage.preloaded("g++")].map(|mut gxx| {
        gxx.args(["-std=c++20", "-O2", "-S", "-o", "out.s", shown(&source)]);
        stage.output(&mut gxx);
        fs::read(stage.path("out.s")).expect("g++ wrote it")
    });
    assert!(plain == preloaded, "g++ makes other code on glebe");
    stage.output(
        stage
            .preloaded("g++")
            .args(["-pthread", "out.s", "-o", "templates"]),
    );
    stage.prove(&["cc1plus"]);
    let written = stage.output(&mut on_stage(&stage, "templates"));
    let right = "1995 192 13960453437046933582\n4342000\n1001\nbad_alloc caught\n";
    assert!(written.ends_with(right), "{written}");
    stage.prove(&["templates"]);
}

#[test]
fn git_keeps_a_history_through_gc_and_clone() {
    let Some(stage) = Stage::with(&["git"]) else {
        return;
    };
    let git = |arguments: &[&str]| {
        let mut git = stage.preloaded("git");
        git.env("GIT_CONFIG_NOSYSTEM", "1")
            .args(["-c", "user.name=A", "-c", "user.email=a@localhost"])
            .args(["-c", "gc.auto=0", "-c", "pack.threads=2"]);
        stage.output(git.args(arguments))
    };
    git(&["init", "--quiet", "-b", "main", "repository"]);
    let work = |arguments: &[&str]| git(&[&["-C", "repository"], arguments].concat());
    let mut text = Vec::new();
    for n in 0..60 {
        for line in 0..80 {
            text.insert(text.len() * 7 / 11, format!("commit {n}, line {line}\n"));
        }
        stage.write("repository/history.txt", text.concat());
        stage.write(
            &format!("repository/file{}.txt", n % 9),
            format!("{n}\n").repeat(n + 1),
        );
        work(&["add", "--all"]);
        work(&["commit", "--quiet", "-m", &format!("number {n}")]);
    }
    let stream: String = (0..1500)
        .map(|n| {
            let data = format!("imported {n}\n").repeat(n % 30 + 1);
            let parent = if n == 0 { "from refs/heads/main^0\n" } else { "" };
            format!(
                "commit refs/heads/imported\ncommitter A <a@localhost> {n} +0000\ndata 1\n.\n{parent}\
                 M 100644 inline {}.txt\ndata {}\n{data}\n",
                n % 100,
                data.len(),
            )
        })
        .collect();
    let import = fs::File::open(stage.write("stream", stream)).expect("just written");
    let mut fast_import = stage.preloaded("git");
    fast_import.args(["-C", "repository", "fast-import", "--quiet"]);
    stage.output(fast_import.stdin(import));

    assert_eq!(
        work(&["log", "--oneline", "imported"]).lines().count(),
        1560
    );
    let blame = work(&["blame", "--line-porcelain", "history.txt"]);
    assert_eq!(blame.matches("\nsummary number ").count(), 4800);
    let before = work(&["rev-list", "--objects", "--all"]);
    work(&["gc", "--quiet", "--aggressive", "--prune=now"]);
    assert_eq!(work(&["fsck", "--full", "--strict"]), "");
    let source = format!("file://{}", shown(&stage.path("repository")));
    git(&["clone", "--quiet", "--mirror", &source, "clone"]);
    let mut plain = stage.plain("git");
    plain.args(["-C", "clone", "rev-list", "--objects", "--all"]);
    assert_eq!(before, stage.output(&mut plain));
    stage.output(stage.plain("git").args(["-C", "clone", "fsck", "--full"]));
    stage.prove(&["git"]);
}

#[test]
fn perl_works_on_hashes_and_text() {
    let Some(stage) = Stage::with(&["perl"]) else {
        return;
    };
    stage.same_output("perl", &[shown(&material("words.pl"))]);
}

#[test]
fn lua_works_on_tables_and_coroutines() {
    let Some(stage) = Stage::with(&["lua5.4"]) else {
        return;
    };
    stage.same_output("lua5.4", &[shown(&material("tables.lua"))]);
}

#[test]
fn ruby_collects_and_compacts() {
    let Some(stage) = Stage::with(&["ruby"]) else {
        return;
    };
    stage.same_output("ruby", &[shown(&material("objects.rb"))]);
}

#[test]
fn node_runs_workers() {
    let Some(stage) = Stage::with(&["node"]) else {
        return;
    };
    stage.same_output("node", &[shown(&material("workers.js"))]);
}

#[test]
fn php_loads_its_extensions() {
    let Some(stage) = Stage::with(&["php"]) else {
        return;
    };
    let script = material("extensions.php");
    let complete = stage.outcome(stage.plain("php").args(["-f", shown(&script)]));
    if complete.status.code() == Some(2) {
        return common::skip(&format!("php: {}", complete.stdout.trim()));
    }
    stage.same_output("php", &[shown(&script)]);
    // PHP keeps a heap of its own unless told otherwise.
    let mut every_block = stage.preloaded("php");
    every_block.env("USE_ZEND_ALLOC", "0").arg(&script);
    assert_eq!(stage.output(&mut every_block), complete.stdout);
}

#[test]
fn sqlite_keeps_its_integrity() {
    let Some(stage) = Stage::with(&["sqlite3"]) else {
        return;
    };
    let script = format!(".read {}", shown(&material("ledger.sql")));
    let answers = stage.same_output("sqlite3", &["ledger.db", &script]);
    assert!(answers.ends_with("\nok\n"), "{answers}");
}

#[test]
fn bash_and_the_core_tools_work_in_pipes() {
    let Some(stage) = Stage::with(&["bash"]) else {
        return;
    };
    stage.same_output("bash", &[shown(&material("pipeline.sh"))]);
    stage.prove(&["sort", "awk", "xargs", "gzip"]);
}

#[test]
fn make_builds_in_parallel() {
    let Some(stage) = Stage::with(&["make"]) else {
        return;
    };
    stage.same_output("make", &["-s", "-j4", "-f", shown(&material("Makefile"))]);
}

#[test]
fn archives_come_back_whole_and_sort_in_parallel() {
    let Some(stage) = Stage::with(&["tar", "xz", "sort", "diff"]) else {
        return;
    };
    for n in 0..60_usize {
        let line = format!("{:x} {n}\n", n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        stage.write(&format!("{n}.txt"), line.repeat(n * 400));
    }
    fs::create_dir(stage.path("tree")).expect("a new folder");
    for n in 0..60 {
        let name = format!("{n}.txt");
        fs::rename(stage.path(&name), stage.path("tree").join(name)).expect("in one folder");
    }
    let run = |program: &str, arguments: &[&str]| {
        let mut command = stage.preloaded(program);
        stage.output(
            command
                .env("XZ_OPT", "-2 -T2 --block-size=256KiB")
                .args(arguments),
        )
    };
    run("tar", &["-cJf", "tree.tar.xz", "tree"]);
    fs::rename(stage.path("tree"), stage.path("before")).expect("in one folder");
    run("tar", &["-xJf", "tree.tar.xz"]);
    stage.output(stage.plain("diff").args(["-r", "before", "tree"]));
    run("xz", &["--test", "tree.tar.xz"]);

    let mut numbers: Vec<u32> = (0..400_000_u32)
        .map(|n| n.wrapping_mul(2_654_435_761))
        .collect();
    let lines = |numbers: &[u32]| -> String { numbers.iter().map(|n| format!("{n}\n")).collect() };
    stage.write("numbers", lines(&numbers));
    run(
        "sort",
        &[
            "-n",
            "--parallel=4",
            "-S",
            "1M",
            "-T",
            ".",
            "-o",
            "sorted",
            "numbers",
        ],
    );
    numbers.sort_unstable();
    let sorted = fs::read_to_string(stage.path("sorted")).expect("sort wrote it");
    assert!(sorted == lines(&numbers), "sort orders otherwise on glebe");
    stage.prove(&["tar", "xz", "sort"]);
}

#[test]
fn redis_keeps_its_data_over_bgsave_and_restart() {
    let Some(stage) = Stage::with(&["redis-server", "redis-benchmark", "redis-cli"]) else {
        return;
    };
    let port = free_port().to_string();
    let start = || {
        let mut redis = stage.preloaded("redis-server");
        redis
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
            .args(["--io-threads", "2", "--enable-debug-command", "local"])
            .args(["--lazyfree-lazy-user-flush", "yes"]);
        let mut server = stage.serve("redis", &mut redis);
        let mut ping = || {
            let mut cli = stage.plain("redis-cli");
            let answer = cli.args(["-p", &port, "ping"]).output();
            answer.is_ok_and(|it| it.stdout == b"PONG\n")
        };
        server.until("PONG", &mut ping);
        server
    };
    let cli = |arguments: &[&str]| {
        let mut cli = stage.preloaded("redis-cli");
        stage
            .output(cli.args(["-p", &port]).args(arguments))
            .trim()
            .to_owned()
    };
    let benchmark = |tests: &str| {
        let mut benchmark = stage.preloaded("redis-benchmark");
        benchmark
            .args(["-p", &port, "-q", "-n", "60000", "-r", "20000", "-P", "16"])
            .args(["-d", "300", "-c", "20", "--threads", "2", "-t", tests]);
        let rates = stage.output(&mut benchmark);
        assert!(rates.contains("requests per second"), "{rates}");
    };

    let mut server = start();
    benchmark("set,get,incr,lpush,rpush,lpop,sadd,hset,zadd,lrange_300,mset");
    assert_eq!(cli(&["bgsave"]), "Background saving started");
    benchmark("set,hset,lpush");
    server.until("the end of the first BGSAVE", || {
        cli(&["info", "persistence"]).contains("rdb_bgsave_in_progress:0")
    });
    let keys: u64 = cli(&["dbsize"]).parse().expect("a number");
    assert!(keys > 10_000, "{keys} keys");
    let digest = cli(&["debug", "digest"]);
    assert_eq!(cli(&["bgsave"]), "Background saving started");
    server.until("the end of the second BGSAVE", || {
        cli(&["info", "persistence"]).contains("rdb_bgsave_in_progress:0")
    });
    assert!(cli(&["info", "persistence"]).contains("rdb_last_bgsave_status:ok"));
    cli(&["shutdown", "nosave"]);
    server.ended();

    let server = start();
    assert_eq!(cli(&["dbsize"]), keys.to_string());
    assert_eq!(cli(&["debug", "digest"]), digest);
    assert_eq!(cli(&["flushall"]), "OK");
    cli(&["shutdown", "nosave"]);
    server.ended();
    stage.prove(&["redis-server", "redis-cli", "redis-benchmark"]);
}

#[test]
fn postgresql_balances_its_books() {
    let Some(stage) = Stage::unprivileged(&["postgres", "initdb", "pgbench", "psql", "pg_dump"])
    else {
        return;
    };
    let run = |program: &str, arguments: &[&str]| {
        let mut command = stage.preloaded(program);
        command.envs([
            ("PGHOST", shown(&stage.path(""))),
            ("PGUSER", "owner"),
            ("PGDATABASE", "postgres"),
        ]);
        stage.output(command.args(arguments))
    };
    run(
        "initdb",
        &[
            "--no-sync",
            "-U",
            "owner",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "-D",
            "data",
        ],
    );
    let mut postgres = stage.preloaded("postgres");
    postgres.args([
        "-D",
        "data",
        "-k",
        shown(&stage.path("")),
        "-c",
        "listen_addresses=",
        "-c",
        "fsync=off",
    ]);
    postgres.args([
        "-c",
        "max_parallel_workers_per_gather=2",
        "-c",
        "min_parallel_table_scan_size=0",
    ]);
    let mut server = stage.serve("postgres", &mut postgres);
    server.until("connections are taken", || {
        let mut ready = stage.plain("pg_isready");
        ready.arg("-h").arg(stage.path(""));
        ready.output().is_ok_and(|it| it.status.success())
    });
    let ask = |query: &str| {
        run("psql", &["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", query])
            .trim()
            .to_owned()
    };

    run("pgbench", &["-i", "-q", "-s", "2"]);
    let report = run("pgbench", &["-c", "4", "-j", "2", "-t", "400"]);
    assert!(report.contains("actually processed: 1600/1600"), "{report}");
    let books = "select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history),
        (select sum(bbalance) from pgbench_branches) = (select sum(tbalance) from pgbench_tellers),
        (select sum(bbalance) from pgbench_branches) = (select sum(delta) from pgbench_history),
        (select count(*) from pgbench_history)";
    assert_eq!(ask(books), "t|t|t|1600");
    ask("create table text_table as select i, md5(i::text) as hash, repeat(md5(i::text), i % 90) as body
        from generate_series(1, 40000) i; create index on text_table(hash)");
    ask("vacuum analyze text_table");
    let sums =
        "select count(*), sum(length(body)), min(hash) from text_table where body ~ 'a[0-9]+b'";
    let planned = ask(&format!("set max_parallel_workers_per_gather = 0; {sums}"));
    assert_eq!(
        ask(&format!(
            "set jit_above_cost = 0; set parallel_setup_cost = 0; {sums}"
        )),
        planned
    );
    let digest = "select md5(string_agg(hash || length(body), ',' order by i)) from text_table";
    let dumped = ask(digest);
    run("pg_dump", &["-Fc", "-f", "dump", "-t", "text_table"]);
    ask("drop table text_table");
    run("pg_restore", &["-j", "2", "-d", "postgres", "dump"]);
    assert_eq!(ask(digest), dumped);
    server.signal(libc::SIGINT);
    server.ended();
    stage.prove(&["postgres", "initdb", "pgbench", "psql", "pg_dump"]);
}

#[test]
fn nginx_serves_reloads_and_stops() {
    let Some(stage) = Stage::with(&["nginx"]) else {
        return;
    };
    fs::create_dir_all(stage.path("files")).expect("a new folder");
    let files: Vec<(String, String)> = (0..40)
        .map(|n| {
            (
                format!("/{n}.txt"),
                format!("file {n} {}\n", "x".repeat(n)).repeat(n * 90),
            )
        })
        .collect();
    for (name, content) in &files {
        stage.write(&format!("files{name}"), content);
    }
    let port = free_port();
    let configure = |generation: &str| -> PathBuf {
        stage.write(
            "nginx.conf",
            format!(
                "daemon off; user root; worker_processes 2; pid nginx.pid; error_log error.log notice;
                events {{ worker_connections 256; }}
                http {{
                    access_log access.log; gzip on; gzip_types text/plain; keepalive_requests 100000;
                    default_type text/plain;
                    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
                    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
                    server {{
                        listen 127.0.0.1:{port};
                        location / {{ root files; }}
                        location /generation {{ return 200 '{generation}'; }}
                        location /through/ {{ proxy_pass http://127.0.0.1:{port}/; }}
                    }}
                }}"
            ),
        )
    };
    let configuration = configure("first");
    let mut nginx = stage.preloaded("nginx");
    nginx.args([
        "-e",
        "error.log",
        "-p",
        shown(&stage.path("")),
        "-c",
        shown(&configuration),
    ]);
    let mut server = stage.serve("nginx", &mut nginx);
    let generation =
        |wanted: &str| fetch(port, "/generation").is_some_and(|it| it == wanted.as_bytes());
    server.until("the first generation answers", || generation("first"));
    let load = |path: &str| {
        if installed("ab").is_none() {
            return common::skip("nginx: no ab here to fetch in parallel");
        }
        let mut ab = stage.preloaded("ab");
        ab.args([
            "-q",
            "-k",
            "-n",
            "4000",
            "-c",
            "16",
            "-H",
            "Accept-Encoding: gzip",
        ]);
        let report = stage.output(ab.arg(format!("http://127.0.0.1:{port}{path}")));
        assert!(report.contains("Complete requests:      4000"), "{report}");
        assert!(report.contains("Failed requests:        0"), "{report}");
        stage.prove(&["ab"]);
    };
    let whole = || {
        for (name, content) in &files {
            for path in [name.clone(), format!("/through{name}")] {
                let body = fetch(port, &path).unwrap_or_default();
                assert!(body == content.as_bytes(), "{path}: {} bytes", body.len());
            }
        }
    };
    whole();
    load("/17.txt");
    configure("second");
    server.signal(libc::SIGHUP);
    let errors = || fs::read_to_string(stage.path("error.log")).expect("nginx wrote it");
    server.until("the old workers left and the new answer", || {
        errors().matches("exited with code 0").count() == 2 && generation("second")
    });
    load("/through/9.txt");
    whole();
    server.signal(libc::SIGQUIT);
    server.ended();
    let errors = errors();
    for bad in ["[alert]", "[emerg]", "exited on signal", "glebe: ["] {
        assert!(!errors.contains(bad), "{errors}");
    }
    stage.prove(&["nginx"]);
}

/// `blocks` from blocks.c, in the folder of `stage`.
fn blocks(stage: &Stage) -> PathBuf {
    let program = stage.path("blocks");
    common::compile_c(&material("blocks.c"), &["-O0"], &program);
    program
}

const BLOCKS_OUTPUT: &str = "12345 taken, 12300 intact\n";

#[test]
fn valgrind_runs_a_preloaded_program() {
    let Some(stage) = Stage::with(&["valgrind", "gcc"]) else {
        return;
    };
    let program = blocks(&stage);
    let mut none = stage.preloaded("valgrind");
    none.args(["-q", "--tool=none", shown(&program)]);
    assert_eq!(stage.output(&mut none), BLOCKS_OUTPUT);
    stage.prove(&["blocks"]);
    let mut memcheck = stage.preloaded("valgrind");
    memcheck.args([
        "-q",
        "--error-exitcode=9",
        "--leak-check=full",
        shown(&program),
    ]);
    assert_eq!(stage.output(&mut memcheck), BLOCKS_OUTPUT);
}

#[test]
fn gdb_breaks_in_a_preloaded_program() {
    let Some(stage) = Stage::with(&["gdb", "gcc"]) else {
        return;
    };
    let program = blocks(&stage);
    let mut gdb = stage.preloaded("gdb");
    gdb.args(["-nx", "-batch"]);
    for command in [
        "break give_back",
        "run",
        "backtrace",
        "info sharedlibrary",
        "print ((unsigned long (*)(void *))malloc_usable_size)(blocks[7]) >= 777",
        "continue",
    ] {
        gdb.args(["-ex", command]);
    }
    let session = stage.output(gdb.args(["--args", shown(&program)]));
    for seen in [
        "give_back (count=12345)",
        "in main ()",
        "libglebe.so",
        "= 1\n",
        BLOCKS_OUTPUT,
        "exited normally",
    ] {
        assert!(session.contains(seen), "{seen}: not in\n{session}");
    }
    stage.prove(&["blocks", "gdb"]);
}

#[test]
fn heaptrack_counts_beside_the_library() {
    let Some(stage) = Stage::with(&["heaptrack", "heaptrack_print", "gcc"]) else {
        return;
    };
    let program = blocks(&stage);
    let mut heaptrack = stage.preloaded("heaptrack");
    let session = stage.output(heaptrack.args(["-o", "profile", shown(&program)]));
    assert!(session.contains(BLOCKS_OUTPUT), "{session}");
    stage.prove(&["blocks"]);
    let profile = fs::read_dir(stage.path(""))
        .expect("the folder")
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_stem().is_some_and(|it| it == "profile"))
        .expect("heaptrack wrote a profile");
    let summary = stage.output(stage.preloaded("heaptrack_print").arg("-f").arg(profile));
    let counted = summary
        .split_once("calls to allocation functions: ")
        .and_then(|(_, rest)| rest.split_whitespace().next()?.parse::<u64>().ok());
    assert!(
        counted.is_some_and(|it| (12_345..12_400).contains(&it)),
        "{summary}"
    );
    assert!(summary.contains("take"), "{summary}");
}
