//! What lies where in a program, as the map of its own address space has it.

mod moment;

use glebe::{AddressSpace, Glebe, MapRegion, RegionOptions};
use moment::moment;
use std::sync::atomic::{AtomicU8, Ordering};

#[global_allocator]
static GLOBAL: Glebe = Glebe;

static ZEROES: [AtomicU8; 1 << 20] = [const { AtomicU8::new(0) }; 1 << 20];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let on_the_stack = 6;
    let small = Box::new(6);
    let medium = vec![6u8; 100 << 10];
    let large = vec![6u8; 8 << 20];
    let mut sparse = RegionOptions::anonymous(64 << 30, 1 << 20).create()?;
    moment();
    sparse.as_mut_slice()?[32 << 30] = 6;
    ZEROES[1 << 19].store(6, Ordering::Relaxed);

    let map = AddressSpace::of_process(0)?;
    let mut addresses = [
        ("main", main as *const () as usize),
        ("a text", "in quotes".as_ptr() as usize),
        ("a static", ZEROES[1 << 19].as_ptr() as usize),
        ("a box", &raw const *small as usize),
        ("100 KiB", medium.as_ptr() as usize),
        ("8 MiB", large.as_ptr() as usize),
        ("64 GiB", sparse.as_ptr() as usize),
        ("a local", &raw const on_the_stack as usize),
    ];
    // High addresses on top, as a textbook draws them.
    addresses.sort_by_key(|(_, address)| std::cmp::Reverse(*address));
    for (what, address) in addresses {
        let covers = |region: &&MapRegion| (region.start..region.end).contains(&address);
        let region = map
            .regions()
            .iter()
            .find(covers)
            .ok_or("nothing is there")?;
        println!("{what:9} {:?}", region.kind);
    }
    let table = sparse.statistics()?.metadata;
    println!(
        "the page table of 64 GiB takes less than 1 MiB: {}",
        table < 1 << 20
    );
    moment();
    Ok(())
}
