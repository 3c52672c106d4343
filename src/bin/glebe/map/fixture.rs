//! An address space for tests: a program on glebe with something of everything.

use crate::address_space::{MapKind, MapPageState, MapRegion, MapRun};

use super::picture::{Picture, Region};

const PAGE: usize = 4096;
const EXECUTABLE: &str = "/usr/bin/server";

/// Pages of one state: how many, the state, whether dirty.
type Pages = (usize, MapPageState, bool);

struct Builder(Vec<Region>);

impl Builder {
    /// A region at `start`; returns where it ends.
    fn add(
        &mut self,
        start: usize,
        kind: MapKind,
        protection: &str,
        name: &str,
        runs: &[Pages],
    ) -> usize {
        self.add_pages(start, kind, protection, name, PAGE, runs)
    }

    fn add_pages(
        &mut self,
        start: usize,
        kind: MapKind,
        protection: &str,
        name: &str,
        page_bytes: usize,
        pages: &[Pages],
    ) -> usize {
        let mut runs = Vec::new();
        let mut at = start;
        for (count, state, is_dirty) in pages {
            let end = at + count * PAGE;
            runs.push(MapRun {
                start: at,
                end,
                state: *state,
                is_dirty: *is_dirty,
                page_bytes,
            });
            at = end;
        }
        let sum = |holds: &dyn Fn(&MapRun) -> bool| {
            let runs = runs.iter().filter(|run| holds(run));
            runs.map(|run| run.end - run.start).sum::<usize>()
        };
        let is_resident = |run: &MapRun| run.state == MapPageState::Resident;
        self.0.push(Region {
            facts: MapRegion {
                start,
                end: at,
                kind,
                is_readable: protection.contains('r'),
                is_writable: protection.contains('w'),
                is_executable: protection.contains('x'),
                is_shared: protection.contains('s'),
                block_bytes: 0,
                live_blocks: 0,
                resident_bytes: sum(&is_resident),
                dirty_bytes: sum(&|run| is_resident(run) && run.is_dirty),
                swapped_bytes: sum(&|run| run.state == MapPageState::Swapped),
                evicted_bytes: sum(&|run| super::words::Shade::of(run).is_evicted()),
                huge_bytes: sum(&|run| is_resident(run) && run.page_bytes > PAGE),
                page_bytes: PAGE,
            },
            name: name.into(),
            runs,
        });
        at
    }

    fn add_slabs(&mut self, start: usize, block: usize, live: usize, runs: &[Pages]) -> usize {
        let end = self.add(start, MapKind::Slabs, "rw", "", runs);
        let facts = &mut self.0.last_mut().unwrap().facts;
        (facts.block_bytes, facts.live_blocks) = (block, live);
        end
    }

    /// Text, constants, data and, behind it, zeroes.
    fn add_file(&mut self, start: usize, path: &str, text: usize) -> usize {
        use MapPageState::{Absent, Resident};
        let at = self.add(start, MapKind::Data, "r", path, &[(4, Resident, false)]);
        let half = text / 2;
        let runs = [(half, Resident, false), (text - half, Absent, false)];
        let at = self.add(at, MapKind::Text, "rx", path, &runs);
        let at = self.add(at, MapKind::Data, "r", path, &[(8, Resident, false)]);
        let at = self.add(at, MapKind::Data, "rw", path, &[(2, Resident, true)]);
        self.add(at, MapKind::Bss, "rw", "", &[(1, Resident, true)])
    }
}

/// The picture of process 4711.
pub(crate) fn picture() -> Picture {
    use MapPageState::{Absent, Compressed, Filed, Guard, Resident, SameFilled, Staged, Swapped};
    let mut map = Builder(Vec::new());
    map.add_file(0x5555_5555_0000, EXECUTABLE, 120);
    let mut at = 0x5555_5580_0000;
    for (block, live) in [(16, 4000), (64, 1234), (256, 77)] {
        at = map.add_slabs(at, block, live, &[(12, Resident, true), (4, Absent, false)]);
    }
    let medium = [
        (200, Resident, true),
        (60, Staged, false),
        (300, Compressed, false),
        (80, SameFilled, false),
        (40, Filed, false),
    ];
    at = map.add(at, MapKind::MediumObjects, "rw", "", &medium);
    at = map.add(at, MapKind::FreeHeap, "rw", "", &[(320, Absent, false)]);
    map.add(
        at,
        MapKind::ProgramBreak,
        "rw",
        "[heap]",
        &[(16, Resident, true)],
    );
    let at = map.add_pages(
        0x7f00_0000_0000,
        MapKind::LargeObject,
        "rw",
        "",
        2 << 20,
        &[(1024, Resident, true)],
    );
    map.add(
        at,
        MapKind::LargeObject,
        "rw",
        "",
        &[(700, Swapped, false), (68, Absent, false)],
    );
    map.add(
        0x7f00_2000_0000,
        MapKind::HeapTables,
        "rw",
        "",
        &[(64, Resident, true), (1000, Absent, false)],
    );
    let at = map.add(
        0x7f10_0000_0000,
        MapKind::Guard,
        "",
        "",
        &[(1, Guard, false)],
    );
    let at = map.add(
        at,
        MapKind::Stack,
        "rw",
        "",
        &[(2040, Absent, false), (7, Resident, true)],
    );
    let at = map.add(at, MapKind::Guard, "", "", &[(1, Guard, false)]);
    map.add(
        at,
        MapKind::Stack,
        "rw",
        "",
        &[(2040, Absent, false), (7, Resident, true)],
    );
    let at = map.add(
        0x7f20_0000_0000,
        MapKind::PagedRegion,
        "rw",
        "",
        &[(16, Resident, true), (200, Compressed, false)],
    );
    map.add(
        at,
        MapKind::Anonymous,
        "rw",
        "[anon:<&cache>]",
        &[(32, Resident, true), (32, Absent, false)],
    );
    map.add(
        0x7f30_0000_0000,
        MapKind::File,
        "rs",
        "/var/lib/server/data.db",
        &[(40, Resident, false), (400, Absent, false)],
    );
    let at = map.add_file(0x7f40_0000_0000, "/usr/lib/x86_64-linux-gnu/libm.so.6", 200);
    map.add_file(at, "/usr/lib/x86_64-linux-gnu/libc.so.6", 400);
    map.add(
        0x7ffc_0000_0000,
        MapKind::Stack,
        "rw",
        "[stack]",
        &[(20, Absent, false), (13, Resident, true)],
    );
    map.add(
        0x7ffc_0010_0000,
        MapKind::Kernel,
        "r",
        "[vvar]",
        &[(4, Absent, false)],
    );
    Picture {
        process: 4711,
        program: "server".into(),
        executable: EXECUTABLE.into(),
        runs_glebe: true,
        regions: map.0,
    }
}

/// A heap of `spans` spans, each of another class than its neighbours.
pub(crate) fn many_spans(spans: usize) -> Picture {
    let mut map = Builder(Vec::new());
    let mut at = 0x5555_5580_0000;
    for span in 0..spans {
        at = map.add_slabs(
            at,
            16 << (span % 5),
            10,
            &[(16, MapPageState::Resident, true)],
        );
        at = map.add(
            at,
            MapKind::FreeHeap,
            "rw",
            "",
            &[(16, MapPageState::Absent, false)],
        );
    }
    Picture {
        regions: map.0,
        ..picture()
    }
}
