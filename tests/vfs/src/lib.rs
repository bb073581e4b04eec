//! A disk below SQLite that remembers everything that is done to it, and fails when it is told to.
//!
//! It is an SQLite VFS that wraps the platform's own and becomes the process' default, so that a program under test needs no change
//! and does not know. [`Disk::watch`] watches a folder: from then on every file that SQLite opens there goes through it; files elsewhere are
//! opened by the platform's VFS itself.
//!
//! - **It records.** Opening, writing, truncating, syncing and deleting, and the notes of a test, stand in one [trace](Entry) in the order in which they
//!   happened: each is done and written down under one lock.
//! - **It fails.** A [`Fault`] makes the n-th operation of a kind, on a file, answer with an error of SQLite, once or from then on; write half of what it was to
//!   write; or say that it synced, and not do it.
//! - **It knows what a loss of power may leave.** A [`Medium`] follows a trace, and makes [images](Image) of the folder as a power cut at this point could
//!   leave it.
//!
//! # What a loss of power may leave
//!
//! What was written before the last sync of its file is there. Of what was written since, each sector of 512 bytes is as it was at the
//! sync, or as it was at any moment since, whatever became of other sectors of the same write, of writes before, or of other files. The length of a file is
//! metadata, and is what it was at the sync or at any moment since: a file may be longer than what survived of its data (the rest reads as zeros), or shorter.
//! Cutting a file off happens as a whole or not at all. Names are metadata, too: which file a name stands for is as it was when the folder was last synced, or at any moment since, name by name. SQLite
//! syncs the folder with the first sync of a journal or write-ahead log that it opened to create, and with some deletions; what a program syncs
//! itself, past SQLite, is not seen, so it counts as not done. In some images, bytes that were under way to the disk are garbage ([`Survival::Garbage`]).
//! A failed sync leaves what it was to sync in doubt for good: a later sync that succeeds does not settle it, as on Linux.
//!
//! It takes for granted: a sync that answered has been done by the hardware; a sector is written whole or not, or (as garbage) harms none of the bytes that were
//! not being written (SQLite's "powersafe overwrite", which it assumes of every disk, too); and what has been synced stays as it was.
//! The shared memory of a write-ahead log (`-shm`) is not recorded, since SQLite builds it anew after a crash.
//!
//! # Why not `sqlite-plugin`
//!
//! It (0.11) makes a whole VFS out of a Rust trait. The trait knows shared memory, but nothing passes on to the platform's VFS: files, locks and shared
//! memory would all have to be written anew, and what would then be tested is not what runs. A shim is a page of C functions that call the real ones.

mod disk;
mod fault;
mod medium;
mod random;
#[allow(unsafe_code)] // The one place: a VFS is a table of C functions.
mod shim;
mod trace;

pub use rusqlite::ffi as codes;

pub use self::disk::Disk;
pub use self::fault::{Fault, Operation};
pub use self::medium::{Image, Medium, Survival};
pub use self::random::Random;
pub use self::trace::{Entry, FileId};
