//! The image of a segment: its bytes in a file, behind a header that says what they are. References
//! within a segment that are kept as distances are right at any base, so an image is loaded
//! wherever there is room: by mapping it, privately, as a program's file is.
//!
//! ```text
//! | header, 64 KiB | the segment's bytes, up to its limit; pages of zeroes are holes |
//! ```

use super::{Plan, Segment, SegmentError, admit, pages, reserve, with};
use crate::os::errno::Errno;
use crate::os::file::File;
use crate::os::mapping::{self, Protection};
use crate::os::process;
use core::ffi::CStr;

const MAGIC: [u8; 16] = *b"glebe segment\n\r\0";
const VERSION: u32 = 1;
/// Reads differently where the bytes of words are in another order.
const BYTE_ORDER: u32 = 0x0102_0304;
/// Where the bytes begin: a multiple of any page up to this.
const CONTENTS_AT: u64 = 64 << 10;
/// Bytes that are written, read and summed at a time.
const PIECE_BYTES: usize = 4096;

/// The first bytes of the file.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Header {
    magic: [u8; 16],
    version: u32,
    byte_order: u32,
    /// Bytes of the segment.
    limit: u64,
    /// CRC-32 of them.
    contents_sum: u32,
    /// CRC-32 of the header before this field.
    header_sum: u32,
}

const HEADER_BYTES: usize = size_of::<Header>();

impl Header {
    fn of(limit: usize, contents_sum: u32) -> Header {
        let mut header = Header {
            magic: MAGIC,
            version: VERSION,
            byte_order: BYTE_ORDER,
            limit: limit as u64,
            contents_sum,
            header_sum: 0,
        };
        header.header_sum = header.sum();
        header
    }

    fn bytes(&self) -> [u8; HEADER_BYTES] {
        // SAFETY: integers without gaps between them.
        unsafe { core::mem::transmute(*self) }
    }

    fn sum(&self) -> u32 {
        let bytes = self.bytes();
        let before = bytes.get(..HEADER_BYTES - size_of::<u32>());
        crc32fast::hash(before.unwrap_or(&[]))
    }

    /// Reads and checks that of a file.
    fn read(file: File) -> Result<Header, SegmentError> {
        let mut bytes = [0; HEADER_BYTES];
        let read = file.read_at(&mut bytes, 0);
        if read.map_err(|_| SegmentError::ReadFailed)? < HEADER_BYTES {
            return Err(SegmentError::BadImage);
        }
        // SAFETY: integers, of which any bytes are a value.
        let header: Header = unsafe { core::mem::transmute(bytes) };
        let is_ours =
            header.magic == MAGIC && header.version == VERSION && header.byte_order == BYTE_ORDER;
        if !is_ours {
            return Err(SegmentError::BadImage);
        }
        if header.header_sum != header.sum() {
            return Err(SegmentError::Damaged);
        }
        Ok(header)
    }
}

/// Saves a segment as the file `path`, in the place of what is there: whole, or not at all.
pub(crate) fn save(handle: u64, path: &CStr) -> Result<(), SegmentError> {
    with(handle, |segment, _| {
        if segment.protection == Protection::None {
            return Err(SegmentError::BadProtection);
        }
        let mut place = [0; MOST_PATH_BYTES];
        let draft = draft_path(path, &mut place).ok_or(SegmentError::WriteFailed)?;
        let file = File::create_new(draft).map_err(|_| SegmentError::WriteFailed)?;
        let written = write(segment, file)
            .and_then(|()| file.sync_data())
            .and_then(|()| File::rename(draft, path));
        file.close();
        if written.is_err() {
            File::unlink(draft);
        }
        written.map_err(|_| SegmentError::WriteFailed)
    })
}

const MOST_PATH_BYTES: usize = 4096;

/// `path` with something behind it that makes it another file of the same directory.
fn draft_path<'a>(path: &CStr, place: &'a mut [u8; MOST_PATH_BYTES]) -> Option<&'a CStr> {
    use core::fmt::Write as _;
    let mut suffix = crate::base::fixed_text::FixedText::<64>::new();
    // A thread saves one segment at a time.
    write!(
        suffix,
        ".{}.{}.draft\0",
        process::id(),
        process::thread_id()
    )
    .ok()?;
    let path = path.to_bytes();
    let (name, suffix) = (path.len(), suffix.as_bytes());
    place.get_mut(..name)?.copy_from_slice(path);
    place
        .get_mut(name..name + suffix.len())?
        .copy_from_slice(suffix);
    CStr::from_bytes_until_nul(place).ok()
}

fn write(segment: &Segment, file: File) -> Result<(), Errno> {
    // SAFETY: readable up to the limit. What other threads write meanwhile is saved old or new;
    // bytes that differ from what was summed make the image damaged, which a load tells.
    let bytes = unsafe { core::slice::from_raw_parts(segment.base as *const u8, segment.limit) };
    let mut sum = crc32fast::Hasher::new();
    let mut at = CONTENTS_AT;
    file.set_bytes(CONTENTS_AT + segment.limit as u64)?;
    for piece in bytes.chunks(PIECE_BYTES) {
        sum.update(piece);
        if piece.iter().any(|byte| *byte != 0) {
            file.write_at(piece, at)?;
        }
        at += piece.len() as u64;
    }
    let header = Header::of(segment.limit, sum.finalize());
    file.write_at(&header.bytes(), 0)
}

/// Loads the image `path` as a private segment: its handle. The plan's bytes do not count.
pub(crate) fn load(path: &CStr, plan: &Plan) -> Result<u64, SegmentError> {
    let file = File::open(path).map_err(|_| SegmentError::ReadFailed)?;
    let loaded = load_file(file, plan);
    file.close();
    loaded
}

fn load_file(file: File, plan: &Plan) -> Result<u64, SegmentError> {
    let header = Header::read(file)?;
    let limit = usize::try_from(header.limit).map_err(|_| SegmentError::TooLarge)?;
    let there = file.bytes().map_err(|_| SegmentError::ReadFailed)?;
    if limit == 0 || there != CONTENTS_AT.saturating_add(header.limit) {
        return Err(SegmentError::Damaged);
    }
    if sum_of(file, limit)? != header.contents_sum {
        return Err(SegmentError::Damaged);
    }
    let plan = Plan {
        bytes: limit,
        ..*plan
    };
    admit(|| {
        let (base, reserved_bytes) = reserve(&plan)?;
        let usable = pages(limit)?;
        let mapped = mapping::map_file_over(base, usable, file, CONTENTS_AT, false)
            && mapping::protect(base, usable, plan.protection);
        if !mapped {
            mapping::unmap(base, reserved_bytes);
            return Err(SegmentError::NoMemory);
        }
        Ok(Segment {
            base,
            limit,
            reserved_bytes,
            file_bytes: usable,
            is_shared: false,
            protection: plan.protection,
        })
    })
}

fn sum_of(file: File, limit: usize) -> Result<u32, SegmentError> {
    let mut sum = crc32fast::Hasher::new();
    let mut done = 0;
    while done < limit {
        let mut piece = [0; PIECE_BYTES];
        let wanted = PIECE_BYTES.min(limit - done);
        let into = piece.get_mut(..wanted).unwrap_or_default();
        match file.read_at(into, CONTENTS_AT + done as u64) {
            Ok(read) if read == wanted => sum.update(into),
            Ok(_) => return Err(SegmentError::Damaged),
            Err(_) => return Err(SegmentError::ReadFailed),
        }
        done += wanted;
    }
    Ok(sum.finalize())
}
