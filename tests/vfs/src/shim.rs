//! The table of C functions: what SQLite calls, and what calls the platform's VFS.
//!
//! An open file of a watched folder is a [`File`] with the platform's own file right behind it, in the memory that SQLite provides
//! for both. A file of another folder is the platform's alone.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;
use std::slice;
use std::sync::{Arc, Once, OnceLock};

use rusqlite::ffi;

use crate::disk::{Handle, Shared};
use crate::fault::Operation;

type Open = unsafe extern "C" fn(
    *mut ffi::sqlite3_vfs,
    ffi::sqlite3_filename,
    *mut ffi::sqlite3_file,
    c_int,
    *mut c_int,
) -> c_int;
type Delete = unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *const c_char, c_int) -> c_int;

/// The VFS that was the default before.
#[derive(Clone, Copy)]
struct Platform {
    vfs: *mut ffi::sqlite3_vfs,
    open: Open,
    delete: Delete,
}

// SAFETY: SQLite itself uses a registered VFS from every thread; the platform's is never unregistered.
unsafe impl Send for Platform {}
// SAFETY: as above; nothing is changed through the pointer.
unsafe impl Sync for Platform {}

static PLATFORM: OnceLock<Platform> = OnceLock::new();

fn platform() -> Platform {
    *PLATFORM.get().expect("it is known before ours is registered")
}

/// Makes this the process' default VFS, once.
pub(crate) fn install() {
    static REGISTERED: Once = Once::new();
    // First the platform's, and only then ours: other threads may be opening files meanwhile.
    let platform = *PLATFORM.get_or_init(find);
    REGISTERED.call_once(|| register(platform));
}

fn find() -> Platform {
    // SAFETY: a null name asks for the default VFS; SQLite initialises itself in this call.
    let vfs = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
    assert!(!vfs.is_null(), "SQLite has a default VFS");
    // SAFETY: it is a registered VFS, so it is valid and stays so.
    let (open, delete) = unsafe { ((*vfs).xOpen, (*vfs).xDelete) };
    Platform { vfs, open: open.expect("a VFS opens files"), delete: delete.expect("a VFS deletes files") }
}

fn register(platform: Platform) {
    // SAFETY: as above. The functions that the copy keeps look at nothing of the VFS they are given but `pAppData`, which the copy has, too.
    let mut own = unsafe { *platform.vfs };
    own.szOsFile += BEFORE as c_int;
    own.zName = c"faulty".as_ptr();
    own.pNext = std::ptr::null_mut();
    own.xOpen = Some(open);
    own.xDelete = Some(delete);
    // SAFETY: it is complete, and lives for ever.
    let code = unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(own)), 1) };
    assert_eq!(code, ffi::SQLITE_OK, "the VFS is registered");
}

#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    handle: *mut Handle,
}

/// Where the platform's file begins: as aligned as this one.
const BEFORE: usize = size_of::<File>().next_multiple_of(16);

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // Version 3 would let SQLite map files into memory, and write past us.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// The name of a file as SQLite hands it over: absolute, since it comes from `xFullPathname`.
///
/// # Safety
///
/// `name` is null or ends with a zero, and lives as long as what is made of it.
unsafe fn watched(name: *const c_char) -> Option<(Arc<Shared>, String)> {
    if name.is_null() {
        return None;
    }
    // SAFETY: as promised by the caller.
    let name = unsafe { CStr::from_ptr(name) };
    Shared::of(Path::new(name.to_str().ok()?))
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let platform = platform();
    // SAFETY: SQLite hands over a name that ends with a zero, or none.
    let Some((shared, short)) = (unsafe { watched(name) }) else {
        // SAFETY: the arguments are SQLite's own, and the memory of `file` is larger than the platform asks for.
        return unsafe { (platform.open)(platform.vfs, name, file, flags, out_flags) };
    };
    let may_create = flags & ffi::SQLITE_OPEN_CREATE != 0;
    let journals = ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL | ffi::SQLITE_OPEN_WAL;
    let opened = shared.open(short, may_create, flags & journals != 0, || {
        // SAFETY: behind `BEFORE` there is as much memory as the platform's VFS asks for, aligned as it was.
        unsafe { (platform.open)(platform.vfs, name, inner(file), flags, out_flags) }
    });
    let own = file.cast::<File>();
    match opened {
        Ok(handle) => {
            let handle = Box::into_raw(Box::new(handle));
            // SAFETY: `file` is memory for a `File`, which is plain data.
            unsafe { own.write(File { base: ffi::sqlite3_file { pMethods: &raw const METHODS }, handle }) };
            ffi::SQLITE_OK
        }
        Err(code) => {
            // Without methods, SQLite does not close it.
            // SAFETY: as above.
            unsafe { (*file).pMethods = std::ptr::null() };
            code
        }
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    let platform = platform();
    // SAFETY: the arguments are SQLite's own.
    let run = || unsafe { (platform.delete)(platform.vfs, name, sync_folder) };
    // SAFETY: SQLite hands over a name that ends with a zero.
    match unsafe { watched(name) } {
        None => run(),
        Some((shared, short)) => shared.delete(&short, sync_folder != 0, run),
    }
}

/// The platform's file behind one of ours.
///
/// # Safety
///
/// The memory that SQLite provided for a file of this VFS.
unsafe fn inner(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: `szOsFile` asked for this much more memory than the platform's file needs.
    unsafe { file.byte_add(BEFORE) }
}

/// # Safety
///
/// A file that [`open`] has opened and [`close`] has not closed. SQLite uses one from one thread at a time.
unsafe fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a Handle {
    // SAFETY: `open` put a handle there that lives until `close`.
    unsafe { &*(*file.cast::<File>()).handle }
}

/// Calls a method of the platform's file.
macro_rules! platform {
    ($file:ident . $method:ident ( $($argument:expr),* )) => {{
        // SAFETY: `open` has opened the platform's file, and the arguments are those that SQLite has for it.
        unsafe {
            let inner = inner($file);
            let method = (*(*inner).pMethods).$method.expect("the platform's VFS has every method of version 2");
            method(inner, $($argument),*)
        }
    }};
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let code = platform!(file.xClose());
    // SAFETY: `open` made it with `Box::into_raw`, and SQLite closes a file once.
    drop(unsafe { Box::from_raw((*file.cast::<File>()).handle) });
    code
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    into: *mut c_void,
    amount: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: SQLite has it open.
    let handle = unsafe { handle(file) };
    handle.pass(Operation::Read, || platform!(file.xRead(into, amount, offset)))
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    amount: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: SQLite hands over that many bytes, and has the file open.
    let (bytes, handle) =
        unsafe { (slice::from_raw_parts(from.cast::<u8>(), amount as usize), handle(file)) };
    handle.write(offset as u64, bytes, |bytes| {
        platform!(file.xWrite(bytes.as_ptr().cast(), bytes.len() as c_int, offset))
    })
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    // SAFETY: SQLite has it open.
    let handle = unsafe { handle(file) };
    handle.truncate(length as u64, || platform!(file.xTruncate(length)))
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: SQLite has it open.
    let handle = unsafe { handle(file) };
    handle.sync(|| platform!(file.xSync(flags)))
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, length: *mut i64) -> c_int {
    platform!(file.xFileSize(length))
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    platform!(file.xLock(level))
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    platform!(file.xUnlock(level))
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    platform!(file.xCheckReservedLock(out))
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, what: c_int, argument: *mut c_void) -> c_int {
    platform!(file.xFileControl(what, argument))
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    platform!(file.xSectorSize())
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    platform!(file.xDeviceCharacteristics())
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: SQLite has it open.
    let handle = unsafe { handle(file) };
    handle.pass(Operation::Share, || platform!(file.xShmMap(region, size, extend, out)))
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    platform!(file.xShmLock(offset, count, flags))
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    platform!(file.xShmBarrier());
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    platform!(file.xShmUnmap(delete))
}
