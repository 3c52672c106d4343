//! Segments as a Rust program has them.

use glebe::{
    AddressSpace, MapKind, OffsetPointer, RegionProtection, Segment, SegmentError, SegmentOptions,
};
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

#[test]
fn an_offset_leads_to_the_same_byte_wherever_the_segment_lies() {
    let mut segment = SegmentOptions::new(10_000)
        .most_size(8 << 20)
        .create()
        .expect("memory");
    segment.as_mut_slice().expect("writable").fill(7);
    let before = segment.translate(9_999, 1).expect("within").addr().get();
    let now = segment.relocate().expect("room");
    assert_eq!(
        segment.translate(0, 10_000).map(|it| it.addr().get()),
        Ok(now)
    );
    assert_ne!(now + 9_999, before);
    assert!(
        segment
            .as_slice()
            .expect("readable")
            .iter()
            .all(|byte| *byte == 7)
    );

    let registers = segment.registers();
    assert_eq!(
        registers.translate(9_999, 1).map(|it| it.addr().get()),
        Some(now + 9_999)
    );
    assert_eq!(registers.translate(9_999, 2), None);
    assert_eq!(registers.translate(usize::MAX, 2), None);
    assert_eq!(segment.translate(9_999, 2), Err(SegmentError::Outside));

    segment.expand(3 << 20).expect("room");
    segment.contract(20).expect("fewer");
    segment.expand(10_000).expect("room");
    let bytes = segment.as_slice().expect("readable");
    assert!(bytes[..20].iter().all(|byte| *byte == 7));
    assert!(bytes[20..].iter().all(|byte| *byte == 0));
    assert_eq!(segment.expand(9 << 20), Err(SegmentError::TooLarge));
    assert_eq!(segment.expand(1), Err(SegmentError::BadArgument));
    assert_eq!(segment.contract(0), Err(SegmentError::ZeroSize));
    let taken = &raw const *segment.as_slice().expect("readable") as *const u8 as usize;
    assert_eq!(segment.relocate_to(taken), Err(SegmentError::BadBase));
    assert_eq!(segment.relocate_to(taken + 1), Err(SegmentError::Unaligned));
    assert_eq!(segment.relocate_to(0), Err(SegmentError::BadBase));

    segment.protect(RegionProtection::Read).expect("memory");
    assert_eq!(segment.as_mut_slice(), Err(SegmentError::BadProtection));
    assert_eq!(segment.as_slice().map(|bytes| bytes[0]), Ok(7));
    segment.protect(RegionProtection::None).expect("memory");
    assert_eq!(segment.as_slice(), Err(SegmentError::BadProtection));
    assert!(!SegmentError::BadBase.to_string().is_empty());
}

#[test]
fn what_is_attached_is_shared_and_what_is_created_is_not() {
    let descriptor = glebe::shared_memory(8192).expect("memory");
    // SAFETY: a descriptor of this test's.
    let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // SAFETY: each slice is given up before the next is made.
    let attach = || unsafe { SegmentOptions::new(0).attach(descriptor) }.expect("memory");
    let (mut first, second) = (attach(), attach());
    drop(owned);
    first.as_mut_slice().expect("writable")[8191] = 5;
    assert_eq!(second.as_slice().expect("readable")[8191], 5);
    assert_ne!(first.translate(0, 1), second.translate(0, 1));
    // SAFETY: there is none.
    let none = unsafe { SegmentOptions::new(0).attach(-1) };
    assert_eq!(none.err(), Some(SegmentError::BadFile));

    let mut third = SegmentOptions::new(8192).create().expect("memory");
    third.as_mut_slice().expect("writable")[8191] = 9;
    assert_eq!(second.as_slice().expect("readable")[8191], 5);
}

#[repr(C)]
struct Node {
    next: OffsetPointer<Node>,
    number: u64,
}

const NODES: usize = 10_000;

/// Links the nodes of a segment in a ring, in steps of 7.
fn link(segment: &mut Segment) {
    let nodes = segment
        .translate(0, NODES * size_of::<Node>())
        .expect("within")
        .cast::<Node>();
    for index in 0..NODES {
        // SAFETY: within the segment, zeroed, which is a node, and this test's alone.
        unsafe {
            let node = nodes.add(index).as_mut();
            node.number = index as u64;
            node.next.set(nodes.add((index + 7) % NODES).as_ptr());
        }
    }
}

fn is_ring(segment: &Segment) -> bool {
    let first = segment
        .translate(0, NODES * size_of::<Node>())
        .expect("within")
        .cast::<Node>();
    let mut node = first.as_ptr();
    for step in 0..NODES {
        // SAFETY: `link` made them all.
        unsafe {
            if (*node).number != (step * 7 % NODES) as u64 {
                return false;
            }
            node = (*node).next.get();
        }
    }
    node == first.as_ptr()
}

/// An address far from where the kernel puts what the tests beside this one map.
const LONELY: usize = 1 << 44;

#[test]
fn references_of_an_image_are_right_at_another_base() {
    let path = format!("{}/segment-image", env!("CARGO_TARGET_TMPDIR"));
    let c_path = CString::new(path.clone()).expect("no NUL");
    let mut saved = SegmentOptions::new(NODES * size_of::<Node>())
        .create()
        .expect("memory");
    link(&mut saved);
    saved.save(&c_path).expect("a place to write");
    // SAFETY: nobody writes to the file but by saving.
    let load = |options: SegmentOptions| unsafe { options.load(&c_path) };
    let loaded = load(SegmentOptions::new(0)).expect("an image");
    assert!(is_ring(&saved) && is_ring(&loaded));
    assert_ne!(saved.translate(0, 1), loaded.translate(0, 1));
    let mut again = load(SegmentOptions::new(0).base(LONELY)).expect("the place is free");
    assert_eq!(again.translate(0, 1).map(|it| it.addr().get()), Ok(LONELY));
    assert!(is_ring(&again));
    again.as_mut_slice().expect("writable").fill(0);
    assert!(is_ring(&saved) && is_ring(&load(SegmentOptions::new(0)).expect("an image")));

    let mut bytes = fs::read(&path).expect("written above");
    *bytes.last_mut().expect("some") ^= 1;
    fs::write(&path, &bytes).expect("a place to write");
    assert_eq!(
        load(SegmentOptions::new(0)).err(),
        Some(SegmentError::Damaged)
    );
    fs::remove_file(&path).expect("written above");
    assert_eq!(
        load(SegmentOptions::new(0)).err(),
        Some(SegmentError::ReadFailed)
    );
}

/// This program's allocator is another's, and its segments are in the map all the same.
#[test]
fn the_map_shows_segments_as_such_wherever_their_bytes_come_from() {
    let path = format!("{}/segment-in-map", env!("CARGO_TARGET_TMPDIR"));
    let c_path = CString::new(path.clone()).expect("no NUL");
    let mut created = SegmentOptions::new(300_000).create().expect("memory");
    created.as_mut_slice().expect("writable").fill(7);
    created.save(&c_path).expect("a place to write");
    // SAFETY: nobody writes to the file but by saving.
    let loaded = unsafe { SegmentOptions::new(0).load(&c_path) }.expect("an image");
    let descriptor = glebe::shared_memory(1 << 20).expect("memory");
    // SAFETY: just made, and closed by nobody else.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // SAFETY: nobody else writes to it, or makes it shorter.
    let attached = unsafe { SegmentOptions::new(0).attach(descriptor.as_raw_fd()) };
    let segments = [created, loaded, attached.expect("shared memory")];

    let map = AddressSpace::of_process(0).expect("/proc");
    assert!(map.runs_glebe());
    for segment in &segments {
        let base = segment.translate(0, 1).expect("within").addr().get();
        let mut regions = map.regions().iter();
        let region = regions.find(|it| (it.start..it.end).contains(&base));
        let region = region.expect("it is mapped");
        assert_eq!((region.start, region.kind), (base, MapKind::Segment));
    }
    fs::remove_file(&path).expect("written above");
}

#[test]
fn an_offset_pointer_leads_to_null_to_itself_and_anywhere() {
    let pointer = OffsetPointer::<OffsetPointer<()>>::null();
    assert!(pointer.get().is_null());
    let itself: *const OffsetPointer<()> = (&raw const pointer).cast();
    pointer.set(itself);
    assert_eq!(pointer.get().cast_const(), itself);
    let elsewhere = Box::new(OffsetPointer::null());
    pointer.set(&raw const *elsewhere);
    assert_eq!(pointer.get().cast_const(), &raw const *elsewhere);
    pointer.set(std::ptr::null());
    assert!(pointer.get().is_null());
}
