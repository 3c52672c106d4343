//! Everything that depends on the processor: the thread slot's access, raw system calls, and the
//! doors that must leave no frame of ours behind. x86-64 is what we test; aarch64 stands beside
//! it, and any other processor is a compile error.
//!
//! # The thread slot before relocation
//!
//! A library's IFUNC resolver may call malloc before the loader has relocated us. Our word of
//! the global offset table then still reads 0, and a plain access would hit offset 0 of the
//! thread control block. So the relocated symbol lies `SLOT_DISPLACEMENT` bytes *below* the slot
//! and each access adds that displacement: before relocation it lands in a word of the thread
//! control block that glibc keeps zero, and 0 means "no thread-local storage yet" to
//! [`super::thread_slot`]. The fast path pays nothing for it.

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("glebe runs on x86-64 (and, untested, aarch64) Linux only");
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
compile_error!("glebe needs Linux with glibc");

use super::thread_slot::BUSY;
mod counts;
mod thread;

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::*;
pub(crate) use counts::{lower_if_positive, lower_to_zero};
pub(crate) use thread::{make_thread, write_thread_control_block};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::*;

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use core::arch::{asm, global_asm};

    // tcbhead_t.__glibc_unused2 starts 128 bytes into the thread control block and "must be kept
    // even if it is no longer used" (glibc, sysdeps/x86_64/nptl/tls.h).
    global_asm!(
        ".pushsection .tdata,\"awT\",@progbits",
        ".p2align 3",
        ".hidden glebe_thread_slot",
        ".globl glebe_thread_slot",
        ".type glebe_thread_slot,@tls_object",
        ".size glebe_thread_slot,24",
        "glebe_thread_slot:",
        ".quad 8, 0, 1",
        ".hidden glebe_thread_slot_low",
        ".globl glebe_thread_slot_low",
        ".type glebe_thread_slot_low,@tls_object",
        ".set glebe_thread_slot_low, glebe_thread_slot - 128",
        ".popsection",
    );

    /// Offset of the slot from the thread pointer; 0 before relocation.
    #[inline(always)]
    pub(crate) fn slot_offset() -> usize {
        let offset;
        // SAFETY: reads one word of our own global offset table.
        unsafe {
            asm!("mov {0}, qword ptr [rip + glebe_thread_slot_low@GOTTPOFF]", out(reg) offset,
                options(pure, readonly, nostack, preserves_flags));
        }
        offset
    }

    /// Word `WORD` (0 to 2) of the slot.
    #[inline(always)]
    pub(crate) fn slot_load<const WORD: usize>(offset: usize) -> usize {
        let value;
        // SAFETY: `offset` is `slot_offset()`: the word lies in this thread's static storage or,
        // before relocation, in its thread control block. Not `nomem`: no access to the thread
        // cache may move across it.
        unsafe {
            asm!("mov {0}, qword ptr fs:[{1} + {2}]", out(reg) value, in(reg) offset,
                const 128 + 8 * WORD, options(nostack, preserves_flags));
        }
        value
    }

    /// Stores word `WORD` of the slot. Must not be called before relocation.
    #[inline(always)]
    pub(crate) fn slot_store<const WORD: usize>(offset: usize, value: usize) {
        // SAFETY: as `slot_load`; callers have seen a non-zero slot, so we are relocated.
        unsafe {
            asm!("mov qword ptr fs:[{0} + {1}], {2}", in(reg) offset, const 128 + 8 * WORD,
                in(reg) value, options(nostack, preserves_flags));
        }
    }

    /// Whether word 1 of the slot is above `bytes`.
    #[inline(always)]
    pub(crate) fn slot_limit_exceeds(offset: usize, bytes: usize) -> bool {
        // SAFETY: as `slot_load`. One comparison with memory, which no load and `if` becomes.
        unsafe {
            asm!("cmp {0}, qword ptr fs:[{1} + {2}]", "jae {3}", in(reg) bytes, in(reg) offset,
                const 128 + 8, label { return false }, options(nostack));
        }
        true
    }

    /// Makes word 0 of the slot, `_word`, busy: its lowest byte, which is 0 or busy already.
    #[inline(always)]
    pub(crate) fn slot_store_busy(offset: usize, _word: usize) {
        // SAFETY: as `slot_store`.
        unsafe {
            asm!("mov byte ptr fs:[{0} + 128], {1}", in(reg) offset, const super::BUSY,
                options(nostack, preserves_flags));
        }
    }

    /// Whether the word `OFFSET` bytes after `address` is `value`: one comparison with memory, which
    /// an atomic load and `==` do not become. As a Relaxed load.
    ///
    /// # Safety
    /// The word is readable.
    #[inline(always)]
    pub(crate) unsafe fn word_equals<const OFFSET: usize>(address: usize, value: usize) -> bool {
        // SAFETY: as the caller's.
        unsafe {
            asm!("cmp {0}, qword ptr [{1} + {2}]", "jne {3}", in(reg) value, in(reg) address,
                const OFFSET, label { return false }, options(nostack, readonly));
        }
        true
    }

    /// The same the other way round: equality is the rare case.
    ///
    /// # Safety
    /// As [`word_equals`].
    #[inline(always)]
    pub(crate) unsafe fn word_differs<const OFFSET: usize>(address: usize, value: usize) -> bool {
        // SAFETY: as the caller's.
        unsafe {
            asm!("cmp {0}, qword ptr [{1} + {2}]", "je {3}", in(reg) value, in(reg) address,
                const OFFSET, label { return false }, options(nostack, readonly));
        }
        true
    }

    /// Asks the processor for the cache line that holds `address`, whatever is there: a hint.
    #[inline(always)]
    pub(crate) fn prefetch(address: usize) {
        // SAFETY: a hint, which never faults.
        unsafe {
            asm!("prefetcht0 byte ptr [{}]", in(reg) address, options(nostack, preserves_flags));
        }
    }

    /// `$address - $base` where that is below `$limit`; else returns `None` from the caller. Both
    /// are statics of one word, read in this order, as the processor keeps it.
    macro_rules! offset_below_limit {
        ($address:expr, $base:path, $limit:path) => {{
            let mut offset: usize = $address;
            // SAFETY: reads two words of our own.
            unsafe {
                core::arch::asm!("sub {0}, qword ptr [rip + {1}]", inout(reg) offset, sym $base,
                    options(pure, nostack, readonly));
                core::arch::asm!("cmp {0}, qword ptr [rip + {1}]", "jae {2}", in(reg) offset,
                    sym $limit, label { return None }, options(nostack, readonly));
            }
            offset
        }};
    }

    /// `$word`, a static, plus `$offset`.
    macro_rules! plus_static {
        ($offset:expr, $word:path) => {{
            let mut sum: usize = $offset;
            // SAFETY: reads a word of our own.
            unsafe {
                core::arch::asm!("add {0}, qword ptr [rip + {1}]", inout(reg) sum, sym $word,
                    options(pure, nostack, readonly));
            }
            sum
        }};
    }

    /// A system call that touches neither errno nor the global offset table.
    ///
    /// # Safety
    /// The call itself must be sound with these arguments.
    pub(crate) unsafe fn raw_system_call(number: i64, arguments: [usize; 6]) -> isize {
        let result;
        let [a, b, c, d, e, f] = arguments;
        // SAFETY: the kernel's calling convention; the caller vouches for the call.
        unsafe {
            asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b,
                in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
                lateout("rcx") _, lateout("r11") _, options(nostack));
        }
        result
    }

    /// Whether the access that `context`'s thread faulted on was a write; `None` where it was no
    /// page fault.
    ///
    /// # Safety
    /// The kernel's context of a fault.
    pub(crate) unsafe fn fault_writes(context: *const libc::ucontext_t) -> Option<bool> {
        const PAGE_FAULT: i64 = 14;
        const WRITES: i64 = 1 << 1;
        // SAFETY: as the caller's.
        let registers = unsafe { &(*context).uc_mcontext.gregs };
        (registers[libc::REG_TRAPNO as usize] == PAGE_FAULT)
            .then(|| registers[libc::REG_ERR as usize] & WRITES != 0)
    }

    // Registers by their numbers in DWARF; the program counter is the last that is followed.
    pub(crate) const FRAME_POINTER: usize = 6;
    pub(crate) const STACK_POINTER: usize = 7;
    pub(crate) const PROGRAM_COUNTER: usize = 16;

    /// The registers in `context`, by those numbers.
    pub(crate) fn registers_of(context: &libc::ucontext_t) -> [usize; PROGRAM_COUNTER + 1] {
        use libc::*;
        [
            REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8, REG_R9,
            REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP,
        ]
        .map(|register| context.uc_mcontext.gregs[register as usize] as usize)
    }

    /// Copies without `memcpy`, which is reached through the global offset table.
    ///
    /// # Safety
    /// `from` readable and `to` writable for `bytes`, not overlapping.
    pub(crate) unsafe fn raw_copy(from: *const u8, to: *mut u8, bytes: usize) {
        // SAFETY: as the caller's.
        unsafe {
            asm!("rep movsb", inout("rcx") bytes => _, inout("rsi") from => _,
                inout("rdi") to => _, options(nostack, preserves_flags));
        }
    }

    /// Defines an operator new: calls `$allocate` with the door's arguments; where that gives
    /// null, jumps to the address that `$next(size)` returns, with the size that it returns, the
    /// other arguments restored and no frame of ours on the stack, so that an exception passes
    /// from there to the program's caller.
    macro_rules! operator_new_door {
        ($(#[$doc:meta])* $name:ident, $allocate:path, $next:path) => {
            $(#[$doc])*
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            pub extern "C" fn $name() {
                core::arch::naked_asm!(
                    ".cfi_startproc",
                    "push rdi", "push rsi", "push rdx",
                    ".cfi_adjust_cfa_offset 24",
                    "call {allocate}",
                    "test rax, rax",
                    "jz 2f",
                    "add rsp, 24",
                    ".cfi_adjust_cfa_offset -24",
                    "ret",
                    "2:",
                    ".cfi_adjust_cfa_offset 24",
                    "mov rdi, qword ptr [rsp + 16]",
                    "call {next}",
                    "mov rdi, rdx",
                    "pop rdx", "pop rsi", "pop rcx",
                    ".cfi_adjust_cfa_offset -24",
                    "jmp rax",
                    ".cfi_endproc",
                    allocate = sym $allocate, next = sym $next)
            }
        };
    }

    /// Defines dlopen as a jump to the address and with the flags that `$target(file, flags)`
    /// returns, so that the loader sees the caller's return address (its RUNPATH counts).
    macro_rules! dlopen_door {
        ($(#[$doc:meta])* $name:ident, $target:path) => {
            $(#[$doc])*
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            pub extern "C" fn $name() {
                core::arch::naked_asm!(
                    ".cfi_startproc",
                    "push rdi", "push rsi", "push rdx",
                    ".cfi_adjust_cfa_offset 24",
                    "call {target}",
                    "mov rcx, rdx",
                    "pop rdx", "pop rsi", "pop rdi",
                    ".cfi_adjust_cfa_offset -24",
                    "mov esi, ecx",
                    "jmp rax",
                    ".cfi_endproc",
                    target = sym $target)
            }
        };
    }

    /// Defines a signal handler as a jump, with its own arguments, to the handler whose address
    /// `$choose(signal, information, context)` returns, or as nothing more for 0: so that the other
    /// handler may throw past us, and has the whole stack.
    macro_rules! signal_handler_door {
        ($(#[$doc:meta])* $name:ident, $choose:path) => {
            $(#[$doc])*
            #[unsafe(naked)]
            extern "C" fn $name() {
                core::arch::naked_asm!(
                    ".cfi_startproc",
                    "push rdi", "push rsi", "push rdx",
                    ".cfi_adjust_cfa_offset 24",
                    "call {choose}",
                    "pop rdx", "pop rsi", "pop rdi",
                    ".cfi_adjust_cfa_offset -24",
                    "test rax, rax",
                    "jz 2f",
                    "jmp rax",
                    "2:",
                    "ret",
                    ".cfi_endproc",
                    choose = sym $choose)
            }
        };
    }

    pub(crate) use {
        dlopen_door, offset_below_limit, operator_new_door, plus_static, signal_handler_door,
    };
}

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use core::arch::{asm, global_asm};
    use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

    // The thread control block is two words, the second reserved and zero; static storage
    // follows it at positive offsets.
    global_asm!(
        ".pushsection .tdata,\"awT\",@progbits",
        ".p2align 3",
        ".hidden glebe_thread_slot",
        ".globl glebe_thread_slot",
        ".type glebe_thread_slot,@tls_object",
        ".size glebe_thread_slot,24",
        "glebe_thread_slot:",
        ".quad 8, 0, 1",
        ".hidden glebe_thread_slot_low",
        ".globl glebe_thread_slot_low",
        ".type glebe_thread_slot_low,@tls_object",
        ".set glebe_thread_slot_low, glebe_thread_slot - 8",
        ".popsection",
    );

    /// Offset of the slot from the thread pointer; 0 before relocation.
    #[inline(always)]
    pub(crate) fn slot_offset() -> usize {
        let offset;
        // SAFETY: reads one word of our own global offset table.
        unsafe {
            asm!("adrp {0}, :gottprel:glebe_thread_slot_low",
                "ldr {0}, [{0}, :gottprel_lo12:glebe_thread_slot_low]", out(reg) offset,
                options(pure, readonly, nostack, preserves_flags));
        }
        offset
    }

    /// Word `WORD` (0 to 2) of the slot.
    #[inline(always)]
    pub(crate) fn slot_load<const WORD: usize>(offset: usize) -> usize {
        let value;
        // SAFETY: see the x86-64 form.
        unsafe {
            asm!("mrs {t}, tpidr_el0", "add {t}, {t}, {o}", "ldr {v}, [{t}, #{d}]",
                t = out(reg) _, o = in(reg) offset, v = lateout(reg) value,
                d = const 8 + 8 * WORD, options(nostack, preserves_flags));
        }
        value
    }

    /// Stores word `WORD` of the slot. Must not be called before relocation.
    #[inline(always)]
    pub(crate) fn slot_store<const WORD: usize>(offset: usize, value: usize) {
        // SAFETY: see the x86-64 form.
        unsafe {
            asm!("mrs {t}, tpidr_el0", "add {t}, {t}, {o}", "str {v}, [{t}, #{d}]",
                t = out(reg) _, o = in(reg) offset, v = in(reg) value,
                d = const 8 + 8 * WORD, options(nostack, preserves_flags));
        }
    }

    /// Whether word 1 of the slot is above `bytes`.
    #[inline(always)]
    pub(crate) fn slot_limit_exceeds(offset: usize, bytes: usize) -> bool {
        bytes < slot_load::<1>(offset)
    }

    /// Makes word 0 of the slot, `word`, busy.
    #[inline(always)]
    pub(crate) fn slot_store_busy(offset: usize, word: usize) {
        slot_store::<0>(offset, word | super::BUSY);
    }

    /// See the x86-64 form.
    ///
    /// # Safety
    /// The word is readable.
    #[inline(always)]
    pub(crate) unsafe fn word_equals<const OFFSET: usize>(address: usize, value: usize) -> bool {
        // SAFETY: as the caller's; words are aligned.
        unsafe { &*((address + OFFSET) as *const AtomicUsize) }.load(Ordering::Relaxed) == value
    }

    /// See the x86-64 form.
    ///
    /// # Safety
    /// The word is readable.
    #[inline(always)]
    pub(crate) unsafe fn word_differs<const OFFSET: usize>(address: usize, value: usize) -> bool {
        // SAFETY: as the caller's.
        unsafe { !word_equals::<OFFSET>(address, value) }
    }

    /// See the x86-64 form.
    #[inline(always)]
    pub(crate) fn prefetch(address: usize) {
        // SAFETY: a hint, which never faults.
        unsafe { asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, preserves_flags)) };
    }

    /// See the x86-64 form.
    macro_rules! offset_below_limit {
        ($address:expr, $base:path, $limit:path) => {{
            use core::sync::atomic::Ordering;
            let offset = $address.wrapping_sub($base.load(Ordering::Relaxed));
            // Acquire pairs with the Release of whoever raises the limit.
            if offset >= $limit.load(Ordering::Acquire) {
                return None;
            }
            offset
        }};
    }

    /// See the x86-64 form.
    macro_rules! plus_static {
        ($offset:expr, $word:path) => {
            $word.load(core::sync::atomic::Ordering::Relaxed) + $offset
        };
    }

    /// A system call that touches neither errno nor the global offset table.
    ///
    /// # Safety
    /// The call itself must be sound with these arguments.
    pub(crate) unsafe fn raw_system_call(number: i64, arguments: [usize; 6]) -> isize {
        let result;
        let [a, b, c, d, e, f] = arguments;
        // SAFETY: the kernel's calling convention; the caller vouches for the call.
        unsafe {
            asm!("svc 0", in("x8") number, inlateout("x0") a as isize => result, in("x1") b,
                in("x2") c, in("x3") d, in("x4") e, in("x5") f, options(nostack));
        }
        result
    }

    /// See the x86-64 form. The syndrome lies in a list of records that need not have it.
    ///
    /// # Safety
    /// As the x86-64 form.
    pub(crate) unsafe fn fault_writes(_context: *const libc::ucontext_t) -> Option<bool> {
        None
    }

    // See the x86-64 form.
    pub(crate) const FRAME_POINTER: usize = 29;
    pub(crate) const STACK_POINTER: usize = 31;
    pub(crate) const PROGRAM_COUNTER: usize = 32;

    /// See the x86-64 form.
    pub(crate) fn registers_of(context: &libc::ucontext_t) -> [usize; PROGRAM_COUNTER + 1] {
        let machine = &context.uc_mcontext;
        let mut words = [machine.sp as usize; PROGRAM_COUNTER + 1];
        words[..STACK_POINTER].copy_from_slice(&machine.regs.map(|word| word as usize));
        words[PROGRAM_COUNTER] = machine.pc as usize;
        words
    }

    /// Copies without `memcpy`, which is reached through the global offset table.
    ///
    /// # Safety
    /// `from` readable and `to` writable for `bytes`, not overlapping.
    pub(crate) unsafe fn raw_copy(from: *const u8, to: *mut u8, bytes: usize) {
        for index in 0..bytes {
            // SAFETY: as the caller's; volatile, so that no loop becomes a memcpy.
            unsafe {
                to.add(index)
                    .write_volatile(from.add(index).read_volatile())
            };
        }
    }

    /// See the x86-64 form.
    macro_rules! operator_new_door {
        ($(#[$doc:meta])* $name:ident, $allocate:path, $next:path) => {
            $(#[$doc])*
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            pub extern "C" fn $name() {
                core::arch::naked_asm!(
                    "stp x29, x30, [sp, #-48]!",
                    "stp x0, x1, [sp, #16]",
                    "str x2, [sp, #32]",
                    "bl {allocate}",
                    "cbz x0, 2f",
                    "ldp x29, x30, [sp], #48",
                    "ret",
                    "2:",
                    "ldr x0, [sp, #16]",
                    "bl {next}",
                    "mov x16, x0",
                    "mov x0, x1",
                    "ldr x1, [sp, #24]",
                    "ldr x2, [sp, #32]",
                    "ldp x29, x30, [sp], #48",
                    "br x16",
                    allocate = sym $allocate, next = sym $next)
            }
        };
    }

    /// See the x86-64 form.
    macro_rules! dlopen_door {
        ($(#[$doc:meta])* $name:ident, $target:path) => {
            $(#[$doc])*
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            pub extern "C" fn $name() {
                core::arch::naked_asm!(
                    "stp x29, x30, [sp, #-32]!",
                    "str x0, [sp, #16]",
                    "bl {target}",
                    "mov x16, x0",
                    "ldr x0, [sp, #16]",
                    "ldp x29, x30, [sp], #32",
                    "br x16",
                    target = sym $target)
            }
        };
    }

    /// See the x86-64 form.
    macro_rules! signal_handler_door {
        ($(#[$doc:meta])* $name:ident, $choose:path) => {
            $(#[$doc])*
            #[unsafe(naked)]
            extern "C" fn $name() {
                core::arch::naked_asm!(
                    "stp x29, x30, [sp, #-48]!",
                    "stp x0, x1, [sp, #16]",
                    "str x2, [sp, #32]",
                    "bl {choose}",
                    "mov x16, x0",
                    "ldp x0, x1, [sp, #16]",
                    "ldr x2, [sp, #32]",
                    "ldp x29, x30, [sp], #48",
                    "cbz x16, 2f",
                    "br x16",
                    "2:",
                    "ret",
                    choose = sym $choose)
            }
        };
    }

    pub(crate) use {
        dlopen_door, offset_below_limit, operator_new_door, plus_static, signal_handler_door,
    };
}
