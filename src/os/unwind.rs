//! Stacks: the return addresses of a thread's callers, and the module that an address lies in.
//!
//! The way from a frame to its caller is read from the tables that every compiler emits for
//! exceptions (`.eh_frame`), found by `_dl_find_object`, which takes no lock. Code without tables,
//! such as a just-in-time compiler's, is crossed by its frame pointer if it keeps one.
//!
//! A stack is read only where the kernel has said that it is readable, so registers that hold
//! garbage, or a table that lies, end the walk early and do no harm. The tables themselves are
//! trusted to lie in their module.
//!
//! Everything here is async-signal-safe, allocates nothing, takes no lock and keeps errno. A walk
//! needs [`WALK_STACK_BYTES`] of stack; an alternate signal stack with less left is not walked.

use super::cpu::{self, FRAME_POINTER, PROGRAM_COUNTER, STACK_POINTER};
use super::loaded_object::LoadedObject;
pub(crate) use super::loaded_object::module_of;
use super::mapping;
use super::process::{ErrnoKept, page_bytes};
use core::mem::MaybeUninit;
use core::ops::Range;
use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EndianSlice, Evaluation, EvaluationResult,
    EvaluationStorage, NativeEndian, Piece, Register, RegisterRule, UnwindContext,
    UnwindContextStorage, UnwindExpression, UnwindSection, UnwindTableRow, Value,
};

type Table = EndianSlice<'static, NativeEndian>;

const WORD: usize = size_of::<usize>();

/// The stack that a walk may use: the rules of three frames, and what reads them.
const WALK_STACK_BYTES: usize = 8 << 10;

/// A thread's registers at one point of its stack, by their numbers in DWARF. Those that calls do
/// not preserve are known in the innermost frame alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registers([usize; PROGRAM_COUNTER + 1]);

impl Registers {
    /// The registers that a signal interrupted.
    ///
    /// # Safety
    /// The context that the kernel gave a signal handler, which has not returned.
    pub(crate) unsafe fn of_context(context: *const libc::ucontext_t) -> Registers {
        // SAFETY: as the caller's.
        Registers(cpu::registers_of(unsafe { &*context }))
    }

    fn get(&self, register: Register) -> Option<usize> {
        self.0.get(usize::from(register.0)).copied()
    }
}

/// Writes the return addresses of the caller's callers, and first the address in the caller to
/// which this call returns; innermost first. Returns how many there are: none where a signal is
/// handled on an alternate stack that is too small for the walk.
#[inline(never)]
pub(crate) fn capture(frames: &mut [usize]) -> usize {
    if !has_stack_for_walk() {
        return 0;
    }
    // Zeroes, since getcontext leaves out the registers that no call preserves.
    let mut context = MaybeUninit::<libc::ucontext_t>::zeroed();
    // SAFETY: writes the context; nobody will set it.
    if unsafe { libc::getcontext(context.as_mut_ptr()) } != 0 {
        return 0;
    }
    // SAFETY: initialised, and getcontext has written what of this frame counts.
    let registers = unsafe { Registers::of_context(context.as_ptr()) };
    let mut walk = Walk::new(registers, false);
    walk.step();
    walk.collect(frames)
}

/// The same from where a signal interrupted: first the program counter in `registers`, then the
/// return addresses.
pub(crate) fn capture_from(registers: &Registers, frames: &mut [usize]) -> usize {
    Walk::new(*registers, true).collect(frames)
}

/// Whether a walk fits below here. The smallest stack of a thread has room; an alternate signal
/// stack may be sized for its handler alone.
fn has_stack_for_walk() -> bool {
    let _kept = ErrnoKept::new();
    let mut stack = MaybeUninit::<libc::stack_t>::uninit();
    let here = stack.as_ptr().addr();
    // SAFETY: reads the thread's setting into `stack`, and changes nothing.
    if unsafe { libc::sigaltstack(core::ptr::null(), stack.as_mut_ptr()) } != 0 {
        return true;
    }
    // SAFETY: the call has written it.
    let stack = unsafe { stack.assume_init() };
    let bottom = stack.ss_sp.addr();
    // Not by SS_ONSTACK: SS_AUTODISARM hides the stack while it is in use.
    let is_in_use = (bottom..bottom.saturating_add(stack.ss_size)).contains(&here);
    !is_in_use || here - bottom >= WALK_STACK_BYTES
}

// ---- memory that may not be there --------------------------------------------------------------

/// A run of pages that the kernel could read a moment ago.
struct Readable(Range<usize>);

impl Readable {
    /// The word at `address`; `None` where it cannot be read.
    fn word(&mut self, address: usize) -> Option<usize> {
        let page = address & !(page_bytes() - 1);
        let is_readable =
            address.is_multiple_of(WORD) && (self.0.contains(&page) || self.extend_to(page));
        // SAFETY: an aligned word in a readable page. A thread that unmaps the stack of another
        // that runs has ended the program anyway.
        is_readable.then(|| unsafe { (address as *const usize).read_volatile() })
    }

    #[cold]
    fn extend_to(&mut self, page: usize) -> bool {
        let _kept = ErrnoKept::new();
        let is_readable = match mapping::populate_for_reading(page, page_bytes()) {
            Some(is_readable) => is_readable,
            None => can_be_copied_from(page),
        };
        if !is_readable {
            return false;
        }
        let end = page.saturating_add(page_bytes());
        self.0 = match self.0 {
            Range {
                start,
                end: page_after,
            } if page_after == page => start..end,
            Range { start, end: last } if start == end => page..last,
            _ => page..end,
        };
        true
    }
}

/// Whether the kernel can read the word at `address`, where it is too old to be asked for a page.
fn can_be_copied_from(address: usize) -> bool {
    // SAFETY: the kernel reads the set, and only then finds that it knows no such operation: it
    // answers EFAULT or EINVAL and changes nothing. Null is no set.
    unsafe {
        let bytes = size_of::<u64>();
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            usize::MAX,
            address,
            0_usize,
            bytes,
        ) == -1
            && *libc::__errno_location() == libc::EINVAL
    }
}

// ---- frames ------------------------------------------------------------------------------------

/// Room for the rules of one frame. Compilers write rules for the registers that calls preserve;
/// a signal's frame has one for each register.
struct Room;

impl UnwindContextStorage<usize> for Room {
    type Rules = [(Register, RegisterRule<usize>); PROGRAM_COUNTER + 4];
    type Stack = [UnwindTableRow<usize, Room>; 3];
}

impl EvaluationStorage<Table> for Room {
    type Stack = [Value; 8];
    type ExpressionStack = [(Table, Table); 1];
    type Result = [Piece<Table>; 1];
}

/// A walk from a frame to its callers.
struct Walk {
    registers: Registers,
    /// Whether the program counter is exact: that of an interrupted instruction, not the address
    /// after a call.
    is_exact: bool,
    readable: Readable,
    object: Option<LoadedObject>,
}

impl Walk {
    fn new(registers: Registers, is_exact: bool) -> Walk {
        Walk {
            registers,
            is_exact,
            readable: Readable(0..0),
            object: None,
        }
    }

    fn collect(&mut self, frames: &mut [usize]) -> usize {
        let mut count = 0;
        for frame in frames {
            let counter = self.registers.0[PROGRAM_COUNTER];
            if counter == 0 && count > 0 {
                break;
            }
            *frame = counter;
            count += 1;
            if self.step().is_none() {
                break;
            }
        }
        count
    }

    /// Goes to the caller; `None` where there is none, or none can be found.
    fn step(&mut self) -> Option<()> {
        let counter = self.registers.0[PROGRAM_COUNTER];
        // A call may be the last instruction of its function: the address after it is another's.
        let address = if self.is_exact {
            counter
        } else {
            counter.checked_sub(1)?
        };
        let known = |object: &LoadedObject| object.contains(address);
        if !self.object.as_ref().is_some_and(known) {
            self.object = LoadedObject::at(address);
        }
        match self.step_by_table(address) {
            Err(gimli::Error::NoUnwindInfoForAddress) => self.step_by_frame_pointer(),
            Err(_) => None,
            Ok(caller) => caller.map(|registers| self.registers = registers),
        }
    }

    /// The caller's registers by the tables; `Ok(None)` at the end of the stack, and where what a
    /// table leads to cannot be read.
    fn step_by_table(&mut self, address: usize) -> gimli::Result<Option<Registers>> {
        let Walk {
            registers,
            is_exact,
            readable,
            object,
        } = self;
        let none = gimli::Error::NoUnwindInfoForAddress;
        let object = object.as_ref().ok_or(none)?;
        let header = EndianSlice::new(object.bytes_from(object.table()).ok_or(none)?, NativeEndian);
        let mut bases = BaseAddresses::default().set_eh_frame_hdr(object.table() as u64);
        let header = EhFrameHdr::from(header).parse(&bases, WORD as u8)?;
        let section = header.eh_frame_ptr().direct()?;
        bases = bases.set_eh_frame(section);
        let section = object.bytes_from(section as usize).ok_or(none)?;
        let section = EhFrame::new(section, NativeEndian);
        let table = header.table().ok_or(none)?;
        let entry =
            table.fde_for_address(&section, &bases, address as u64, EhFrame::cie_from_offset)?;
        let mut context = UnwindContext::<usize, Room>::new_in();
        let row = entry.unwind_info_for_address(&section, &bases, &mut context, address as u64)?;

        let encoding = entry.cie().encoding();
        let mut frame = Frame {
            registers,
            readable,
            section,
            encoding,
        };
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => frame
                .registers
                .get(*register)
                .map(|base| base.wrapping_add_signed(*offset as isize)),
            CfaRule::Expression(expression) => frame.evaluate(expression, None)?,
        };
        let Some(cfa) = cfa else { return Ok(None) };

        let mut caller = *frame.registers;
        caller.0[STACK_POINTER] = cfa;
        let return_address = entry.cie().return_address_register();
        for (register, rule) in row.registers() {
            let Some(old) = frame.registers.get(*register) else {
                continue;
            };
            let value = match rule {
                RegisterRule::Undefined if *register == return_address => return Ok(None),
                RegisterRule::Undefined => Some(0),
                RegisterRule::SameValue => Some(old),
                RegisterRule::Offset(offset) => frame
                    .readable
                    .word(cfa.wrapping_add_signed(*offset as isize)),
                RegisterRule::ValOffset(offset) => Some(cfa.wrapping_add_signed(*offset as isize)),
                RegisterRule::Register(other) => frame.registers.get(*other),
                RegisterRule::Expression(expression) => frame
                    .evaluate(expression, Some(cfa))?
                    .and_then(|address| frame.readable.word(address)),
                RegisterRule::ValExpression(expression) => frame.evaluate(expression, Some(cfa))?,
                _ => None,
            };
            let Some(value) = value else { return Ok(None) };
            caller.0[usize::from(register.0)] = value;
        }
        let counter = caller.get(return_address).unwrap_or(0);
        caller.0[PROGRAM_COUNTER] = counter;
        *is_exact = entry.is_signal_trampoline();
        // Callers lie further up. Only a signal may have come while another stack was in use.
        let [stack, old_counter] =
            [STACK_POINTER, PROGRAM_COUNTER].map(|register| frame.registers.0[register]);
        let is_further_up = cfa > stack || cfa == stack && counter != old_counter;
        Ok((is_further_up || *is_exact).then_some(caller))
    }

    /// The caller of code without a table. A jump to nowhere is such code, and has no frame yet.
    fn step_by_frame_pointer(&mut self) -> Option<()> {
        let words = &self.registers.0;
        let stack = words[STACK_POINTER];
        let mut caller = *words;
        if self.is_exact
            && self.object.is_none()
            && self
                .readable
                .word(words[PROGRAM_COUNTER] & !(WORD - 1))
                .is_none()
        {
            caller[PROGRAM_COUNTER] = self.readable.word(stack)?;
            caller[STACK_POINTER] = stack.checked_add(WORD)?;
        } else {
            let frame = words[FRAME_POINTER];
            if frame < stack {
                return None;
            }
            caller[FRAME_POINTER] = self.readable.word(frame)?;
            caller[PROGRAM_COUNTER] = self.readable.word(frame.checked_add(WORD)?)?;
            caller[STACK_POINTER] = frame.checked_add(2 * WORD)?;
        }
        self.is_exact = false;
        self.registers = Registers(caller);
        Some(())
    }
}

/// What the expressions of a frame's table speak of.
struct Frame<'a> {
    registers: &'a Registers,
    readable: &'a mut Readable,
    section: EhFrame<Table>,
    encoding: gimli::Encoding,
}

impl Frame<'_> {
    /// The value of `expression`, which begins with `first` on its stack.
    fn evaluate(
        &mut self,
        expression: &UnwindExpression<usize>,
        first: Option<usize>,
    ) -> gimli::Result<Option<usize>> {
        const STEPS: u32 = 100;
        let code = expression.get(&self.section)?.0;
        let mut evaluation = Evaluation::<Table, Room>::new_in(code, self.encoding);
        evaluation.set_max_iterations(STEPS);
        if let Some(first) = first {
            evaluation.set_initial_value(first as u64);
        }
        let mut state = evaluation.evaluate()?;
        loop {
            let value = match state {
                EvaluationResult::Complete => {
                    let value = evaluation.value_result();
                    let value = value.and_then(|value| value.to_u64(!0).ok());
                    return Ok(value.map(|value| value as usize));
                }
                EvaluationResult::RequiresRegister { register, .. } => self.registers.get(register),
                EvaluationResult::RequiresMemory { address, size, .. }
                    if usize::from(size) == WORD =>
                {
                    self.readable.word(address as usize)
                }
                _ => None,
            };
            let Some(value) = value else { return Ok(None) };
            let value = Value::Generic(value as u64);
            state = match state {
                EvaluationResult::RequiresRegister { .. } => {
                    evaluation.resume_with_register(value)?
                }
                _ => evaluation.resume_with_memory(value)?,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ffi::{c_int, c_void};
    use core::hint::black_box;
    use std::vec::Vec;

    unsafe extern "C" {
        fn _Unwind_FindEnclosingFunction(address: *const c_void) -> *const c_void;
        fn _Unwind_Backtrace(
            visit: extern "C" fn(*mut c_void, *mut c_void) -> c_int,
            into: *mut c_void,
        ) -> c_int;
        fn _Unwind_GetIP(context: *mut c_void) -> usize;
    }

    /// The first instruction of the function that `return_address` lies in.
    fn function(return_address: usize) -> usize {
        // SAFETY: any address may be asked for.
        unsafe { _Unwind_FindEnclosingFunction((return_address - 1) as *const c_void) as usize }
    }

    fn captured() -> Vec<usize> {
        let mut frames = [0; 64];
        let count = capture(&mut frames);
        frames[..count].to_vec()
    }

    /// Whether `frames` has a function of each of `chain`, in this order.
    fn has_chain(frames: &[usize], chain: &[usize]) -> bool {
        let mut functions = frames.iter().map(|frame| function(*frame));
        chain.iter().all(|wanted| functions.any(|it| it == *wanted))
    }

    #[inline(never)]
    fn outer(depth: usize, inner: fn() -> Vec<usize>) -> Vec<usize> {
        let frames = if depth == 0 {
            inner()
        } else {
            outer(depth - 1, inner)
        };
        black_box(frames)
    }

    #[inline(never)]
    fn innermost() -> Vec<usize> {
        black_box(captured())
    }

    #[test]
    fn a_chain_of_calls_is_found_and_no_frame_is_left_out() {
        let frames = outer(5, innermost);
        let at = frames
            .iter()
            .position(|frame| function(*frame) == innermost as *const () as usize)
            .expect("the innermost function");
        let functions = frames[at + 1..].iter().map(|frame| function(*frame));
        let calls = functions.take_while(|it| *it == outer as *const () as usize);
        assert_eq!(calls.count(), 6);
    }

    #[test]
    fn the_stack_is_the_one_that_libgcc_finds_to_its_end() {
        extern "C" fn visit(context: *mut c_void, into: *mut c_void) -> c_int {
            // SAFETY: the arguments of `_Unwind_Backtrace`: its context and the list below.
            unsafe { (*into.cast::<Vec<usize>>()).push(_Unwind_GetIP(context)) };
            0
        }
        let ours = captured();
        let mut theirs = Vec::new();
        // SAFETY: `visit` has the type that is asked for, and `theirs` outlives the call.
        unsafe { _Unwind_Backtrace(visit, (&raw mut theirs).cast()) };
        theirs.retain(|address| *address != 0);
        // The innermost two frames differ: the call in this function, and what it calls.
        let callers = &ours[2..];
        assert!(callers.len() > 3, "{ours:x?}");
        assert!(theirs.ends_with(callers), "{ours:x?} {theirs:x?}");
    }

    #[test]
    fn a_short_list_gets_the_innermost_frames() {
        let mut frames = [0; 2];
        assert_eq!(capture(&mut frames), 2);
        let here = a_short_list_gets_the_innermost_frames as *const () as usize;
        assert_eq!(function(frames[0]), here);
        assert_eq!(capture(&mut []), 0);
    }

    extern "C" fn compare(_: *const c_void, into: *const c_void) -> c_int {
        let frames = captured();
        // SAFETY: what `sort` sorts are pointers to its list.
        unsafe { *(*into.cast::<*mut Vec<usize>>()) = frames };
        0
    }

    /// A stack with the C library's qsort in its middle.
    #[inline(never)]
    fn sort() -> Vec<usize> {
        let mut frames = Vec::new();
        let mut pointers = [&raw mut frames; 2];
        // SAFETY: two pointers, which `compare` may follow.
        unsafe { libc::qsort(pointers.as_mut_ptr().cast(), 2, WORD, Some(compare)) };
        black_box(frames)
    }

    #[test]
    fn a_walk_crosses_c_code_without_frame_pointers() {
        let frames = sort();
        let chain = [compare as *const () as usize, sort as *const () as usize];
        assert!(has_chain(&frames, &chain), "{frames:x?}");
    }

    static INTERRUPTED: std::sync::Mutex<(Vec<usize>, Vec<usize>)> =
        std::sync::Mutex::new((Vec::new(), Vec::new()));

    extern "C" fn handler(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
        // SAFETY: the kernel's context.
        let registers = unsafe { Registers::of_context(context.cast()) };
        let mut frames = [0; 64];
        let count = capture_from(&registers, &mut frames);
        *INTERRUPTED.lock().expect("no panic") = (captured(), frames[..count].to_vec());
    }

    #[test]
    fn a_walk_crosses_a_signals_frame_and_begins_at_one_on_an_alternate_stack_too() {
        #[inline(never)]
        fn interrupted() {
            // SAFETY: the handler that is installed below.
            black_box(unsafe { libc::raise(libc::SIGURG) });
        }
        let mut room = std::vec![0_u8; 1 << 16];
        let mut stack = libc::stack_t {
            ss_sp: room.as_mut_ptr().cast(),
            ss_flags: 0,
            ss_size: room.len(),
        };
        // SAFETY: the room lives until it is given up below.
        let given = unsafe { libc::sigaltstack(&stack, core::ptr::null_mut()) };
        assert_eq!(given, 0);
        for flags in [libc::SA_SIGINFO, libc::SA_SIGINFO | libc::SA_ONSTACK] {
            // SAFETY: all zero is an action without flags and with an empty mask.
            let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
            action.sa_sigaction = handler as *const () as usize;
            action.sa_flags = flags;
            // SAFETY: a whole action; no other test uses the signal.
            unsafe { libc::sigaction(libc::SIGURG, &raw const action, core::ptr::null_mut()) };
            interrupted();
            let (through, from) = &*INTERRUPTED.lock().expect("no panic");
            let interrupted = interrupted as *const () as usize;
            let chain = [handler as *const () as usize, interrupted];
            assert!(has_chain(through, &chain), "{through:x?}");
            assert!(has_chain(&from[1..], &[interrupted]), "{from:x?}");
            assert!(through.ends_with(from), "{through:x?} {from:x?}");
        }
        stack.ss_flags = libc::SS_DISABLE;
        // SAFETY: gives the room up.
        unsafe { libc::sigaltstack(&stack, core::ptr::null_mut()) };
    }

    #[test]
    fn garbage_in_registers_ends_the_walk_early() {
        let code = captured as *const () as usize;
        let here = &raw const code as usize;
        for garbage in [
            0,
            1,
            8,
            code,
            here,
            here + 1,
            1 << 62,
            usize::MAX - 7,
            usize::MAX,
        ] {
            for counter in [garbage, code, code + 1, code + 20, code + 60] {
                let mut registers = Registers([garbage; PROGRAM_COUNTER + 1]);
                registers.0[PROGRAM_COUNTER] = counter;
                let mut frames = [0; 64];
                let count = capture_from(&registers, &mut frames);
                assert!((1..64).contains(&count), "{count} from {registers:x?}");
                assert_eq!(frames[0], counter);
            }
        }
    }

    #[test]
    fn a_frame_that_is_its_own_caller_ends_the_walk() {
        // glibc's qsort counts its frame from rbp, as few functions do.
        for counter in sort().into_iter().take(8) {
            let mut stack = [0, counter];
            stack[0] = &raw const stack as usize;
            let stack = black_box(&stack);
            let mut registers = Registers([stack[0]; PROGRAM_COUNTER + 1]);
            registers.0[PROGRAM_COUNTER] = counter;
            let mut frames = [0; 64];
            let count = capture_from(&registers, &mut frames);
            assert!(count < 8, "{count} from {counter:#x}");
        }
    }

    #[test]
    fn a_jump_to_nowhere_is_seen_in_its_caller() {
        let stack = [captured as *const () as usize + 1, 0];
        let mut registers = Registers([0; PROGRAM_COUNTER + 1]);
        registers.0[STACK_POINTER] = stack.as_ptr() as usize;
        let mut frames = [1; 8];
        assert!(capture_from(&registers, &mut frames) >= 2);
        assert_eq!(frames[..2], [0, stack[0]]);
    }

    #[test]
    fn errno_is_kept() {
        super::super::process::set_errno(7);
        let mut frames = [0; 64];
        capture(&mut frames);
        assert!(module_of(frames[0]).is_some());
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(7));
    }
}
