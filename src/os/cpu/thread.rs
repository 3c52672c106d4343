//! Making a thread: its control block, and clone(2), which returns twice, the second time on an
//! empty stack.

use core::arch::naked_asm;

/// Writes at a thread pointer, amid zeroes, what code of libc must find there in any thread.
///
/// # Safety
/// Three words there are writable, and no thread has this pointer yet.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn write_thread_control_block(pointer: *mut usize) {
    // SAFETY: as the caller's. Both words hold the pointer itself, since code cannot read the
    // register (tcb and self of tcbhead_t).
    unsafe {
        pointer.write(pointer as usize);
        pointer.add(2).write(pointer as usize);
    }
}

/// As on the other processor; here nothing, since code reads the register, and zeroes serve.
///
/// # Safety
/// None.
#[cfg(target_arch = "aarch64")]
pub(crate) unsafe fn write_thread_control_block(_pointer: *mut usize) {}

/// Makes a thread by clone(2) with `flags` that runs `entry(argument)`; the answer of the kernel
/// to the caller.
///
/// # Safety
/// `flags` ask for a thread that shares this memory, and for a thread pointer, and for nothing
/// that needs further arguments; `stack_top` is a multiple of 16 at the end of a stack that nobody
/// uses; `thread_pointer` is what the platform expects; `entry` does not return.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn make_thread(
    flags: usize,
    stack_top: usize,
    thread_pointer: usize,
    entry: extern "C" fn(usize) -> !,
    argument: usize,
) -> isize {
    naked_asm!(
        "mov r9, rcx",
        "mov rax, rdx",
        "mov rdx, r8",
        "mov r8, rax",
        "xor r10d, r10d",
        "mov eax, 56",
        "syscall",
        "test rax, rax",
        "jz 2f",
        "ret",
        "2:",
        "xor ebp, ebp",
        "mov rdi, rdx",
        "call r9",
        "ud2",
    )
}

/// As on the other processor.
///
/// # Safety
/// As on the other processor.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn make_thread(
    flags: usize,
    stack_top: usize,
    thread_pointer: usize,
    entry: extern "C" fn(usize) -> !,
    argument: usize,
) -> isize {
    naked_asm!(
        "mov x5, x3",
        "mov x6, x4",
        "mov x3, x2",
        "mov x2, xzr",
        "mov x4, xzr",
        "mov x8, 220",
        "svc 0",
        "cbz x0, 2f",
        "ret",
        "2:",
        "mov x29, xzr",
        "mov x30, xzr",
        "mov x0, x6",
        "blr x5",
        "brk 0",
    )
}
