//! Guarded objects: a mapping each, between guard pages.
//!
//! ```text
//! | guard pages | rest | object ... | slack | guard pages |
//!               ^ page boundary            ^ page boundary
//! ```
//!
//! The object's end stands against the guard behind it, down to its alignment; an object that grew
//! by realloc stands where it stood, with room behind it. What else is in its first and last page
//! holds a pattern that is looked over when the object is freed or resized. Its memory is zero
//! when it is issued. The usable bytes are as many as were asked for.
//!
//! A freed object is inaccessible at once, by one call that also gives its memory back, and waits
//! in the quarantine; the next of its length needs one call to make its pages accessible. Where
//! there are no guards to be had the object is as usable as any, counted, and unmapped when freed.
//!
//! The record of the mapping's first granule describes the object; where that starts in another
//! granule, the record there is a tail.

use super::guarded_shape::{LEAST_ALIGNMENT, Shape, length_class, page_down, page_up};
use super::quarantine;
use crate::base::address::{GRANULE_BYTES, GRANULE_SHIFT, Granule, round_up};
use crate::base::shared::SharedUsize;
use crate::config;
use crate::large::kept_mappings::FreedMapping;
use crate::large::medium_object::MEDIUM_MAX_BYTES;
use crate::metadata::span::{self, Kind, Place, Span};
use crate::os::guard_pages::{self, Method};
use crate::os::mapping::{self, Protection};
use crate::os::process::{self, page_bytes};
use crate::pages::{page_size, purge};
use crate::report::{self, ReportedBlock};
use core::ffi::c_int;
use core::sync::atomic::{AtomicUsize, Ordering};

/// What the rest of an object's first and last page holds: no byte that programs write by mistake
/// is likelier than a zero.
const PATTERN: u8 = 0xa5;
/// From this size on, bytes, an object that grows takes its pages along; below, its contents are
/// copied, since pages that were moved make a mapping of their own.
const MOVED_BYTES: usize = 1 << 20;

/// In a record's `granules`: whether the program set protections of its own.
const PROTECTED_BY_PROGRAM: u8 = 0x80;

static LIVE_BYTES: SharedUsize = SharedUsize::new(0);
static LIVE_OBJECTS: SharedUsize = SharedUsize::new(0);
static UNGUARDED_OBJECTS: SharedUsize = SharedUsize::new(0);
/// Between these addresses all guarded objects ever were.
static LOWEST: AtomicUsize = AtomicUsize::new(usize::MAX);
static HIGHEST: AtomicUsize = AtomicUsize::new(0);

/// Usable bytes of all guarded objects, and their number.
pub(crate) fn live() -> (usize, usize) {
    (
        LIVE_BYTES.load(Ordering::Relaxed),
        LIVE_OBJECTS.load(Ordering::Relaxed),
    )
}

/// Objects that were issued without guards since there were none to be had.
pub(crate) fn unguarded_objects() -> usize {
    UNGUARDED_OBJECTS.load(Ordering::Relaxed)
}

/// Whether an object of `bytes`, which fits no slab, is to be guarded.
pub(crate) fn serves(bytes: usize) -> bool {
    config::hardened() || bytes > MEDIUM_MAX_BYTES && config::guard_large()
}

/// An object and its mapping; addresses.
#[derive(Clone, Copy)]
pub(super) struct Object {
    pub(super) place: Place,
    pub(super) mapping: FreedMapping,
    pub(super) start: usize,
    pub(super) bytes: usize,
}

impl Object {
    /// That of a record of kind `Guarded` or `GuardedFree`.
    pub(super) fn of(place: Place) -> Object {
        let offset = place.span.carved.load(Ordering::Relaxed) as usize * LEAST_ALIGNMENT;
        Object {
            place,
            mapping: FreedMapping {
                start: place.start,
                granules: place.span.distance.load(Ordering::Relaxed),
            },
            start: place.start.address() + offset,
            bytes: place.span.object_bytes(),
        }
    }

    pub(super) fn end(&self) -> usize {
        self.start + self.bytes
    }

    /// Where the accessible pages begin.
    pub(super) fn pages(&self) -> usize {
        page_down(self.start)
    }

    /// Where they end.
    pub(super) fn pages_end(&self) -> usize {
        page_up(self.end())
    }

    pub(super) fn mapping_end(&self) -> usize {
        self.mapping.start.address() + self.mapping.bytes()
    }

    pub(super) fn method(&self) -> Option<Method> {
        match self.place.span.granules.load(Ordering::Relaxed) & !PROTECTED_BY_PROGRAM {
            1 => Some(Method::Advice),
            2 => Some(Method::Protection),
            _ => None,
        }
    }

    /// What holds the pattern, before the object and behind it: address and bytes.
    fn slack(&self) -> [(usize, usize); 2] {
        [
            (self.pages(), self.start - self.pages()),
            (self.end(), self.pages_end() - self.end()),
        ]
    }

    fn fill_slack(&self) {
        for (address, bytes) in self.slack() {
            // SAFETY: in the object's accessible pages, and not the program's.
            unsafe { core::ptr::write_bytes(address as *mut u8, PATTERN, bytes) };
        }
    }

    /// Reports what was written beside the object: the nearest byte of it.
    fn look_over(&self, door: &str) {
        let [before, behind] = self.slack().map(|(address, bytes)| {
            // SAFETY: in the object's accessible pages; nobody but a program in error writes there.
            unsafe { core::slice::from_raw_parts(address as *const u8, bytes) }
        });
        if let Some(index) = behind.iter().position(|&byte| byte != PATTERN) {
            self.report("write past the end of a block", self.end() + index, door);
        } else if let Some(index) = before.iter().rposition(|&byte| byte != PATTERN) {
            self.report(
                "write before the start of a block",
                self.pages() + index,
                door,
            );
        }
    }

    /// For reports.
    pub(super) fn reported(&self) -> ReportedBlock {
        ReportedBlock {
            start: self.start,
            bytes: self.bytes,
        }
    }

    #[cold]
    fn report(&self, kind: &str, address: usize, door: &str) {
        report::block_misuse(format_args!("{kind}"), address, &self.reported(), door, &[]);
    }

    /// Undoes the protections that the program set. `false` where the kernel refuses.
    fn end_protections(&self) -> bool {
        let state = &self.place.span.granules;
        let how = state.load(Ordering::Relaxed);
        if how & PROTECTED_BY_PROGRAM == 0 {
            return true;
        }
        let bytes = self.pages_end() - self.pages();
        let done = mapping::protect(self.pages(), bytes, Protection::ReadWrite);
        if done {
            state.store(how & !PROTECTED_BY_PROGRAM, Ordering::Relaxed);
        }
        done
    }

    /// Makes the record at the object's start lead to that of the mapping, or forgets it.
    fn set_tail(&self, kind: Kind) -> Option<()> {
        let granule = Granule::of(self.start)?;
        let back = granule.0 - self.place.start.0;
        if back > 0 {
            let tail = span::ensure_record(granule)?;
            tail.owner.store_alone(0, Ordering::Relaxed);
            tail.distance.store(back, Ordering::Relaxed);
            tail.set_kind(kind);
        }
        Some(())
    }

    /// Unmaps what is no object any more. Should that fail (too many mappings), its memory goes
    /// and the address space stays.
    fn unmap(&self) {
        // Off the books first: once it is unmapped, another thread's mapping may get the range.
        let method = self.method();
        let _ = self.set_tail(Kind::Released);
        self.place.span.set_kind(Kind::Released);
        let (address, bytes) = (self.mapping.start.address(), self.mapping.bytes());
        if mapping::unmap(address, bytes) {
            if let Some(method) = method {
                forget_guards(method);
            }
        } else {
            mapping::discard(address, bytes, false);
        }
        purge::count_purged(bytes);
    }
}

/// An object's two guards are no more.
fn forget_guards(method: Method) {
    guard_pages::forget(method);
    guard_pages::forget(method);
}

// ---- allocate ------------------------------------------------------------------------------------

/// Allocates `bytes` at a multiple of `alignment` (a power of two), all zero; `None` out of memory.
pub(crate) fn allocate(bytes: usize, alignment: usize) -> Option<usize> {
    issue(&Shape::of(bytes, alignment, bytes)?)
}

fn issue(shape: &Shape) -> Option<usize> {
    let object = reuse(shape).or_else(|| map(shape))?;
    object.fill_slack();
    count_live(object.bytes.cast_signed(), 1);
    object.place.span.set_kind(Kind::Guarded);
    Some(object.start)
}

fn count_live(bytes: isize, objects: isize) {
    LIVE_BYTES.fetch_add(bytes.cast_unsigned(), Ordering::Relaxed);
    LIVE_OBJECTS.fetch_add(objects.cast_unsigned(), Ordering::Relaxed);
}

/// Writes the record of an object but for its kind; `None` out of memory.
fn register(
    mapping: FreedMapping,
    start: usize,
    bytes: usize,
    alignment: usize,
    how: u8,
) -> Option<Object> {
    let span = span::ensure_record(mapping.start)?;
    let offset = (start - mapping.start.address()) / LEAST_ALIGNMENT;
    span.carved
        .store(u32::try_from(offset).ok()?, Ordering::Relaxed);
    span.owner.store_alone(0, Ordering::Relaxed);
    span.free.store(bytes, Ordering::Relaxed);
    span.distance.store(mapping.granules, Ordering::Relaxed);
    #[expect(clippy::cast_possible_truncation, reason = "at most 63")]
    span.class.store(alignment.ilog2() as u8, Ordering::Relaxed);
    span.granules.store(how, Ordering::Relaxed);
    let object = Object::of(Place {
        start: mapping.start,
        span,
    });
    object.set_tail(Kind::Tail)?;
    widen_bounds(mapping.start.address(), object.mapping_end());
    Some(object)
}

/// Between which addresses all guarded objects ever were: a fault elsewhere needs no search.
pub(super) fn bounds() -> (usize, usize) {
    (
        LOWEST.load(Ordering::Relaxed),
        HIGHEST.load(Ordering::Relaxed),
    )
}

fn widen_bounds(start: usize, end: usize) {
    // Looked at first, so that they are written seldom.
    if start < LOWEST.load(Ordering::Relaxed) {
        LOWEST.fetch_min(start, Ordering::Relaxed);
    }
    if end > HIGHEST.load(Ordering::Relaxed) {
        HIGHEST.fetch_max(end, Ordering::Relaxed);
    }
}

/// Makes an object of a mapping that waited for reuse.
fn reuse(shape: &Shape) -> Option<Object> {
    let (mapping, span) = loop {
        let freed = quarantine::take(shape.granules)?;
        if let Some(span) = own(freed) {
            break (freed, span);
        }
    };
    let before = Object::of(Place {
        start: mapping.start,
        span,
    });
    let method = before.method()?;
    before.set_tail(Kind::None)?;
    let object = register(
        mapping,
        shape.start(mapping),
        shape.bytes,
        shape.alignment,
        method as u8,
    );
    let accessible = object.filter(|object| {
        let bytes = object.pages_end() - object.pages();
        bytes == 0 || guard_pages::remove(method, object.pages(), bytes)
    });
    if accessible.is_none() {
        before.unmap();
    }
    accessible
}

/// Takes the mapping that an entry of the quarantine names off the record; `None` if it is not
/// that of a freed object (any more): see `quarantine` about forks.
fn own(freed: FreedMapping) -> Option<&'static Span> {
    let span = span::record(freed.start)?;
    let same = span.distance.load(Ordering::Relaxed) == freed.granules;
    (same && span.change_kind(Kind::GuardedFree, Kind::Cached)).then_some(span)
}

/// Maps an object.
fn map(shape: &Shape) -> Option<Object> {
    let length = shape.granules as usize * GRANULE_BYTES;
    let address = mapping::map_aligned(length, GRANULE_BYTES)?;
    page_size::advise(address, length);
    let object = Granule::of(address).and_then(|start| {
        let mapping = FreedMapping {
            start,
            granules: shape.granules,
        };
        register(
            mapping,
            shape.start(mapping),
            shape.bytes,
            shape.alignment,
            0,
        )
    });
    let Some(object) = object else {
        mapping::unmap(address, length);
        return None;
    };
    let front = object.pages() - address;
    let rear = object.mapping_end() - object.pages_end();
    let method = install_pair((address, front), (object.pages_end(), rear));
    match method {
        Some(method) => object
            .place
            .span
            .granules
            .store(method as u8, Ordering::Relaxed),
        None => {
            UNGUARDED_OBJECTS.fetch_add(1, Ordering::Relaxed);
        }
    }
    purge::count_taken(length);
    Some(object)
}

/// Installs the guards before an object and behind it, both or none.
fn install_pair(front: (usize, usize), rear: (usize, usize)) -> Option<Method> {
    let first = guard_pages::install(front.0, front.1)?;
    let second = guard_pages::install(rear.0, rear.1);
    if second == Some(first) {
        return second;
    }
    for (method, range) in [(Some(first), front), (second, rear)] {
        if let Some(method) = method {
            guard_pages::remove(method, range.0, range.1);
            guard_pages::forget(method);
        }
    }
    None
}

// ---- free ----------------------------------------------------------------------------------------

/// Frees an object; reports what was written beside it, and a free that another has forestalled.
pub(crate) fn free(place: Place, door: &str) {
    if !place.span.change_kind(Kind::Guarded, Kind::GuardedFree) {
        return report::double_free(door, Object::of(place).start, 0);
    }
    let object = Object::of(place);
    let accessible = object.end_protections();
    if accessible {
        object.look_over(door);
    }
    count_live(-object.bytes.cast_signed(), -1);
    let pages = (object.pages(), object.pages_end() - object.pages());
    let guarded = accessible
        && object
            .method()
            .is_some_and(|method| pages.1 == 0 || guard_pages::extend(method, pages.0, pages.1));
    if guarded {
        quarantine::put(object.mapping, release);
    } else {
        object.unmap();
    }
}

/// Unmaps what leaves the quarantine.
fn release(freed: FreedMapping) {
    if let Some(span) = own(freed) {
        let start = freed.start;
        Object::of(Place { start, span }).unmap();
    }
}

/// Unmaps all of the quarantine: address space or commit that is wanted elsewhere.
#[cold]
pub(crate) fn release_all() {
    quarantine::take_all(release);
}

// ---- look up -------------------------------------------------------------------------------------

/// Start and usable bytes of the object at `place`, of kind `Guarded`.
pub(crate) fn extent(place: Place) -> (usize, usize) {
    let object = Object::of(place);
    (object.start, object.bytes)
}

/// Bytes and alignment that were asked for the object at `place`; an alignment below 16 reads as 16.
pub(crate) fn asked(place: Place) -> (usize, usize) {
    let class = place.span.class.load(Ordering::Relaxed);
    (place.span.object_bytes(), 1 << class)
}

/// Whether `address`, in the mapping at `place`, lies in a guard page.
pub(crate) fn is_guard(place: Place, address: usize) -> bool {
    let object = Object::of(place);
    object.method().is_some() && !(object.pages()..object.pages_end()).contains(&address)
}

// ---- resize --------------------------------------------------------------------------------------

/// Changes an object's size: in place, or with its pages or its contents moved. Its address
/// afterwards; `None` if that cannot be, and the object is as it was.
pub(crate) fn resize(place: Place, bytes: usize) -> Option<usize> {
    let object = Object::of(place);
    if !object.end_protections() {
        return None;
    }
    object.look_over("realloc");
    if resize_in_place(&object, bytes) {
        return Some(object.start);
    }
    if object.bytes >= MOVED_BYTES
        && let Some(moved) = relocate(&object, bytes)
    {
        return Some(moved);
    }
    let (_, alignment) = asked(place);
    let new = issue(&Shape::of(bytes, alignment, with_growth(bytes))?)
        .or_else(|| allocate(bytes, alignment))?;
    // SAFETY: both objects have that many bytes, and the new one is nobody else's.
    unsafe {
        core::ptr::copy_nonoverlapping(
            object.start as *const u8,
            new as *mut u8,
            object.bytes.min(bytes),
        );
    }
    free(place, "realloc");
    Some(new)
}

/// Undoes the protections that the program set of an object's pages; `false` where the kernel
/// refuses.
pub(crate) fn end_protections(place: Place) -> bool {
    Object::of(place).end_protections()
}

/// Bytes for which an object that grows gets room: a loop of small steps moves it a few times.
fn with_growth(bytes: usize) -> usize {
    bytes.saturating_add(bytes / 2)
}

/// Moves the guard behind an object, if its mapping has the room.
fn resize_in_place(object: &Object, bytes: usize) -> bool {
    let last_end = object.mapping_end() - page_bytes();
    let fits = object
        .start
        .checked_add(bytes)
        .is_some_and(|end| end <= last_end);
    if !fits {
        return false;
    }
    let (old_end, new_end) = (object.pages_end(), page_up(object.start + bytes));
    if let Some(method) = object.method() {
        if new_end > old_end && !guard_pages::remove(method, old_end, new_end - old_end) {
            return false;
        }
        if new_end < old_end && !guard_pages::extend(method, new_end, old_end - new_end) {
            return false;
        }
    } else if new_end < old_end {
        mapping::discard(new_end, old_end - new_end, false);
    }
    count_live(bytes.cast_signed() - object.bytes.cast_signed(), 0);
    object.place.span.free.store(bytes, Ordering::Relaxed);
    Object::of(object.place).fill_slack();
    true
}

/// Moves an object's mapping, guards and all, to a longer one.
fn relocate(object: &Object, bytes: usize) -> Option<usize> {
    let method = object.method();
    if method == Some(Method::Protection) {
        // Several mappings in the kernel's eyes, which it moves one at a time.
        return None;
    }
    let (old, span) = (object.mapping, object.place.span);
    let offset = object.start - old.start.address();
    let granules = |room: usize| {
        let length = offset.checked_add(room)?.checked_add(2 * page_bytes())?;
        Some(length_class(
            round_up(length, GRANULE_BYTES)? >> GRANULE_SHIFT,
        ))
    };
    let alignment = 1 << span.class.load(Ordering::Relaxed);
    // Off the books first: once its range is unmapped, another thread's mapping may get it.
    let _ = object.set_tail(Kind::Released);
    span.set_kind(Kind::Released);
    let moved = [with_growth(bytes), bytes].into_iter().find_map(|room| {
        let granules = granules(room)?;
        let length = granules.checked_mul(GRANULE_BYTES)?;
        let address = mapping::relocate(
            old.start.address(),
            old.bytes(),
            length,
            GRANULE_BYTES.max(alignment),
        )?;
        let granules = u32::try_from(granules).ok()?;
        Some((address, granules))
    });
    let Some((address, granules)) = moved else {
        let _ = object.set_tail(Kind::Tail);
        span.set_kind(Kind::Guarded);
        return None;
    };
    let mapping = FreedMapping {
        start: Granule::of(address)?,
        granules,
    };
    let how = span.granules.load(Ordering::Relaxed);
    let moved = register(mapping, address + offset, bytes, alignment, how)?;
    let old_end = page_up(address + offset + object.bytes);
    let (new_end, mapping_end) = (moved.pages_end(), moved.mapping_end());
    if let Some(method) = method {
        let guarded = new_end <= old_end || guard_pages::remove(method, old_end, new_end - old_end);
        guard_pages::extend(method, new_end, mapping_end - new_end);
        debug_assert!(guarded, "there is no memory to be had in a removal");
    }
    moved.fill_slack();
    count_live(bytes.cast_signed() - object.bytes.cast_signed(), 0);
    moved.place.span.set_kind(Kind::Guarded);
    Some(moved.start)
}

// ---- protect -------------------------------------------------------------------------------------

/// Sets what may be done with the pages from `address` on, which are an object's at `place`; an
/// errno where that cannot be, and then nothing has changed.
pub(crate) fn protect(
    place: Place,
    address: usize,
    bytes: usize,
    protection: Protection,
) -> Result<(), c_int> {
    let object = Object::of(place);
    let page = page_bytes();
    let end = address.checked_add(bytes).ok_or(libc::EINVAL)?;
    let aligned = address.is_multiple_of(page) && bytes.is_multiple_of(page);
    if !aligned || bytes == 0 || address < object.start || end > object.pages_end() {
        return Err(libc::EINVAL);
    }
    let state = &place.span.granules;
    let how = state.load(Ordering::Relaxed);
    state.store(how | PROTECTED_BY_PROGRAM, Ordering::Relaxed);
    if mapping::protect(address, bytes, protection) {
        Ok(())
    } else {
        Err(process::errno())
    }
}
