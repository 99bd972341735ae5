//! Work in pieces that free threads share: trials fill the threads first, and whoever has none left helps with another's.

use crate::error::Result;
use rayon::Scope;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes the result of each piece, by its number.
type Results<T> = Sender<(usize, Result<T>)>;

/// What one thread does of the pieces.
pub(super) struct Share<'a, T> {
    pieces: usize,
    /// The piece that is taken next.
    next: &'a AtomicUsize,
    results: Results<T>,
}

impl<T> Share<'_, T> {
    /// Does one piece after the other until none is left, or one failed.
    pub(super) fn each(&self, mut work: impl FnMut(usize) -> Result<T>) {
        loop {
            let piece = self.next.fetch_add(1, Ordering::Relaxed);
            if piece >= self.pieces {
                return;
            }
            let result = work(piece);
            if result.is_err() {
                self.next.store(self.pieces, Ordering::Relaxed);
            }
            // whoever receives waits for all shares
            let _ = self.results.send((piece, result));
        }
    }
}

/// Pieces of work, and how a thread does its share of them.
struct Spread<'a, T> {
    pieces: usize,
    next: AtomicUsize,
    /// `None` when no thread may begin any more.
    results: Mutex<Option<Results<T>>>,
    share: &'a (dyn Fn(&Share<'_, T>) + Sync),
}

/// Results of so many pieces, in their order. Each thread that takes part calls `share` once. The calling thread begins
/// at once, where it is of a pool, and joins the others at the end; a thread of that pool that has nothing else to do
/// takes part. What is offered to others is one task at a time, so that it costs nothing where nobody takes it.
///
/// # Errors
/// That of the first piece that failed.
pub(super) fn spread<T: Send>(
    pieces: usize,
    share: &(dyn Fn(&Share<'_, T>) + Sync),
) -> Result<Vec<T>> {
    let (sender, receiver) = mpsc::channel();
    let spread = Spread {
        pieces,
        next: AtomicUsize::new(0),
        results: Mutex::new(Some(sender)),
        share,
    };
    let mut results: Vec<(usize, Result<T>)> = rayon::scope(|scope| {
        spread.join(scope);
        *spread.results() = None;
        // waits for the others here: in its own wait a scope would begin another trial and hold two at a time
        receiver.into_iter().collect()
    });
    results.sort_by_key(|(piece, _)| *piece);
    results.into_iter().map(|(_, result)| result).collect()
}

impl<T: Send> Spread<'_, T> {
    /// Takes part, where pieces are left, and lets another thread do so.
    fn join<'s>(&'s self, scope: &Scope<'s>) {
        if self.next.load(Ordering::Relaxed) >= self.pieces {
            return;
        }
        let results = self.results().clone();
        let Some(results) = results else { return };
        scope.spawn(|scope| self.join(scope));
        (self.share)(&Share {
            pieces: self.pieces,
            next: &self.next,
            results,
        });
    }

    fn results(&self) -> MutexGuard<'_, Option<Results<T>>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::time::{Duration, Instant};

    fn on_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(work)
    }

    #[test]
    fn results_come_in_the_order_of_the_pieces_on_any_number_of_threads() {
        for threads in [1, 2, 5] {
            for pieces in [0, 1, 2, 1000] {
                let all = on_threads(threads, || {
                    spread(pieces, &|share| share.each(|piece| Ok(piece * piece)))
                });
                let expected: Vec<usize> = (0..pieces).map(|piece| piece * piece).collect();
                assert_eq!(all.unwrap(), expected, "{threads} threads");
            }
        }
    }

    #[test]
    fn free_threads_take_part_and_a_thread_begins_once() {
        let (running, begun) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let together = on_threads(3, || {
            spread(3, &|share| {
                begun.fetch_add(1, Ordering::Relaxed);
                share.each(|_| {
                    running.fetch_add(1, Ordering::Relaxed);
                    let started = Instant::now();
                    while running.load(Ordering::Relaxed) < 3 {
                        if started.elapsed() > Duration::from_secs(60) {
                            return Ok(false);
                        }
                        std::thread::yield_now();
                    }
                    Ok(true)
                });
            })
        });
        assert_eq!(together.unwrap(), [true; 3]);
        assert_eq!(begun.into_inner(), 3);
    }

    #[test]
    fn the_first_failure_is_returned_and_ends_the_work() {
        let done = AtomicUsize::new(0);
        let failed: Result<Vec<()>> = on_threads(2, || {
            spread(1_000_000, &|share| {
                share.each(|piece| {
                    done.fetch_add(1, Ordering::Relaxed);
                    if piece >= 10 {
                        Err(Error::Interrupted)
                    } else {
                        Ok(())
                    }
                })
            })
        });
        assert!(matches!(failed, Err(Error::Interrupted)));
        assert!(done.into_inner() < 1000);
    }
}
