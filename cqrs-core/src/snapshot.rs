//! Several views at one position.

use std::any::TypeId;
use std::sync::Arc;

use crate::engine::shared::{Core, Published};
use crate::error::ReadError;
use crate::key::{Key, PrefixOf, key_bytes, prefix_bytes};
use crate::lookups::PinnedView;
use crate::projection::Projection;
use crate::table::Span;
use crate::view::ViewRows;

/// All views of an engine, at one and the same position: what [`Engine::snapshot`](crate::Engine::snapshot) hands out.
///
/// However long it is looked at, nothing in it changes, and nobody is held up: if it takes longer than a moment, the fold goes on in a copy.
pub struct Snapshot<'e> {
    core: &'e Core,
    published: Arc<Published>,
}

impl std::fmt::Debug for Snapshot<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("position", &self.position()).finish_non_exhaustive()
    }
}

impl<'e> Snapshot<'e> {
    pub(crate) fn new(core: &'e Core) -> Self {
        Self { core, published: core.published.load_full() }
    }

    /// The position of the last event that is in it.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.published.position
    }

    /// The row of a key in the view of `P`; `None` if there is none, or `having` hides it.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: the view is being rebuilt, has stopped, or the engine is closed.
    ///
    /// # Panics
    ///
    /// If the engine was not started with the view.
    #[track_caller]
    pub fn get<P: Projection>(&self, key: <P::Key as Key>::Ref<'_>) -> Result<Option<P>, ReadError> {
        let view = self.number::<P>();
        self.core.rows(&self.published, view).map(|rows| rows.get(&key))
    }

    /// All rows of the view of `P` that `having` does not hide, in the order in which their keys first appeared.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn rows<P: Projection>(&self) -> Result<ViewRows<P>, ReadError> {
        let view = self.number::<P>();
        Ok(ViewRows::all(self.core.shared_rows(&self.published, view)?, self.position()))
    }

    /// The rows of the view of `P` whose key begins with these columns, in the order of their keys.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn rows_of<P: Projection, const N: usize>(
        &self,
        prefix: impl PrefixOf<P, N>,
    ) -> Result<ViewRows<P>, ReadError> {
        self.in_order(Span::under(prefix_bytes(&prefix)))
    }

    /// All rows of the view of `P` in the order of their keys; from the last one on with `.rev()`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn rows_by_key<P: Projection>(&self) -> Result<ViewRows<P>, ReadError> {
        self.in_order(Span::default())
    }

    /// The rows of the view of `P` whose keys come after this one, in their order. The key need not have a row.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn rows_after<P: Projection>(&self, key: <P::Key as Key>::Ref<'_>) -> Result<ViewRows<P>, ReadError> {
        self.in_order(Span::after(key_bytes::<P::Key>(&key)))
    }

    /// The rows of the view of `P` whose keys come before this one, in their order. The key need not have a row.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn rows_before<P: Projection>(
        &self,
        key: <P::Key as Key>::Ref<'_>,
    ) -> Result<ViewRows<P>, ReadError> {
        self.in_order(Span::before(key_bytes::<P::Key>(&key)))
    }

    /// The view of `P`, for look-ups by its indexes: `snapshot.view::<Order>()?.by_status(Status::Open)`.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn view<P: Projection>(&self) -> Result<PinnedView<P>, ReadError> {
        let view = self.number::<P>();
        let rows = self.core.shared_rows::<P>(&self.published, view)?;
        Ok(PinnedView::new(view, rows, self.position(), |_| {}))
    }

    #[track_caller]
    fn in_order<P: Projection>(&self, span: Span) -> Result<ViewRows<P>, ReadError> {
        let view = self.number::<P>();
        let rows = self.core.shared_rows(&self.published, view)?;
        Ok(ViewRows::in_order(rows, self.position(), None, span))
    }

    #[track_caller]
    fn number<P: Projection>(&self) -> usize {
        match self.core.number(TypeId::of::<P>(), P::RUST_NAME) {
            Ok(number) => number,
            Err(error) => panic!("{error}"),
        }
    }
}
