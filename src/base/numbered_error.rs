//! Errors that are an enum to Rust and a number to C, with one text for both.

use core::ffi::{CStr, c_int};

/// Such an error. Made by [`numbered_error`].
pub(crate) trait NumberedError: Copy + 'static {
    /// All of them, in the order of their numbers.
    const ALL: &'static [Self];

    /// That of the header; 0 is of none.
    fn number(self) -> c_int;

    /// What it says, in English.
    fn text(self) -> &'static CStr;

    /// The error of that number.
    fn of(number: c_int) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|error| error.number() == number)
    }
}

/// The answer to C: an error's number, or 0.
pub(crate) fn number_of<E: NumberedError>(outcome: Result<(), E>) -> c_int {
    outcome.map_or_else(E::number, |()| 0)
}

/// What any number says to C, in English.
pub(crate) fn text_of<E: NumberedError>(number: c_int) -> &'static CStr {
    match E::of(number) {
        Some(error) => error.text(),
        None if number == 0 => c"success",
        None => c"unknown error",
    }
}

/// Declares an enum of errors, each with its text: `Variant => c"text"`, with or without a number
/// in between.
macro_rules! numbered_error {
    (
        $(#[$of_enum:meta])*
        $visibility:vis enum $error:ident {
            $($(#[$of_variant:meta])* $variant:ident $(= $number:literal)? => $text:literal,)*
        }
    ) => {
        $(#[$of_enum])*
        $visibility enum $error {
            $($(#[$of_variant])* $variant $(= $number)?,)*
        }

        impl $crate::base::numbered_error::NumberedError for $error {
            const ALL: &'static [$error] = &[$($error::$variant),*];

            fn number(self) -> core::ffi::c_int {
                self as core::ffi::c_int
            }

            fn text(self) -> &'static core::ffi::CStr {
                match self {
                    $($error::$variant => $text,)*
                }
            }
        }

        impl core::fmt::Display for $error {
            fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                let text = $crate::base::numbered_error::NumberedError::text(*self);
                formatter.write_str(text.to_str().unwrap_or(""))
            }
        }

        impl core::error::Error for $error {}
    };
}
pub(crate) use numbered_error;

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::string::ToString;

    numbered_error! {
        /// Two errors.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        enum Refusal {
            /// The first.
            Late = 1 => c"too late",
            /// The second.
            Large => c"too large",
        }
    }

    #[test]
    fn a_number_leads_to_its_error_and_both_say_the_same() {
        assert_eq!(Refusal::of(1), Some(Refusal::Late));
        assert_eq!(Refusal::of(2), Some(Refusal::Large));
        for error in Refusal::ALL {
            let text = text_of::<Refusal>(error.number());
            assert_eq!(text.to_str(), Ok(&*error.to_string()));
            assert_eq!(number_of(Err(*error)), error.number());
        }
        assert_eq!(Refusal::Large.to_string(), "too large");
    }

    #[test]
    fn zero_is_success_and_other_numbers_are_no_error() {
        assert_eq!(number_of::<Refusal>(Ok(())), 0);
        assert_eq!(text_of::<Refusal>(0), c"success");
        for number in [-1, 3, i32::MIN, i32::MAX] {
            assert_eq!(Refusal::of(number), None);
            assert_eq!(text_of::<Refusal>(number), c"unknown error");
        }
    }
}
