//! TEMPORARY
pub(super) mod codec;
mod removals;
use crate::metadata;
use crate::os::errno::Errno;
use crate::os::futex::Mutex;
use core::ffi::CStr;
pub(super) use removals::{hold_removals, release_removals, remove};

pub(super) struct CompressedMemory {
    m: Mutex<(usize, usize, usize, usize)>,
} // start, next, free list, used bytes
impl CompressedMemory {
    pub(super) fn prepare(&self, most: usize) -> bool {
        let mut m = self.m.lock();
        if m.0 == 0 {
            match metadata::map_table(most * 8) {
                Some(s) => m.0 = s,
                None => return false,
            }
            m.1 = m.0;
        }
        true
    }
    pub(super) fn insert(&self, bytes: &[u8]) -> Option<u64> {
        let mut m = self.m.lock();
        let at = if m.2 != 0 {
            let at = m.2;
            m.2 = unsafe { *(at as *const usize) };
            at
        } else {
            let at = m.1;
            m.1 += 8192;
            at
        };
        unsafe {
            *(at as *mut usize) = bytes.len();
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), (at + 8) as *mut u8, bytes.len());
        }
        m.3 += bytes.len();
        Some(((at - m.0) / 8192) as u64)
    }
    pub(super) fn bytes(&self, handle: u64) -> &[u8] {
        let m = self.m.lock();
        let at = m.0 + handle as usize * 8192;
        unsafe { core::slice::from_raw_parts((at + 8) as *const u8, *(at as *const usize)) }
    }
    pub(super) fn remove(&self, handle: u64) {
        let mut m = self.m.lock();
        let at = m.0 + handle as usize * 8192;
        unsafe {
            m.3 -= *(at as *const usize);
            *(at as *mut usize) = m.2;
        }
        m.2 = at;
    }
    pub(super) fn footprint_bytes(&self) -> usize {
        self.m.lock().3
    }
}
pub(super) struct SpillFile;
impl SpillFile {
    pub(super) fn open(&self, _path: &CStr) -> Result<(), Errno> {
        Err(Errno(38))
    }
    pub(super) fn write(&self, _bytes: &[u8]) -> Result<u64, Errno> {
        Err(Errno(38))
    }
    pub(super) fn read(&self, _h: u64, _into: &mut [u8]) -> Result<usize, Errno> {
        Err(Errno(38))
    }
    pub(super) fn remove(&self, _h: u64) {}
}
static MEMORY: CompressedMemory = CompressedMemory {
    m: Mutex::new((0, 0, 0, 0)),
};
static SPILL: SpillFile = SpillFile;
pub(super) fn memory() -> &'static CompressedMemory {
    &MEMORY
}
pub(super) fn spill() -> &'static SpillFile {
    &SPILL
}
pub(super) fn after_fork() {
    unsafe { MEMORY.m.raw() }.reset();
    removals::after_fork();
}
