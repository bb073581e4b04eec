//! A store as one process has it: the memory store, by way of what a story lets go wrong.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use cqrs_core::store::{
    AppendFailure, Beside, Checkpoints, Head, Log, LogEvent, LogReader, SavedRow, SavedView, Store,
    StoreError, StoreId, StoredType, ViewCheckpoint, Witness,
};

use crate::disk::{Call, Disk, Fault, failure};

/// The disk, for the process that opens it now.
pub(crate) struct SimStore {
    disk: Arc<Disk>,
    life: u64,
}

impl SimStore {
    pub(crate) fn new(disk: &Arc<Disk>) -> Self {
        Self { disk: disk.clone(), life: disk.life() }
    }

    fn end<T>(&self, inner: T) -> End<T> {
        End { inner, disk: self.disk.clone(), life: self.life }
    }
}

impl Store for SimStore {
    fn id(&self) -> StoreId {
        self.disk.log.id()
    }

    fn log(&self) -> Result<Box<dyn Log>, StoreError> {
        Ok(Box::new(self.end(self.disk.log.log()?)))
    }

    fn reader(&self) -> Result<Box<dyn LogReader>, StoreError> {
        Ok(Box::new(self.end(self.disk.log.reader()?)))
    }

    fn checkpoints(&self) -> Result<Box<dyn Checkpoints>, StoreError> {
        Ok(Box::new(self.end(())))
    }

    fn read_only(&self) -> bool {
        false
    }

    fn backup(&self, _: &Path) -> Result<(), StoreError> {
        Err(failure("it has no files"))
    }

    fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// One end of it.
struct End<T> {
    inner: T,
    disk: Arc<Disk>,
    life: u64,
}

impl<T> End<T> {
    fn look(&self, call: Call) -> Result<(), StoreError> {
        self.disk.look(self.life, call)
    }
}

impl Log for End<Box<dyn Log>> {
    fn head(&mut self) -> Result<Head, StoreError> {
        self.look(Call::Look)?;
        self.inner.head()
    }

    fn append(
        &mut self,
        expected: Head,
        events: &[LogEvent<'_>],
        beside: &Beside<'_>,
    ) -> Result<(), AppendFailure> {
        self.disk.append(self.life, &mut *self.inner, expected, events, beside)
    }

    fn find(&mut self, event_id: &str, found: &mut dyn FnMut(LogEvent<'_>)) -> Result<(), StoreError> {
        self.look(Call::Find)?;
        self.inner.find(event_id, found)
    }

    fn types(&mut self) -> Result<Vec<StoredType>, StoreError> {
        self.look(Call::Look)?;
        self.inner.types()
    }
}

impl LogReader for End<Box<dyn LogReader>> {
    fn head(&mut self) -> Result<Head, StoreError> {
        self.look(Call::Look)?;
        self.inner.head()
    }

    fn checksum_at(&mut self, position: u64) -> Result<Option<u64>, StoreError> {
        self.look(Call::Look)?;
        self.inner.checksum_at(position)
    }

    fn types(&mut self) -> Result<Vec<StoredType>, StoreError> {
        self.look(Call::Look)?;
        self.inner.types()
    }

    fn sources(&mut self) -> Result<BTreeMap<String, u64>, StoreError> {
        self.look(Call::Beside)?;
        self.inner.sources()
    }

    fn note(&mut self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.look(Call::Beside)?;
        self.inner.note(key)
    }

    fn notes(&mut self, prefix: &str, visit: &mut dyn FnMut(&str, &[u8]) -> bool) -> Result<(), StoreError> {
        self.look(Call::Beside)?;
        self.inner.notes(prefix, visit)
    }

    fn read(
        &mut self,
        after: u64,
        limit: usize,
        visit: &mut dyn FnMut(LogEvent<'_>) -> bool,
    ) -> Result<usize, StoreError> {
        self.look(Call::Read)?;
        self.inner.read(after, limit, visit)
    }
}

impl Checkpoints for End<()> {
    fn views(&mut self) -> Result<Vec<SavedView>, StoreError> {
        self.look(Call::Look)?;
        Ok(self.disk.change_kept(|kept| kept.views.values().map(|kept| kept.view.clone()).collect()))
    }

    fn rows(&mut self, view: &str, visit: &mut dyn FnMut(SavedRow<'_>)) -> Result<(), StoreError> {
        self.look(Call::Look)?;
        self.disk.change_kept(|kept| kept.visit(view, visit));
        Ok(())
    }

    fn witness(&mut self) -> Result<Option<Witness>, StoreError> {
        self.look(Call::Look)?;
        Ok(self.disk.change_kept(|kept| kept.witness))
    }

    fn save(&mut self, witness: Witness, views: &[ViewCheckpoint]) -> Result<(), StoreError> {
        let fault = self.disk.enter(self.life, Call::Save)?;
        if matches!(fault, None | Some(Fault::Lost | Fault::DiesAfter)) {
            self.disk.change_kept(|kept| kept.save(witness, views));
        }
        fault.map_or(Ok(()), |_| Err(failure("the checkpoint is not saved")))
    }

    fn forget(&mut self, view: &str) -> Result<(), StoreError> {
        self.look(Call::Look)?;
        self.disk.change_kept(|kept| drop(kept.views.remove(view)));
        Ok(())
    }
}
