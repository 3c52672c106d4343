//! The traces: which pages a program touches, one after the other, and whether it writes.

/// A page touched: its number in the trace, the upper bit for a write.
#[derive(Clone, Copy)]
pub(crate) struct Access(u32);

const WRITE: u32 = 1 << 31;

impl Access {
    fn new(page: usize, write: bool) -> Self {
        Self(page as u32 | if write { WRITE } else { 0 })
    }

    pub(crate) fn page(self) -> u32 {
        self.0 & !WRITE
    }

    pub(crate) fn is_write(self) -> bool {
        self.0 & WRITE != 0
    }
}

pub(crate) struct Trace {
    pub(crate) name: String,
    /// Pages are numbered below this.
    pub(crate) pages: usize,
    pub(crate) accesses: Vec<Access>,
}

impl Trace {
    /// Pages that are touched at all.
    pub(crate) fn distinct(&self) -> usize {
        let mut seen = vec![false; self.pages];
        let news = |access: &&Access| !std::mem::replace(&mut seen[access.page() as usize], true);
        self.accesses.iter().filter(news).count()
    }
}

/// SplitMix64.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// In 0..1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Once in `times`.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// The numbers below `count` in random order.
    fn shuffled(&mut self, count: usize) -> Vec<usize> {
        let mut all: Vec<_> = (0..count).collect();
        for at in (1..count).rev() {
            all.swap(at, self.below(at + 1));
        }
        all
    }
}

/// Ranks by their probability, 1 / rank^exponent.
struct Zipf {
    sums: Vec<f64>,
}

impl Zipf {
    fn new(count: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let add = |rank: usize| {
            sum += (rank as f64).powf(-exponent);
            sum
        };
        Self {
            sums: (1..=count).map(add).collect(),
        }
    }

    fn draw(&self, random: &mut Random) -> usize {
        let at = random.unit() * self.sums[self.sums.len() - 1];
        self.sums.partition_point(|sum| *sum < at)
    }
}

/// What a trace is made from.
pub(crate) struct Scale {
    pub(crate) pages: usize,
    pub(crate) accesses: usize,
    /// Pages of memory that it will run with: some are about just that.
    pub(crate) memory: usize,
    pub(crate) seed: u64,
}

pub(crate) type Make = fn(&Scale, &mut Random) -> Vec<Access>;

/// A third of what most traces do is writing.
const A_WRITE: usize = 3;

pub(crate) const SYNTHETIC: [(&str, Make); 13] = [
    ("uniform", uniform),
    ("zipf 0.8", |scale, random| zipf(scale, random, 0.8)),
    ("zipf 0.99", |scale, random| zipf(scale, random, 0.99)),
    ("zipf 1.2", |scale, random| zipf(scale, random, 1.2)),
    ("scan", scan),
    ("loop of 1.1 x memory", a_loop),
    ("shift of the hot set", shift),
    ("zipf and scan", zipf_and_scan),
    ("producer, consumer", producer_consumer),
    ("B-tree", b_tree),
    ("hash table", hash_table),
    ("marking collector", collector),
    ("phases", phases),
];

impl Trace {
    pub(crate) fn synthetic(name: &str, make: Make, scale: &Scale) -> Self {
        let accesses = make(scale, &mut Random(scale.seed));
        Self {
            name: name.to_owned(),
            pages: scale.pages,
            accesses,
        }
    }
}

fn uniform(scale: &Scale, random: &mut Random) -> Vec<Access> {
    (0..scale.accesses)
        .map(|_| Access::new(random.below(scale.pages), random.once_in(A_WRITE)))
        .collect()
}

fn zipf(scale: &Scale, random: &mut Random, exponent: f64) -> Vec<Access> {
    let (zipf, order) = (
        Zipf::new(scale.pages, exponent),
        random.shuffled(scale.pages),
    );
    (0..scale.accesses)
        .map(|_| Access::new(order[zipf.draw(random)], random.once_in(A_WRITE)))
        .collect()
}

/// Over all pages, again and again.
fn scan(scale: &Scale, _: &mut Random) -> Vec<Access> {
    (0..scale.accesses / 4)
        .map(|at| Access::new(at % scale.pages, at < scale.pages))
        .collect()
}

/// Fills all pages once, then goes round a tenth more than memory.
fn a_loop(scale: &Scale, _: &mut Random) -> Vec<Access> {
    let round = (scale.memory * 11 / 10).min(scale.pages);
    let fill = (0..scale.pages).map(|page| Access::new(page, true));
    let rounds = (0..scale.accesses / 2).map(|at| Access::new(at % round, false));
    fill.chain(rounds).collect()
}

/// Of ten touches nine go to a hot set of three fifths of memory, which moves eight times.
fn shift(scale: &Scale, random: &mut Random) -> Vec<Access> {
    let order = random.shuffled(scale.pages);
    let hot = scale.memory * 3 / 5;
    let phase = scale.accesses / 8;
    (0..scale.accesses)
        .map(|at| {
            let start = at / phase * hot;
            let rank = if random.once_in(10) {
                random.below(scale.pages)
            } else {
                (start + random.below(hot)) % scale.pages
            };
            Access::new(order[rank], random.once_in(A_WRITE))
        })
        .collect()
}

/// Zipf 0.99 in one half, a scan in the other: one touch in four.
fn zipf_and_scan(scale: &Scale, random: &mut Random) -> Vec<Access> {
    let half = scale.pages / 2;
    let (zipf, order) = (Zipf::new(half, 0.99), random.shuffled(half));
    let mut scanned = 0;
    (0..scale.accesses)
        .map(|at| {
            if at % 4 == 0 {
                scanned += 1;
                Access::new(half + scanned % half, false)
            } else {
                Access::new(order[zipf.draw(random)], random.once_in(A_WRITE))
            }
        })
        .collect()
}

/// Pages of a ring are written, and read once a fifth of it later; a few are touched all the time.
fn producer_consumer(scale: &Scale, random: &mut Random) -> Vec<Access> {
    let few = scale.pages / 50;
    let ring = scale.pages - few;
    (0..scale.accesses / 4)
        .map(|at| match at % 4 {
            0 => Access::new(few + at / 4 % ring, true),
            2 => Access::new(few + (at / 4 + ring * 4 / 5) % ring, false),
            _ => Access::new(random.below(few), true),
        })
        .collect()
}

/// Look-ups from the root through two levels to a leaf, by keys of zipf 0.8; one in 50 reads 40
/// leaves in a row.
fn b_tree(scale: &Scale, random: &mut Random) -> Vec<Access> {
    let inner = scale.pages / 60;
    let leaves = scale.pages - inner - 1;
    let (zipf, order) = (Zipf::new(leaves, 0.8), random.shuffled(leaves));
    let mut accesses = Vec::new();
    while accesses.len() < scale.accesses {
        let leaf = order[zipf.draw(random)];
        let write = random.once_in(10);
        accesses.push(Access::new(0, false));
        accesses.push(Access::new(1 + leaf * inner / leaves, false));
        let run = if random.once_in(50) {
            40.min(leaves - leaf)
        } else {
            1
        };
        accesses.extend((leaf..leaf + run).map(|leaf| Access::new(1 + inner + leaf, write)));
    }
    accesses
}

/// Buckets touched evenly, each leading to an item; new items are wanted more than old ones, and
/// their pages are filled in order.
fn hash_table(scale: &Scale, random: &mut Random) -> Vec<Access> {
    let buckets = scale.pages / 10;
    let items = scale.pages - buckets;
    let mut accesses = Vec::new();
    while accesses.len() < scale.accesses {
        let filled = (accesses.len() * items / scale.accesses).max(1);
        accesses.push(Access::new(random.below(buckets), random.once_in(5)));
        let back = (filled as f64 * random.unit().powi(3)) as usize;
        accesses.push(Access::new(
            buckets + filled - 1 - back.min(filled - 1),
            random.once_in(5),
        ));
    }
    accesses
}

/// A mutator that allocates in order and touches what is young and a hot part of what is old;
/// twelve times a collector follows pointers through all of it.
fn collector(scale: &Scale, random: &mut Random) -> Vec<Access> {
    let old = scale.pages * 3 / 4;
    let young = scale.pages - old;
    let (zipf, order) = (Zipf::new(old, 1.0), random.shuffled(old));
    let mut accesses = Vec::new();
    for round in 0..12 {
        for at in 0..scale.accesses / 16 {
            let fresh = at * young * 16 / scale.accesses;
            accesses.push(match at % 3 {
                0 => Access::new(old + fresh, true),
                1 => Access::new(old + fresh.saturating_sub(random.below(young / 8)), false),
                _ => Access::new(order[zipf.draw(random)], random.once_in(A_WRITE)),
            });
        }
        // Depth first: mostly to a neighbour, else anywhere.
        let mut page = round;
        for _ in 0..old {
            page = if random.once_in(4) {
                random.below(old)
            } else {
                (page + 1) % old
            };
            accesses.push(Access::new(page, true));
        }
    }
    accesses
}

/// Turns of zipf 0.99, each with another order; between them a scan, and a loop over half of
/// memory.
fn phases(scale: &Scale, random: &mut Random) -> Vec<Access> {
    let zipf = Zipf::new(scale.pages, 0.99);
    let turn = scale.accesses / 10;
    let mut accesses = Vec::new();
    for _ in 0..4 {
        let order = random.shuffled(scale.pages);
        for _ in 0..turn {
            accesses.push(Access::new(
                order[zipf.draw(random)],
                random.once_in(A_WRITE),
            ));
        }
        accesses.extend((0..scale.pages).map(|page| Access::new(page, false)));
        let round = scale.memory / 2;
        let start = random.below(scale.pages - round);
        accesses.extend((0..turn).map(|at| Access::new(start + at % round, at % 2 == 0)));
    }
    accesses
}

/// Traces of real programs; how they were recorded: recorded.md.
pub(crate) const RECORDED: [(&str, &str); 1] =
    [("python3, recorded", include_str!("python.trace"))];

impl Trace {
    /// Reads a trace: see recorded.md.
    pub(crate) fn recorded(name: &str, text: &str) -> Result<Self, String> {
        let mut accesses = Vec::new();
        let mut page = 0_i64;
        for word in text
            .lines()
            .filter(|it| !it.starts_with('#'))
            .flat_map(str::split_whitespace)
        {
            let (delta, write) = match word.strip_suffix('w') {
                Some(delta) => (delta, true),
                None => (word, false),
            };
            page += delta
                .parse::<i64>()
                .map_err(|error| format!("{name}: {word}: {error}"))?;
            let number = usize::try_from(page).ok().filter(|it| *it < WRITE as usize);
            let number = number.ok_or_else(|| format!("{name}: page {page}"))?;
            accesses.push(Access::new(number, write));
        }
        let pages = accesses
            .iter()
            .map(|it| it.page() as usize + 1)
            .max()
            .unwrap_or(0);
        Ok(Self {
            name: name.to_owned(),
            pages,
            accesses,
        })
    }
}
