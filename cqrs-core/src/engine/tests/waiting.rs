//! Receipts, readiness and health.

use super::*;
use crate::WaitError;
use crate::health::ViewState;
use crate::store::StoreId;

#[test]
fn a_receipt_is_reached_or_not_in_time() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().start().unwrap();
        let view = engine.view::<Has>();
        let receipt = engine.append(bought("ann", "hats", 1)).durable().wait().unwrap();
        let sent: Receipt = receipt.to_string().parse().unwrap();
        assert_eq!(view.wait_for(&sent, Duration::from_secs(10)).wait(), Ok(Reached::Reached));
        let ahead = Receipt { first: 4, last: 5, ..receipt };
        let begun = Instant::now();
        assert_eq!(
            view.wait_for(&ahead, Duration::from_millis(30)).wait(),
            Ok(Reached::TimedOut { behind: 4 })
        );
        assert!(begun.elapsed() >= Duration::from_millis(30));
        let stranger = Receipt { store: StoreId([1; 16]), ..receipt };
        let error = view.wait_for(&stranger, Duration::from_secs(10)).wait().unwrap_err();
        assert!(matches!(error, WaitError::OtherLog { .. }));

        // Woken by the append that brings it.
        let waiting = std::thread::spawn(move || view.wait_for(&ahead, Duration::from_secs(10)).wait());
        for _ in 0..4 {
            engine.append(bought("ann", "hats", 1)).wait().unwrap();
        }
        assert_eq!(waiting.join().unwrap(), Ok(Reached::Reached));
        let view = engine.view::<Has>();
        engine.close().wait().unwrap();
        assert_eq!(view.wait_for(&receipt, Duration::from_secs(1)).wait(), Err(WaitError::Closed));
    });
}

#[test]
fn health_tells_how_it_is() {
    everywhere(|place| {
        let engine = place.engine().view::<Has>().view::<Owners>().start().unwrap();
        for n in 0..200 {
            engine.append(bought(&n.to_string(), "hats", 1)).wait().unwrap();
        }
        let health = engine.health();
        assert_eq!((health.position, health.read_only, health.closed), (200, false, false));
        let view = &health.views[0];
        assert_eq!((view.name, view.projection, &view.state), ("has", "Has", &ViewState::Live));
        assert_eq!((view.position, view.lag, view.rows), (200, 0, 200));
        assert_eq!((view.late, view.parked), (0, 0));
        assert!(view.memory > 1000);
        soon("a checkpoint is made by itself", || {
            engine.health().views.iter().all(|view| view.checkpoint.is_some_and(|it| it.position == 200))
        });
        assert_eq!(engine.health().checkpoint_failure, None);
    });
}

#[test]
fn a_view_that_is_not_there_is_named() {
    let engine = Engine::in_memory().start().unwrap();
    let error = engine.try_view::<Has>().unwrap_err();
    assert!(error.to_string().contains("`.view::<Has>()`"), "{error}");
}

#[test]
fn awaiting_works_under_any_executor() {
    let engine = Engine::in_memory().view::<Has>().start().unwrap();
    let work = async {
        let receipt = engine.append(bought("ann", "hats", 1)).await?;
        engine.append_all([bought("ann", "hats", 1)]).durable().await?;
        engine.wait_ready().await.unwrap();
        assert_eq!(
            engine.view::<Has>().wait_for(&receipt, Duration::from_secs(10)).await,
            Ok(Reached::Reached)
        );
        engine.checkpoint().await.unwrap();
        engine.close().await.unwrap();
        Ok::<_, AppendError>(())
    };
    crate::sync::block_on(work).unwrap();
}
