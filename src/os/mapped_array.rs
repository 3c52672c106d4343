//! An array that grows, in a mapping of its own: for what is not for the heap to hold.

use super::mapping;
use super::process::page_bytes;
use core::mem::MaybeUninit;

/// Records in a row. Growing moves the mapping, not the bytes.
pub(crate) struct MappedArray<T: Copy> {
    start: *mut T,
    length: usize,
    /// Bytes of the mapping; 0 where there is none.
    mapped_bytes: usize,
}

// SAFETY: it owns its mapping alone, as a Box would.
unsafe impl<T: Copy + Send> Send for MappedArray<T> {}
// SAFETY: shared references only read.
unsafe impl<T: Copy + Sync> Sync for MappedArray<T> {}

impl<T: Copy> MappedArray<T> {
    /// An empty array, which has no memory.
    pub(crate) const fn new() -> MappedArray<T> {
        MappedArray {
            start: core::ptr::dangling_mut(),
            length: 0,
            mapped_bytes: 0,
        }
    }

    /// Room for `more` records behind those there are; `false` out of memory.
    fn reserve(&mut self, more: usize) -> bool {
        let wanted = self.length.checked_add(more);
        let Some(wanted) = wanted.and_then(|count| count.checked_mul(size_of::<T>())) else {
            return false;
        };
        if wanted <= self.mapped_bytes {
            return true;
        }
        // Doubled, so that growing by one is cheap in the mean.
        let bytes = wanted.max(2 * self.mapped_bytes);
        let bytes = bytes.next_multiple_of(16 * page_bytes());
        let grown = if self.mapped_bytes == 0 {
            mapping::map_sparse(bytes)
        } else {
            mapping::resize(self.start.addr(), self.mapped_bytes, bytes)
        };
        match grown {
            Some(address) => {
                self.start = address as *mut T;
                self.mapped_bytes = bytes;
                true
            }
            None => false,
        }
    }

    /// Adds a record; `false` out of memory.
    pub(crate) fn push(&mut self, record: T) -> bool {
        if !self.reserve(1) {
            return false;
        }
        // SAFETY: there is room for one more; a page is aligned for any record.
        unsafe { self.start.add(self.length).write(record) };
        self.length += 1;
        true
    }

    /// `count` places behind the records; `None` out of memory. What is written to the first of them
    /// becomes records by [`Self::admit`].
    pub(crate) fn places(&mut self, count: usize) -> Option<&mut [MaybeUninit<T>]> {
        self.reserve(count).then(|| {
            // SAFETY: there is room for them, and any bytes are a place.
            unsafe { core::slice::from_raw_parts_mut(self.start.add(self.length).cast(), count) }
        })
    }

    /// Makes the first `count` places records.
    ///
    /// # Safety
    /// They were given by [`Self::places`], and each was written since.
    pub(crate) unsafe fn admit(&mut self, count: usize) {
        self.length += count;
    }

    /// Removes all records; the memory stays.
    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    /// The records.
    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: so many were written, and a dangling pointer is good for none.
        unsafe { core::slice::from_raw_parts(self.start, self.length) }
    }

    /// The records, to be changed.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        // SAFETY: as `as_slice`.
        unsafe { core::slice::from_raw_parts_mut(self.start, self.length) }
    }
}

impl<T: Copy> Drop for MappedArray<T> {
    fn drop(&mut self) {
        if self.mapped_bytes != 0 {
            mapping::unmap(self.start.addr(), self.mapped_bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_stay_while_the_array_grows_and_are_gone_when_it_is_cleared() {
        let mut array = MappedArray::new();
        assert!(array.as_slice().is_empty());
        for number in 0..100_000_usize {
            assert!(array.push([number, !number]));
        }
        assert_eq!(array.as_slice().len(), 100_000);
        for (number, record) in array.as_slice().iter().enumerate() {
            assert_eq!(*record, [number, !number]);
        }
        let places = array.places(2).expect("memory");
        places[0].write([8, 8]);
        // SAFETY: written just now.
        unsafe { array.admit(1) };
        assert_eq!(array.as_slice().last(), Some(&[8, 8]));
        array.clear();
        assert!(array.as_slice().is_empty());
        assert!(!array.extend_absurdly());
    }

    impl MappedArray<[usize; 2]> {
        fn extend_absurdly(&mut self) -> bool {
            self.reserve(usize::MAX / 8)
        }
    }
}
