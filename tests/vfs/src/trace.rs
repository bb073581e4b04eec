//! What happened to a folder, in order.

/// A file, whatever it is called: a name that is deleted and created again stands for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// One thing that happened. Only what was done is here: of a write that failed half-way, the half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The file was there when the watching began.
    Found {
        /// Which.
        file: FileId,
        /// Its name in the folder.
        name: String,
        /// What was in it.
        bytes: Vec<u8>,
    },
    /// A file was created.
    Created {
        /// Which.
        file: FileId,
        /// Its name in the folder.
        name: String,
    },
    /// Bytes were written.
    Wrote {
        /// Where to.
        file: FileId,
        /// From where on.
        offset: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// A file got another length.
    Truncated {
        /// Which.
        file: FileId,
        /// In bytes.
        length: u64,
    },
    /// Everything written to the file before is on the disk.
    Synced {
        /// Which.
        file: FileId,
    },
    /// A sync was asked for, and failed.
    NotSynced {
        /// Which.
        file: FileId,
    },
    /// Which names there are, and which files they stand for, is on the disk.
    FolderSynced,
    /// A name was deleted.
    Deleted {
        /// The name in the folder.
        name: String,
    },
    /// A test has something to say: a number that means something to it.
    Note(u64),
}
