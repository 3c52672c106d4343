//! The data section as a Rust program has it.

use glebe::DataSectionError;

#[test]
fn a_section_grows_shrinks_and_refuses_without_moving() {
    // SAFETY: this test alone moves the end, and uses nothing behind it.
    unsafe {
        let start = glebe::sbrk(10_000).expect("address space");
        let bytes = std::slice::from_raw_parts_mut(start, 10_000);
        assert!(bytes.iter().all(|byte| *byte == 0));
        bytes.fill(6);
        glebe::brk(start.add(20_000)).expect("address space");
        assert_eq!(glebe::sbrk(0), Ok(start.add(20_000)));

        let refused = [
            (glebe::brk(start.sub(1)), DataSectionError::BelowBase),
            (
                glebe::brk(std::ptr::null_mut()),
                DataSectionError::BelowBase,
            ),
            (
                glebe::sbrk(isize::MAX).map(drop),
                DataSectionError::BeyondReserve,
            ),
            (
                glebe::sbrk(isize::MIN).map(drop),
                DataSectionError::BelowBase,
            ),
        ];
        for (outcome, error) in refused {
            assert_eq!(outcome, Err(error));
            assert!(!error.to_string().is_empty());
        }
        assert_eq!(glebe::sbrk(-15_000), Ok(start.add(20_000)));
        assert_eq!(glebe::sbrk(0), Ok(start.add(5_000)));
        let bytes = std::slice::from_raw_parts(start, 5_000);
        assert!(bytes.iter().all(|byte| *byte == 6));
        glebe::brk(start).expect("address space");
    }
}
