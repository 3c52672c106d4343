//! The kernel's pages under a vector.

mod moment;

use glebe::{Glebe, PageSizeError, page_size_at};
use moment::moment;

#[global_allocator]
static GLOBAL: Glebe = Glebe;

fn main() -> Result<(), PageSizeError> {
    let mut bytes: Vec<u8> = Vec::with_capacity(16 << 20);
    let middle = bytes.as_ptr().wrapping_add(8 << 20);
    println!("before the first touch: {:?}", page_size_at(middle)?);
    moment();
    bytes.resize(16 << 20, 1);
    println!("after: {:?}", page_size_at(middle)?);
    moment();
    println!("nowhere: {:?}", page_size_at(std::ptr::null::<u8>()));
    Ok(())
}
