//! Structures of words. C's begins with its size, which the caller states: a program that knows
//! fewer fields gets these. Rust's has the same fields, in the same order.

use core::mem::MaybeUninit;

/// The fields behind the first of a structure of C; `None` where it is null, or stated to have less
/// than `least` fields.
///
/// # Safety
/// `out` is null or aligned, and valid for reads and writes of as many bytes as its first field
/// says; nobody else uses it while the fields are in use.
pub(super) unsafe fn fields_of<'a>(
    out: *mut usize,
    least: usize,
) -> Option<&'a mut [MaybeUninit<usize>]> {
    if out.is_null() {
        return None;
    }
    // SAFETY: the caller set the first field.
    let fields = unsafe { *out } / size_of::<usize>();
    if fields < least {
        return None;
    }
    // SAFETY: within the size that the caller stated, which is not 0.
    Some(unsafe { core::slice::from_raw_parts_mut(out.add(1).cast(), fields - 1) })
}

/// Writes as many of `values` as there are fields.
pub(super) fn fill(fields: &mut [MaybeUninit<usize>], values: impl IntoIterator<Item = usize>) {
    for (field, value) in fields.iter_mut().zip(values) {
        field.write(value);
    }
}

/// What a field of Rust's structure may be.
pub(super) trait Figure {
    fn of(word: usize) -> Self;
}

impl Figure for usize {
    fn of(word: usize) -> usize {
        word
    }
}

impl Figure for bool {
    fn of(word: usize) -> bool {
        word != 0
    }
}

/// Declares Rust's structure, with `of` to make it of C's fields behind the first.
macro_rules! figures {
    (
        $(#[$of_structure:meta])*
        pub struct $structure:ident {
            $(pub $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$of_structure])*
        pub struct $structure {
            $(pub $field: $type,)*
        }

        impl $structure {
            const FIELDS: usize = [$(stringify!($field)),*].len();

            fn of([$($field),*]: [usize; Self::FIELDS]) -> Self {
                $structure {
                    $($field: $crate::abi::figures::Figure::of($field),)*
                }
            }
        }
    };
}
pub(super) use figures;
