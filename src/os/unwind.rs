//! Temporary: words of the stack that lie in the text of a module.

pub(crate) struct Registers {
    pc: usize,
    sp: usize,
}

impl Registers {
    pub(crate) fn of_context(context: *const libc::ucontext_t) -> Registers {
        // SAFETY: temporary.
        let registers = unsafe { &(*context).uc_mcontext.gregs };
        Registers {
            pc: registers[libc::REG_RIP as usize] as usize,
            sp: registers[libc::REG_RSP as usize] as usize,
        }
    }
}

#[inline(never)]
pub(crate) fn capture(frames: &mut [usize]) -> usize {
    let here = 0usize;
    scan(&raw const here as usize, frames, 0)
}

pub(crate) fn capture_from(registers: &Registers, frames: &mut [usize]) -> usize {
    if let Some(first) = frames.first_mut() {
        *first = registers.pc;
    }
    scan(registers.sp, frames, 1)
}

fn scan(sp: usize, frames: &mut [usize], mut count: usize) -> usize {
    let end = (sp | 4095) + 1;
    let mut at = sp & !7;
    while at < end && count < frames.len() {
        // SAFETY: temporary; within the page of the stack's top.
        let word = unsafe { *(at as *const usize) };
        if word > 65536 && module_of(word).is_some() {
            frames[count] = word;
            count += 1;
        }
        at += 8;
    }
    count
}

pub(crate) struct Module {
    pub(crate) path: &'static [u8],
    pub(crate) offset: usize,
}

pub(crate) fn module_of(address: usize) -> Option<Module> {
    // SAFETY: temporary.
    unsafe {
        let mut info: libc::Dl_info = core::mem::zeroed();
        if libc::dladdr(address as *const _, &mut info) == 0 || info.dli_fname.is_null() {
            return None;
        }
        Some(Module {
            path: core::ffi::CStr::from_ptr(info.dli_fname).to_bytes(),
            offset: address - info.dli_fbase as usize,
        })
    }
}
