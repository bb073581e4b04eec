// The world of `pair.rs`: two views, each with rows that all say how many batches were folded, behind one pointer.
use crate::threads::{Mutex, chance, thread};
use std::sync::Arc;

#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Rows([u64; 3]);

impl pair::Twin for Rows {
    const NAME: &'static str = "rows";
    fn catch_up(&mut self, newer: &Self, touched: &[u32]) {
        for row in touched {
            thread::yield_now();
            self.0[*row as usize] = newer.0[*row as usize];
        }
    }
    fn memory(&self) -> usize {
        1
    }
}

pub(crate) struct Published {
    position: u64,
    views: [Arc<Rows>; 2],
}

/// What the rows are after so many batches: each batch touches two of three.
fn expected(position: u64) -> Rows {
    let mut rows = Rows::default();
    for batch in 1..=position {
        rows.0[(batch % 3) as usize] += batch;
        rows.0[((batch + 1) % 3) as usize] += batch;
    }
    rows
}

pub(crate) fn scenario(batches: u64, readers: usize) {
    let mut views: [pair::Pair<Rows>; 2] = Default::default();
    let shown = [views[0].front().clone(), views[1].front().clone()];
    // Stands for the `ArcSwap`: a pointer that is loaded and stored at once.
    let pointer = Arc::new(Mutex::new(Arc::new(Published { position: 0, views: shown.clone() })));
    let readers: Vec<_> = (0..readers).map(|_| {
        let pointer = pointer.clone();
        thread::spawn(move || {
            let (mut last, mut held) = (0, Vec::new());
            loop {
                let published = pointer.lock().unwrap().clone();
                assert!(published.position >= last, "positions went back");
                last = published.position;
                for view in &published.views {
                    assert_eq!(**view, expected(last), "a batch was torn, or lost");
                }
                // A dawdler holds on to rows alone, as an iterator does.
                if chance() {
                    held.push((published.views[0].clone(), last));
                }
                drop(published);
                thread::yield_now();
                for (rows, position) in &held {
                    assert_eq!(**rows, expected(*position), "a snapshot changed");
                }
                if held.len() > 1 || chance() {
                    held.clear();
                }
                if last == batches {
                    return;
                }
            }
        })
    }).collect();
    // One who never lets go: the fold is not to wait for it.
    let kept = pointer.lock().unwrap().clone();
    let mut shown = shown;
    for batch in 1..=batches {
        for view in &mut views {
            for row in [batch % 3, (batch + 1) % 3] {
                let rows = view.back_mut();
                rows.0[row as usize] += batch;
                thread::yield_now();
            }
        }
        for (view, shown) in views.iter_mut().zip(&mut shown) {
            assert!(view.end_writing());
            *shown = view.flip(vec![(batch % 3) as u32, ((batch + 1) % 3) as u32]);
            let before = view.back().unwrap();
            assert_eq!(**before, expected(batch - 1), "what subscribers are told was not before");
        }
        let published = Arc::new(Published { position: batch, views: shown.clone() });
        let before = std::mem::replace(&mut *pointer.lock().unwrap(), published);
        drop(before);
    }
    for reader in readers {
        reader.join().unwrap();
    }
    assert_eq!(*kept.views[1], expected(0));
}
