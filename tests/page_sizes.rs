//! The sizes of the kernel's pages as a Rust program asks for them.

use glebe::PageSizeError;

#[test]
fn a_page_has_a_size_once_it_is_there() {
    // SAFETY: this test alone moves the end of the section.
    let section = unsafe { glebe::sbrk(1 << 20) }.expect("address space");
    let page = section.wrapping_add(300 << 10);
    assert_eq!(glebe::page_size_at(page), Ok(None));
    // SAFETY: within what was asked for.
    unsafe { page.write(1) };
    let bytes = glebe::page_size_at(page).expect("mapped").expect("there");
    assert!(bytes >= 4096 && bytes.is_power_of_two(), "{bytes}");
    assert!(
        glebe::page_size_at(&raw const bytes)
            .expect("the stack")
            .is_some()
    );

    let nowhere = std::ptr::null::<u8>();
    assert_eq!(glebe::page_size_at(nowhere), Err(PageSizeError::NotMapped));
    assert!(!PageSizeError::NotMapped.to_string().is_empty());
}
