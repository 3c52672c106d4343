//! A file whose pages come to memory when they are touched, and go back when they were changed.

mod moment;

use glebe::{Glebe, Region, RegionError, RegionOptions};
use moment::moment;
use std::{fs::File, os::fd::AsRawFd, os::unix::fs::FileExt};

#[global_allocator]
static GLOBAL: Glebe = Glebe;

const MIB: usize = 1 << 20;

fn print(when: &str, region: &Region) -> Result<(), RegionError> {
    let pages = region.statistics()?;
    println!(
        "{when}: {} KiB in memory, {} KiB dirty, {} KiB written back",
        pages.resident / 1024,
        pages.dirty / 1024,
        pages.written_back / 1024
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    std::fs::write("cached.data", vec![b'.'; 8 * MIB])?;
    let file = File::options().read(true).write(true).open("cached.data")?;
    // SAFETY: nobody else changes the file.
    let options = unsafe { RegionOptions::file(file.as_raw_fd(), 8 * MIB, MIB) };
    let mut region = options.prefetch(0).create()?;
    print("mapped", &region)?;

    let sum: usize = region
        .as_slice()?
        .iter()
        .step_by(4096)
        .take(10)
        .map(|dot| *dot as usize)
        .sum();
    print("ten pages read", &region)?;
    region.as_mut_slice()?[..5].copy_from_slice(b"glebe");
    print("one written", &region)?;
    moment();

    let mut start = [0; 6];
    file.read_exact_at(&mut start, 0)?;
    println!("the file begins with {}", String::from_utf8_lossy(&start));
    region.sync()?;
    print("after sync", &region)?;
    file.read_exact_at(&mut start, 0)?;
    println!("the file begins with {}", String::from_utf8_lossy(&start));
    moment();
    assert_eq!(sum, 10 * usize::from(b'.'));
    drop(region);
    std::fs::remove_file("cached.data")?;
    Ok(())
}
