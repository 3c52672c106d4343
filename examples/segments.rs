//! A segment: each address is an offset, checked against the limit and added to the base.

mod moment;

use glebe::{Glebe, SegmentError, SegmentOptions};
use moment::moment;

#[global_allocator]
static GLOBAL: Glebe = Glebe;

fn main() -> Result<(), SegmentError> {
    let mut segment = SegmentOptions::new(5000).most_size(8 << 20).create()?;
    let base = segment.translate(0, 0)?.addr().get();
    for (offset, length) in [(0, 5000), (4999, 1), (4999, 2), (usize::MAX, 2)] {
        match segment.translate(offset, length) {
            Ok(address) => println!("{offset}, {length}: base + {}", address.addr().get() - base),
            Err(error) => println!("{offset}, {length}: {error}"),
        }
    }
    segment.expand(4 << 20)?;
    segment.as_mut_slice()?.fill(b'x');
    segment.as_mut_slice()?[4995..5005].copy_from_slice(b"the bounds");
    moment();

    let moved = segment.relocate()?;
    println!("it lies elsewhere: {}", moved != base);
    let bytes = &segment.as_slice()?[4995..5005];
    println!("offset 4995: {}", String::from_utf8_lossy(bytes));
    segment.contract(5000)?;
    println!("offset 5000: {:?}", segment.translate(5000, 1));
    moment();
    Ok(())
}
