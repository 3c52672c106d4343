//! What is measured, as data: each row is one program with its arguments.

use Group::{LiveHeap, Pair, Program, StartUp, Threads, Workload};

/// What a row is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// A loop of malloc and free, also run with a malloc that does nothing.
    Pair,
    Workload,
    /// A real program.
    Program,
    /// The shortest programs, also run with an empty library.
    StartUp,
    /// The same work by 2 threads and by more.
    Threads,
    /// The same work beside a small live heap and beside larger ones.
    LiveHeap,
}

impl Group {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Pair => "pair",
            Workload => "workload",
            Program => "program",
            StartUp => "start-up",
            Threads => "threads",
            LiveHeap => "live heap",
        }
    }

    /// Whether its rows count in the geometric means: the others are points of one curve, or have
    /// a bar of their own.
    pub(crate) fn is_in_the_means(self) -> bool {
        matches!(self, Pair | Workload | Program)
    }

    /// Whether its programs are the PATH's, not those of `benches/workloads`.
    pub(crate) fn is_installed(self) -> bool {
        matches!(self, Program | StartUp)
    }
}

/// What the time of a row is.
#[derive(Clone, Copy)]
pub(crate) enum Time {
    /// From start to end.
    Wall,
    /// CPU time, of a program that also sleeps.
    Cpu,
    /// A metric that the program prints, in nanoseconds.
    Metric(&'static str),
}

#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) group: Group,
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
    /// In them `$scale` stands for percent of the program's work, and `$here` for the folder
    /// `benches/programs`. A workload gets `scale=` besides.
    pub(crate) arguments: &'static [&'static str],
    pub(crate) time: Time,
    /// Percent of the program's own amount of work.
    pub(crate) scale: u32,
    /// The same with `--quick`; 0: left out.
    pub(crate) quick_scale: u32,
    /// More rounds would take too long.
    pub(crate) most_rounds: usize,
    /// Left out on a machine with less memory available.
    pub(crate) needs_mib: u64,
}

const fn row(
    group: Group,
    name: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
) -> Row {
    Row {
        group,
        name,
        program,
        arguments,
        time: Time::Wall,
        scale: 100,
        quick_scale: 0,
        most_rounds: usize::MAX,
        needs_mib: 1024,
    }
}

impl Row {
    const fn metric(mut self, name: &'static str) -> Self {
        self.time = Time::Metric(name);
        self
    }

    const fn cpu(mut self) -> Self {
        self.time = Time::Cpu;
        self
    }

    const fn scale(mut self, percent: u32) -> Self {
        self.scale = percent;
        self
    }

    const fn quick(mut self, percent: u32) -> Self {
        self.quick_scale = percent;
        self
    }

    const fn rounds(mut self, at_most: usize) -> Self {
        self.most_rounds = at_most;
        self
    }

    const fn needs_mib(mut self, mib: u64) -> Self {
        self.needs_mib = mib;
        self
    }

    /// The unit of the row's time.
    pub(crate) fn unit(&self) -> &'static str {
        match (self.time, self.group) {
            (Time::Metric(_), _) => "ns",
            (_, StartUp) => "ms",
            _ => "s",
        }
    }
}

#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    row(Pair, "pair of 16 B", "pair", &["size=16"]).metric("pair").scale(50).quick(20),
    row(Pair, "pair of 64 B", "pair", &["size=64"]).metric("pair").scale(50).quick(20),
    row(Pair, "pair of 256 B", "pair", &["size=256"]).metric("pair").scale(50).quick(20),
    row(Pair, "pair of 1 KiB", "pair", &["size=1024"]).metric("pair").scale(50).quick(20),
    row(Workload, "pair of 16 KiB", "pair", &["size=16384"]).metric("pair").scale(50),

    row(Workload, "batch in order", "batch", &["size=64"]).metric("pair").scale(50).quick(10),
    row(Workload, "batch in reverse", "batch", &["size=64", "order=reverse"]).metric("pair").scale(50),
    row(Workload, "batch shuffled", "batch", &["size=64", "order=shuffled"]).metric("pair").scale(50).quick(10),
    row(Workload, "large batch shuffled", "batch", &["size=512", "blocks=20000", "order=shuffled"]).metric("pair").scale(50),

    row(Workload, "mixed sizes, 1 MiB live", "mixed", &["live_mib=1"]).quick(20),
    row(Workload, "mixed sizes, 64 MiB live", "mixed", &["live_mib=64"]).scale(80).quick(20),
    row(Workload, "mixed sizes, 512 MiB live", "mixed", &["live_mib=512"]).scale(40),
    row(Workload, "mixed sizes, 4 GiB live", "mixed", &["live_mib=4096"]).scale(20).rounds(1).needs_mib(8192),

    row(Workload, "larson, 2 threads", "larson", &["threads=2"]).quick(20),
    row(Workload, "larson, 16 threads", "larson", &["threads=16"]).scale(8),
    row(Workload, "xmalloc, 1 + 1 threads", "xmalloc", &["producers=1", "consumers=1"]).quick(20),
    row(Workload, "xmalloc, 4 + 4 threads", "xmalloc", &["producers=4", "consumers=4"]),
    row(Workload, "mstress, 2 threads", "mstress", &["threads=2"]).quick(20),
    row(Workload, "mstress, 8 threads", "mstress", &["threads=8"]).scale(50),
    row(Workload, "free only", "free_only", &[]).quick(20),
    row(Workload, "false sharing, active", "false_sharing", &["mode=active"]).quick(20),
    row(Workload, "false sharing, passive", "false_sharing", &["mode=passive"]),
    row(Workload, "thread storm, 8 alive", "thread_storm", &["alive=8"]).scale(25).quick(5),
    row(Workload, "thread storm, 64 alive", "thread_storm", &["alive=64"]).scale(25),
    row(Workload, "500 idle threads", "idle_threads", &["threads=500"]),

    row(Workload, "realloc to 64 MiB", "realloc_growth", &["upto_mib=64"]).scale(60).quick(10),
    row(Workload, "realloc to 512 MiB", "realloc_growth", &["upto_mib=512"]).scale(10).rounds(2).needs_mib(6144),
    row(Workload, "calloc small", "calloc", &["mode=small"]).quick(20),
    row(Workload, "calloc huge", "calloc", &["mode=huge"]).quick(20),
    row(Workload, "large blocks, kept", "large", &["mode=kept"]).quick(20),
    row(Workload, "large blocks, churned", "large", &["mode=churned"]),
    row(Workload, "huge blocks, kept", "large", &["from_kib=1024", "to_kib=1048576", "live=8", "mode=kept"]).scale(40).needs_mib(4096),
    row(Workload, "huge blocks, churned", "large", &["from_kib=1024", "to_kib=1048576", "live=8", "mode=churned"]).scale(40).needs_mib(4096),

    row(Workload, "phases", "phases", &[]).scale(50).cpu(),
    row(Workload, "growth", "growth", &["mib=512"]).quick(20),
    row(Workload, "bignum", "bignum", &[]).quick(20),
    row(Workload, "tree", "tree", &[]).quick(20),

    row(Program, "lua", "lua5.4", &["$here/tables.lua", "$scale"]).quick(20),
    row(Program, "perl", "perl", &["$here/words.pl", "$scale"]).quick(20),
    row(Program, "python", "python3", &["$here/objects.py", "$scale"]).quick(20),
    row(Program, "ruby", "ruby", &["$here/objects.rb", "$scale"]).quick(20),
    row(Program, "sqlite", "sqlite3", &[":memory:", "-cmd", "create table work as select $scale as percent", ".read $here/orders.sql"]).quick(20),
    row(Program, "g++", "g++", &["-std=c++17", "-O1", "-S", "-o", "-", "-DSCALE=$scale", "$here/templates.cc"]),
    row(Program, "z3", "z3", &["-smt2", "$here/factors.smt2"]),
    row(Program, "ghostscript", "gs", &["-q", "-dSAFER", "-dBATCH", "-dNOPAUSE", "-sDEVICE=pgmraw", "-o", "-", "-dSCALE=$scale", "$here/pages.ps"]).quick(20),
    row(Program, "redis", "redis-server", &[]).scale(60).quick(10),

    row(StartUp, "true", "true", &[]).quick(100),
    row(StartUp, "sh -c :", "sh", &["-c", ":"]).quick(100),

    row(Threads, "scaling, 2 threads", "scaling", &["threads=2"]).quick(20),
    row(Threads, "scaling, 4 threads", "scaling", &["threads=4"]),
    row(Threads, "scaling, 16 threads", "scaling", &["threads=16"]),
    row(Threads, "scaling, 64 threads", "scaling", &["threads=64"]).quick(20),

    row(LiveHeap, "live heap, 10 MiB", "live_heap", &["live_mib=10"]).metric("operation").quick(20),
    row(LiveHeap, "live heap, 1 GiB", "live_heap", &["live_mib=1024"]).metric("operation").rounds(2).needs_mib(2048),
    row(LiveHeap, "live heap, 8 GiB", "live_heap", &["live_mib=8192"]).metric("operation").rounds(1).needs_mib(12288),
];
