//! Handles: what a program holds of a thing that stays with us. A handle is the number of the place
//! where the thing is known, below, and that place's generation above: 1 for the first thing there,
//! one more for each. So no handle is 0, and that of a thing which is gone is refused, whatever is
//! known there now.
//!
//! Each place has a lock. It is held, with all signals blocked, while a call is at work on what is
//! known there: a thread that waits for it waits for a call, never for a signal handler.
//!
//! A child after fork has the table of its parent, with places held by threads that are not in it.
//! Who comes by first recovers these, however the child was made (see [`ForkRecovery`]).

use super::futex::Mutex;
use super::process::SignalsBlocked;
use super::wiped_word::ForkRecovery;

/// What a table leads to.
pub(crate) trait Handled: Sized {
    /// Why a call changed nothing.
    type Error;
    /// The handle is of nothing, or of what is gone.
    const BAD_HANDLE: Self::Error;
    /// All places are taken.
    const TOO_MANY: Self::Error;
    /// Whether a child after fork has what its parent had, but for what another thread was at work
    /// on.
    const OUTLIVES_FORK: bool;

    /// In a child after fork: nothing is known at the place any more. Clears what stands beside it.
    fn forgotten(_place: usize) {}
}

struct Place<T> {
    generation: u64,
    content: Content<T>,
}

/// What is known at a place. Not an Option, which is all zero only by chance when it has nothing: so a
/// table of many places takes no room in the file, and no memory before it is used.
#[repr(u8)]
enum Content<T> {
    Nothing = 0,
    Thing(T),
}

/// `PLACES` things at a time, by their handles. See the module.
pub(crate) struct HandleTable<T, const PLACES: usize> {
    places: [Mutex<Place<T>>; PLACES],
    fork: ForkRecovery,
}

impl<T: Handled, const PLACES: usize> HandleTable<T, PLACES> {
    /// With nothing in it.
    pub(crate) const fn new() -> Self {
        HandleTable {
            places: [const {
                Mutex::new(Place {
                    generation: 0,
                    content: Content::Nothing,
                })
            }; PLACES],
            fork: ForkRecovery::new(),
        }
    }

    /// Gives what `make` makes for the place of that number a handle.
    ///
    /// # Errors
    /// `TOO_MANY`, or `make`'s; nothing has changed then.
    pub(crate) fn admit(
        &self,
        make: impl FnOnce(usize) -> Result<T, T::Error>,
    ) -> Result<u64, T::Error> {
        let _blocked = SignalsBlocked::new();
        self.fork.notice(|| self.recover())?;
        self.fork.arm();
        for (number, place) in self.places.iter().enumerate() {
            // Who holds a place is at work on what is there.
            let Some(mut place) = place.try_lock() else {
                continue;
            };
            if let Content::Nothing = place.content {
                place.content = Content::Thing(make(number)?);
                place.generation += 1;
                return Ok(place.generation * PLACES as u64 + number as u64);
            }
        }
        Err(T::TOO_MANY)
    }

    /// Calls `act` with the number of a handle's place and what is known there, which stays while
    /// it runs.
    ///
    /// # Errors
    /// `BAD_HANDLE`, or `act`'s.
    pub(crate) fn with<R>(
        &self,
        handle: u64,
        act: impl FnOnce(usize, &mut T) -> Result<R, T::Error>,
    ) -> Result<R, T::Error> {
        self.with_place(handle, |number, content| match content {
            Content::Thing(thing) => act(number, thing),
            Content::Nothing => Err(T::BAD_HANDLE),
        })
    }

    /// The same, and forgets what is known there, unless `end` fails.
    ///
    /// # Errors
    /// As [`HandleTable::with`].
    pub(crate) fn remove(
        &self,
        handle: u64,
        end: impl FnOnce(usize, &mut T) -> Result<(), T::Error>,
    ) -> Result<(), T::Error> {
        self.with_place(handle, |number, content| {
            let Content::Thing(thing) = content else {
                return Err(T::BAD_HANDLE);
            };
            end(number, thing)?;
            *content = Content::Nothing;
            Ok(())
        })
    }

    fn with_place<R>(
        &self,
        handle: u64,
        act: impl FnOnce(usize, &mut Content<T>) -> Result<R, T::Error>,
    ) -> Result<R, T::Error> {
        let _blocked = SignalsBlocked::new();
        self.fork.notice(|| self.recover())?;
        let (number, generation) = (handle as usize % PLACES, handle / PLACES as u64);
        let mut place = self.places[number].lock();
        if place.generation != generation {
            return Err(T::BAD_HANDLE);
        }
        act(number, &mut place.content)
    }

    /// In a child after fork.
    fn recover(&self) -> Result<(), T::Error> {
        for (number, place) in self.places.iter().enumerate() {
            if T::OUTLIVES_FORK && !place.is_locked() {
                continue;
            }
            // SAFETY: whoever held it is not in this process, and who is waits for the recovery.
            unsafe { place.raw() }.reset();
            let mut place = place.lock();
            // SAFETY: a place to write to. What was in it may be half written: neither read nor
            // dropped, and its memory is not to be trusted.
            unsafe { core::ptr::write(&raw mut place.content, Content::Nothing) };
            T::forgotten(number);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicUsize, Ordering};
    extern crate std;
    use std::sync::Barrier;
    use std::vec::Vec;

    #[derive(PartialEq, Eq, Debug)]
    enum Refusal {
        BadHandle,
        TooMany,
        Own,
    }
    use Refusal::{BadHandle, Own, TooMany};

    struct Thing<const OUTLIVES_FORK: bool>(usize);

    impl<const OUTLIVES_FORK: bool> Handled for Thing<OUTLIVES_FORK> {
        type Error = Refusal;
        const BAD_HANDLE: Refusal = BadHandle;
        const TOO_MANY: Refusal = TooMany;
        const OUTLIVES_FORK: bool = OUTLIVES_FORK;

        fn forgotten(place: usize) {
            FORGOTTEN.fetch_add(1 << place, Ordering::Relaxed);
        }
    }

    type Table<const PLACES: usize> = HandleTable<Thing<true>, PLACES>;

    /// A bit for each place of which that was told.
    static FORGOTTEN: AtomicUsize = AtomicUsize::new(0);

    fn what_is_at<const PLACES: usize>(
        table: &Table<PLACES>,
        handle: u64,
    ) -> Result<usize, Refusal> {
        table.with(handle, |_, thing| Ok(thing.0))
    }

    #[test]
    fn no_generation_comes_again_and_a_stale_handle_is_refused() {
        let table = Table::<3>::new();
        let mut stale = Vec::from([0, 1, 2, u64::MAX]);
        for number in 0..100 {
            let handle = table.admit(|_| Ok(Thing(number))).expect("room");
            assert!(!stale.contains(&handle), "{handle}");
            assert_eq!(what_is_at(&table, handle), Ok(number));
            for &handle in &stale {
                assert_eq!(what_is_at(&table, handle), Err(BadHandle));
                assert_eq!(table.remove(handle, |_, _| Ok(())), Err(BadHandle));
            }
            assert_eq!(table.remove(handle, |_, _| Ok(())), Ok(()));
            stale.push(handle);
        }
    }

    #[test]
    fn a_full_table_refuses_and_makes_nothing() {
        let table = Table::<3>::new();
        let handles = [7, 8, 9].map(|number| table.admit(|_| Ok(Thing(number))).expect("room"));
        assert_eq!(table.admit(|_| unreachable!()), Err(TooMany));
        assert_eq!(table.remove(handles[1], |_, _| Ok(())), Ok(()));
        let again = table.admit(|place| Ok(Thing(place))).expect("room");
        assert_eq!(what_is_at(&table, again), Ok(1));
        assert_eq!(what_is_at(&table, handles[2]), Ok(9));
    }

    #[test]
    fn what_fails_changes_nothing() {
        let table = Table::<1>::new();
        assert_eq!(table.admit(|_| Err(Own)), Err(Own));
        let handle = table.admit(|_| Ok(Thing(7))).expect("room");
        assert_eq!(table.remove(handle, |_, _| Err(Own)), Err(Own));
        assert_eq!(what_is_at(&table, handle), Ok(7));
    }

    /// Whether all of these hold in a child after fork; the number of the first that does not is
    /// shown.
    fn hold_in_child(claims: &[&dyn Fn() -> bool]) -> bool {
        // SAFETY: the child calls nothing but the kernel, and ends by _exit.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let broken = claims.iter().position(|holds| !holds());
            // SAFETY: ends the child.
            unsafe { libc::_exit(broken.map_or(0, |number| number as i32 + 1)) };
        }
        let mut status = 0;
        // SAFETY: our child.
        unsafe { libc::waitpid(child, &mut status, 0) };
        if status != 0 {
            std::eprintln!("claim {} does not hold", libc::WEXITSTATUS(status) - 1);
        }
        status == 0
    }

    #[test]
    fn a_child_recovers_the_place_that_a_thread_held_and_has_the_others() {
        static TABLE: Table<2> = HandleTable::new();
        static OF_PARENT_ALONE: HandleTable<Thing<false>, 1> = HandleTable::new();
        let held = TABLE.admit(|_| Ok(Thing(7))).expect("room");
        let other = TABLE.admit(|_| Ok(Thing(8))).expect("room");
        let lost = OF_PARENT_ALONE.admit(|_| Ok(Thing(9))).expect("room");
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                TABLE.with(held, |_, _| {
                    barrier.wait();
                    barrier.wait();
                    Ok(())
                })
            });
            barrier.wait();
            let recovered = hold_in_child(&[
                // First, as this does not wait for who holds the place.
                &|| TABLE.admit(|_| Ok(Thing(1))).is_ok_and(|new| new != held),
                &|| what_is_at(&TABLE, held) == Err(BadHandle),
                &|| what_is_at(&TABLE, other) == Ok(8),
                &|| FORGOTTEN.load(Ordering::Relaxed) == 1 << 0,
                &|| OF_PARENT_ALONE.with(lost, |_, _| Ok(())) == Err(BadHandle),
                &|| {
                    let new = OF_PARENT_ALONE.admit(|_| Ok(Thing(1)));
                    new.is_ok_and(|new| new != lost)
                },
            ]);
            barrier.wait();
            assert!(recovered);
        });
        assert_eq!(what_is_at(&TABLE, held), Ok(7));
    }
}
