//! The states of a region's 16 pages, read from its page table.

mod moment;

use glebe::{Glebe, PageState, Region, RegionError, RegionOptions, RegionPage};
use moment::moment;

#[global_allocator]
static GLOBAL: Glebe = Glebe;

const PAGE: usize = 4096;

fn print(when: &str, region: &Region) -> Result<(), RegionError> {
    let absent = RegionPage {
        state: PageState::Absent,
        dirty: false,
        pins: 0,
    };
    let mut pages = [absent; 16];
    region.pages(0, &mut pages)?;
    let states = pages.map(|page| match page.state {
        PageState::Absent => '.',
        PageState::Resident => 'R',
        PageState::Staged => 's',
        PageState::Compressed => 'c',
        PageState::Same => '=',
        _ => '?',
    });
    println!("{} {when}", String::from_iter(states));
    Ok(())
}

fn main() -> Result<(), RegionError> {
    let mut region = RegionOptions::anonymous(16 * PAGE, 1 << 20)
        .prefetch(0)
        .create()?;
    print("nothing was touched", &region)?;
    for page in 0..8 {
        region.as_mut_slice()?[page * PAGE] = page as u8;
    }
    region.as_mut_slice()?[PAGE..2 * PAGE].fill(7);
    print("eight pages were written to", &region)?;
    moment();
    region.evict(0..6 * PAGE)?;
    print("six were sent out", &region)?;
    moment();
    let sum = region.as_slice()?[2 * PAGE] + region.as_slice()?[15 * PAGE];
    print("two were read", &region)?;
    println!("their sum is {sum}");
    Ok(())
}
